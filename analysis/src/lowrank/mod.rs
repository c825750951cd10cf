//! Low-rank parts of a difference: truncated singular value decompositions of matrices that are only streamed.

mod extract;
mod matrix;
mod shaping;
mod spool;
mod svd;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_shaping;

pub(crate) use extract::is_linear;
pub use extract::{ExtractOptions, Extracted, Extraction, ModuleReport};
pub use shaping::Shaping;
pub use spool::{Plan, Spool, Spooled};
pub use svd::{Factors, Rank};
pub(crate) use svd::{overlap, share, truncate};
