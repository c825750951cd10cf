//! Sums over the version gap `g = target_base − source_base` and the diff `Δ = source_tuned − source_base`, streamed.

use kernels::{BLOCK, Dtype, Encoded, Gram};
use rayon::prelude::*;
use weights::TensorSource;

use crate::{
    Error, Progress,
    computed::blocks,
    kinship::{Named, Shared},
};

/// Elements of one piece, the unit of parallel work.
const PIECE: u64 = 1 << 20;
/// Pieces in flight at once.
const PIECES: usize = 64;
/// Elements of a tensor among which the largest are looked for.
const SAMPLE: u64 = 65_536;
/// Share of the sampled elements that counts as the largest.
const LARGEST: f64 = 0.1;

/// What one pass finds over some elements.
#[derive(Debug, Clone)]
pub(super) struct Sums {
    /// Of `g` and `Δ`.
    pub(super) gram: Gram,
    /// Σ|g|.
    pub(super) gap: f64,
    /// Σ|source_base| + Σ|target_base|.
    pub(super) size: f64,
    /// The largest |Δ|.
    pub(super) largest: f64,
    /// `Δ` and `g` of the sampled elements.
    sample: Vec<(f32, f32)>,
    /// Of the largest sampled elements of `Δ`, those of the same sign as `g` and those where `g` is not zero.
    pub(super) signs: (u64, u64),
}

impl Default for Sums {
    fn default() -> Self {
        Self { gram: Gram::new(2), gap: 0.0, size: 0.0, largest: 0.0, sample: Vec::new(), signs: (0, 0) }
    }
}

impl Sums {
    /// Adds what was found over further elements, all but their sample.
    pub(super) fn merge(&mut self, other: &Self) {
        self.gram.merge(&other.gram);
        self.gap += other.gap;
        self.size += other.size;
        self.largest = self.largest.max(other.largest);
        self.signs.0 += other.signs.0;
        self.signs.1 += other.signs.1;
    }

    pub(super) fn is_finite(&self) -> bool {
        [self.gram.base_square(), self.gram.dot(0, 0), self.gram.dot(1, 1)].iter().all(|sum| sum.is_finite())
    }

    /// Counts the signs of the largest sampled elements and lets the sample go.
    fn count_signs(&mut self) {
        let mut sample = std::mem::take(&mut self.sample);
        sample.retain(|(delta, _)| *delta != 0.0);
        sample.sort_by(|(a, _), (b, _)| b.abs().total_cmp(&a.abs()));
        let largest = (sample.len() as f64 * LARGEST).ceil() as usize;
        let moved = sample.iter().take(largest).filter(|(_, gap)| *gap != 0.0);
        self.signs = moved.fold((0, 0), |(same, all), (delta, gap)| {
            (same + u64::from((*delta > 0.0) == (*gap > 0.0)), all + 1)
        });
    }
}

struct Piece {
    tensor: usize,
    start: u64,
    len: u64,
    last: bool,
}

/// Sums of each tensor, handed to `each` in order: source base, then target base and tuned model. Pieces are added up
/// in index order, so the bits do not depend on the thread count; `progress` is told the bytes read.
pub(super) fn each_tensor<'a>(
    (base, models): (&Named, &[Named]),
    tensors: &'a [Shared<'a>],
    progress: Progress<'_>,
    mut each: impl FnMut(&'a Shared<'a>, Sums),
) -> Result<(), Error> {
    let mut pieces = tensors.iter().enumerate().flat_map(|(at, tensor)| {
        let elements = tensor.info.elements();
        (0..elements.div_ceil(PIECE).max(1)).map(move |piece| {
            let start = piece * PIECE;
            Piece { tensor: at, start, len: PIECE.min(elements - start), last: start + PIECE >= elements }
        })
    });
    let mut total = Sums::default();
    loop {
        let next: Vec<Piece> = pieces.by_ref().take(PIECES).collect();
        if next.is_empty() {
            return Ok(());
        }
        let found: Vec<Sums> = next
            .par_iter()
            .map(|piece| {
                let (sums, bytes) = piece_sums((base, models), &tensors[piece.tensor], piece)?;
                progress(bytes)?;
                Ok::<_, Error>(sums)
            })
            .collect::<Result<_, _>>()?;
        for (piece, sums) in next.iter().zip(found) {
            total.merge(&sums);
            total.sample.extend(sums.sample);
            if piece.last {
                total.count_signs();
                each(&tensors[piece.tensor], std::mem::take(&mut total));
            }
        }
    }
}

/// One tensor of one model, block by block.
struct Reader<'a> {
    source: &'a dyn TensorSource,
    index: usize,
    dtype: Dtype,
    bytes: Vec<u8>,
    values: Vec<f32>,
}

impl<'a> Reader<'a> {
    fn new(model: &'a Named, index: usize) -> Self {
        let dtype = model.source.tensors()[index].dtype;
        Self { source: &*model.source, index, dtype, bytes: Vec::new(), values: Vec::with_capacity(BLOCK) }
    }

    fn read(&mut self, start: u64, len: usize) -> Result<(), weights::Error> {
        let width = self.dtype.bits() / 8;
        self.bytes.resize(len * width as usize, 0);
        self.values.resize(len, 0.0);
        self.source.read_bytes(self.index, start * width, &mut self.bytes)?;
        kernels::decode(self.dtype, &self.bytes, &mut self.values);
        Ok(())
    }

    fn stored(&self) -> Encoded<'_> {
        Encoded { dtype: self.dtype, bytes: &self.bytes }
    }
}

fn piece_sums(
    (base, models): (&Named, &[Named]),
    tensor: &Shared<'_>,
    piece: &Piece,
) -> Result<(Sums, u64), weights::Error> {
    let mut inputs: Vec<Reader<'_>> = vec![Reader::new(base, tensor.base)];
    inputs.extend(models.iter().zip(&tensor.models).map(|(model, &at)| Reader::new(model, at)));
    // An odd step does not meet the same columns over and over.
    let step = tensor.info.elements().div_ceil(SAMPLE) | 1;
    let (mut sums, mut bytes) = (Sums::default(), 0);
    for (start, len) in blocks(piece.len) {
        let start = piece.start + start;
        for input in &mut inputs {
            input.read(start, len)?;
            bytes += input.bytes.len() as u64;
        }
        let [base, target, tuned] = &inputs[..] else { continue };
        sums.gram.add_deltas(base.stored(), &[target.stored(), tuned.stored()]);
        let (mut gap, mut size) = (0.0, 0.0);
        for (base, target) in base.values.iter().zip(&target.values) {
            let (base, target) = (f64::from(*base), f64::from(*target));
            gap += (target - base).abs();
            size += base.abs() + target.abs();
        }
        for (base, tuned) in base.values.iter().zip(&tuned.values) {
            sums.largest = sums.largest.max((f64::from(*tuned) - f64::from(*base)).abs());
        }
        sums.gap += gap;
        sums.size += size;
        let first = start.next_multiple_of(step) - start;
        for at in (first as usize..len).step_by(step as usize) {
            let base = base.values[at];
            sums.sample.push((tuned.values[at] - base, target.values[at] - base));
        }
    }
    Ok((sums, bytes))
}
