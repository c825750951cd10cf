//! Combining a tensor chunk by chunk: inputs read into buffers that a thread keeps, then widened, combined and rounded
//! strip by strip while they are in the nearest caches.

use std::{
    cell::Cell,
    ops::Range,
    sync::{Arc, Mutex},
};

use kernels::{
    Dtype, Encoded,
    device::{Declined, Device, Streamed},
    wide::{Common, Term, weighted_sum, widen},
};

use super::{
    Combine, Operands,
    nonfinite::{self, NonFinite},
    spec::Sum,
};
use crate::computed::{self, CHUNK, keep_or_refuse_nonfinite};

/// Elements combined at a time.
pub const STRIP: usize = 1_024;

/// Factor up to which a sum over numbers in f32 or narrower formats is finite.
const LARGE: f64 = 1e200;

/// What one thread keeps from one chunk to the next.
#[derive(Default)]
struct Buffers {
    bytes: Vec<Vec<u8>>,
    wide: Wide,
}

/// A strip of every input, and of the result.
#[derive(Default)]
struct Wide {
    inputs: Vec<Vec<f64>>,
    out: Vec<f64>,
}

thread_local! {
    static SPARE: Cell<Buffers> = Cell::default();
}

/// One tensor of a merge.
pub struct Merging<'a> {
    pub operands: &'a Operands,
    pub combine: Arc<dyn Combine>,
}

impl Merging<'_> {
    /// Computes elements `start..start + out.len()`; gives how many are not finite although all inputs are.
    pub fn fill(&self, start: u64, out: &mut [f64]) -> Result<u64, weights::Error> {
        let mut made = 0;
        self.chunks(start, out.len(), |wide, chunk| {
            let out = &mut out[chunk.place.clone()];
            made += self.strips(chunk, wide, |place, values| out[place].copy_from_slice(values))?;
            Ok(())
        })?;
        Ok(made)
    }

    /// Computes the elements from `start` as `dtype`; gives how many left its range or are not finite, where all inputs are.
    pub fn encode(&self, start: u64, (dtype, out): (Dtype, &mut [u8])) -> Result<u64, weights::Error> {
        let width = (dtype.bits() / 8) as usize;
        let sum = self.combine.sum();
        if let Some(alone) = self.alone(sum.as_ref(), dtype) {
            alone.source.read_bytes(alone.index, start * width as u64, out)?;
            // What is wrong is told on the way that computes.
            if !kernels::holds_nan(Encoded { dtype, bytes: out }) {
                return Ok(0);
            }
        }
        let mut beyond = 0;
        self.chunks(start, out.len() / width, |wide, chunk| {
            let out = &mut out[chunk.place.start * width..chunk.place.end * width];
            let summed = sum.as_ref().and_then(|sum| {
                let (terms, common) = terms(sum, &chunk.inputs, self.operands.models.len());
                weighted_sum(&terms, common, (dtype, &mut *out))
            });
            let summed =
                summed.or_else(|| self.combine.encode(chunk.start, &chunk.inputs, (dtype, &mut *out)));
            if let Some(over) = summed {
                beyond += over;
                return Ok(());
            }
            let made = self.strips(chunk, wide, |place, values| {
                let out = &mut out[place.start * width..place.end * width];
                beyond += kernels::encode_f64(dtype, values, out);
            })?;
            beyond += made;
            Ok(())
        })?;
        Ok(beyond)
    }

    /// The only input, where the result is that as it is stored.
    fn alone(&self, sum: Option<&Sum>, dtype: Dtype) -> Option<&computed::SourceTensor> {
        let mut inputs = self.operands.inputs();
        let (only, None) = (inputs.next()?, inputs.next()) else { return None };
        let stored = only.source.tensors().get(only.index)?.dtype;
        (stored == dtype && sum?.factors == [1.0]).then_some(only)
    }

    /// As [`Self::encode`], on a device; `None` where none does.
    pub fn encode_on(
        &self,
        device: &dyn Device,
        start: u64,
        (dtype, out): (Dtype, &mut [u8]),
    ) -> Option<Result<u64, weights::Error>> {
        let sum = self.combine.sum()?;
        let inputs: Vec<_> = self.operands.inputs().collect();
        // A device reads what is stored.
        if inputs.iter().any(|input| computed::is_unrounded(&*input.source, input.index)) {
            return None;
        }
        // The base comes first in the sum and last among the inputs.
        let models = self.operands.models.len();
        let order: Vec<usize> = (models..inputs.len()).chain(0..models).collect();
        let dtypes: Vec<Dtype> =
            order.iter().map(|&at| inputs[at].source.tensors()[inputs[at].index].dtype).collect();
        let (factors, common) = factors(&sum, (inputs.len(), models));
        // A device counts finite sums that leave the number format, so that no sum may be anything else.
        if factors.iter().any(|factor| factor.abs().total_cmp(&LARGE).is_gt()) || dtypes.contains(&Dtype::F64)
        {
            return None;
        }
        let elements = (out.len() as u64 * 8) / dtype.bits();
        let failed = Mutex::new(None);
        let read = |input: usize, from: u64, bytes: &mut [u8]| {
            let stored = inputs[order[input]];
            computed::read_for_device((&*stored.source, stored.index), start + from, bytes, &failed)
        };
        let streamed = Streamed { inputs: &dtypes, elements, read: &read };
        match device.weighted_sum(streamed, (&factors, common), (dtype, out)) {
            Ok(beyond) => beyond.map(Ok),
            Err(Declined::Stopped) => failed.into_inner().ok().flatten().map(Err),
            Err(_) => None,
        }
    }

    fn chunks(
        &self,
        start: u64,
        len: usize,
        mut each: impl FnMut(&mut Wide, Chunk<'_>) -> Result<(), weights::Error>,
    ) -> Result<(), weights::Error> {
        // Taken out while it is used: a source may read another merge on the same thread.
        let mut spare = SPARE.take();
        let mut work = || -> Result<(), weights::Error> {
            for from in (0..len).step_by(CHUNK) {
                let place = from..(from + CHUNK).min(len);
                let Buffers { bytes, wide } = &mut spare;
                bytes.resize_with(self.operands.inputs().count(), Vec::new);
                let range = (start + from as u64, place.len());
                let inputs = self
                    .operands
                    .inputs()
                    .zip(bytes)
                    .map(|(input, buffer)| computed::stored(&*input.source, input.index, range, buffer));
                let inputs = inputs.collect::<Result<Vec<_>, _>>()?;
                each(wide, Chunk { start: range.0, place, inputs })?;
            }
            Ok(())
        };
        let outcome = work();
        SPARE.set(spare);
        outcome
    }

    /// Hands over strip after strip; gives how many elements are not finite although all inputs are.
    fn strips(
        &self,
        chunk: Chunk<'_>,
        wide: &mut Wide,
        mut take: impl FnMut(Range<usize>, &[f64]),
    ) -> Result<u64, weights::Error> {
        let (len, mut made) = (chunk.place.len(), 0);
        wide.inputs.resize_with(chunk.inputs.len(), || vec![0.0; STRIP]);
        wide.out.resize(STRIP, 0.0);
        for from in (0..len).step_by(STRIP) {
            let place = from..(from + STRIP).min(len);
            let mut finite = true;
            for (input, values) in chunk.inputs.iter().zip(&mut wide.inputs) {
                finite &= widen(part(*input, place.clone()), &mut values[..place.len()]);
            }
            let inputs = wide.inputs.iter().take(chunk.inputs.len());
            let views: Vec<&[f64]> = inputs.map(|values| &values[..place.len()]).collect();
            let (models, base) = views.split_at(self.operands.models.len());
            let base = base.first().copied().unwrap_or_default();
            let (start, out) = (chunk.start + from as u64, &mut wide.out[..place.len()]);
            self.combine.combine(start, models, base, out);
            if finite {
                made += kernels::wide::nonfinite(out);
            } else {
                let labels = self.operands.inputs().map(|stored| stored.label.as_str());
                // What a file beside a model holds is no value of the result.
                let merged = self.operands.contents.len();
                let (beside, base) = views.split_at(self.operands.models.len());
                let values: Vec<&[f64]> = beside.iter().take(merged).chain(base).copied().collect();
                made += computed::made_nonfinite(&values, out);
                match self.operands.nonfinite {
                    NonFinite::Passed => nonfinite::pass(&values, out),
                    NonFinite::Refused => {
                        keep_or_refuse_nonfinite(&self.operands.name, start, (&values[..], labels), out)?;
                    }
                }
            }
            take(place, out);
        }
        Ok(made)
    }
}

/// Elements of all inputs, the models' before the base's.
struct Chunk<'a> {
    /// Flat index of the first.
    start: u64,
    /// Where they go in what was asked for.
    place: Range<usize>,
    inputs: Vec<Encoded<'a>>,
}

fn part(stored: Encoded<'_>, place: Range<usize>) -> Encoded<'_> {
    let width = (stored.dtype.bits() / 8) as usize;
    Encoded { bytes: &stored.bytes[place.start * width..place.end * width], ..stored }
}

/// Factors of `Σ c·x`, or of `b + Σ c·(x − b)` written as one sum, where the base comes first: it is what there is of
/// inputs besides the models.
fn factors(sum: &Sum, (inputs, models): (usize, usize)) -> (Vec<f64>, Common) {
    let has_base = inputs > models;
    let rest = 1.0 - sum.factors.iter().sum::<f64>();
    let own = has_base.then_some(rest);
    let common = if has_base { Common::Kept } else { sum.common };
    (own.into_iter().chain(sum.factors.iter().copied()).collect(), common)
}

/// The terms of such a sum.
fn terms<'a>(sum: &Sum, inputs: &[Encoded<'a>], models: usize) -> (Vec<Term<'a>>, Common) {
    let (factors, common) = factors(sum, (inputs.len(), models));
    let (models, base) = inputs.split_at(models);
    let term = |(factor, values): (f64, &Encoded<'a>)| Term { factor, values: *values };
    (factors.into_iter().zip(base.iter().chain(models)).map(term).collect(), common)
}
