//! Diff-vector transfer (arXiv 2503.20110): `target_base + λ·(source_tuned − source_base)`, computed while it is read,
//! and a look beforehand at whether it is likely to work.

mod check;
mod config;
mod neurons;
mod options;
mod rows;
mod source;
mod sums;
#[cfg(test)]
mod tests;
mod verdict;

pub use check::{Coverage, Measures, Report, TensorMeasures, check};
pub(crate) use config::differing;
pub use config::{Configs, Difference, Severity};
pub use neurons::Neurons;
pub use options::{Options, Preset};
pub use rows::AlignedRows;
pub use source::TransferSource;
pub use verdict::{Reason, Verdict};

use crate::kinship::Named;

/// The three models of a transfer.
#[derive(Clone)]
pub struct Operands {
    pub target_base: Named,
    pub source_base: Named,
    pub source_tuned: Named,
}
