//! Which sketch a tensor gets: keyed by its canonical name, so that shards, file order and dtype do not matter.

use domain::Digest;
use kernels::Sketch;

use crate::TensorInfo;

/// The way sketches are made; those of different schemes do not compare.
pub const SCHEME: i32 = 1;

/// Embeddings and heads are few and often hold most of what a fine-tune changed, so they decide the error.
const VOCABULARY: usize = 8;

/// An empty sketch for a tensor, of at most about `most` cells, and eight times that for one that is shaped like
/// a vocabulary (many more rows than columns).
pub fn sketch_of(info: &TensorInfo, most: usize) -> Sketch {
    let tall = matches!(info.shape[..], [rows, columns] if rows >= columns.saturating_mul(6));
    let most = if tall { most.saturating_mul(VOCABULARY) } else { most };
    Sketch::new(key(&info.name), info.elements(), most)
}

/// The name all spellings of one tensor share.
pub fn canonical_name(name: &str) -> &str {
    let name = name.strip_prefix("base_model.model.").unwrap_or(name);
    name.strip_prefix("module.").unwrap_or(name)
}

fn key(name: &str) -> u64 {
    let digest = Digest::of(format!("stemma sketch {SCHEME}\0{}", canonical_name(name)).as_bytes());
    u64::from_str_radix(&digest.hex()[..16], 16).unwrap_or_default()
}
