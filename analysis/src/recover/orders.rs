//! Copies whose hidden units, attention heads or residual stream are in another order, and that order.
//!
//! A network computes the same whatever the order of its units, so a copy can be disguised by shuffling them (and by
//! noise). Each unit keeps what it weighs its inputs with: a unit and its copy are nearly parallel, two units of one
//! model are not. Units are matched by that, first the residual stream over the rows of the embedding, whose tokens
//! stay where they are, then the units of each matrix over the residual stream (as in Git Re-Basin, Ainsworth, Hayase
//! and Srinivasa, arXiv 2209.04836, with one copy and no layer left to guess).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use weights::TensorSource;

use super::{
    cluster::{Relations, most_common},
    edges::UNALIGNED,
    facts::{Facts, Tensor},
    reordered::{Axes, Order},
};
use crate::kinship::Module;

/// Places of the other axis that a unit is known by.
const FEATURES: usize = 256;
/// Largest cosine of a unit with another's place below which the two are not the same; a shuffled unit lies near zero.
const MOVED: f64 = 0.5;
/// Share of the units of a matrix in another place, from which on it is looked into.
const MANY: f64 = 0.1;
/// Units that are looked at for that.
const LOOKED_AT: usize = 64;
/// Mean cosine of matched units of a copy: fine-tunes keep more, matches by chance have less.
const MATCHED: f64 = 0.6;
/// How much nearer to the units that are matched with them those must be which are not in place, than to the units in their own
/// place: a strong change moves single units as far as a shuffle, but to nowhere.
const ELSEWHERE: f64 = 0.3;
/// Share of the units that may have no place of their own.
const SPARE: f64 = 0.1;
/// Models that one without relatives is compared with.
const STRANGERS: usize = 16;
/// Units of one block of products.
const BLOCK: usize = 512;

/// Which axes of a matrix are the residual stream.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Rows,
    Columns,
}

/// A model and what is known of it.
type Of<'a> = (&'a dyn TensorSource, &'a Facts);

/// For each model that is another one's in another order, that order, to the order of most of its family.
pub(super) fn orders(
    sources: &[Arc<dyn TensorSource>],
    facts: &[Option<Facts>],
    relations: &Relations,
) -> Result<BTreeMap<usize, BTreeMap<usize, Axes>>, weights::Error> {
    let whole: Vec<usize> = (0..facts.len()).filter(|&at| facts[at].is_some()).collect();
    let families = relations.families(&whole);
    let aligned = |a: usize, b: usize| {
        a == b || relations.get(a, b).and_then(|found| found.units).is_some_and(|units| units >= UNALIGNED)
    };
    let of = |at: usize| -> Option<Of<'_>> { Some((&*sources[at], facts[at].as_ref()?)) };
    // The most common order of a large family is the one that others are put into.
    let own: Vec<(usize, &Vec<usize>)> =
        families.iter().filter_map(|family| Some((most_common(family, aligned)?, family))).collect();
    let mut models = own.clone();
    models.sort_by_key(|&(at, family)| (std::cmp::Reverse(family.len()), at));
    let mut found = BTreeMap::new();
    for &(own, family) in &own {
        for &at in family {
            let alone = family.len() == 1;
            let fits = |other: usize| {
                facts[at].as_ref().zip(facts[other].as_ref()).is_some_and(|(a, b)| alike(a, b))
            };
            let against = models.iter().map(|(other, _)| *other).filter(|&other| {
                other != at && (alone || other == own) && !found.contains_key(&other) && fits(other)
            });
            for other in against.take(STRANGERS).collect::<Vec<_>>() {
                let (Some(suspect), Some(reference)) = (of(at), of(other)) else { continue };
                let worth = alone || !aligned(at, other) || shuffled(suspect, reference)?;
                let axes = if worth { order(suspect, reference)? } else { None };
                if let Some(axes) = axes {
                    found.insert(at, axes);
                    break;
                }
            }
        }
    }
    Ok(found)
}

/// Whether all tensors of the layers have the same roles and shapes.
fn alike(a: &Facts, b: &Facts) -> bool {
    let inner = |facts: &Facts| {
        let tensors = facts.tensors.iter().filter(|tensor| tensor.layer.is_some());
        tensors.map(|one| (one.role.clone(), one.layer, one.shape.clone())).collect::<BTreeSet<_>>()
    };
    a.layers == b.layers && width(a).is_some() && width(a) == width(b) && inner(a) == inner(b)
}

/// Of the residual stream.
fn width(facts: &Facts) -> Option<u64> {
    let embedding = facts.tensors.iter().find(|tensor| tensor.module == Module::Embed)?;
    embedding.shape.get(1).copied()
}

/// Where the residual stream of a model is.
struct Stream {
    width: u64,
    /// The axis of matrices of a layer that read from it, and of those that write to it: they are stored `out × in`, or all
    /// of them the other way round.
    read: Side,
    written: Side,
}

impl Stream {
    fn of(facts: &Facts) -> Option<Self> {
        let width = width(facts)?;
        let turned = facts.tensors.iter().any(|one| {
            matches!(one.module, Module::Up | Module::Qkv | Module::GateUp)
                && one.shape.len() == 2
                && one.shape[0] == width
                && one.shape[1] != width
        });
        let (read, written) = if turned { (Side::Rows, Side::Columns) } else { (Side::Columns, Side::Rows) };
        Some(Self { width, read, written })
    }

    /// The axis of a tensor that it is.
    fn side(&self, tensor: &Tensor) -> Option<Side> {
        let side = match tensor.module {
            Module::Embed | Module::Position | Module::Head => Side::Columns,
            Module::Q | Module::K | Module::V | Module::Qkv | Module::Gate | Module::Up | Module::GateUp => {
                self.read
            }
            Module::O | Module::Down => self.written,
            _ => return None,
        };
        let axis = if side == Side::Rows { 0 } else { 1 };
        (tensor.shape.len() == 2 && tensor.shape[axis] == self.width).then_some(side)
    }
}

/// Whether some rows of the attention are not where the reference has them.
fn shuffled(suspect: Of<'_>, reference: Of<'_>) -> Result<bool, weights::Error> {
    let Some(stream) = Stream::of(suspect.1) else { return Ok(false) };
    let twins = reference.1.by_place();
    for tensor in suspect.1.tensors.iter().filter(|tensor| matches!(tensor.module, Module::V | Module::Qkv)) {
        let (Some(other), Some(side)) = (twins.twin(tensor), stream.side(tensor)) else {
            continue;
        };
        let mine = units((suspect.0, tensor), (side, None, LOOKED_AT))?;
        let theirs = units((reference.0, other), (side, None, LOOKED_AT))?;
        let cosines = mine.iter().zip(&theirs).map(|(a, b)| cosine(a, b));
        let away = cosines.filter(|cosine| *cosine < MOVED).count();
        if away as f64 > MANY * mine.len() as f64 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Orders of the axes of the suspect's tensors that make it the reference's copy; none where it is none, or in order.
fn order(suspect: Of<'_>, reference: Of<'_>) -> Result<Option<BTreeMap<usize, Axes>>, weights::Error> {
    let embedding =
        |facts: &Facts| facts.tensors.iter().find(|tensor| tensor.module == Module::Embed).cloned();
    let (Some(mine), Some(theirs)) = (embedding(suspect.1), embedding(reference.1)) else { return Ok(None) };
    let rows = mine.shape[0].min(theirs.shape[0]);
    let first = |tensor: Tensor| Tensor { shape: vec![rows, tensor.shape[1]], ..tensor };
    // Columns over the first tokens, as units.
    let mine = units((suspect.0, &first(mine)), (Side::Rows, None, usize::MAX))?;
    let theirs = units((reference.0, &first(theirs)), (Side::Rows, None, usize::MAX))?;
    let Some(stream_order) = matched(&theirs, &mine) else { return Ok(None) };
    let Some(stream) = Stream::of(suspect.1) else { return Ok(None) };
    let twins = reference.1.by_place();
    let mut axes: BTreeMap<usize, Axes> = BTreeMap::new();
    let mut outputs: BTreeMap<(&str, Option<u64>), Option<Order>> = BTreeMap::new();
    for tensor in suspect.1.tensors.iter().filter(|tensor| tensor.shape.len() == 2) {
        let (Some(other), Some(side)) = (twins.twin(tensor), stream.side(tensor)) else {
            continue;
        };
        let mut own = None;
        if tensor.layer.is_some() {
            let mine = units((suspect.0, tensor), (side, stream_order.as_deref(), usize::MAX))?;
            let theirs = units((reference.0, other), (side, None, usize::MAX))?;
            let Some(found) = matched(&theirs, &mine) else { return Ok(None) };
            own = found;
        }
        let inward = !matches!(tensor.module, Module::O | Module::Down);
        let stem = tensor.role.strip_suffix(".weight").unwrap_or(&tensor.role);
        outputs.insert((stem, tensor.layer), if inward { own.clone() } else { stream_order.clone() });
        let found = match side {
            Side::Rows => Axes { rows: stream_order.clone(), columns: own },
            Side::Columns => Axes { rows: own, columns: stream_order.clone() },
        };
        axes.insert(tensor.index, found);
    }
    for tensor in suspect.1.tensors.iter().filter(|tensor| tensor.shape.len() == 1) {
        let stem = tensor.role.strip_suffix(".bias").unwrap_or_default();
        let rows = match outputs.get(&(stem, tensor.layer)) {
            Some(order) => order.clone(),
            None => stream_order.clone(),
        };
        // A name says whose bias it is, not that it is as long.
        let rows = rows.filter(|order| order.len() as u64 == tensor.shape[0]);
        axes.insert(tensor.index, Axes { rows, columns: None });
    }
    axes.retain(|_, axes| *axes != Axes::default());
    Ok((!axes.is_empty()).then_some(axes))
}

/// Units of a matrix as unit vectors over some places of the residual stream, which is on one `side` of it and in another
/// order; so many units at most, spread evenly.
fn units(
    (source, tensor): (&dyn TensorSource, &Tensor),
    (side, order, most): (Side, Option<&Vec<u32>>, usize),
) -> Result<Vec<Vec<f32>>, weights::Error> {
    let [rows, columns] = [tensor.shape[0] as usize, tensor.shape[1] as usize];
    let (count, places) = if side == Side::Columns { (rows, columns) } else { (columns, rows) };
    let taken = count.min(most);
    let features = places.min(FEATURES);
    let unit = |at: usize| at * count / taken.max(1);
    let place = |at: usize| {
        let at = at * places / features.max(1);
        order.map_or(at, |order| order[at] as usize)
    };
    let mut found = vec![vec![0.0f32; features]; taken];
    let mut row = vec![0.0f32; columns];
    let read = |at: usize, row: &mut Vec<f32>| source.read_f32(tensor.index, (at * columns) as u64, row);
    if side == Side::Columns {
        for (at, found) in found.iter_mut().enumerate() {
            read(unit(at), &mut row)?;
            found.iter_mut().enumerate().for_each(|(to, value)| *value = row[place(to)]);
        }
    } else {
        for feature in 0..features {
            read(place(feature), &mut row)?;
            found.iter_mut().enumerate().for_each(|(at, found)| found[feature] = row[unit(at)]);
        }
    }
    for unit in &mut found {
        let norm = unit.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
        let scale = if norm > 0.0 && norm.is_finite() { 1.0 / norm } else { 0.0 };
        unit.iter_mut().for_each(|value| *value = (f64::from(*value) * scale) as f32);
    }
    Ok(found)
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

/// For each of the reference's units the place of the suspect's that is it: `Some(None)` where all are in place, none
/// where they are not the same units.
#[allow(clippy::option_option)]
fn matched(reference: &[Vec<f32>], suspect: &[Vec<f32>]) -> Option<Option<Order>> {
    let (count, features) = (reference.len(), reference.first()?.len());
    if suspect.len() != count || suspect[0].len() != features {
        return None;
    }
    let flat = |units: &[Vec<f32>]| units.concat();
    let theirs = flat(suspect);
    let theirs = faer::MatRef::from_row_major_slice(&theirs, count, features);
    let mut best: Vec<(f32, u32)> = Vec::with_capacity(count);
    for block in reference.chunks(BLOCK) {
        let mine = flat(block);
        let mine = faer::MatRef::from_row_major_slice(&mine, block.len(), features);
        let products = mine * theirs.transpose();
        best.extend((0..block.len()).map(|row| {
            let all = (0..count).map(|column| (products[(row, column)], column as u32));
            all.fold((f32::NEG_INFINITY, 0), |best, one| if one.0 > best.0 { one } else { best })
        }));
    }
    let sum: f64 = best.iter().map(|(cosine, _)| f64::from(*cosine)).sum();
    if sum / (count as f64) < MATCHED {
        return None;
    }
    // Weak units are like several others, and take what is left over.
    let mut taken = vec![false; count];
    let mut order: Vec<Option<u32>> = vec![None; count];
    let mut surest: Vec<usize> = (0..count).collect();
    surest.sort_by(|&a, &b| best[b].0.total_cmp(&best[a].0).then(a.cmp(&b)));
    for at in surest {
        let place = best[at].1;
        if !std::mem::replace(&mut taken[place as usize], true) {
            order[at] = Some(place);
        }
    }
    let mut free: BTreeSet<u32> = (0..count as u32).filter(|place| !taken[*place as usize]).collect();
    if free.len() as f64 > SPARE * count as f64 {
        return None;
    }
    let mut left = |unit: &Vec<f32>| {
        let near = |place: &u32| cosine(unit, &suspect[*place as usize]);
        let place = free.iter().copied().max_by(|a, b| near(a).total_cmp(&near(b)))?;
        free.remove(&place);
        Some(place)
    };
    let order: Vec<u32> =
        order.into_iter().zip(reference).filter_map(|(place, unit)| place.or_else(|| left(unit))).collect();
    let moved: Vec<(f64, f64)> = (0..order.len())
        .filter(|&at| order[at] as usize != at)
        .map(|at| {
            (cosine(&reference[at], &suspect[order[at] as usize]), cosine(&reference[at], &suspect[at]))
        })
        .collect();
    let mean = |of: fn(&(f64, f64)) -> f64| moved.iter().map(of).sum::<f64>() / moved.len().max(1) as f64;
    let there = mean(|cosines| cosines.0);
    let still = moved.is_empty() || there < MATCHED || there < mean(|cosines| cosines.1) + ELSEWHERE;
    Some((!still).then(|| Arc::new(order)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recover::tests::gaussian;

    fn units(count: usize, shift: impl Fn(usize) -> f64) -> Vec<Vec<f32>> {
        let (values, common) = (gaussian(1, count * 48), gaussian(2, 48));
        let unit = |(at, unit): (usize, &[f64])| {
            let moved: Vec<f64> =
                unit.iter().zip(&common).map(|(value, step)| value + shift(at) * step).collect();
            let norm = moved.iter().map(|value| value * value).sum::<f64>().sqrt();
            moved.iter().map(|value| (value / norm) as f32).collect()
        };
        values.chunks(48).enumerate().map(unit).collect()
    }

    #[test]
    fn units_that_a_strong_change_made_unlike_themselves_are_in_no_other_order() {
        let (reference, changed) =
            (units(100, |_| 0.0), units(100, |at| if at % 12 == 0 { 4.0 } else { 0.0 }));

        assert_eq!(matched(&reference, &changed), Some(None));
    }

    #[test]
    fn units_in_another_order_are_matched() {
        let reference = units(100, |_| 0.0);
        let mut moved = reference.clone();
        moved.rotate_left(30);

        assert!(matched(&reference, &moved).flatten().is_some_and(|order| order[30] == 0));
    }
}
