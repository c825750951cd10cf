//! Checkpoints in and out: everything that holds tensors is a [`TensorSource`].

mod source;

pub use source::{ReadAt, TensorInfo, TensorSource};

/// Placeholder until the room's error enum is written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Io(#[from] std::io::Error),
}
