//! One edge: what relation it is, and the sentences that say why.

use super::{
    Direction, Evidence, Kind, Parent, Subject,
    copies::Copy,
    family::Known,
    inherited::Inherited,
    measured::{Measured, rounding},
    mixture::{Mixture, Proof},
    noise,
    probe::{chance, score},
    student::Score,
};
use crate::{
    Error, Progress,
    diff::DiffSource,
    kinship::Module,
    lowrank::{Rank, truncate},
};

/// Score below which hidden units are not the same in the same order, for models that are related all the same.
pub(super) const UNALIGNED: f64 = 6.0;
/// Changed matrices whose rank is looked at.
const DECOMPOSED: usize = 3;
/// Share of the smaller side of a matrix that a low-rank change may have.
const LOW_RANK: usize = 4;
/// How far a direction of a change stands out of those of a rounding: the largest of even noise has four times the mean, and
/// the rounding of numbers that are not spread evenly up to twice what is expected.
const CLEAR: f64 = 12.0;
/// Energy left, in roundings, below which a decomposition is complete; and above which a change is seen at all.
const COMPLETE: f64 = 2.5;
const SEEN: f64 = 10.0;

/// How many times what a step of training adds to a norm at right angles it may add along the weights: at one less it tells a
/// direction in full, at this none.
const RADIAL: f64 = 2.0;

/// A child and one of its parents, as members of what was measured.
pub(super) struct Edge<'a> {
    pub(super) known: &'a Known<'a>,
    pub(super) measured: &'a Measured,
    pub(super) child: usize,
    pub(super) parent: usize,
}

/// How many standard errors over the matrices ‖θ_b‖² exceeds ‖θ_a‖², as a share of the step between them. Training adds what is
/// nearly at right angles to the weights; where the step rather runs along them, weight decay one way or growth the other, it tells
/// nothing and the score goes to 0.
pub(super) fn growth(measured: &Measured, (a, b): (usize, usize)) -> f64 {
    let moved = || measured.matrices().filter(|part| part.apart(a, b) > 0.0);
    let shares = moved().map(|part| {
        let (first, second) = (part.gram.dot(a, a), part.gram.dot(b, b));
        (second - first) / (part.apart(a, b) * (first + second)).sqrt()
    });
    let grown = score(&shares.collect::<Vec<_>>());
    let (short, long) = if grown < 0.0 { (b, a) } else { (a, b) };
    // Of the step from the shorter end, as shares of its length: what runs along the weights, and what its length adds to them.
    let (along, across) = moved().fold((0.0, 0.0), |(along, across), part| {
        let (own, step) = (part.gram.dot(short, short), part.apart(a, b));
        let outward = (part.gram.dot(short, long) - own) / (own * step).sqrt();
        (along + outward, across + (step / own).sqrt())
    });
    let told = (RADIAL - along / across).clamp(0.0, 1.0);
    if told.is_finite() { grown * told } else { grown }
}

impl Edge<'_> {
    fn models(&self) -> (usize, usize) {
        (self.measured.members[self.child], self.measured.members[self.parent])
    }

    fn id(&self, member: usize) -> &str {
        &self.known.subjects[self.measured.members[member]].id
    }

    fn evidence(&self, (method, score): (&'static str, f64), sentence: String) -> Evidence {
        Evidence {
            method,
            score: if score.is_finite() { score } else { 0.0 },
            standard_error: None,
            log10_p: None,
            tensors: self.measured.parts.len(),
            parameters: self.measured.elements(),
            sentence,
        }
    }

    /// Of how many of the child's tensors the numbers are, where it is not of all.
    fn covered(&self) -> String {
        let (child, measured) = (self.models().0, self.measured.parts.len());
        match self.known.facts[child].as_ref().map_or(measured, |facts| facts.tensors.len()) {
            all if measured < all => format!(", over {measured} of its {all} tensors"),
            _ => String::new(),
        }
    }

    /// The relation of a step of training.
    pub(super) fn kind(&self, progress: Progress<'_>) -> Result<(Kind, Vec<Evidence>), Error> {
        let (child, parent) = self.models();
        let mut evidence = self.related();
        let parts = &self.measured.parts;
        let apart: f64 = self.measured.apart(self.child, self.parent);
        let share =
            (apart / parts.iter().map(|part| part.gram.dot(self.parent, self.parent)).sum::<f64>()).sqrt();
        let said = format!("the step is {:.3} % of the weights{}", share * 100.0, self.covered());
        evidence.push(self.evidence(("distance", share), said));
        let changed = |part: &&super::measured::Part| part.apart(self.child, self.parent) > 0.0;
        let kept = parts.len() - parts.iter().filter(changed).count();
        if kept > 0 {
            let said = format!("{kept} of {} tensors are unchanged", parts.len());
            evidence.push(self.evidence(("frozen_tensors", kept as f64 / parts.len() as f64), said));
        }
        let layers = |model: usize| self.known.facts[model].as_ref().map_or(0, |facts| facts.layers);
        let (own, theirs) = (layers(child), layers(parent));
        if own != theirs {
            let kind = if own < theirs { Kind::Pruned } else { Kind::Extended };
            let said = format!("{own} layers, each matching one of the parent's {theirs}");
            evidence.push(self.evidence(("layers", own as f64 - theirs as f64), said));
            return Ok((kind, evidence));
        }
        if let Some((kind, found)) = self.left_out() {
            evidence.push(found);
            return Ok((kind, evidence));
        }
        let relation = self.known.relations.get(child, parent);
        let units = relation.and_then(|relation| relation.units);
        let columns = relation.and_then(|relation| relation.columns);
        if let (Some(units), Some(columns)) = (units, columns)
            && units < UNALIGNED
            && columns > UNALIGNED
        {
            let said = format!(
                "hidden units are in another order ({units:.1}), the residual stream is not ({columns:.0})"
            );
            evidence.push(self.evidence(("permutation", units), said));
            return Ok((Kind::Permuted, evidence));
        }
        if let Some(found) = self.reordered() {
            evidence.push(found);
            return Ok((Kind::Permuted, evidence));
        }
        if let Some(found) = self.low_rank(progress)? {
            evidence.push(found);
            return Ok((Kind::Adapter, evidence));
        }
        if let Some(found) = self.noise()? {
            evidence.push(found);
            return Ok((Kind::Noised, evidence));
        }
        Ok((Kind::Finetune, evidence))
    }

    /// That the child is the parent without some of its tensors: without a head, or without a stack of layers.
    fn left_out(&self) -> Option<(Kind, Evidence)> {
        let (child, parent) = (self.child, self.parent);
        let measured = self.measured;
        let whole = measured.same(child, parent) && !measured.differ(child, parent);
        if !whole || measured.lacks(parent, child) || !measured.lacks(child, parent) {
            return None;
        }
        let own = &measured.beside[child];
        let lacking: Vec<_> =
            measured.beside[parent].keys().filter(|place| !own.contains_key(*place)).collect();
        let layers = lacking.iter().any(|(_, layer, _)| layer.is_some());
        let said = format!(
            "every value it has is the parent's; {} tensors of that are left out, and which came first cannot be told",
            lacking.len()
        );
        let kind = if layers { Kind::Pruned } else { Kind::Duplicate };
        Some((kind, self.evidence(("same_values", lacking.len() as f64), said)))
    }

    /// Evidence that nothing was learnt along the edge, only noise added.
    fn noise(&self) -> Result<Option<Evidence>, Error> {
        let (child, parent) = self.models();
        let told = noise::noise(self.known, [child, parent])?.map(|spread| {
            let said = format!(
                "the step is normal noise: over {} matrices rows and columns moved as evenly as chance has it \
                 ({:.2} and {:.2} of its variance, where training has 2 and more)",
                spread.matrices, spread.rows, spread.columns
            );
            self.evidence(("white_noise", spread.rows.max(spread.columns)), said)
        });
        Ok(told)
    }

    /// Evidence that the two have their tokens, units, heads or residual stream in different orders, in which they were compared.
    pub(super) fn reordered(&self) -> Option<Evidence> {
        let (child, parent) = self.models();
        let order = |model: usize| self.known.orders.get(&model);
        let axes = order(child).or_else(|| order(parent))?;
        let said = format!(
            "tokens, units, heads or the residual stream of {} tensors are in another order; compared in the parent's",
            axes.len()
        );
        (order(child) != order(parent)).then(|| self.evidence(("permutation", axes.len() as f64), said))
    }

    /// Evidence that the change is an adapter baked in: only matrices within layers, each of low rank up to rounding.
    fn low_rank(&self, progress: Progress<'_>) -> Result<Option<Evidence>, Error> {
        let (child, parent) = self.models();
        let precision = self.known.facts[child].as_ref().map_or(23, |facts| facts.precision);
        let changed: Vec<_> = self
            .measured
            .parts
            .iter()
            .filter(|part| part.moves((self.child, self.parent), precision))
            .collect();
        let inner = |part: &&super::measured::Part| {
            part.matrix
                && part.role.contains('#')
                && !matches!(part.module, Module::Norm | Module::Embed | Module::Head)
        };
        if changed.is_empty() || !changed.iter().all(inner) {
            return Ok(None);
        }
        let (own, theirs) = (&self.known.subjects[child], &self.known.subjects[parent]);
        let Ok(delta) = DiffSource::new(own.source.clone(), theirs.source.clone()) else { return Ok(None) };
        let roles: Vec<&str> = changed.iter().map(|part| part.role.as_str()).collect();
        let Some(facts) = &self.known.facts[child] else { return Ok(None) };
        let (mut looked, mut ranks) = (0, Vec::new());
        for tensor in facts
            .tensors
            .iter()
            .filter(|tensor| tensor.shape.len() == 2 && roles.contains(&tensor.role.as_str()))
        {
            let name = &own.source.tensors()[tensor.index].name;
            let infos = crate::computed::Computed::infos(&delta);
            let Some(at) = infos.iter().position(|info| info.name == *name) else { continue };
            let least = tensor.shape[0].min(tensor.shape[1]) as usize;
            let most = (least / LOW_RANK).max(1);
            let Some(factors) = truncate(&delta, at, Rank::Fixed(most), progress)? else { continue };
            let square: f64 = self
                .measured
                .parts
                .iter()
                .filter(|part| part.role == tensor.role)
                .map(|part| part.gram.dot(self.child, self.child))
                .sum::<f64>()
                / self.measured.parts.iter().filter(|part| part.role == tensor.role).count().max(1) as f64;
            let rounding = rounding(precision) * square + 1e-12 * square;
            if factors.norm_sq == 0.0 {
                continue;
            }
            looked += 1;
            if factors.norm_sq < SEEN * rounding || factors.norm_sq - factors.captured() > COMPLETE * rounding
            {
                return Ok(None);
            }
            let seen =
                factors.singular.iter().filter(|s| **s * **s > rounding / least as f64 * CLEAR).count();
            ranks.push(seen);
            if looked == DECOMPOSED {
                break;
            }
        }
        let Some(rank) = ranks.iter().max() else { return Ok(None) };
        let said = format!(
            "only {} of {} tensors changed, by matrices of rank {rank} up to rounding",
            changed.len(),
            self.measured.parts.len()
        );
        Ok(Some(self.evidence(("low_rank", *rank as f64), said)))
    }

    /// That the two have a common origin at all.
    fn related(&self) -> Vec<Evidence> {
        let (child, parent) = self.models();
        let Some(relation) = self.known.relations.get(child, parent) else { return Vec::new() };
        let score = relation.units.unwrap_or(0.0).max(relation.columns.unwrap_or(0.0));
        let p = chance(relation.log10_p);
        let found = match relation.cosine {
            Some(cosine) => {
                let said =
                    format!("of one origin: the cosine of the weights is {cosine:.4}, {p} for strangers");
                self.evidence(("cosine", cosine), said)
            }
            None => {
                let said = format!("of one origin: permutation test {score:.0} standard deviations out, {p}");
                self.evidence(("permutation_test", score), said)
            }
        };
        vec![Evidence { standard_error: Some(1.0), log10_p: Some(relation.log10_p), ..found }]
    }

    /// That this is the nearest model by description length, against the next one.
    pub(super) fn nearest(&self, (rival, lead): (usize, Score)) -> Evidence {
        let bits = |other| self.measured.bits(self.child, other);
        let said = format!(
            "told from `{}` in {:.2} bits a weight, from `{}` in {:.2}",
            self.id(self.parent),
            bits(self.parent),
            self.id(rival),
            bits(rival)
        );
        let found = self.evidence(("description_length", lead.t), said);
        Evidence { standard_error: Some(1.0), log10_p: Some(lead.log10_p()), ..found }
    }

    /// That the step from the parent to `sibling` is held more than once.
    pub(super) fn beyond(&self, (sibling, times): (usize, f64)) -> Evidence {
        let (parent, sibling) = (self.id(self.parent), self.id(sibling));
        let said = format!(
            "holds the step from `{parent}` to `{sibling}` {times:.2} times: trained on the same things by larger steps, \
             or else on from `{sibling}`"
        );
        self.evidence(("containment", times), said)
    }

    /// That parent and child name one base, which is not among the models.
    pub(super) fn named(&self, base: &str) -> Evidence {
        let said = format!("both name `{base}` as their base, which is not here: they may be siblings");
        self.evidence(("named_base", 1.0), said)
    }

    /// Whether norms grew, which training does.
    pub(super) fn growth(&self) -> Option<Evidence> {
        let t = growth(self.measured, (self.parent, self.child));
        let said = if t > 0.0 {
            "norms grow along the edge"
        } else {
            "norms shrink along the edge, which speaks against it"
        };
        let found = self.evidence(("norm_growth", t), said.to_owned());
        (t != 0.0).then_some(Evidence { standard_error: Some(1.0), ..found })
    }

    /// Whether tails grew shorter, by so many standard errors, which they do in fine-tuning.
    pub(super) fn tails(&self, shorter: f64) -> Option<Evidence> {
        let said = if shorter > 0.0 {
            "the tails of the weights grow shorter along the edge"
        } else {
            "the tails of the weights grow longer along the edge, which speaks against it"
        };
        let found = self.evidence(("kurtosis", shorter), said.to_owned());
        (shorter != 0.0).then_some(Evidence { standard_error: Some(1.0), ..found })
    }

    pub(super) fn copied(&self, copy: &Copy) -> Evidence {
        let said = match copy.kind {
            Kind::Duplicate => "every value is the same; which came first cannot be told".to_owned(),
            Kind::Cast if copy.score == 0.0 => {
                "every value is the same, in a wider format than it needs".to_owned()
            }
            Kind::Noised => {
                format!(
                    "the step is normal noise: rows and columns moved as evenly as chance has it ({:.2})",
                    copy.score
                )
            }
            Kind::Pruned => format!(
                "{:.1} % of the parent's weights are zero, and all others are the parent's",
                100.0 * copy.score
            ),
            Kind::Permuted => "nearer than every other model, once it is put in order".to_owned(),
            Kind::Cast => {
                format!("the parent rounded to fewer bits: {:.2} of one rounding apart", copy.score)
            }
            _ => format!(
                "the parent on a coarser grid: its values take fewer levels (score {:.2})",
                copy.score
            ),
        };
        let method = if copy.kind == Kind::Noised { "white_noise" } else { "grid" };
        self.evidence((method, copy.score), said)
    }

    /// That the child took over what its parent has beside the models it was made of.
    pub(super) fn inherited(&self, Inherited { share, error, .. }: Inherited) -> Evidence {
        let said = format!(
            "it holds the rounding of `{}`: {share:.2} ± {error:.2} of it, where another model holds none",
            self.id(self.parent)
        );
        Evidence { standard_error: Some(error), ..self.evidence(("inherited_rounding", share), said) }
    }

    pub(super) fn mixed(&self, mixture: &Mixture) -> Evidence {
        let terms: Vec<String> = mixture
            .parents
            .iter()
            .map(|(parent, weight)| format!("{weight:+.3} `{}`", self.id(*parent)))
            .collect();
        match mixture.proof {
            Proof::Sum { roundings, residual } => {
                let own = if mixture.is_uneven() { ", every matrix with weights of its own," } else { "" };
                let said = format!(
                    "equals {}{own} up to {roundings:.2} roundings; {:.1} % of the distance to the nearest is left",
                    terms.join(" "),
                    residual * 100.0
                );
                self.evidence(("weighted_sum", roundings), said)
            }
            Proof::Elements { base, explained, ref changes, of_mean } => {
                let change = |((parent, _), (ratio, taken)): (&(usize, f64), &(f64, f64))| {
                    format!("{ratio:.2} × `{}` ({:.0} % of them)", self.id(*parent), taken * 100.0)
                };
                let changes: Vec<String> = mixture.parents.iter().zip(changes).map(change).collect();
                let what = if of_mean { "a mean of some" } else { "some" };
                let said = format!(
                    "{:.1} % of the elements are those of `{}` or that with {what} of the changes {}, within one \
                     rounding",
                    explained * 100.0,
                    self.id(base),
                    changes.join(" and ")
                );
                self.evidence(("elected_elements", explained), said)
            }
        }
    }
}

/// The base of an adapter that is not applied, and what contradicts it. Factors say which shapes they fit, not which of
/// several models of those shapes they were trained on; that is the configuration's word.
pub(super) fn adapter(subjects: &[Subject], at: usize, roots: &[usize]) -> (Vec<Parent>, Option<String>) {
    let subject = &subjects[at];
    let Some(config) = &subject.adapter else { return (Vec::new(), None) };
    // By the headers alone, so that no failed read is taken for factors that do not fit.
    let fits = |other: &Subject| {
        other.adapter.is_none() && weights::Baked::fits(&*other.source, &*subject.source, config).is_ok()
    };
    let names = subject.source.tensors().iter().map(|info| info.name.as_str());
    let unread = weights::unread_adapter(config, names);
    let parent = |other: &Subject, confidence: f64, sentence: String| Parent {
        id: other.id.clone(),
        relation: Kind::Adapter,
        weight: None,
        confidence,
        direction: Direction::Known,
        evidence: vec![Evidence {
            method: "adapter_shapes",
            score: 1.0,
            standard_error: None,
            log10_p: None,
            tensors: subject.source.tensors().len(),
            parameters: subject.source.tensors().iter().map(weights::TensorInfo::elements).sum(),
            sentence,
        }],
    };
    for claim in &subject.claims {
        let Some(other) =
            subjects.iter().find(|other| other.id != subject.id && super::names(&other.id, claim))
        else {
            continue;
        };
        // What is not read excludes no base.
        if let Some(why) = unread.as_ref().filter(|_| other.adapter.is_none()) {
            return (vec![parent(other, 0.5, format!("its configuration names it; {why}"))], None);
        }
        if fits(other) {
            let said = "its factors fit; the configuration claims it, the weights cannot tell".to_owned();
            return (vec![parent(other, 0.6, said)], None);
        }
        let fault = format!("`{claim}` is named as base, but the adapter's factors do not fit it");
        return (Vec::new(), Some(fault));
    }
    let fitting: Vec<&Subject> =
        roots.iter().map(|&root| &subjects[root]).filter(|root| fits(root)).collect();
    match fitting[..] {
        [] => (Vec::new(), None),
        [first, ..] => {
            let said = format!("its factors fit this root; {} roots fit", fitting.len());
            (vec![parent(first, 0.3 / fitting.len() as f64, said)], None)
        }
    }
}
