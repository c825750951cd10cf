//! The largest elements of a difference as a checkpoint: for each tensor their flat indices and their values.

use std::{collections::BTreeMap, sync::Arc};

use kernels::Dtype;
use rayon::prelude::*;
use serde_json::json;
use weights::{TensorInfo, TensorSource, decode_range, slice_of};

use super::{DiffSource, Energies, TensorEnergy, source::float_only};
use crate::{
    Error, Progress,
    computed::{Computed, blocks, by_name, refused},
    excess::Excess,
    trim::{Trim, magnitude},
};

/// Elements of a tensor up to which an index fits 32 bits.
const SMALL: u64 = 1 << 32;

/// What a stored tensor holds of the kept elements of the tensor at a place in the difference.
#[derive(Clone, Copy)]
enum Part {
    Indices(usize),
    Values(usize),
}

/// The kept elements of one tensor.
struct Kept {
    trim: Trim,
    /// Kept elements before each block, and all of them at the end.
    before: Vec<u64>,
    captured: f64,
    norm_sq: f64,
}

/// The sparse form of a difference: `<name>.indices` (`[k]`, U32, or U64 from 2³² elements on), ascending, and
/// `<name>.values` (`[k]`). Shapes and captured energy are in the metadata.
pub struct SparseSource {
    diff: Arc<DiffSource>,
    kept: Vec<Kept>,
    infos: Vec<TensorInfo>,
    parts: Vec<Part>,
    density: f64,
}

impl SparseSource {
    /// Finds the ⌊density·n⌋ largest elements of every tensor, at least one; ties go to the lowest index. Reads the
    /// difference four times; `progress` is told the bytes of each tensor once.
    ///
    /// # Errors
    /// A density outside 0 to 1, values that are not finite, read errors, or `progress` asking to stop.
    pub fn new(
        diff: Arc<DiffSource>,
        (density, dtype): (f64, Dtype),
        progress: Progress<'_>,
    ) -> Result<Self, Error> {
        if !(density > 0.0 && density <= 1.0) {
            return Err(Error::fault("/density", "it must be above 0 and at most 1, e.g. 0.1"));
        }
        float_only(dtype)?;
        let kept: Vec<Kept> = (0..diff.infos().len())
            .into_par_iter()
            .map(|index| {
                let kept = keep(&diff, (index, density), progress)?;
                progress(diff.infos()[index].bytes())?;
                Ok::<_, Error>(kept)
            })
            .collect::<Result<_, _>>()?;
        let named = |(at, (info, kept)): (usize, (&TensorInfo, &Kept))| {
            let shape = vec![kept.before.last().copied().unwrap_or(0)];
            let wide = if info.elements() > SMALL { Dtype::U64 } else { Dtype::U32 };
            let part = |end: &str, dtype| TensorInfo {
                name: format!("{}.{end}", info.name),
                dtype,
                shape: shape.clone(),
            };
            [(part("indices", wide), Part::Indices(at)), (part("values", dtype), Part::Values(at))]
        };
        let stored = diff.infos().iter().zip(&kept).enumerate().flat_map(named).collect();
        let (infos, parts) = by_name(stored)?.into_iter().unzip();
        Ok(Self { diff, kept, infos, parts, density })
    }

    /// How much of the difference is kept.
    pub fn energies(&self) -> Energies {
        let names = self.diff.infos().iter().map(|info| info.name.as_str());
        Energies::of(names.zip(self.squares()).map(|(name, squares)| (name, squares, None)))
    }

    /// Of each tensor `Σ kept δ²` and `Σ δ²`.
    pub(super) fn squares(&self) -> impl Iterator<Item = [f64; 2]> {
        self.kept.iter().map(|kept| [kept.captured, kept.norm_sq])
    }

    /// Calls `each` with the index and value of the kept elements from the `first`-th on, at most `count`.
    fn walk(
        &self,
        tensor: usize,
        (first, count): (u64, usize),
        mut each: impl FnMut(usize, u64, f64),
    ) -> Result<(), weights::Error> {
        let kept = &self.kept[tensor];
        let elements = self.diff.infos()[tensor].elements();
        let end = first + count as u64;
        let start = kept.before.partition_point(|&before| before <= first).saturating_sub(1);
        for (block, (from, len)) in blocks(elements).enumerate().skip(start) {
            let mut at = kept.before[block];
            if at >= end {
                break;
            }
            let mut values = vec![0.0; len];
            self.diff.fill(tensor, from, &mut values)?;
            for (index, value) in (from..).zip(values) {
                if kept.trim.keeps(magnitude(value), index) {
                    if (first..end).contains(&at) {
                        each((at - first) as usize, index, value);
                    }
                    at += 1;
                }
            }
        }
        Ok(())
    }

    fn encoded(&self, index: usize, first: u64, out: &mut [u8]) -> Result<(), weights::Error> {
        let info = &self.infos[index];
        let width = info.dtype.bits() as usize / 8;
        let range = (first, out.len() / width);
        let tensor = match self.parts[index] {
            Part::Values(tensor) => tensor,
            Part::Indices(tensor) => {
                return self.walk(tensor, range, |at, element, _| {
                    out[at * width..(at + 1) * width].copy_from_slice(&element.to_le_bytes()[..width]);
                });
            }
        };
        let mut values = vec![0.0; range.1];
        self.walk(tensor, range, |at, _, value| values[at] = value)?;
        match kernels::encode_f64(info.dtype, &values, out) {
            0 => Ok(()),
            beyond => Err(Excess::Format.refusal(info, beyond)),
        }
    }
}

fn keep(diff: &DiffSource, (index, density): (usize, f64), progress: Progress<'_>) -> Result<Kept, Error> {
    let info = &diff.infos()[index];
    let elements = info.elements();
    let read = |start, len| {
        progress(0)?;
        let mut values = vec![0.0; len];
        diff.fill(index, start, &mut values)?;
        match values.iter().position(|value| !value.is_finite()) {
            None => Ok(values),
            Some(at) => Err(Error::from(refused(format!(
                "the difference of tensor `{}` is {} at element {}; only finite values can be ranked",
                info.name,
                values[at],
                start + at as u64
            )))),
        }
    };
    let trim = Trim::largest(Trim::share(density, elements), |each| {
        for (start, len) in blocks(elements) {
            let values: Vec<f32> = read(start, len)?.into_iter().map(magnitude).collect();
            each(start, &values);
        }
        Ok::<_, Error>(())
    })?;
    let mut kept = Kept { trim, before: vec![0], captured: 0.0, norm_sq: 0.0 };
    let mut count = 0;
    for (start, len) in blocks(elements) {
        let (mut captured, mut norm_sq) = (0.0, 0.0);
        for (at, value) in (start..).zip(read(start, len)?) {
            let square = value * value;
            norm_sq += square;
            if trim.keeps(magnitude(value), at) {
                captured += square;
                count += 1;
            }
        }
        kept.captured += captured;
        kept.norm_sq += norm_sq;
        kept.before.push(count);
    }
    Ok(kept)
}

impl TensorSource for SparseSource {
    fn tensors(&self) -> &[TensorInfo] {
        &self.infos
    }

    fn read_bytes(&self, index: usize, offset: u64, out: &mut [u8]) -> Result<(), weights::Error> {
        let width = slice_of(&self.infos, index, offset, out.len())?.dtype.bits() / 8;
        let (first, last) = (offset / width, (offset + out.len() as u64).div_ceil(width));
        let lead = (offset - first * width) as usize;
        let mut whole = vec![0; ((last - first) * width) as usize];
        self.encoded(index, first, &mut whole)?;
        out.copy_from_slice(&whole[lead..lead + out.len()]);
        Ok(())
    }

    fn read_f32(&self, index: usize, start: u64, out: &mut [f32]) -> Result<(), weights::Error> {
        decode_range(self, index, start, out)
    }

    fn metadata(&self) -> BTreeMap<String, String> {
        let mut metadata = self.diff.metadata();
        let shape = |(info, energy): (&TensorInfo, TensorEnergy)| {
            (info.name.clone(), json!({ "shape": info.shape, "energy": energy.energy }))
        };
        let Energies { energy, tensors } = self.energies();
        let tensors: serde_json::Map<_, _> = self.diff.infos().iter().zip(tensors).map(shape).collect();
        metadata.insert("form".into(), "sparse".into());
        metadata.insert("density".into(), self.density.to_string());
        metadata.insert("energy".into(), energy.to_string());
        metadata.insert("tensors".into(), serde_json::Value::Object(tensors).to_string());
        metadata
    }
}
