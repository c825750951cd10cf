//! What is told of each parent once a family hangs together: how it was found, and how sure that is.

use std::collections::BTreeMap;

use super::{
    Direction, Kind, Parent, Subject,
    below::INHERITED,
    copies::Copy,
    edges,
    family::{Beyond, KNOWN, Step, Structure, round},
    mixture::Mixture,
    report::Evidence,
    samples::Samples,
    tree,
};
use crate::{Error, Progress};

/// How sure it is that the parent is not one of its other children which is as near, but whose step the child does not hold.
const BESIDE: f64 = 0.85;

/// How sure it is at most that a model whose step from its parent another holds more than once is a sibling of it.
const DOUBTED: f64 = 0.6;

/// How sure it is at most that a root is the parent of a model where both name one base which is not here.
const NAMED: f64 = 0.45;

/// How the members of a family hang together.
pub(super) struct Hung<'a> {
    pub(super) samples: &'a Samples,
    pub(super) copies: Vec<Copy>,
    pub(super) mixtures: Vec<Mixture>,
    /// Neither copies, nor merges, nor below one.
    pub(super) core: Vec<usize>,
    /// The spanning trees of the core.
    pub(super) steps: Vec<tree::Step>,
    pub(super) edges: Vec<Step>,
    /// Children handed on to their grandparents, and of which they hold the step more than once.
    pub(super) lifted: BTreeMap<usize, Option<Beyond>>,
}

impl Parent {
    fn of(subject: &Subject, relation: Kind, evidence: Vec<Evidence>) -> Self {
        let (id, direction) = (subject.id.clone(), Direction::Known);
        Self { id, relation, weight: None, confidence: 1.0, direction, evidence }
    }
}

const fn direction(odds: f64) -> Direction {
    if odds >= KNOWN { Direction::Known } else { Direction::Guessed }
}

impl Structure<'_> {
    fn edge(&self, child: usize, parent: usize) -> edges::Edge<'_> {
        edges::Edge { known: self.known, measured: self.measured, child, parent }
    }

    /// The parent at the other end of a step of training.
    pub(super) fn told_edge(
        &self,
        hung: &Hung<'_>,
        (child, parent, odds): Step,
        progress: Progress<'_>,
    ) -> Result<Parent, Error> {
        let (measured, samples) = (self.measured, hung.samples);
        // What the child was handed on from is nearer, and known to be a sibling; so may others be that are. What comes
        // from the child is none, nor what comes from its parent and repeats its values.
        let is_lifted = hung.lifted.contains_key(&child);
        let own = measured.bits(child, parent);
        let joined = |other: usize| {
            hung.steps.iter().any(|step| step.ends == (child, other) || step.ends == (other, child))
        };
        let repeats = |other: usize| {
            measured.same(other, parent)
                && (!hung.core.contains(&parent) || self.descends(&hung.edges, (other, parent)))
        };
        let excluded = |other: usize| {
            [child, parent].contains(&other)
                || joined(other)
                || self.descends(&hung.edges, (other, child))
                || is_lifted && measured.bits(child, other) < own
                || repeats(other)
        };
        let rivals = hung.core.iter().copied().filter(|&other| !excluded(other));
        let rivals: Vec<usize> = rivals.collect();
        // However near a sibling is, the child does not hold its step.
        let sibling = |&other: &usize| {
            hung.edges.iter().any(|edge| (edge.0, edge.1) == (other, parent))
                && samples.any()
                && !measured.holds(child, (other, parent))
        };
        let nearest = |those: &[usize]| {
            let bits = |other: usize| measured.bits(child, other);
            those.iter().copied().min_by(|&a, &b| bits(a).total_cmp(&bits(b)))
        };
        let lead = |rival: Option<usize>| {
            rival.map_or(1.0, |rival| 1.0 - 10f64.powf(measured.nearer(child, (parent, rival)).log10_p()))
        };
        let strangers: Vec<usize> = rivals.iter().copied().filter(|other| !sibling(other)).collect();
        let rival = nearest(&rivals);
        let lead = lead(rival).max(BESIDE.min(lead(nearest(&strangers))));
        let edge = self.edge(child, parent);
        let (kind, mut evidence) = edge.kind(progress)?;
        let (mut confidence, mut odds) = (odds * lead, odds);
        if let Some((most, said)) = self.siblings(hung, (child, parent)) {
            (confidence, odds) = (confidence.min(most), odds.min(most));
            evidence.push(said);
        }
        if let Some(beyond) = hung.lifted.get(&child).copied().flatten() {
            confidence = confidence.min(DOUBTED);
            evidence.push(edge.beyond(beyond));
        }
        if let Some(rival) = rival {
            evidence.insert(0, edge.nearest((rival, measured.nearer(child, (parent, rival)))));
        }
        evidence.extend(edge.growth());
        evidence.extend(edge.tails(samples.shorter((parent, child))));
        let told = match hung.mixtures.iter().find(|mixture| mixture.child == parent) {
            Some(merge) => merge.inherited(samples, child),
            None => hung
                .copies
                .iter()
                .find(|copy| copy.child == parent)
                .and_then(|copy| copy.inherited(samples, child)),
        };
        if let Some(told) = told.filter(|told| told.held() == Some(true)) {
            evidence.insert(0, edge.inherited(told));
            confidence = INHERITED;
        }
        Ok(Parent {
            confidence: round(confidence),
            direction: direction(odds),
            ..Parent::of(self.subject(parent), kind, evidence)
        })
    }

    /// How sure it is at most that a root is the parent, and not the child of a base that is not here as well; none where nothing
    /// says that.
    fn siblings(&self, hung: &Hung<'_>, (child, parent): (usize, usize)) -> Option<(f64, Evidence)> {
        let (own, theirs) = (self.subject(child), self.subject(parent));
        let is_root = hung.core.contains(&parent)
            && hung.edges.iter().all(|edge| edge.0 != parent)
            && self.settled_above(parent).is_none();
        let named = own.claims.iter().any(|claim| super::names(&theirs.id, claim))
            || hung.mixtures.iter().any(|merge| merge.changes(parent, child));
        if !is_root || named || !hung.core.contains(&child) {
            return None;
        }
        let here = |claim: &String| self.known.subjects.iter().any(|one| super::names(&one.id, claim));
        let base = own.claims.iter().find(|claim| theirs.claims.contains(claim) && !here(claim))?;
        Some((NAMED, self.edge(child, parent).named(base)))
    }

    /// What a copy is one of.
    pub(super) fn told_copy(&self, copy: &Copy) -> Parent {
        let edge = self.edge(copy.child, copy.parent);
        let relation = if edge.reordered().is_some() { Kind::Permuted } else { copy.kind };
        let evidence = edge.reordered().into_iter().chain([edge.copied(copy)]).collect();
        Parent {
            confidence: copy.direction,
            direction: direction(copy.direction),
            ..Parent::of(self.subject(copy.parent), relation, evidence)
        }
    }

    /// What a merge was made of, without its base.
    pub(super) fn told_mixture(&self, mixture: &Mixture, roots: &[usize]) -> Vec<Parent> {
        // Task arithmetic subtracts the base as often as it adds fine-tunes of it.
        let is_base = |&(parent, weight): &(usize, f64)| {
            weight < 0.0 && (roots.contains(&parent) || mixture.parents.len() > 2)
        };
        let parents = mixture.parents.iter().filter(|parent| !is_base(parent));
        let told = parents.map(|&(parent, weight)| {
            let evidence = vec![self.edge(mixture.child, parent).mixed(mixture)];
            Parent {
                weight: Some(round(weight)),
                confidence: 0.98,
                ..Parent::of(self.subject(parent), Kind::Merge, evidence)
            }
        });
        told.collect()
    }
}
