//! Passthrough merges: models whose every layer is, value for value, a layer of one of several others.
//!
//! Layers are compared by the digests of their tensors, whatever their number. A model all of whose layers are found in
//! one other model was pruned, extended or copied from that, and is no merge.

use std::collections::{BTreeMap, BTreeSet};

use domain::Digest;

use super::{
    Subject,
    facts::Facts,
    report::{Direction, Evidence, Kind, Parent},
};

/// Probability that layers which are the same were taken from where they are.
const SAME: f64 = 0.98;

/// What is in one layer, by role.
type Layer = Vec<(String, Digest)>;

/// The models that others' layers were stacked from, by child.
pub(super) fn stacked(subjects: &[Subject], facts: &[Option<Facts>]) -> Vec<(usize, Vec<Parent>)> {
    let layers: Vec<Vec<Layer>> =
        facts.iter().map(|facts| facts.as_ref().map(layers).unwrap_or_default()).collect();
    let mut homes: BTreeMap<&Layer, BTreeSet<usize>> = BTreeMap::new();
    for (model, own) in layers.iter().enumerate() {
        own.iter().for_each(|layer| {
            homes.entry(layer).or_default().insert(model);
        });
    }
    // All of a layer's models besides the one that asks.
    let others = |model: usize, layer: &Layer| -> BTreeSet<usize> {
        homes.get(layer).into_iter().flatten().copied().filter(|&other| other != model).collect()
    };
    let within = |model: usize, other: usize| layers[model].iter().all(|layer| homes[layer].contains(&other));
    let whole = |model: &usize| !(0..layers.len()).any(|other| other != *model && within(*model, other));
    let found = (0..layers.len()).filter(|&model| layers[model].len() > 1 && whole(&model));
    found
        .filter_map(|model| {
            let mut left: Vec<(usize, BTreeSet<usize>)> =
                layers[model].iter().map(|layer| others(model, layer)).enumerate().collect();
            let mut taken: Vec<(usize, usize)> = Vec::new();
            while !left.is_empty() {
                let count = |one: usize| left.iter().filter(|(_, homes)| homes.contains(&one)).count();
                // Of models that hold the same layers, one that is no part of another, then the first named.
                let rank = |&one: &usize| (count(one), whole(&one), std::cmp::Reverse(&subjects[one].id));
                let best = left
                    .iter()
                    .flat_map(|(_, homes)| homes.iter().copied())
                    .max_by(|a, b| rank(a).cmp(&rank(b)))?;
                taken.push((best, count(best)));
                left.retain(|(_, homes)| !homes.contains(&best));
                if left.iter().any(|(_, homes)| homes.is_empty()) {
                    return None;
                }
            }
            let parents: Vec<usize> = taken.iter().map(|(parent, _)| *parent).collect();
            (parents.len() > 1 && !frozen(&layers, model, &parents)).then(|| {
                let named =
                    taken.iter().map(|&(parent, count)| parent_of((subjects, facts), model, (parent, count)));
                (model, named.collect())
            })
        })
        .collect()
}

/// Whether it is rather the parent of them, of which each kept other layers frozen: they lie where they were, and one is
/// the same in all.
fn frozen(layers: &[Vec<Layer>], model: usize, parents: &[usize]) -> bool {
    let still = parents.iter().all(|&parent| layers[parent].len() == layers[model].len());
    let common =
        |(at, layer): (usize, &Layer)| parents.iter().all(|&parent| layers[parent].get(at) == Some(layer));
    let placed =
        |(at, layer): (usize, &Layer)| parents.iter().any(|&parent| layers[parent].get(at) == Some(layer));
    still && layers[model].iter().enumerate().all(placed) && layers[model].iter().enumerate().any(common)
}

fn layers(facts: &Facts) -> Vec<Layer> {
    let mut layers: BTreeMap<u64, Layer> = BTreeMap::new();
    for tensor in &facts.tensors {
        if let Some(number) = tensor.layer {
            layers.entry(number).or_default().push((tensor.role.clone(), tensor.digest));
        }
    }
    layers
        .into_values()
        .map(|mut layer| {
            layer.sort();
            layer
        })
        .collect()
}

fn parent_of(
    (subjects, facts): (&[Subject], &[Option<Facts>]),
    model: usize,
    (parent, count): (usize, usize),
) -> Parent {
    let all = facts[model].as_ref().map_or(0, |facts| facts.layers);
    let inside = facts[model].iter().flat_map(|facts| &facts.tensors).filter(|tensor| tensor.layer.is_some());
    let share = count as f64 / all.max(1) as f64;
    Parent {
        id: subjects[parent].id.clone(),
        relation: Kind::Merge,
        weight: Some(share),
        confidence: SAME,
        direction: Direction::Known,
        evidence: vec![Evidence {
            method: "stacked_layers",
            score: share,
            standard_error: None,
            log10_p: None,
            tensors: inside.clone().count(),
            parameters: inside.map(|tensor| tensor.shape.iter().product::<u64>()).sum(),
            sentence: format!(
                "{count} of {all} layers are those of `{}`, value for value",
                subjects[parent].id
            ),
        }],
    }
}
