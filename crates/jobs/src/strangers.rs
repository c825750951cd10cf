//! A warning where weights are merged that have no common origin. Stored sketches tell; of a folder some matrices are read.

use std::{
    cell::LazyCell,
    collections::{BTreeMap, BTreeSet},
};

use analysis::recover::{Stored, StoredTensor, Strangers, strangers};
use domain::Item;
use tokio::task::spawn_blocking;
use weights::{TensorInfo, TensorSource};

use crate::{
    Error, Operand, Registry,
    operand::CompanionFrom,
    parentage::stored_tensors,
    sketches::{current, surveyed},
};

/// Matrices that are read of a model without sketches, and most bytes of them: little beside the merge that follows.
const SAMPLED: usize = 16;
const SAMPLED_BYTES: u64 = 16 << 20;
/// Pairs of one recipe that are named.
const NAMED: usize = 3;

/// Models whose weights are computed together.
pub(crate) struct Together {
    /// JSON Pointer of the place in the recipe.
    pub(crate) pointer: String,
    pub(crate) models: Vec<Operand>,
}

/// Warnings of the pairs that have no common origin.
///
/// # Errors
/// When the database cannot be read.
pub(crate) async fn told(registry: &Registry, sets: Vec<Together>) -> Result<Vec<Item>, Error> {
    let mut models: Vec<Operand> = Vec::new();
    for operand in sets.iter().flat_map(|set| &set.models) {
        if models.iter().all(|known| known.label != operand.label) {
            models.push(operand.clone());
        }
    }
    // Nothing is read over the network to warn of something.
    models.retain(|operand| !of_a_hub(origin(operand)));
    if models.len() < 2 {
        return Ok(Vec::new());
    }
    let mut known = Vec::with_capacity(models.len());
    for operand in &models {
        known.push(stored(registry, origin(operand)).await?);
    }
    let cells = registry.limits.sketch_cells;
    let (labels, found) = spawn_blocking(move || {
        let sources: Vec<&dyn TensorSource> = models.iter().map(|model| &*origin(model).source).collect();
        let sample = LazyCell::new(|| sample(&sources));
        let surveyed = models.iter().zip(known).filter_map(|(model, known)| {
            let tensors = match known {
                Some(tensors) => tensors,
                None => read(&*origin(model).source, (&*sample, cells))?,
            };
            Some(Stored { id: model.label.clone(), tensors, claims: Vec::new(), created: None, order: 0 })
        });
        let surveyed: Vec<Stored> = surveyed.collect();
        let found = strangers(&surveyed);
        (surveyed.into_iter().map(|model| model.id).collect::<Vec<_>>(), found)
    })
    .await?;
    Ok(warnings(&sets, &labels, found))
}

/// One warning a pair, at the first place that computes the two together; the last says how many more there are.
fn warnings(sets: &[Together], labels: &[String], found: Vec<Strangers>) -> Vec<Item> {
    let has = |set: &Together, at: usize| set.models.iter().any(|model| model.label == labels[at]);
    let place = |(a, b): (usize, usize)| sets.iter().find(|set| has(set, a) && has(set, b));
    let placed = found.into_iter().filter_map(|pair| Some((place(pair.pair)?.pointer.clone(), pair)));
    let mut told: Vec<Item> = placed
        .map(|(pointer, Strangers { pair: (a, b), compared })| {
            let message = format!(
                "`{}` and `{}` have no common origin: {compared}; what is merged of such models seldom works",
                labels[a], labels[b]
            );
            Item { pointer, message }
        })
        .collect();
    if told.len() > NAMED {
        let more = told.split_off(NAMED).len();
        let what = match more {
            1 => "1 more pair has".to_owned(),
            _ => format!("{more} more pairs have"),
        };
        told.extend(told.last().map(|item| item.pointer.clone()).map(|pointer| Item {
            pointer,
            message: format!("{what} no common origin by the same measure"),
        }));
    }
    told
}

/// What an adapter is applied to has its origin.
fn origin(operand: &Operand) -> &Operand {
    operand.base.as_deref().map_or(operand, origin)
}

fn of_a_hub(operand: &Operand) -> bool {
    operand.label.starts_with(crate::remote::PREFIX)
        || operand.companions.iter().any(|companion| matches!(companion.from, CompanionFrom::Hub(_)))
}

/// What the registry holds of the tensors of a model; none for a folder, and where there are no sketches.
async fn stored(registry: &Registry, operand: &Operand) -> Result<Option<Vec<StoredTensor>>, Error> {
    let Some(revision) = operand.revision.filter(|_| operand.member.is_none()) else { return Ok(None) };
    let Some(sketches) = current(registry.store.sketches(revision).await?) else { return Ok(None) };
    Ok(Some(stored_tensors(registry.store.tensors(revision).await?, sketches)))
}

/// Names of matrices that all models have in one shape, evenly spread over those that are small enough; the smallest where
/// none is.
fn sample(sources: &[&dyn TensorSource]) -> BTreeSet<String> {
    let matrix = |info: &&TensorInfo| info.shape.len() == 2 && info.dtype.is_float() && info.elements() > 0;
    let Some((first, others)) = sources.split_first() else { return BTreeSet::new() };
    let shared = |info: &&TensorInfo| {
        let same = |source: &&dyn TensorSource| {
            source.position(&info.name).is_some_and(|at| {
                let other = &source.tensors()[at];
                other.shape == info.shape && other.dtype.is_float()
            })
        };
        others.iter().all(same)
    };
    let mut shared: Vec<&TensorInfo> = first.tensors().iter().filter(matrix).filter(shared).collect();
    let Some(smallest) = shared.iter().map(|info| info.bytes()).min() else { return BTreeSet::new() };
    let most = SAMPLED_BYTES.max(smallest);
    shared.retain(|info| info.bytes() <= most);
    let (mut left, mut names) = (most, BTreeSet::new());
    for at in 0..SAMPLED.min(shared.len()) {
        let info = shared[at * shared.len() / SAMPLED.min(shared.len())];
        if info.bytes() <= left {
            left -= info.bytes();
            names.insert(info.name.clone());
        }
    }
    names
}

/// The tensors of a sample; none where they cannot be read, which the merge itself will tell of.
fn read(source: &dyn TensorSource, (sample, cells): (&BTreeSet<String>, usize)) -> Option<Vec<StoredTensor>> {
    let indices: Vec<usize> = sample.iter().filter_map(|name| source.position(name)).collect();
    let facts = weights::survey_some(source, &indices, cells, &|_| Ok(())).ok()?;
    let mut by_name: BTreeMap<String, _> = BTreeMap::new();
    for facts in facts {
        let (dtype, digest, std) = (facts.dtype, facts.digest, facts.stats.as_ref().map(|stats| stats.std()));
        let Some((name, sketch)) = surveyed(facts) else { continue };
        by_name.insert(name, StoredTensor { sketch, dtype, digest, std });
    }
    Some(by_name.into_values().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_tells_how_much_is_read_of_a_folder() {
        let told = include_str!("../../../docs/merging.md");

        let most = format!("up to {SAMPLED} matrices of together {} MiB", SAMPLED_BYTES >> 20);

        assert!(told.contains(&most), "{most}");
    }
}
