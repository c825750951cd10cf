//! One short vector a model, so that nearest relatives are found among many without their sketches.

use std::collections::BTreeMap;

use domain::Digest;
use weights::{bare_name, is_head};

use super::{Module, SketchedTensor, overlap::kept};
use crate::computed::is_buffer;

/// The way signatures are made; those of different schemes do not compare.
pub const SIGNATURE_SCHEME: i32 = 3;
/// Numbers in a signature; the standard error of a cosine ρ of two is (1 − ρ²) / √1024.
pub const SIGNATURE_CELLS: usize = 1_024;

/// A linear sketch of a model's matrices, each scaled to norm one so that none dominates, of norm one itself.
///
/// A count sketch folds to a shorter one by adding its blocks, and sketches of different tensors have hashes of
/// their own, so the sum of the folded sketches is a count sketch of all matrices in a row. The inner product of
/// two signatures therefore estimates ⟨a, b⟩ over the scaled matrices, which for one layout is the mean of the
/// matrices' cosines; a matrix that only one of the two has counts as zero. Vectors are left out: norms are alike
/// in models that have nothing to do with each other.
#[derive(Debug, Clone, PartialEq)]
pub struct Signature {
    /// Digest of the names and shapes of the matrices, without wrappers around names, rows of vocabularies, and heads.
    pub layout: Digest,
    /// [`SIGNATURE_CELLS`] numbers.
    pub cells: Vec<f32>,
}

impl Signature {
    /// The signature of a model's sketched tensors, by canonical name; none without matrices that are not zero, or
    /// with sketches shorter than a signature.
    pub fn of(tensors: &BTreeMap<String, SketchedTensor>) -> Option<Self> {
        let mut sum = vec![0.0; SIGNATURE_CELLS];
        let mut layout: Vec<String> = Vec::new();
        // Files of an inner part have no head, and those of a tied model may have one or none.
        for (name, tensor) in matrices(tensors).filter(|(name, _)| !is_head(name)) {
            let rows = usize::from(Module::is_vocabulary(name));
            layout.push(format!("{} {:?}\n", bare_name(name), &tensor.shape[rows..]));
            let norm = tensor.square().sqrt();
            if norm > 0.0 && tensor.nonfinite == 0 {
                sum.iter_mut()
                    .zip(kept(tensor).folded(SIGNATURE_CELLS)?)
                    .for_each(|(sum, cell)| *sum += cell / norm);
            }
        }
        let norm = sum.iter().map(|cell| cell * cell).sum::<f64>().sqrt();
        let cells = sum.iter().map(|cell| (cell / norm) as f32).collect();
        layout.sort_unstable();
        (norm > 0.0).then(|| Self { layout: Digest::of(layout.concat().as_bytes()), cells })
    }
}

impl Signature {
    /// The estimated cosine of the weights of two models of one layout; none for those of several.
    pub fn cosine(&self, other: &Self) -> Option<f64> {
        let same = self.layout == other.layout && self.cells.len() == other.cells.len();
        let products = || self.cells.iter().zip(&other.cells).map(|(a, b)| f64::from(*a) * f64::from(*b));
        same.then(|| products().sum::<f64>().clamp(-1.0, 1.0))
    }
}

/// The tensors that tell relatives from strangers.
pub(super) fn matrices(
    tensors: &BTreeMap<String, SketchedTensor>,
) -> impl Iterator<Item = (&String, &SketchedTensor)> {
    tensors.iter().filter(|(name, tensor)| tensor.shape.len() >= 2 && !is_buffer(name))
}
