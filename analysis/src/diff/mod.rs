//! The difference of two checkpoints: as a table, and as a checkpoint of its own, dense, sparse, of low rank, packed or as signs;
//! and one that several fine-tunes share.

mod apply;
mod estimated;
mod low_rank;
mod origin;
mod pairs;
mod signs;
mod skillpack;
mod source;
mod sparse;
mod table;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_table;
#[cfg(test)]
mod tests_unified;
mod together;
mod unified;
mod verdict;

use serde::Serialize;

use crate::lowrank::share;

pub use apply::ApplySource;
pub use estimated::Cells;
pub use low_rank::low_rank;
pub use origin::{Recorded, Taken, Told};
pub use signs::SignSource;
pub use skillpack::{SkillPack, skillpack};
pub use source::DiffSource;
pub use sparse::SparseSource;
pub use table::{
    DiffReport, Fact, Facts, Renamed, ShapeMismatch, Side, TensorDiff, Totals, compare, to_read,
};
pub use together::{Origin, Together};
pub use unified::{MemberFit, Unified, UnifiedSource, unify};

/// How much of a difference a smaller form of it holds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Energies {
    /// `Σ kept δ² / Σ δ²` over all tensors, 0 to 1; 1 when nothing differs.
    pub energy: f64,
    pub tensors: Vec<TensorEnergy>,
}

impl Energies {
    /// Of some tensors: name, `Σ kept δ²`, `Σ δ²`, and the rank of its factors.
    fn of<'n>(tensors: impl Iterator<Item = (&'n str, [f64; 2], Option<usize>)>) -> Self {
        let (mut captured, mut norm_sq) = (0.0, 0.0);
        let tensors = tensors.map(|(name, [part, all], rank)| {
            (captured, norm_sq) = (captured + part, norm_sq + all);
            TensorEnergy { name: name.to_owned(), energy: share(part, all), rank }
        });
        let tensors = tensors.collect();
        Self { energy: share(captured, norm_sq), tensors }
    }
}

/// The same for one tensor.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TensorEnergy {
    pub name: String,
    pub energy: f64,
    /// Rank of its factors; none where it is not stored as factors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rank: Option<usize>,
}
