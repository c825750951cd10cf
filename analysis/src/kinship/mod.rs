//! Model kinship: how alike the weight deltas of several models are. Exact, one streamed pass over N+1 models.

mod closeness;
mod cluster;
mod coverage;
mod depth;
mod layers;
mod measures;
mod modules;
mod names;
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
mod spread;
mod sums;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_coverage;
#[cfg(test)]
mod tests_errors;
mod ties;

use std::sync::Arc;

use kernels::device::Device;
use weights::{TensorSource, Vocabulary};

use crate::{Error, Progress};
use report::{Tally, TensorSums};
use sums::{Operands, each_tensor};
use ties::Ties;

pub(crate) use closeness::covered;
pub use closeness::{Closeness, Whole};
pub use cluster::{Clustering, Join, cluster};
pub use layers::{Layer, number as layer_number};
pub use measures::{MEASURES, Measure, measures_of};
pub use modules::Module;
pub(crate) use names::{Bare, Places};
pub use nearest::{Indexed, Near, Nearest, SignatureIndex};
pub(crate) use pairing::pair;
pub use parity::Parity;
pub use parts::PartReport;
pub use report::{
    Coverage, LayerReport, LeftOut, Matrix, ModuleReport, Report, RowRule, Skipped, TensorReport,
    VocabularyRows,
};
pub use rows::moved as tokens_moved;
pub use signature::{SIGNATURE_CELLS, SIGNATURE_SCHEME, Signature};
pub use sketched::{Sketched, SketchedTensor, Tokens, estimate};
pub(crate) use sums::Shared;

/// Tensors left out that are listed; the others are counted.
const LISTED: usize = 1_000;
/// Least share of the weights of every model that must be comparable; below it a value says little about the models.
const LEAST_COVERAGE: f64 = 0.9;

/// What is done with models of which less than 90 % can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Partial {
    /// They are refused, with what is left out.
    #[default]
    Refuse,
    /// What there is is compared, and the answer says how little that is.
    Take,
}

/// How an exact kinship is computed.
#[derive(Clone, Copy, Default)]
pub struct Setup<'a> {
    /// Computes large tensors where it can.
    pub device: Option<&'a dyn Device>,
    pub partial: Partial,
}

/// A checkpoint with the name the report gives it.
#[derive(Clone)]
pub struct Named {
    pub label: String,
    pub source: Arc<dyn TensorSource>,
    /// Its tokens, where they are known: rows of embeddings and heads are matched by them.
    pub tokens: Option<Arc<Vocabulary>>,
}

/// Kinship of `models`, deltas taken against `base`; without one only the Euclidean distance is defined. However little can
/// be compared is.
///
/// # Errors
/// Fewer than two models, no tensor in common, a read that fails, or `progress` asking to stop.
pub fn kinship(models: &[Named], base: Option<&Named>, progress: Progress<'_>) -> Result<Report, Error> {
    kinship_on(Setup { device: None, partial: Partial::Take }, models, base, progress)
}

/// As [`kinship`], on a device or of enough of the weights, as `setup` says.
///
/// # Errors
/// As [`kinship`]; [`Error::TooLittleInCommon`].
pub fn kinship_on(
    setup: Setup<'_>,
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
    let ties = Ties::read(models, reference, progress)?;
    ties.leave_out(&mut paired);
    let sides: Vec<&Named> = std::iter::once(reference).chain(models).collect();
    let all = ties.largest(&sides, &paired);
    let comparable = paired.shared().iter().map(|tensor| tensor.info.elements()).sum();
    let mut skipped = std::mem::take(&mut paired.skipped);
    let enough = |elements, skipped: &[Skipped]| coverage::enough((elements, all), setup.partial, skipped);
    // Before anything is read.
    enough(comparable, &skipped).map_err(coverage::exact)?;
    let mut tally = Tally::new(models.len(), base.map(|base| base.label.as_str()));
    let operands = Operands { models: &paired.models, reference: &paired.reference, device: setup.device };
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
    let elements = tally.gram.elements();
    if tally.compared == 0 {
        return Err(coverage::nothing(&skipped));
    }
    enough(elements, &skipped).map_err(coverage::exact)?;
    paired.vocabulary.retain(|rows| !skipped.iter().any(|skipped| skipped.tensor == rows.tensor));
    let coverage = Coverage {
        depth: paired.depth,
        vocabulary: paired.vocabulary,
        ..Coverage::new((tally.compared, coverage::share(elements, all)), skipped)
    };
    let labels = models.iter().map(|m| m.label.clone()).collect();
    Ok(tally.report((labels, base.map(|b| b.label.clone())), coverage))
}
