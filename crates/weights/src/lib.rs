//! Checkpoints in and out: everything that holds tensors is a [`TensorSource`].
//!
//! Files are read strictly: two readers must never disagree about one file. Nothing is loaded whole.

mod baked;
mod checkpoint;
mod checkpoints;
mod difference;
mod error;
mod files;
mod fitting;
mod folder;
pub mod header;
mod index;
pub mod json;
mod layout;
mod lora;
mod packed;
mod quantised;
mod range;
mod rounded;
mod scaled;
mod scratch;
mod sketches;
mod source;
mod survey;
mod tokenizer;
mod tokenizer_json;
mod unbuffered;
mod unified;
mod untied;
mod writer;

pub use baked::Baked;
pub use checkpoint::{Checkpoint, assemble};
pub use checkpoints::{Checkpointed, Layout, Place, Step, checkpoint_files, write_checkpoint};
pub use difference::{Difference, is_difference};
pub use error::{Error, ReadFault};
pub use files::{Bytes, LocalFile};
pub use folder::{Folder, FolderFile};
pub use header::Header;
pub use json::config_document;
pub use kernels::{Dtype, Stats};
pub use lora::{ADAPTER_PREFIX, changed_tensor, unread_adapter};
pub use packed::Packing;
pub use quantised::{Quantisation, foreign_weights, is_quantised, quantisation};
pub use range::{decode_range, slice_of};
pub use rounded::Rounded;
pub use scaled::Scaled;
pub use scratch::{Scratch, Sheet, Workspace, room_left};
pub use sketches::{
    BLOCK_ROWS, EMBEDDINGS, KeptSketch, SCHEME, bare_name, canonical_name, is_head, sketch_of,
};
pub use source::{Account, ReadAt, TensorInfo, TensorSource};
pub use survey::{TensorFacts, survey, survey_some, tensor_digest, tensor_digests};
pub use tokenizer::Vocabulary;
pub use tokenizer_json::{CannotGrow, Tokenizer};
pub use unified::Unified;
pub use untied::{HEAD, TIED_TABLES, Untied, Unties};
pub use writer::{Written, file_bytes, write_safetensors};

/// Short for this room's results.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Told the bytes just processed; an error stops the work.
pub type Progress<'a> = &'a (dyn Fn(u64) -> Result<(), Error> + Sync);
