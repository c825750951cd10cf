//! The k largest magnitudes of streams over one tensor or many, by histograms counted in parallel.

use kernels::kth::{High, Low, Threshold};
use rayon::prelude::*;

use super::operands::{Block, Operands};
use crate::{
    computed::blocks,
    trim::{Trim, magnitude},
};

/// What is ranked: tensors with the index that their first element has in the ranking, and the magnitudes of a
/// block of one, a vector for each stream.
pub struct Ranked<'a> {
    pub tensors: &'a [(u64, &'a Operands)],
    pub magnitudes: &'a (dyn Fn(&Block) -> Vec<Vec<f32>> + Sync),
}

/// The largest `keep` of a stream.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    pub stream: usize,
    pub keep: u64,
}

/// The `keep` of every stream, in order.
pub fn wanted(keep: impl IntoIterator<Item = u64>) -> Vec<Wanted> {
    keep.into_iter().enumerate().map(|(stream, keep)| Wanted { stream, keep }).collect()
}

/// Magnitudes of the deltas: a stream a model.
pub fn of_deltas(block: &Block) -> Vec<Vec<f32>> {
    block.deltas().iter().map(|delta| delta.iter().copied().map(magnitude).collect()).collect()
}

type Place<'a> = (u64, &'a Operands, u64, usize);

impl Ranked<'_> {
    fn places(&self) -> Vec<Place<'_>> {
        self.tensors
            .iter()
            .flat_map(|&(offset, tensor)| {
                blocks(tensor.elements).map(move |(start, len)| (offset, tensor, start, len))
            })
            .collect()
    }

    fn streams(&self, (_, tensor, start, len): Place<'_>) -> Result<Vec<Vec<f32>>, weights::Error> {
        Ok((self.magnitudes)(&tensor.read_finite(start, len)?))
    }

    /// Counts all blocks, each thread its own share of them; counts do not depend on who counted.
    fn count<C: Send>(
        &self,
        fresh: impl Fn() -> C + Sync,
        add: impl Fn(&mut C, Vec<Vec<f32>>) + Sync,
        merge: impl Fn(&mut C, C),
    ) -> Result<C, weights::Error> {
        let places = self.places();
        let share = places.len().div_ceil(rayon::current_num_threads()).max(1);
        let count = |share: &[Place<'_>]| {
            let mut counts = fresh();
            for place in share {
                add(&mut counts, self.streams(*place)?);
            }
            Ok(counts)
        };
        let counted: Vec<C> = places.par_chunks(share).map(count).collect::<Result<_, weights::Error>>()?;
        let mut total = fresh();
        counted.into_iter().for_each(|counts| merge(&mut total, counts));
        Ok(total)
    }

    /// The magnitude of each wanted rank; `None` where it is 0 or beyond the elements there are.
    pub fn thresholds(&self, wanted: &[Wanted]) -> Result<Vec<Option<Threshold>>, weights::Error> {
        let streams = wanted.iter().map(|want| want.stream + 1).max().unwrap_or_default();
        let high = self.count(
            || vec![High::new(); streams],
            |high, values| high.iter_mut().zip(values).for_each(|(high, values)| high.add_block(&values)),
            |high, more| high.iter_mut().zip(more).for_each(|(high, more)| high.merge(&more)),
        )?;
        let buckets: Vec<_> = wanted.iter().map(|want| high[want.stream].bucket_for(want.keep)).collect();
        let low = self.count(
            || buckets.iter().map(|bucket| bucket.map(Low::new)).collect::<Vec<_>>(),
            |low, values| {
                for (low, want) in low.iter_mut().zip(wanted) {
                    low.iter_mut().for_each(|low| low.add_block(&values[want.stream]));
                }
            },
            |low, more| {
                for (low, more) in low.iter_mut().zip(more) {
                    low.iter_mut().zip(more).for_each(|(low, more)| low.merge(&more));
                }
            },
        )?;
        Ok(low.into_iter().map(|low| low.and_then(|low| low.threshold())).collect())
    }

    /// The elements that are the largest of their stream, ties at the threshold by lowest index.
    pub fn largest(&self, wanted: &[Wanted]) -> Result<Vec<Trim>, weights::Error> {
        let thresholds = self.thresholds(wanted)?;
        let places = self.places();
        let ties = |streams: &[Vec<f32>]| -> Vec<u64> {
            let each = wanted.iter().zip(&thresholds);
            each.map(|(want, found)| found.map_or(0, |found| found.ties_in(&streams[want.stream]))).collect()
        };
        let counted: Vec<Vec<u64>> = places
            .par_iter()
            .map(|place| self.streams(*place).map(|streams| ties(&streams)))
            .collect::<Result<_, weights::Error>>()?;
        let trim = |(at, want): (usize, &Wanted)| {
            let Some(found) = thresholds[at] else {
                return Ok(if want.keep == 0 { Trim::KEEP_NONE } else { Trim::KEEP_ALL });
            };
            let mut left = found.ties(want.keep);
            for (place, counts) in places.iter().zip(&counted) {
                if counts[at] >= left {
                    let values = &self.streams(*place)?[want.stream];
                    let tied = values.iter().enumerate().filter(|(_, v)| v.to_bits() == found.value_bits);
                    let last = tied.take(left as usize).last().map_or(0, |(at, _)| at as u64 + 1);
                    return Ok(Trim::new(found.value_bits, place.0 + place.2 + last));
                }
                left -= counts[at];
            }
            Ok(Trim::KEEP_ALL)
        };
        wanted.iter().enumerate().map(trim).collect()
    }
}

impl Operands {
    /// The largest magnitudes of this tensor's streams.
    pub fn largest(
        &self,
        magnitudes: &(dyn Fn(&Block) -> Vec<Vec<f32>> + Sync),
        wanted: &[Wanted],
    ) -> Result<Vec<Trim>, weights::Error> {
        Ranked { tensors: &[(0, self)], magnitudes }.largest(wanted)
    }
}

/// How many of `elements` are kept at `density`: none at 0, else one or more.
pub fn kept(density: f64, elements: u64) -> u64 {
    if density <= 0.0 { 0 } else { ((density * elements as f64).floor() as u64).clamp(1, elements.max(1)) }
}
