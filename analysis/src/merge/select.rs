//! The k largest magnitudes of streams over one tensor or many: a sample says about where the last of them lies, one
//! pass finds it exactly, in parallel.

use std::{cell::Cell, ops};

use kernels::{
    Dtype,
    bracket::{Bracket, Located, Range},
    direct::Tuned,
    kth::{High, Low, Threshold},
    wide::magnitudes_apart,
};
use rayon::prelude::*;

use super::operands::{Block, Operands};
use crate::{
    computed::{self, CHUNK, SourceTensor},
    room::Room,
    trim::Trim,
};

/// What is ranked: tensors with the index that their first element has in the ranking, and what of them.
pub struct Ranked<'a> {
    pub tensors: &'a [(u64, &'a Operands)],
    pub by: By<'a>,
}

/// What elements are ranked by.
#[derive(Clone, Copy)]
pub enum By<'a> {
    /// Magnitudes of the deltas: a stream a model.
    Deltas,
    /// Population variance of the deltas, one stream.
    Varying,
    /// The magnitudes of a block, one stream: they take the place of what the vector holds.
    Of(&'a (dyn Fn(&Block, &mut Vec<f32>) + Sync)),
}

/// The largest `keep` of a stream.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    pub stream: usize,
    pub keep: u64,
}

/// Chunks that a sample has at least and at most, and the share of all of them that is enough in between; of a very
/// large tensor it has the same share of chunks as the most is of [`SHARE`].
const SAMPLE: (usize, usize, usize) = (8, 128, 8);

/// Elements of each of them, where they are not all chunks.
const PIECE: usize = CHUNK / 4;

/// Standard deviations of a rank in the sample on either side of the range that is counted.
const SPREAD: f64 = 4.0;

/// Chunks counted into one bracket at most: what it lists of them has room.
const SHARE: usize = 1 << 13;

/// The `keep` of every stream, in order.
pub fn wanted(keep: impl IntoIterator<Item = u64>) -> Vec<Wanted> {
    keep.into_iter().enumerate().map(|(stream, keep)| Wanted { stream, keep }).collect()
}

/// Magnitudes of a chunk, those of one stream after those of the one before; kept from one chunk to the next.
type Streams = Vec<Vec<f32>>;

/// What elements are ranked by.
pub fn sizes(values: &[f64], sizes: &mut Vec<f32>) {
    sizes.resize(values.len(), 0.0);
    kernels::wide::magnitudes(values, sizes);
}

/// Population variance of deltas of one length at each element.
pub fn variances(deltas: &[&[f64]]) -> Room {
    let mut found = Room::of(deltas.first().map_or(0, |first| first.len()));
    kernels::task::variances(deltas, &mut found);
    found
}

/// Of the deltas of bf16 models against a bf16 base, those of the streams asked for; false for others, or when a value is
/// not finite.
fn straight(
    operands: &Operands,
    range: (u64, usize),
    (streams, asked): (&mut Streams, ops::Range<usize>),
) -> Result<bool, weights::Error> {
    let bf16 = |stored: &SourceTensor| {
        stored.source.tensors().get(stored.index).is_some_and(|info| info.dtype == Dtype::Bf16)
    };
    let Some(base) = operands.base.as_ref().filter(|_| operands.inputs().all(bf16)) else { return Ok(false) };
    let (mut ours, mut theirs) = SPARE.take();
    let mut fill = || {
        let base = computed::stored(&*base.source, base.index, range, &mut ours)?;
        streams.resize_with(operands.models.len(), Vec::new);
        for (model, sizes) in operands.models.iter().zip(&mut *streams).take(asked.end).skip(asked.start) {
            let model = computed::stored(&*model.source, model.index, range, &mut theirs)?;
            sizes.resize(range.1, 0.0);
            if magnitudes_apart(model, base, sizes) != Some(true) {
                return Ok(false);
            }
        }
        Ok(true)
    };
    let filled = fill();
    SPARE.set((ours, theirs));
    filled
}

thread_local! {
    /// Bytes of a base and of a model, kept from one chunk to the next.
    static SPARE: Cell<(Vec<u8>, Vec<u8>)> = Cell::default();
}

/// Where a wanted rank was found.
#[derive(Clone)]
struct Found {
    threshold: Threshold,
    /// Elements exactly at the threshold in each chunk, where they were counted.
    ties: Option<Vec<u64>>,
}

impl From<Located> for Found {
    fn from(Located { threshold, ties }: Located) -> Self {
        Self { threshold, ties: Some(ties) }
    }
}

/// Magnitudes of some chunks.
struct Sample {
    read: Vec<Streams>,
    /// How many of those by which they vary are above 0.
    varying: u64,
    /// Whether these are all chunks.
    whole: bool,
}

impl Sample {
    /// About where a rank of a stream lies that is `rank` in the sample, of as many as it has; `None` if it has none.
    fn range(&self, stream: usize, rank: impl Fn(usize) -> f64) -> Option<Range> {
        let mut bits = Vec::with_capacity(self.read.iter().map(|streams| streams[stream].len()).sum());
        for streams in &self.read {
            bits.extend(streams[stream].iter().map(|value| value.abs().to_bits()));
        }
        let rank = rank(bits.len());
        let slack = if self.whole { 0.0 } else { SPREAD * rank.sqrt() + 1.0 };
        let last = bits.len().checked_sub(1)?;
        let place = |rank: f64| (rank.round().max(1.0) as usize - 1).min(last);
        let [first, middle, end] = [rank - slack, rank, rank + slack].map(place);
        // Each selection leaves the larger ones before it, so that the next looks at these alone.
        let (larger, low, _) = bits.select_nth_unstable_by(end, |a, b| b.cmp(a));
        let low = *low;
        let mut at = |place: usize, from: usize| match larger.get_mut(from..) {
            Some(part) if place < end => *part.select_nth_unstable_by(place - from, |a, b| b.cmp(a)).1,
            _ => low,
        };
        let high = at(first, 0);
        Some(Range::new(low, at(middle, first), high))
    }
}

type Place<'a> = (u64, &'a Operands, u64, usize);

impl Ranked<'_> {
    fn places(&self) -> Vec<Place<'_>> {
        let step = CHUNK as u64;
        let mut places = Vec::new();
        for &(offset, tensor) in self.tensors {
            places.extend(
                (0..tensor.elements.div_ceil(step))
                    .map(|at| (offset, tensor, at * step, (tensor.elements - at * step).min(step) as usize)),
            );
        }
        places
    }

    /// Puts the magnitudes of a chunk there; gives how many of those by which they vary are above 0.
    fn fill(&self, place: Place<'_>, streams: &mut Streams) -> Result<u64, weights::Error> {
        self.fill_some(place, streams, 0..usize::MAX)
    }

    /// The same of some streams; those of others mean nothing.
    fn fill_some(
        &self,
        (_, tensor, start, len): Place<'_>,
        streams: &mut Streams,
        asked: ops::Range<usize>,
    ) -> Result<u64, weights::Error> {
        if matches!(self.by, By::Deltas) && straight(tensor, (start, len), (&mut *streams, asked))? {
            return Ok(0);
        }
        let count = if matches!(self.by, By::Deltas) { tensor.models.len() } else { 1 };
        streams.resize_with(count, Vec::new);
        if matches!(self.by, By::Varying) {
            let mut direct = |tuned: &Tuned<'_>| {
                streams[0].resize(len, 0.0);
                Some(tuned.variances(&mut streams[0]))
            };
            if let Some(varying) = tensor.direct((start, len), &mut direct)? {
                return Ok(varying);
            }
        }
        let block = tensor.read_finite(start, len)?;
        let mut varying = 0;
        for (at, stream) in streams.iter_mut().enumerate() {
            match self.by {
                By::Deltas => sizes(block.delta(at), stream),
                By::Varying => {
                    let variances = variances(&block.deltas());
                    varying = kernels::wide::positive(&variances);
                    sizes(&variances, stream);
                }
                By::Of(magnitudes) => magnitudes(&block, stream),
            }
        }
        Ok(varying)
    }

    /// Magnitudes of one stream.
    fn stream(&self, place: Place<'_>, at: usize) -> Result<Vec<f32>, weights::Error> {
        let mut streams = Streams::new();
        self.fill_some(place, &mut streams, at..at + 1)?;
        Ok(streams.swap_remove(at))
    }

    /// Chunks that are counted together.
    fn share(places: &[Place<'_>]) -> usize {
        places.len().div_ceil(rayon::current_num_threads()).clamp(1, SHARE)
    }

    /// One result a share of the chunks, in order; what is counted does not depend on who counted.
    fn shares<C: Send>(
        &self,
        places: &[Place<'_>],
        fresh: impl Fn() -> C + Sync,
        add: impl Fn(&mut C, &Streams, u64) + Sync,
    ) -> Result<Vec<C>, weights::Error> {
        let count = |share: &[Place<'_>]| {
            let (mut counts, mut streams) = (fresh(), Streams::new());
            for place in share {
                let varying = self.fill(*place, &mut streams)?;
                add(&mut counts, &streams, varying);
            }
            Ok(counts)
        };
        places.par_chunks(Self::share(places)).map(count).collect()
    }

    /// Some of the chunks, evenly spread.
    fn sample(&self, places: &[Place<'_>]) -> Result<Sample, weights::Error> {
        let (least, most, part) = SAMPLE;
        let enough = (places.len() / part).clamp(least, most).max(places.len() / (SHARE / most));
        let sampled = enough.min(places.len()).max(1);
        let whole = sampled == places.len();
        let piece =
            |(offset, tensor, start, len)| (offset, tensor, start, if whole { len } else { PIECE.min(len) });
        let taken: Vec<Place<'_>> = (0..sampled)
            .filter_map(|at| places.get(at * places.len() / sampled).copied().map(piece))
            .collect();
        let read = |place: &Place<'_>| {
            let mut streams = Streams::new();
            self.fill(*place, &mut streams).map(|varying| (streams, varying))
        };
        let read: Vec<(Streams, u64)> = taken.par_iter().map(read).collect::<Result<_, weights::Error>>()?;
        let varying = read.iter().map(|(_, varying)| varying).sum();
        Ok(Sample { read: read.into_iter().map(|(streams, _)| streams).collect(), varying, whole })
    }

    /// About where each wanted rank lies; `None` for one that is 0 or beyond the elements there are.
    fn ranges(&self, places: &[Place<'_>], wanted: &[Wanted]) -> Result<Vec<Option<Range>>, weights::Error> {
        let all: u64 = places.iter().map(|place| place.3 as u64).sum();
        let sample = self.sample(places)?;
        let range = |want: &Wanted| {
            let share = want.keep as f64 / all as f64;
            (1..=all).contains(&want.keep).then(|| sample.range(want.stream, |count| share * count as f64))
        };
        Ok(wanted.iter().map(|want| range(want).flatten()).collect())
    }

    fn find(&self, places: &[Place<'_>], wanted: &[Wanted]) -> Result<Vec<Option<Found>>, weights::Error> {
        let ranges = self.ranges(places, wanted)?;
        let fresh = || ranges.iter().map(|range| range.map(Bracket::new)).collect::<Vec<_>>();
        let counted = self.shares(places, fresh, |brackets, values, _| {
            for (bracket, want) in brackets.iter_mut().zip(wanted) {
                bracket.iter_mut().for_each(|bracket| bracket.add_block(&values[want.stream]));
            }
        })?;
        let found = |(at, want): (usize, &Wanted)| {
            if ranges[at].is_none() {
                return Ok(None);
            }
            let parts: Vec<&Bracket> = counted.iter().filter_map(|part| part[at].as_ref()).collect();
            match Bracket::threshold(&parts, want.keep) {
                Some(found) => Ok(Some(found.into())),
                None => self.search(places, *want),
            }
        };
        wanted.iter().enumerate().map(found).collect()
    }

    /// A rank that the sample misjudged, or beside which too many magnitudes lie: by histograms of all of them, in two
    /// passes.
    fn search(&self, places: &[Place<'_>], want: Wanted) -> Result<Option<Found>, weights::Error> {
        let high = self.shares(places, High::new, |high, values, _| high.add_block(&values[want.stream]))?;
        let high = high.into_iter().reduce(|mut all, more| {
            all.merge(&more);
            all
        });
        let Some(bucket) = high.and_then(|high| high.bucket_for(want.keep)) else { return Ok(None) };
        let low =
            self.shares(places, || Low::new(bucket), |low, values, _| low.add_block(&values[want.stream]))?;
        let low = low.into_iter().reduce(|mut all, more| {
            all.merge(&more);
            all
        });
        let threshold = low.and_then(|low| low.threshold());
        Ok(threshold.map(|threshold| Found { threshold, ties: None }))
    }

    /// The magnitude of each wanted rank; `None` where it is 0 or beyond the elements there are.
    pub fn thresholds(&self, wanted: &[Wanted]) -> Result<Vec<Option<Threshold>>, weights::Error> {
        let found = self.find(&self.places(), wanted)?;
        Ok(found.into_iter().map(|found| found.map(|found| found.threshold)).collect())
    }

    /// The elements that are the largest of their stream, ties at the threshold by lowest index.
    pub fn largest(&self, wanted: &[Wanted]) -> Result<Vec<Trim>, weights::Error> {
        let places = self.places();
        let found = self.find(&places, wanted)?;
        let trim = |(want, found): (&Wanted, Option<Found>)| match found {
            Some(found) => self.cut(&places, *want, found),
            None if want.keep == 0 => Ok(Trim::KEEP_NONE),
            None => Ok(Trim::KEEP_ALL),
        };
        wanted.iter().zip(found).map(trim).collect()
    }

    /// The elements that vary most: `share` of those that vary at all, ties at the threshold by lowest index.
    pub fn most_varying(&self, share: f64) -> Result<Trim, weights::Error> {
        let (places, share) = (self.places(), share.max(0.0));
        let sample = self.sample(&places)?;
        let rank = |_| (share * sample.varying as f64).floor();
        let Some(range) = sample.range(0, rank) else { return Ok(Trim::KEEP_NONE) };
        let fresh = || (Bracket::new(range), 0);
        let counted = self.shares(&places, fresh, |(bracket, all), values, varying| {
            bracket.add_block(&values[0]);
            *all += varying;
        })?;
        let varying: u64 = counted.iter().map(|(_, varying)| varying).sum();
        let want = Wanted { stream: 0, keep: (share * varying as f64).floor() as u64 };
        if want.keep == 0 {
            return Ok(Trim::KEEP_NONE);
        }
        let parts: Vec<&Bracket> = counted.iter().map(|(bracket, _)| bracket).collect();
        let found = match Bracket::threshold(&parts, want.keep) {
            Some(found) => Some(found.into()),
            None => self.search(&places, want)?,
        };
        found.map_or(Ok(Trim::KEEP_ALL), |found| self.cut(&places, want, found))
    }

    /// Of the elements at the threshold as many as are wanted, the first by index.
    fn cut(&self, places: &[Place<'_>], want: Wanted, found: Found) -> Result<Trim, weights::Error> {
        let Found { threshold, ties } = found;
        let mut left = threshold.ties(want.keep);
        if ties.as_ref().is_some_and(|ties| ties.iter().sum::<u64>() == left) {
            return Ok(Trim::new(threshold.value_bits, u64::MAX));
        }
        let count = |place: &Place<'_>| -> Result<u64, weights::Error> {
            Ok(threshold.ties_in(&self.stream(*place, want.stream)?))
        };
        let mut counts = ties.map(|counts| counts.into_iter());
        // A few chunks at a time, all threads at work, until the last is found.
        for places in places.chunks(4 * rayon::current_num_threads()) {
            let here: Vec<u64> = match &mut counts {
                Some(counts) => counts.by_ref().take(places.len()).collect(),
                None => places.par_iter().map(count).collect::<Result<_, _>>()?,
            };
            for (place, ties) in places.iter().zip(here) {
                if ties >= left {
                    let values = self.stream(*place, want.stream)?;
                    let tied = values.iter().enumerate().filter(|(_, v)| v.to_bits() == threshold.value_bits);
                    let last = tied.take(left as usize).last().map_or(0, |(at, _)| at as u64 + 1);
                    return Ok(Trim::new(threshold.value_bits, place.0 + place.2 + last));
                }
                left -= ties;
            }
        }
        Ok(Trim::KEEP_ALL)
    }
}

impl Operands {
    /// The largest magnitudes of this tensor's streams.
    pub fn largest(&self, by: By<'_>, wanted: &[Wanted]) -> Result<Vec<Trim>, weights::Error> {
        Ranked { tensors: &[(0, self)], by }.largest(wanted)
    }
}

/// How many of `elements` are kept at `density`: none at 0, else one or more.
pub fn kept(density: f64, elements: u64) -> u64 {
    if density <= 0.0 { 0 } else { ((density * elements as f64).floor() as u64).clamp(1, elements.max(1)) }
}
