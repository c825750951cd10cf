//! Lineage recovered from weights: who descends from whom, by what, and how sure that is. No card is believed.
//!
//! Models of one origin are found by permutation tests, then measured exactly against each other; copies, merges and
//! steps of training are told apart by the residuals they leave, and the tree is directed last.

mod below;
mod cluster;
mod constructed;
mod copies;
mod edges;
mod elected;
mod facts;
mod family;
mod inherited;
mod measured;
mod mixture;
mod noise;
mod orders;
mod probe;
mod reordered;
mod report;
mod samples;
mod sketched;
#[cfg(test)]
mod sketched_tests;
mod stacked;
mod stored;
mod strangers;
mod student;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_absent;
#[cfg(test)]
mod tests_formats;
#[cfg(test)]
mod tests_merges;
#[cfg(test)]
mod tests_orders;
#[cfg(test)]
mod tests_parts;
mod tokens;
mod told;
mod tree;
mod trimmed;
mod trunks;
mod twins;
mod verdict;
mod wrapped;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde_json::Value;
use weights::TensorSource;

use crate::{
    Error, Progress,
    lineage::{cached, normalise},
};
use cluster::Relations;
use facts::Facts;

pub use report::{Direction, Evidence, Kind, Model, Parent, Report, Unrelated};
pub use sketched::{Recovered, Stored, StoredTensor, recover_sketched};
pub use stored::recover_stored;
pub use strangers::{Strangers, strangers};
pub use verdict::{Claim, Judgement, Named, Verdict};

/// A model whose origin is asked for.
#[derive(Clone)]
pub struct Subject {
    pub id: String,
    pub path: Option<String>,
    /// Its tensors; the factors, for an adapter.
    pub source: Arc<dyn TensorSource>,
    /// The configuration of an adapter that is not applied to its base.
    pub adapter: Option<Value>,
    /// Bases that its card or configuration names.
    pub claims: Vec<String>,
    /// When it was made, unix seconds, where that is known.
    pub created: Option<i64>,
    /// Which of equal models was here first; the same for all where nobody counted.
    pub order: i64,
}

/// Recovers the lineage of a collection. Every checkpoint is read a few times, and held a block a thread at a time;
/// beside that a few MiB are kept for each layer of each model.
///
/// # Errors
/// Fewer than two models, a read that fails, or `progress` asking to stop.
pub fn recover(subjects: &[Subject], progress: Progress<'_>) -> Result<Report, Error> {
    if subjects.len() < 2 {
        return Err(Error::TooFewModels { needed: 2, given: subjects.len() });
    }
    let gather = |subject: &Subject| match subject.adapter {
        Some(_) => Ok(None),
        None => facts::gather(subject, progress).map(Some),
    };
    let mut facts: Vec<Option<Facts>> = subjects.iter().map(gather).collect::<Result<_, _>>()?;
    wrapped::unwrap(&mut facts);
    let mut relations = Relations::test(&facts);
    let mut placed = subjects.to_vec();
    let mut orders = BTreeMap::new();
    for find in [tokens::orders, orders::orders] {
        let sources: Vec<_> = placed.iter().map(|subject| subject.source.clone()).collect();
        let found = find(&sources, &facts, &relations)?;
        for (&at, axes) in &found {
            placed[at].source = Arc::new(reordered::Reordered::new(sources[at].clone(), axes.clone())?);
            facts[at] = gather(&placed[at])?;
        }
        if !found.is_empty() {
            wrapped::unwrap(&mut facts);
            relations = Relations::test(&facts);
        }
        for (at, axes) in found {
            orders.entry(at).or_insert_with(BTreeMap::new).extend(axes);
        }
    }
    let subjects = &placed[..];
    let known =
        family::Known { subjects, facts: &facts, relations: &relations, orders: &orders, sketches: None };
    let (mut parents, families) = structured(&known, progress)?;
    for (child, of) in stacked::stacked(subjects, &facts) {
        let copied = parents[child].iter().any(|parent| parent.relation == Kind::Duplicate);
        let place = |id: &str| subjects.iter().position(|subject| subject.id == id);
        let below =
            |parent: &Parent| place(&parent.id).is_some_and(|at| descends(place, &parents, (at, child)));
        if !copied && !of.iter().any(below) {
            parents[child] = of;
        }
    }
    let whole: Vec<usize> = (0..subjects.len()).filter(|&at| facts[at].is_some()).collect();
    let roots: Vec<usize> = whole.iter().copied().filter(|&at| parents[at].is_empty()).collect();
    let mut adapters = Vec::new();
    for at in (0..subjects.len()).filter(|&at| facts[at].is_none()) {
        let (found, fault) = edges::adapter(subjects, at, &roots);
        parents[at].extend(found);
        adapters.push((at, fault));
    }
    let models = (0..subjects.len()).map(|at| {
        let subject = &subjects[at];
        let fault = adapters.iter().find(|(adapter, _)| *adapter == at).and_then(|(_, fault)| fault.clone());
        Model {
            id: subject.id.clone(),
            path: subject.path.clone(),
            contradiction: fault.or_else(|| contradiction(&known, at, &parents)),
            parents: parents[at].clone(),
            claimed: subject.claims.clone(),
        }
    });
    let models = models.collect();
    let unrelated = whole.iter().flat_map(|&i| whole.iter().map(move |&j| (i, j))).filter(|(i, j)| i < j);
    let unrelated = unrelated.filter_map(|(i, j)| {
        let relation = relations.get(i, j)?;
        let score = relation.units?;
        let apart = origins(subjects, &parents, i).is_disjoint(&origins(subjects, &parents, j));
        let (a, b) = (subjects[i].id.clone(), subjects[j].id.clone());
        apart.then_some(Unrelated { a, b, score, log10_p: relation.log10_p })
    });
    let unrelated = unrelated.collect();
    let named = |family: &Vec<usize>| {
        let mut family = family.clone();
        family.sort_by_key(|&at| (!parents[at].is_empty(), at));
        family.iter().map(|&at| subjects[at].id.clone()).collect()
    };
    Ok(Report { families: families.iter().map(named).collect(), models, unrelated })
}

/// Whether a model descends from `above`, or is it; `place` finds a model by its id.
fn descends(
    place: impl Fn(&str) -> Option<usize>,
    parents: &[Vec<Parent>],
    (model, above): (usize, usize),
) -> bool {
    let (mut open, mut seen) = (vec![model], vec![false; parents.len()]);
    while let Some(at) = open.pop() {
        if !std::mem::replace(&mut seen[at], true) {
            open.extend(parents[at].iter().filter_map(|parent| place(&parent.id)));
        }
    }
    seen[above]
}

/// The models without parents that one descends from, itself where it has none.
fn origins(subjects: &[Subject], parents: &[Vec<Parent>], of: usize) -> BTreeSet<usize> {
    let (mut queue, mut seen) = (vec![of], BTreeSet::new());
    while let Some(at) = queue.pop() {
        if seen.insert(at) {
            let above = parents[at]
                .iter()
                .filter_map(|parent| subjects.iter().position(|subject| subject.id == parent.id));
            queue.extend(above);
        }
    }
    seen.retain(|&at| parents[at].is_empty());
    seen
}

/// Parents and families, by position.
type Structure = (Vec<Vec<Parent>>, Vec<Vec<usize>>);

/// Parents by model, and the families.
fn structured(known: &family::Known<'_>, progress: Progress<'_>) -> Result<Structure, Error> {
    let models = known.subjects.len();
    let whole: Vec<usize> = (0..models).filter(|&at| known.facts[at].is_some()).collect();
    let families = known.relations.families(&whole);
    let mut parents: Vec<Vec<Parent>> = vec![Vec::new(); models];
    for family in &families {
        for (child, of) in family::resolve(known, family, progress)? {
            parents[child] = of;
        }
    }
    Ok((parents, families))
}

/// Whether a card's `claim` means the model called `id`; both may be paths, and ids have no case.
pub(crate) fn names(id: &str, claim: &str) -> bool {
    let (id, claim) = (&*spelling(id), &*spelling(claim));
    let ends = |long: &str, short: &str| long.strip_suffix(short).is_some_and(|before| before.ends_with('/'));
    !claim.is_empty() && (id == claim || ends(id, claim) || ends(claim, id))
}

/// What all ways to write a model's name have in common: without address, revision, case and the names of a cache's folders.
fn spelling(name: &str) -> String {
    let id = cached(name).or_else(|| normalise(name).ok());
    id.map_or_else(|| name.trim_matches('/').to_ascii_lowercase(), |id| id.key())
}

/// What a model's card says that its weights exclude.
fn contradiction(known: &family::Known<'_>, at: usize, parents: &[Vec<Parent>]) -> Option<String> {
    let subject = &known.subjects[at];
    known.facts[at].as_ref()?;
    subject.claims.iter().find_map(|claim| {
        let mut named =
            (0..known.subjects.len()).filter(|&other| other != at && names(&known.subjects[other].id, claim));
        let other = named.next().filter(|&other| known.facts[other].is_some())?;
        if known.relations.related(at, other) {
            return None;
        }
        let really = match parents[at].first() {
            Some(parent) => format!("its weights descend from `{}`", parent.id),
            None => "its weights descend from no model here".to_owned(),
        };
        let test = match known.relations.get(at, other).and_then(|relation| relation.units) {
            Some(z) => {
                format!("no common origin, permutation test {z:.1}, where related models score far above 10")
            }
            None => "their shapes have nothing in common".to_owned(),
        };
        // Models of one origin that only a third shows to be are related all the same.
        let of = |one| origins(known.subjects, parents, one);
        if !of(at).is_disjoint(&of(other)) {
            return None;
        }
        Some(format!("`{claim}` is named as base, but {really} ({test})"))
    })
}
