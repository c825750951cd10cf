//! BitDelta (arXiv 2402.10193): of each matrix of a difference the signs and one size, everything else whole.

use std::{collections::BTreeMap, sync::Arc};

use kernels::Dtype;
use rayon::prelude::*;
use serde_json::{Map, Value, json};
use weights::{TensorInfo, TensorSource, decode_range, slice_of};

use super::{DiffSource, Energies, source::float_only};
use crate::{
    Error, Progress,
    computed::{BLOCK, Computed, as_stored, blocks, by_name, refused},
};

/// Where the bytes of a stored tensor come from, with the place in the difference.
#[derive(Clone, Copy)]
enum Part {
    Whole(usize),
    Signs(usize),
    Scale(usize),
}

/// What is known of one tensor of the difference.
struct Size {
    /// Mean magnitude as it is stored; none for a tensor that stays whole.
    scale: Option<f64>,
    captured: f64,
    norm_sq: f64,
}

/// The BitDelta form of a difference: of each matrix `<name>.signs` (U8, `[⌈n/8⌉]`: a set bit is minus, the lowest bit
/// first) and `<name>.scale` (`[1]`), the mean magnitude. Shapes and captured energy are in the metadata.
pub struct SignSource {
    diff: Arc<DiffSource>,
    sizes: Vec<Size>,
    infos: Vec<TensorInfo>,
    parts: Vec<Part>,
}

impl SignSource {
    /// Finds the mean magnitude of every matrix in one pass; `progress` is told the bytes of each tensor.
    ///
    /// # Errors
    /// A dtype that is no float, a tensor called like a part of another, values that are not finite, read errors, or `progress` asking to stop.
    pub fn new(diff: DiffSource, dtype: Dtype, progress: Progress<'_>) -> Result<Self, Error> {
        float_only(dtype)?;
        let diff = Arc::new(diff.stored_as(dtype)?);
        let sizes: Vec<Size> = (0..diff.infos().len())
            .into_par_iter()
            .map(|index| {
                let size = size(&diff, index, progress)?;
                progress(diff.infos()[index].bytes())?;
                Ok::<_, Error>(size)
            })
            .collect::<Result<_, _>>()?;
        let mut stored = Vec::new();
        for (at, (info, size)) in diff.infos().iter().zip(&sizes).enumerate() {
            let part = |end: &str, dtype, len| TensorInfo {
                name: format!("{}.{end}", info.name),
                dtype,
                shape: vec![len],
            };
            match size.scale {
                None => stored.push((info.clone(), Part::Whole(at))),
                Some(_) => stored.extend([
                    (part("scale", dtype, 1), Part::Scale(at)),
                    (part("signs", Dtype::U8, info.elements().div_ceil(8)), Part::Signs(at)),
                ]),
            }
        }
        let (infos, parts) = by_name(stored)?.into_iter().unzip();
        Ok(Self { diff, sizes, infos, parts })
    }

    /// How much of the difference is kept: one less the square of the relative error.
    pub fn energies(&self) -> Energies {
        let tensors = self.diff.infos().iter().zip(&self.sizes);
        Energies::of(tensors.map(|(info, size)| (info.name.as_str(), [size.captured, size.norm_sq], None)))
    }

    fn signs(&self, at: usize, offset: u64, out: &mut [u8]) -> Result<(), weights::Error> {
        let elements = self.diff.infos()[at].elements();
        for (chunk, out) in out.chunks_mut(BLOCK / 8).enumerate() {
            let first = (offset + (chunk * BLOCK / 8) as u64) * 8;
            let mut values = vec![0.0; (elements - first).min(8 * out.len() as u64) as usize];
            self.diff.fill(at, first, &mut values)?;
            for (byte, values) in out.iter_mut().zip(values.chunks(8)) {
                let bits = values.iter().enumerate();
                *byte = bits.fold(0, |byte, (bit, value)| byte | (u8::from(*value < 0.0) << bit));
            }
        }
        Ok(())
    }
}

fn size(diff: &DiffSource, index: usize, progress: Progress<'_>) -> Result<Size, Error> {
    let info = &diff.infos()[index];
    let (mut sum, mut norm_sq) = (0.0, 0.0);
    for (start, len) in blocks(info.elements()) {
        progress(0)?;
        let mut values = vec![0.0; len];
        diff.fill(index, start, &mut values)?;
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            let (name, value, at) = (&info.name, values[at], start + at as u64);
            return Err(refused(format!(
                "the difference of tensor `{name}` is {value} at element {at}; only finite values have a mean"
            ))
            .into());
        }
        sum += values.iter().map(|value| value.abs()).sum::<f64>();
        norm_sq += values.iter().map(|value| value * value).sum::<f64>();
    }
    let count = info.elements() as f64;
    if info.shape.len() != 2 || count == 0.0 {
        return Ok(Size { scale: None, captured: norm_sq, norm_sq });
    }
    let scale = as_stored(info.dtype, sum / count);
    // ‖Δ‖² − ‖Δ − s·sign‖².
    let captured = 2.0 * scale * sum - count * scale * scale;
    Ok(Size { scale: Some(scale), captured, norm_sq })
}

impl TensorSource for SignSource {
    fn tensors(&self) -> &[TensorInfo] {
        &self.infos
    }

    fn read_bytes(&self, index: usize, offset: u64, out: &mut [u8]) -> Result<(), weights::Error> {
        let info = slice_of(&self.infos, index, offset, out.len())?;
        match self.parts[index] {
            Part::Whole(at) => self.diff.read_bytes(at, offset, out),
            Part::Signs(at) => self.signs(at, offset, out),
            Part::Scale(at) => {
                let mut whole = vec![0; info.bytes() as usize];
                let scale = self.sizes[at].scale.unwrap_or_default();
                kernels::encode_f64(info.dtype, &[scale], &mut whole);
                out.copy_from_slice(&whole[offset as usize..offset as usize + out.len()]);
                Ok(())
            }
        }
    }

    fn read_f32(&self, index: usize, start: u64, out: &mut [f32]) -> Result<(), weights::Error> {
        decode_range(self, index, start, out)
    }

    fn metadata(&self) -> BTreeMap<String, String> {
        let Energies { energy, tensors } = self.energies();
        let packed = self.diff.infos().iter().zip(&self.sizes).zip(tensors);
        let about = packed.filter(|((_, size), _)| size.scale.is_some()).map(|((info, _), of)| {
            let error = (1.0 - of.energy).max(0.0).sqrt();
            (info.name.clone(), json!({ "shape": info.shape, "energy": of.energy, "relative_error": error }))
        });
        let tensors: Map<_, _> = about.collect();
        let mut metadata = self.diff.metadata();
        metadata.insert("form".into(), "bitdelta".into());
        metadata.insert("version".into(), "1".into());
        metadata.insert("energy".into(), energy.to_string());
        metadata.insert("tensors".into(), Value::Object(tensors).to_string());
        metadata
    }
}
