//! Diff-vector transfer (arXiv 2503.20110): `target_base + λ·(source_tuned − source_base)`, computed while it is read,
//! and a look beforehand at whether it is likely to work.

mod check;
mod config;
mod interpolated;
mod neurons;
mod options;
mod rows;
mod source;
mod sums;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_missing;
#[cfg(test)]
mod tests_thinned;
mod thinned;
mod verdict;

pub use check::{Coverage, Measures, Report, TensorMeasures, check};
pub(crate) use config::differing;
pub use config::{Configs, Difference, Severity};
pub use interpolated::Interpolation;
pub use neurons::Neurons;
pub use options::{Missing, Options, Preset};
pub use rows::AlignedRows;
pub use source::TransferSource;
pub use thinned::{SparseKind, Sparsify};
pub use verdict::{Reason, Verdict};

use crate::{kinship::Named, renamed};

/// The three models of a transfer.
#[derive(Clone)]
pub struct Operands {
    pub target_base: Named,
    pub source_base: Named,
    pub source_tuned: Named,
}

impl Operands {
    /// The same with the names that the target gives to its tensors.
    pub(crate) fn aligned(self) -> Self {
        let Self { target_base, source_base, source_tuned } = self;
        let like = |model: Named| {
            let source = renamed::like(&model.source, &*target_base.source);
            Named { source, ..model }
        };
        let (source_base, source_tuned) = (like(source_base), like(source_tuned));
        Self { target_base, source_base, source_tuned }
    }
}
