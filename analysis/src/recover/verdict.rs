//! What the weights say of the bases that cards name. A claim is contradicted only where no reading of the recovered
//! lineage leaves room for it.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;

use super::{
    Direction, Kind, Parent,
    probe::{chance, log10_tail},
    sketched::{Alike, DESCENT, Recovered, StoredTensor, apart, common, comparable},
    student::Score,
};

/// Cosine that the weights of models without a common origin stay below, whatever their tensors have in common.
const STRANGERS: f64 = 0.1;
/// log₁₀ of the chance below which a claim is contradicted.
const SURE: f64 = -6.0;
/// Least share of the child's matrices that must be comparable before a claim is judged.
const SHARE: f64 = 0.5;
/// Confidence from which another parent speaks against the one that is named.
const CLEAR: f64 = 0.9;
/// Shares of what tells the parent from the claimed base that a child of that parent holds: all of it, but for what
/// training took away or did once more.
const HELD: std::ops::RangeInclusive<f64> = 0.85..=1.25;
/// Least cosine between what tells the parent, and what tells the origin of both, from the claimed base: below it the
/// base is so near to that origin that it may be the origin itself.
const OF_ITS_OWN: f64 = 0.5;

/// What the weights say of a base that a card names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The model descends from it.
    Verified,
    /// It does not.
    Contradicted,
}

impl Verdict {
    /// The word of the JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Contradicted => "contradicted",
        }
    }
}

/// What a card names a model as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    /// What the weights were made from.
    Parent,
    /// What the changes of a merge are measured from. Its share in the merge may be nothing, so that weights can bear it
    /// out but not contradict it.
    DeltaBase,
}

/// A base that the card of a model names; both are positions among the models.
#[derive(Debug, Clone, Copy)]
pub struct Claim {
    pub child: usize,
    pub base: usize,
    pub named: Named,
}

/// A verdict and the numbers it rests on.
#[derive(Debug, Clone)]
pub struct Judgement {
    pub verdict: Verdict,
    /// Cosine of the weights of the two.
    pub cosine: f64,
    /// Of `cosine`, for models without a common origin.
    pub standard_error: f64,
    /// log₁₀ of the chance of such weights: for a descendant where the claim is contradicted, for a stranger where it is
    /// verified.
    pub log10_p: f64,
    /// The model that it descends from instead.
    pub instead: Option<usize>,
    /// What the weights say.
    pub sentence: String,
}

/// Inner product of the changes of two models from a third, and their squares.
#[derive(Default)]
struct Changes {
    inner: f64,
    first: f64,
    second: f64,
}

impl Changes {
    fn cosine(&self) -> f64 {
        let norms = (self.first * self.second).sqrt();
        if norms > 0.0 { self.inner / norms } else { 0.0 }
    }

    /// How much of the second change the first holds.
    fn held(&self) -> f64 {
        if self.second > 0.0 { self.inner / self.second } else { 0.0 }
    }
}

impl Alike {
    /// log₁₀ of the chance of weights so unlike each other where they have one origin; none where they may have.
    pub(super) fn strange(&self) -> Option<f64> {
        let chance = log10_tail((STRANGERS - self.cosine.abs()) / self.standard_error);
        (chance < SURE && self.share >= SHARE && !self.same_values).then_some(chance)
    }

    /// How many matrices were compared: of how many, where it is not all.
    pub(super) fn covered(&self) -> String {
        crate::kinship::covered(self.matrices, self.of)
    }

    /// What was compared where the weights have no common origin, and with what outcome.
    pub(super) fn compared(&self, log10_p: f64) -> String {
        let Self { cosine, standard_error, .. } = self;
        let covered = self.covered();
        format!(
            "the cosine over {covered} is {cosine:.4} ± {standard_error:.4}, a descendant's is far above \
             {STRANGERS} (p < 10^{log10_p:.0})"
        )
    }
}

/// Tells of two models whether the first is declared to descend from the second.
type Declared<'a> = &'a dyn Fn(usize, usize) -> bool;

impl Recovered {
    /// What the weights say of a claim; none where they say nothing. `descends` tells of two models whether the first is
    /// declared to descend from the second.
    pub fn judge(&self, claim: Claim, descends: &dyn Fn(usize, usize) -> bool) -> Option<Judgement> {
        let Claim { child, base, named } = claim;
        let alike = self.pairs.get(child * self.models.len() + base)?.as_ref()?;
        if alike.share < SHARE {
            return None;
        }
        let parents: Vec<(usize, &Parent)> = self.report.models[child]
            .parents
            .iter()
            .filter_map(|parent| Some((self.position(&parent.id)?, parent)))
            .collect();
        let surest = parents.iter().max_by(|a, b| a.1.confidence.total_cmp(&b.1.confidence));
        let judged = |verdict, log10_p, instead, sentence| Judgement {
            verdict,
            cosine: alike.cosine,
            standard_error: alike.standard_error,
            log10_p,
            instead,
            sentence,
        };
        let open = named == Named::DeltaBase
            || parents.iter().any(|(parent, _)| *parent == base || self.comes_from(*parent, base, descends));
        let (covered, cosine) = (alike.covered(), alike.cosine);
        if let Some(stranger) = alike.strange() {
            if open {
                return None;
            }
            let really = match surest {
                Some((_, parent)) => format!("; they descend from `{}`", parent.id),
                None => "; no model here is their parent".to_owned(),
            };
            let said = format!(
                "the weights have no common origin with `{}`: {}{really}",
                self.models[base].id,
                alike.compared(stranger)
            );
            return Some(judged(Verdict::Contradicted, stranger, surest.map(|(at, _)| *at), said));
        }
        if cosine < DESCENT || log10_tail(alike.score) > SURE {
            return None;
        }
        if let Some((other, parent)) = surest
            && !open
            && parent.confidence >= CLEAR
            && self.excluded((child, base), &parents, descends)
        {
            let lead = self.lead(child, (*other, base));
            if lead.log10_p() < SURE {
                let said = format!(
                    "the weights descend from `{}`, a relative of `{}`: they are nearer to it by {:.0} standard \
                     errors over the matrices ({})",
                    parent.id,
                    self.models[base].id,
                    lead.t,
                    chance(lead.log10_p())
                );
                return Some(judged(Verdict::Contradicted, lead.log10_p(), Some(*other), said));
            }
        }
        let stranger = log10_tail(alike.score);
        let numbers = format!("cosine {cosine:.4} over {covered}, {} for strangers", chance(stranger));
        let joined = |child: usize, parent: usize| {
            self.report.models[child].parents.iter().any(|one| one.id == self.models[parent].id)
        };
        let said = match joined(child, base) || joined(base, child) {
            true => format!("the weights descend from `{}`: {numbers}", self.models[base].id),
            false => format!("the weights are of one origin with `{}`: {numbers}", self.models[base].id),
        };
        Some(judged(Verdict::Verified, stranger, None, said))
    }

    /// The place of a model.
    pub fn position(&self, id: &str) -> Option<usize> {
        self.models.iter().position(|model| model.id == id)
    }

    /// Whether `model` descends from `above` by what was recovered and declared together.
    fn comes_from(&self, model: usize, above: usize, descends: Declared<'_>) -> bool {
        let ascent = self.ascent(model);
        let mut reached = (0..self.models.len()).filter(|at| ascent[*at].is_some());
        ascent[above].is_some() || reached.any(|at| descends(at, above))
    }

    /// Steps up the recovered lineage to every ancestor; 0 to the model itself.
    fn ascent(&self, model: usize) -> Vec<Option<usize>> {
        let mut steps = vec![None; self.models.len()];
        steps[model] = Some(0);
        let mut open = VecDeque::from([(model, 0)]);
        while let Some((at, up)) = open.pop_front() {
            for parent in &self.report.models[at].parents {
                if let Some(parent) = self.position(&parent.id).filter(|parent| steps[*parent].is_none()) {
                    steps[parent] = Some(up + 1);
                    open.push_back((parent, up + 1));
                }
            }
        }
        steps
    }

    /// Whether the base is none of the ancestors of any of these parents of the child, whichever way the unsure steps
    /// between them went: it is known or declared to be a child itself, in another line from the origin that it has in
    /// common with each parent, with a step of its own; and the child holds the step of its parent.
    fn excluded(
        &self,
        (child, base): (usize, usize),
        parents: &[(usize, &Parent)],
        descends: Declared<'_>,
    ) -> bool {
        let above = &self.report.models[base].parents;
        let known = |parent: &Parent| parent.direction == Direction::Known && parent.confidence >= CLEAR;
        if !above.iter().any(known) && !(0..self.models.len()).any(|at| descends(base, at)) {
            return false;
        }
        let ascent = self.ascent(base);
        let mixed = parents.iter().any(|(_, parent)| parent.relation == Kind::Merge);
        parents.iter().all(|&(parent, _)| {
            let other = self.ascent(parent);
            let both = |at: &usize| Some((ascent[*at]? + other[*at]?, *at));
            let Some((_, origin)) = (0..self.models.len()).filter_map(|at| both(&at)).min() else {
                return false;
            };
            origin != parent
                && origin != base
                && !self.comes_from(base, parent, descends)
                && self.changes([parent, origin], base).cosine() >= OF_ITS_OWN
                && (mixed || HELD.contains(&self.changes([child, parent], base).held()))
        })
    }

    /// The changes of two models from a third, over the matrices that all have.
    fn changes(&self, [a, b]: [usize; 2], from: usize) -> Changes {
        let mut sums = Changes::default();
        let others: BTreeMap<&str, &StoredTensor> = common(&self.models, &self.facts, (from, b))
            .into_iter()
            .map(|(from, b)| (from.sketch.name.as_str(), b))
            .collect();
        for (from, a) in common(&self.models, &self.facts, (from, a)) {
            let Some(b) = others.get(from.sketch.name.as_str()) else { continue };
            if !comparable(&a.sketch, &b.sketch) {
                continue;
            }
            for ((a, b), from) in a.sketch.cells.iter().zip(&b.sketch.cells).zip(&from.sketch.cells) {
                let [a, b] = [a, b].map(|cell| f64::from(*cell) - f64::from(*from));
                sums.inner += a * b;
                sums.first += a * a;
                sums.second += b * b;
            }
        }
        sums
    }

    /// Standard errors over the matrices by which `child` is nearer to the first of two models than to the second.
    fn lead(&self, child: usize, (near, far): (usize, usize)) -> Score {
        let by_name: BTreeMap<&str, &StoredTensor> = common(&self.models, &self.facts, (child, far))
            .into_iter()
            .map(|(own, far)| (own.sketch.name.as_str(), far))
            .collect();
        let gains: Vec<f64> = common(&self.models, &self.facts, (child, near))
            .into_iter()
            .filter_map(|(own, near)| {
                let far = apart(&own.sketch, &by_name.get(own.sketch.name.as_str())?.sketch);
                let near = apart(&own.sketch, &near.sketch);
                (near > 0.0 && far > 0.0).then(|| (far / near).ln())
            })
            .collect();
        Score::of(&gains)
    }
}
