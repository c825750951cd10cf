//! Numeric kernels, one meaning each. Never sees a model name; knows nothing of the other rooms.
//!
//! Reductions run in f64 over blocks of [`BLOCK`] elements whose partial results are combined in index
//! order, so a result has the same bits on any number of threads.

mod apart;
pub mod bracket;
mod contrast;
mod deltas;
pub mod device;
mod diff;
pub mod direct;
pub mod dtype;
mod elementwise;
mod float;
mod gram;
mod halves;
pub mod kth;
mod mask;
mod nan;
mod pair;
pub mod prune;
mod random;
mod reduce;
mod sketch;
mod small;
mod stats;
pub mod task;
pub mod wide;

pub use contrast::Contrast;
pub use deltas::Encoded;
pub use diff::DiffSums;
pub use dtype::{Dtype, Opaque};
pub use elementwise::{add_scaled, low_rank_row};
pub use float::{decode, decode_f64, encode, encode_f64};
pub use gram::Gram;
pub use mask::{count_random, keep_random};
pub use nan::holds_nan;
pub use pair::PairSums;
pub use random::{splitmix, splitmix_unit};
pub use reduce::dot_f32;
pub use sketch::{LANES as SKETCH_LANES, Sketch};
pub use stats::Stats;

/// Elements in one reduction block.
pub const BLOCK: usize = 65_536;
