//! Vocabularies in another order: the rows of the embedding are those of a relative, elsewhere.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    hash::{BuildHasher, Hasher},
    sync::Arc,
};

use weights::TensorSource;

use super::{
    cluster::{Relations, most_common},
    edges::UNALIGNED,
    facts::{Facts, Tensor, embedding},
    reordered::{Axes, Order},
};
use crate::kinship::Module;

/// Share of the rows that must be found in the relative, bit for bit.
const FOUND: f64 = 0.9;
/// Cosine of the columns of two embeddings, beside what all tokens have in common, from which on their tokens are in one order.
const PLACED: f64 = 0.5;
/// Relatives whose rows are looked at for one model.
const LOOKED_AT: usize = 16;

/// For each model whose tokens have other numbers than those of most of its family, where these are found. A model that was
/// trained from such a copy has the order of that.
pub(super) fn orders(
    sources: &[Arc<dyn TensorSource>],
    facts: &[Option<Facts>],
    relations: &Relations,
) -> Result<BTreeMap<usize, BTreeMap<usize, Axes>>, weights::Error> {
    let whole: Vec<usize> = (0..facts.len()).filter(|&at| facts[at].is_some()).collect();
    let columns = |at: usize| facts[at].as_ref()?.columns.as_ref();
    let square = |at: usize| columns(at).and_then(|own| own.beside_means(own)).unwrap_or(0.0);
    let squares: Vec<f64> = (0..facts.len()).map(square).collect();
    let alike = |a: usize, b: usize| {
        let inner = columns(a).zip(columns(b)).and_then(|(a, b)| a.beside_means(b));
        inner.is_some_and(|inner| inner >= PLACED * (squares[a] * squares[b]).sqrt())
    };
    let units = |a: usize, b: usize| {
        relations.get(a, b).and_then(|relation| relation.units).unwrap_or(f64::NEG_INFINITY)
    };
    let table = |at: usize| embedding(&facts[at].as_ref()?.tensors);
    let shape = |at: usize| table(at).map(|tensor| &tensor.shape);
    let mut found: BTreeMap<usize, Order> = BTreeMap::new();
    for family in relations.families(&whole) {
        let placed = |one: usize, other: usize| one == other || alike(one, other);
        let Some(main) = most_common(&family, placed) else { continue };
        let inside = |one: usize| placed(main, one);
        let moved: Vec<usize> = family
            .iter()
            .copied()
            .filter(|&one| {
                !inside(one)
                    && units(main, one) >= UNALIGNED
                    && shape(one).is_some()
                    && shape(one) == shape(main)
            })
            .collect();
        for &one in &moved {
            let mut near: Vec<usize> =
                family.iter().copied().filter(|&other| inside(other) && shape(other) == shape(one)).collect();
            near.sort_by(|&a, &b| units(one, b).total_cmp(&units(one, a)).then(a.cmp(&b)));
            let own = rows(&*sources[one], table(one))?;
            for other in near.into_iter().take(LOOKED_AT) {
                let theirs = rows(&*sources[other], table(other))?;
                if let Some(order) = order(&theirs, &own) {
                    found.insert(one, Arc::new(order));
                    break;
                }
            }
        }
        for &one in &moved {
            let like = moved.iter().find(|&&other| alike(one, other) && found.contains_key(&other));
            if let (false, Some(order)) = (found.contains_key(&one), like.map(|like| found[like].clone())) {
                found.insert(one, order);
            }
        }
    }
    let axes = |(at, order): (usize, Order)| {
        let tensors = facts[at].iter().flat_map(|facts| &facts.tensors);
        let tokens = tensors.filter(|tensor| {
            tensor.layer.is_none()
                && tensor.shape.len() <= 2
                && tensor.shape.first() == Some(&(order.len() as u64))
                && Module::is_vocabulary(&tensor.role)
        });
        let axes = |tensor: &Tensor| (tensor.index, Axes { rows: Some(order.clone()), columns: None });
        (at, tokens.map(axes).collect())
    };
    Ok(found.into_iter().map(axes).collect())
}

/// A hash of every row.
fn rows(source: &dyn TensorSource, tensor: Option<&Tensor>) -> Result<Vec<u64>, weights::Error> {
    let Some(tensor) = tensor else { return Ok(Vec::new()) };
    let hasher = foldhash::fast::FixedState::default();
    let mut row = vec![0.0f32; tensor.shape[1] as usize];
    let hash = |at: u64| {
        source.read_f32(tensor.index, at * tensor.shape[1], &mut row)?;
        let mut hasher = hasher.build_hasher();
        row.iter().for_each(|value| hasher.write_u32(value.to_bits()));
        Ok(hasher.finish())
    };
    (0..tensor.shape[0]).map(hash).collect()
}

/// Where each of the reference's rows is found in the other model; none where too many are not, or all are in place.
fn order(reference: &[u64], other: &[u64]) -> Option<Vec<u32>> {
    let mut places: HashMap<u64, VecDeque<u32>> = HashMap::new();
    for (hash, at) in other.iter().zip(0..) {
        places.entry(*hash).or_default().push_back(at);
    }
    let mut taken = vec![false; other.len()];
    let found: Vec<Option<u32>> = reference
        .iter()
        .map(|hash| {
            let place = places.get_mut(hash)?.pop_front()?;
            taken[place as usize] = true;
            Some(place)
        })
        .collect();
    let hits = found.iter().flatten().count();
    if reference.len() != other.len() || (hits as f64) < FOUND * reference.len() as f64 {
        return None;
    }
    let mut left = (0..other.len() as u32).filter(|at| !taken[*at as usize]);
    let order: Vec<u32> = found.into_iter().filter_map(|place| place.or_else(|| left.next())).collect();
    (!order.iter().zip(0..).all(|(place, at)| *place == at)).then_some(order)
}
