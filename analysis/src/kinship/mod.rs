//! Model kinship: how alike the weight deltas of several models are. Exact, one streamed pass over N+1 models.

mod closeness;
mod cluster;
mod depth;
mod layers;
mod measures;
mod modules;
mod nearest;
#[cfg(test)]
mod nearest_tests;
mod overlap;
mod pairing;
mod parity;
mod parts;
#[cfg(test)]
mod parts_tests;
mod report;
mod rows;
mod signature;
mod sketched;
mod sums;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use kernels::device::Device;
use weights::{TensorInfo, TensorSource, Vocabulary};

use crate::{Error, Progress};
use report::{Tally, TensorSums};
use sums::{Operands, each_tensor};

pub use closeness::{Closeness, Whole};
pub use cluster::{Clustering, Join, cluster};
pub use layers::{Layer, number as layer_number};
pub use measures::{MEASURES, Measure};
pub use modules::Module;
pub use nearest::{Indexed, Near, Nearest, SignatureIndex};
pub(crate) use pairing::pair;
pub use parity::Parity;
pub use parts::PartReport;
pub use report::{
    Coverage, LayerReport, Matrix, ModuleReport, Report, RowRule, Skipped, TensorReport, VocabularyRows,
};
pub use rows::moved as tokens_moved;
pub use signature::{SIGNATURE_CELLS, SIGNATURE_SCHEME, Signature};
pub use sketched::{Sketched, SketchedTensor, estimate};
pub(crate) use sums::Shared;

/// Tensors left out that are listed; the others are counted.
const LISTED: usize = 1_000;

/// A checkpoint with the name the report gives it.
#[derive(Clone)]
pub struct Named {
    pub label: String,
    pub source: Arc<dyn TensorSource>,
    /// Its tokens, where they are known: rows of embeddings and heads are matched by them.
    pub tokens: Option<Arc<Vocabulary>>,
}

/// Kinship of `models`, deltas taken against `base`; without one only the Euclidean distance is defined.
///
/// # Errors
/// Fewer than two models, no tensor in common, a read that fails, or `progress` asking to stop.
pub fn kinship(models: &[Named], base: Option<&Named>, progress: Progress<'_>) -> Result<Report, Error> {
    kinship_on(None, models, base, progress)
}

/// As [`kinship`], large tensors on a device where it can.
///
/// # Errors
/// As [`kinship`].
pub fn kinship_on(
    device: Option<&dyn Device>,
    models: &[Named],
    base: Option<&Named>,
    progress: Progress<'_>,
) -> Result<Report, Error> {
    // Differences between models do not depend on the base, so any model can stand in for a missing one.
    let reference = match (models, base) {
        ([_, _, ..], Some(base)) => base,
        ([first, _, ..], None) => first,
        _ => return Err(Error::TooFewModels { needed: 2, given: models.len() }),
    };
    let mut paired = pairing::pair(models, reference);
    let mut skipped = std::mem::take(&mut paired.skipped);
    let mut tally = Tally::new(models.len(), base.map(|base| base.label.as_str()));
    let operands = Operands { models: &paired.models, reference: &paired.reference, device };
    paired.left_out.iter().for_each(|left_out| tally.leave_out(left_out));
    each_tensor(&operands, &paired.shared(), progress, |tensor, sums| {
        match pairing::not_finite(models, reference, &sums) {
            Some(reason) => {
                let left_out = Skipped { tensor: tensor.info.name.clone(), reason };
                tally.leave_out(&left_out);
                skipped.push(left_out);
            }
            None => {
                let base = sums.base_square();
                tally.add(&tensor.info.name, &TensorSums { gram: &sums, base, spread: &[] });
            }
        }
    })?;
    if tally.compared == 0 {
        let hint = skipped.first().map(|s| format!("`{}`: {}", s.tensor, s.reason));
        return Err(Error::NothingInCommon { hint: hint.unwrap_or_else(|| "a checkpoint is empty".into()) });
    }
    paired.vocabulary.retain(|rows| !skipped.iter().any(|skipped| skipped.tensor == rows.tensor));
    let all: u64 = reference.source.tensors().iter().map(TensorInfo::elements).sum();
    let share = tally.gram.elements() as f64 / all.max(1) as f64;
    let coverage = Coverage {
        depth: paired.depth,
        vocabulary: paired.vocabulary,
        ..Coverage::new((tally.compared, share), skipped)
    };
    let labels = models.iter().map(|m| m.label.clone()).collect();
    Ok(tally.report((labels, base.map(|b| b.label.clone())), coverage))
}
