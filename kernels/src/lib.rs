//! Numeric kernels, one meaning each. Never sees a model name; knows nothing of the other rooms.

pub mod dtype;

pub use dtype::Dtype;
