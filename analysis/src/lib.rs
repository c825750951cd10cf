//! Family trees, kinship, diffs, merges and transfers. Pure: no I/O of its own, no clock, no async, no randomness.

pub mod catalogue;
mod computed;
#[cfg(test)]
mod device_tests;
pub mod diff;
mod error;
mod excess;
pub mod export;
pub mod kinship;
pub mod licence;
pub mod lineage;
pub mod lowrank;
pub mod merge;
pub mod recipe;
pub mod recover;
mod renamed;
mod reseated;
mod room;
pub mod search;
#[cfg(test)]
mod testing;
pub mod traits;
pub mod transfer;
pub mod transplant;
mod trim;
pub mod versions;

pub use error::Error;
pub use weights::{TensorInfo, TensorSource};

/// Raised when the numbers that a method gives for the same recipe change.
pub const METHODS_VERSION: u32 = 7;

/// Hears of progress: called with the bytes read since the last call. An error stops the work.
pub type Progress<'a> = &'a (dyn Fn(u64) -> Result<(), Error> + Sync);
