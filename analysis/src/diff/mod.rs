//! The difference of two checkpoints: as a table, and as a checkpoint of its own.

mod source;
mod table;
#[cfg(test)]
mod tests;

pub use source::DiffSource;
pub use table::{DiffReport, ShapeMismatch, TensorDiff, Totals, compare};
