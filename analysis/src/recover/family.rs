//! The structure of one family: copies and merges first, then the tree of what is left.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;

use super::{
    Parent, Subject,
    cluster::Relations,
    copies::{Copy, copies},
    edges,
    elected::elected,
    facts::Facts,
    measured::{self, Measured},
    mixture::{Mixture, Proof, mixture},
    reordered::Axes,
    samples::Samples,
    sketched::{self, Stored},
    told::Hung,
    tree::{self, rooted, spanning},
};
use crate::{Error, Progress, kinship::Module};

/// A child, its parent, and the probability of that direction.
pub(super) type Step = (usize, usize, f64);

/// Odds of four to one, below which a direction is a guess.
pub(super) const KNOWN: f64 = 0.8;
/// Log-odds of a direction that a larger vocabulary gives: rows are added, hardly ever taken away.
const VOCABULARY: f64 = 2.0;
/// Largest log-odds that the growth of norms gives: training adds steps that are nearly orthogonal to the weights, but
/// weight decay can hide it.
const GROWTH: f64 = 2.5;
/// Largest log-odds that tails give which grow shorter, as they do in fine-tuning (Horwitz, Shul and Hoshen, arXiv
/// 2405.18432).
const TAILS: f64 = 2.5;
/// Log-odds that the dates of two models give: of the Hub's declared edges less than one in a hundred runs backwards.
const AGE: f64 = 2.0;
/// Log-odds that a card's claim gives, after everything else.
const CLAIM: f64 = 0.7;

/// A model whose step from its parent another holds more than once, and how many times.
pub(super) type Beyond = (usize, f64);

/// Squared length of a step, as a share of that of the step after it, below which it is rather that of a sibling that was
/// hardly trained: every step begins like it.
const SLIGHT: f64 = 0.01;
/// How often others hold the step between two models beyond once, or against it, where it tells which is above: steps
/// from one model have something in common, and never lead back past it.
const REPEATED: f64 = 0.25;
/// Log-odds of a direction that this gives.
const COMMON: f64 = 3.0;

/// All that was learnt of the whole collection.
pub(super) struct Known<'a> {
    pub(super) subjects: &'a [Subject],
    pub(super) facts: &'a [Option<Facts>],
    pub(super) relations: &'a Relations,
    /// How the axes of a model's tensors are put in its family's order, by model.
    pub(super) orders: &'a BTreeMap<usize, BTreeMap<usize, Axes>>,
    /// What is measured instead of the weights, by model.
    pub(super) sketches: Option<&'a [Stored]>,
}

impl Known<'_> {
    fn measure(
        &self,
        of: (usize, &[usize], &[usize]),
        progress: Progress<'_>,
    ) -> Result<Option<Measured>, Error> {
        let Some(places) = measured::places(of, self.facts, self.relations) else { return Ok(None) };
        match self.sketches {
            Some(models) => Ok(sketched::measure(places, models, self.facts)),
            None => measured::measure(places, (self.subjects, self.facts), progress),
        }
    }
}

/// Parents by model, for those that have any.
type Found = Vec<(usize, Vec<Parent>)>;

/// Resolves a family: the largest layout first, other layouts as descendants of it.
pub(super) fn resolve(known: &Known<'_>, family: &[usize], progress: Progress<'_>) -> Result<Found, Error> {
    let mut found: Found = Vec::new();
    let mut settled: Vec<usize> = Vec::new();
    let mut above: BTreeMap<usize, usize> = BTreeMap::new();
    while let Some(reference) = reference(known, family, &settled) {
        let Some(measured) = known.measure((reference, family, &settled), progress)? else { break };
        let of = Structure { known, measured: &measured, above: &above }.parents(&settled, progress)?;
        let place = |id: &str| family.iter().copied().find(|&one| known.subjects[one].id == id);
        let tree = of.iter().filter_map(|(child, parents)| match &parents[..] {
            [only] => Some((*child, place(&only.id)?)),
            _ => None,
        });
        above.extend(tree.collect::<Vec<_>>());
        found.extend(of);
        settled.extend(
            measured.members.iter().copied().filter(|member| !settled.contains(member)).collect::<Vec<_>>(),
        );
    }
    Ok(found)
}

/// The first member of the most common layout among those not settled; a shallow one among equals, for deeper ones
/// cover it.
fn reference(known: &Known<'_>, family: &[usize], settled: &[usize]) -> Option<usize> {
    let open = || family.iter().copied().filter(|member| !settled.contains(member));
    let layout = |member: usize| {
        known.facts[member].as_ref().map_or((0, 0), |facts| (facts.layers, facts.tensors.len()))
    };
    open().max_by_key(|&member| {
        let alike = open().filter(|&other| layout(other) == layout(member)).count();
        (alike, std::cmp::Reverse(member))
    })
}

/// The members of a family by what they are.
struct Split {
    copies: Vec<Copy>,
    originals: Vec<usize>,
    /// Steps to models whose values another one has.
    trunks: Vec<Step>,
    /// Originals that are settled in another layout.
    fixed: Vec<usize>,
}

pub(super) struct Structure<'a> {
    pub(super) known: &'a Known<'a>,
    pub(super) measured: &'a Measured,
    /// The only parents of the models that are settled, all as positions in the collection.
    above: &'a BTreeMap<usize, usize>,
}

impl Structure<'_> {
    pub(super) fn facts(&self, member: usize) -> Option<&Facts> {
        self.known.facts[self.measured.members[member]].as_ref()
    }

    pub(super) fn subject(&self, member: usize) -> &Subject {
        &self.known.subjects[self.measured.members[member]]
    }

    /// Parents of the members that have not been settled in another layout.
    fn parents(&self, settled: &[usize], progress: Progress<'_>) -> Result<Found, Error> {
        let members = &self.measured.members;
        let split = self.split(settled)?;
        let precision = (0..members.len()).map(|one| self.facts(one).map_or(23, |facts| facts.precision));
        let samples = &Samples::of(self.measured, precision.collect());
        let mixtures = self.made(&split, samples);
        let hung = self.hung(split, mixtures, samples);
        let mut found: Found = Vec::new();
        for &edge in &hung.edges {
            found.push((members[edge.0], vec![self.told_edge(&hung, edge, progress)?]));
        }
        for copy in &hung.copies {
            found.push((members[copy.child], vec![self.told_copy(copy)]));
        }
        let is_root = |&one: &usize| found.iter().all(|(child, _)| *child != members[one]);
        let roots: Vec<usize> = hung.core.iter().copied().filter(is_root).collect();
        for mixture in &hung.mixtures {
            found.push((members[mixture.child], self.told_mixture(mixture, &roots)));
        }
        Ok(found)
    }

    /// Takes out copies, and models whose values another one has.
    fn split(&self, settled: &[usize]) -> Result<Split, Error> {
        let measured = self.measured;
        let all = measured.members.len();
        let is_fixed = |member: usize| settled.contains(&measured.members[member]);
        let mut fixed: Vec<usize> = (0..all).filter(|&member| is_fixed(member)).collect();
        let mut copies: Vec<Copy> = copies(measured, self.known)?;
        let mut originals: Vec<usize> =
            (0..all).filter(|&one| !copies.iter().any(|copy| copy.child == one)).collect();
        let trunks = self.trunks(&originals, &fixed);
        originals.retain(|one| trunks.iter().all(|(child, ..)| child != one));
        copies.retain(|copy| !is_fixed(copy.child));
        fixed.retain(|one| originals.contains(one));
        Ok(Split { copies, originals, trunks, fixed })
    }

    /// The merges among the originals.
    fn made(&self, split: &Split, samples: &Samples) -> Vec<Mixture> {
        let measured = self.measured;
        let depth = |one: usize| self.facts(one).map_or(0, |facts| facts.layers);
        let alike = |one: usize| -> Vec<usize> {
            split.originals.iter().copied().filter(|&other| depth(other) == depth(one)).collect()
        };
        let open = || split.originals.iter().copied().filter(|one| !split.fixed.contains(one));
        let mut mixtures: Vec<Mixture> = open()
            .filter_map(|one| mixture((measured, samples), one, (&alike(one), self.facts(one)?.precision)))
            .collect();
        let unmade = |&one: &usize| !mixtures.iter().any(|mixture| mixture.child == one);
        let left: Vec<usize> = open().filter(unmade).collect();
        let elected = |&one: &usize| elected((measured, samples), one, (&alike(one), &mixtures));
        let elected: Vec<Mixture> = left.par_iter().filter_map(elected).collect();
        add(&mut mixtures, elected);
        mixtures
    }

    /// Hangs what is neither copy nor merge under each other, and what descends from copies and merges under those.
    fn hung<'s>(&self, split: Split, mixtures: Vec<Mixture>, samples: &'s Samples) -> Hung<'s> {
        let measured = self.measured;
        let Split { copies, originals, trunks, fixed } = split;
        let is_made = |one: &usize| mixtures.iter().any(|mixture| mixture.child == *one);
        let mut core: Vec<usize> = originals.into_iter().filter(|one| !is_made(one)).collect();
        let mut below = self.below_copies(&mut core, (&mixtures, &copies, &fixed), samples);
        self.below_merges((&mut core, &mut below), (&mixtures, &copies, &fixed), samples);
        let burden = |node: usize| {
            let hung = copies.iter().filter(|copy| copy.parent == node).count();
            hung + mixtures
                .iter()
                .filter(|mixture| mixture.parents.first().is_some_and(|(first, _)| *first == node))
                .count()
        };
        let (mut steps, mut edges): (Vec<tree::Step>, Vec<Step>) = (Vec::new(), Vec::new());
        for nodes in self.origins(&core, &fixed) {
            let fixed: Vec<usize> = fixed.iter().copied().filter(|one| nodes.contains(one)).collect();
            let own = spanning(&nodes, &fixed, |i, j| measured.bits(i, j));
            if fixed.is_empty() {
                let pairs = nodes.iter().flat_map(|&from| nodes.iter().map(move |&to| (from, to)));
                let changes: Vec<(usize, usize)> = pairs
                    .filter(|&(from, to)| mixtures.iter().any(|merge| merge.changes(from, to)))
                    .collect();
                let cue = |i, j| self.cue(samples, (i, j), &nodes);
                edges.extend(rooted(&nodes, (&own, &changes), burden, cue).parents);
            } else {
                edges.extend(outward_of(&fixed, &own));
            }
            steps.extend(own);
        }
        edges.extend(below);
        edges.extend(&trunks);
        let before = edges.clone();
        let lifted = self.lift(&mut edges);
        self.reclaim(&mut edges, (&before, &core));
        self.hand_over(&mut edges, (&copies, &trunks));
        Hung { samples, copies, mixtures, core, steps, edges, lifted }
    }

    /// The members of a core that are of one origin, each sorted: a merge of strangers joins their families, but makes
    /// neither a descendant of the other. What is settled is one.
    fn origins(&self, core: &[usize], fixed: &[usize]) -> Vec<Vec<usize>> {
        let related = |a: usize, b: usize| {
            let (a, b) = (self.measured.members[a], self.measured.members[b]);
            self.known.relations.related(a, b) || self.known.relations.related(b, a)
        };
        let mut origins: Vec<Vec<usize>> = Vec::new();
        for &one in core {
            let joins = |origin: &Vec<usize>| {
                origin
                    .iter()
                    .any(|&other| related(one, other) || fixed.contains(&one) && fixed.contains(&other))
            };
            let (joined, apart): (Vec<_>, Vec<_>) = origins.into_iter().partition(joins);
            let mut origin: Vec<usize> = joined.into_iter().flatten().chain([one]).collect();
            origin.sort_unstable();
            origins = apart;
            origins.push(origin);
        }
        origins.sort();
        origins
    }

    /// Hands a child on to its grandparent where it does not contain its parent's own step, or the way to it from an ancestor, or
    /// has fewer tokens: the two are siblings. Where units are in another order steps do not compare.
    /// Gives the children handed on, and of which they hold the step more than once.
    fn lift(&self, edges: &mut [Step]) -> BTreeMap<usize, Option<Beyond>> {
        let mut lifted = BTreeMap::new();
        // From the root outwards, so that a model's own parent is settled before those below it look for theirs.
        for at in 0..edges.len() {
            let (child, mut parent, _) = edges[at];
            for _ in 0..edges.len() {
                let Some(above) = self.ancestors(edges, parent).next() else { break };
                if self.within(edges, (child, parent)) {
                    break;
                }
                let times = self.measured.middle(child, (parent, above));
                let beyond =
                    (times > measured::BEYOND && self.aligned(child, parent)).then_some((parent, times));
                lifted.entry(child).or_insert(beyond);
                parent = above;
            }
            edges[at].1 = parent;
        }
        lifted
    }

    /// Whether a child contains its parent's own step, and the way to it from every ancestor, and has no fewer tokens.
    fn within(&self, edges: &[Step], (child, parent): (usize, usize)) -> bool {
        let fewer = self.facts(child).zip(self.facts(parent)).is_some_and(|(a, b)| rows(a) < rows(b));
        let mut ancestors = self.ancestors(edges, parent);
        let Some(above) = ancestors.next() else { return true };
        let mut all = std::iter::once(above).chain(ancestors);
        let contained = !self.aligned(child, parent)
            || all.all(|above| self.measured.holds(child, (parent, above)))
                && self.measured.apart(parent, above) >= SLIGHT * self.measured.apart(child, parent);
        contained && !fewer
    }

    /// Gives members of the core to the nearest whose step they contain, where that was below them and lies beside them by now: a line
    /// that hung on the tree by its far end was directed from there until its near end was handed on.
    fn reclaim(&self, edges: &mut [Step], (before, core): (&[Step], &[usize])) {
        let bits = |one: usize, other: usize| self.measured.bits(one, other);
        for _ in 0..core.len() * core.len() {
            let nearer = |&(at, &(child, parent, _)): &(usize, &Step)| {
                let open = |&other: &usize| {
                    self.descends(before, (other, child))
                        && !self.descends(edges, (other, child))
                        && bits(child, other) < bits(child, parent)
                        && self.aligned(child, other)
                        && self.within(edges, (child, other))
                };
                let found = core.iter().copied().filter(open);
                let found = found.min_by(|&a, &b| bits(child, a).total_cmp(&bits(child, b)))?;
                Some((bits(child, parent) - bits(child, found), at, found))
            };
            let own = edges.iter().enumerate().filter(|(_, edge)| core.contains(&edge.0));
            let best = own.filter_map(|edge| nearer(&edge)).max_by(|a, b| a.0.total_cmp(&b.0));
            let Some((_, at, parent)) = best else { return };
            edges[at].1 = parent;
        }
    }

    /// The parent that a member got in another layout, where that is a member too.
    pub(super) fn settled_above(&self, member: usize) -> Option<usize> {
        let above = self.above.get(&self.measured.members[member])?;
        self.measured.members.iter().position(|one| one == above)
    }

    /// Whether a member descends from another by the steps found and settled.
    pub(super) fn descends(&self, edges: &[Step], (member, above): (usize, usize)) -> bool {
        self.ancestors(edges, member).any(|one| one == above)
    }

    /// The parent of a member by the steps found and settled, then the parent of that, and so on.
    fn ancestors(&self, edges: &[Step], member: usize) -> impl Iterator<Item = usize> {
        let next = |one: &usize| {
            let own = edges.iter().find(|edge| edge.0 == *one).map(|edge| edge.1);
            own.or_else(|| self.settled_above(*one))
        };
        std::iter::successors(Some(member), next).take(self.measured.members.len()).skip(1)
    }

    pub(super) fn aligned(&self, a: usize, b: usize) -> bool {
        let relation = self.known.relations.get(self.measured.members[a], self.measured.members[b]);
        relation.and_then(|relation| relation.units).is_none_or(|score| score >= edges::UNALIGNED)
    }

    /// 1 where the steps of other models from `a` begin with that to `b`, −1 where those from `b` begin with that to `a`, 0
    /// where that cannot be told.
    fn leads(&self, (a, b): (usize, usize), core: &[usize]) -> f64 {
        let others = core.iter().filter(|&&other| ![a, b].contains(&other) && self.aligned(other, a));
        let held = |&other: &usize| (self.measured.contains(other, (b, a)), self.measured.apart(other, a));
        let mut held: Vec<(f64, f64)> = others.map(held).collect();
        held.sort_by(|one, other| one.0.total_cmp(&other.0));
        let Some(&(middle, length)) = held.get(held.len() / 2) else { return 0.0 };
        if middle > 1.0 + REPEATED {
            return 1.0;
        }
        if middle < -REPEATED {
            return -1.0;
        }
        // Steps at right angles to a slight one begin at the nearer end of it.
        match self.measured.apart(a, b) < SLIGHT * length {
            true if middle < 0.5 => 1.0,
            true => -1.0,
            false => 0.0,
        }
    }

    /// Log-odds that `a` is the parent of `b`, from the two, and how the others of the `core` lie to them.
    fn cue(&self, samples: &Samples, (a, b): (usize, usize), core: &[usize]) -> f64 {
        let mut odds = GROWTH * (edges::growth(self.measured, (a, b)) / 3.0).clamp(-1.0, 1.0);
        odds += TAILS * (samples.shorter((a, b)) / 3.0).clamp(-1.0, 1.0);
        if let (Some(first), Some(second)) = (self.facts(a), self.facts(b)) {
            odds += VOCABULARY * (rows(second) as f64 - rows(first) as f64).clamp(-1.0, 1.0);
            // A deeper model that another covers was stacked from it.
            odds += VOCABULARY * (second.layers as f64 - first.layers as f64).clamp(-1.0, 1.0);
        }
        if let (Some(first), Some(second)) = (self.subject(a).created, self.subject(b).created) {
            odds += AGE * (second - first).signum() as f64;
        }
        odds += COMMON * self.leads((a, b), core);
        let claims = |one: usize, other: usize| {
            self.subject(one).claims.iter().any(|claim| super::names(&self.subject(other).id, claim))
        };
        odds + CLAIM * (f64::from(u8::from(claims(b, a))) - f64::from(u8::from(claims(a, b))))
    }
}

/// Adds the merges that explain most of their elements first; none of a model that is part of its own parts.
fn add(mixtures: &mut Vec<Mixture>, mut elected: Vec<Mixture>) {
    let explained = |mixture: &Mixture| match mixture.proof {
        Proof::Sum { .. } => 1.0,
        Proof::Elements { explained, .. } => explained,
    };
    elected.sort_by(|a, b| explained(b).total_cmp(&explained(a)).then(a.child.cmp(&b.child)));
    for merge in elected {
        let (mut queue, mut seen) = (merge.ingredients().collect::<Vec<_>>(), BTreeSet::new());
        while let Some(node) = queue.pop() {
            let above = mixtures.iter().find(|mixture| mixture.child == node).filter(|_| seen.insert(node));
            queue.extend(above.into_iter().flat_map(Mixture::ingredients));
            seen.insert(node);
        }
        if !seen.contains(&merge.child) {
            mixtures.push(merge);
        }
    }
}

/// Tokens of the embedding.
fn rows(facts: &Facts) -> u64 {
    let embedding = facts.tensors.iter().find(|tensor| tensor.module == Module::Embed);
    embedding.and_then(|tensor| tensor.shape.first().copied()).unwrap_or(0)
}

/// Directs steps away from what is settled.
fn outward_of(fixed: &[usize], steps: &[tree::Step]) -> Vec<Step> {
    let mut reached = fixed.to_vec();
    let mut edges = Vec::new();
    while let Some((parent, child)) = steps.iter().find_map(|step| {
        let (a, b) = step.ends;
        match (reached.contains(&a), reached.contains(&b)) {
            (true, false) => Some((a, b)),
            (false, true) => Some((b, a)),
            _ => None,
        }
    }) {
        reached.push(child);
        edges.push((child, parent, 0.9));
    }
    edges
}

pub(super) fn round(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}
