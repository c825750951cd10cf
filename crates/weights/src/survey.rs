//! One pass over a checkpoint: the digest and the statistics of every tensor.

use domain::Digest;
use kernels::{Dtype, Stats};
use rayon::prelude::*;
use sha2::{Digest as _, Sha256};

use crate::{Progress, Result, TensorSource, range::slice_of, writer::BLOCK_BYTES};

/// What is known of one tensor once it was read.
#[derive(Debug, Clone, PartialEq)]
pub struct TensorFacts {
    pub name: String,
    pub dtype: Dtype,
    pub shape: Vec<u64>,
    /// Digest of the stored bytes.
    pub digest: Digest,
    /// Statistics of a float tensor.
    pub stats: Option<Stats>,
}

/// Digest of the stored bytes of one tensor.
///
/// # Errors
/// When the tensor cannot be read.
pub fn tensor_digest(source: &dyn TensorSource, index: usize) -> Result<Digest> {
    Ok(read(source, index, Want::Digest, &|_| Ok(()))?.0)
}

/// Facts of every tensor, in the order of [`TensorSource::tensors`]. Tensors are read in parallel, a
/// block of each thread at a time; `progress` is told the bytes of each block.
///
/// # Errors
/// When a tensor cannot be read, or `progress` asks to stop.
pub fn survey(source: &dyn TensorSource, progress: Progress<'_>) -> Result<Vec<TensorFacts>> {
    let facts = |(index, info): (usize, &crate::TensorInfo)| {
        let want = if info.dtype.is_float() { Want::Statistics } else { Want::Digest };
        let (digest, stats) = read(source, index, want, progress)?;
        Ok(TensorFacts {
            name: info.name.clone(),
            dtype: info.dtype,
            shape: info.shape.clone(),
            digest,
            stats,
        })
    };
    source.tensors().par_iter().enumerate().map(facts).collect()
}

/// What to compute of a tensor's bytes; statistics only of floats.
#[derive(Clone, Copy, PartialEq)]
enum Want {
    Digest,
    Statistics,
}

fn read(
    source: &dyn TensorSource,
    index: usize,
    want: Want,
    progress: Progress<'_>,
) -> Result<(Digest, Option<Stats>)> {
    let info = slice_of(source.tensors(), index, 0, 0)?;
    let (size, mut hash, mut stats) = (info.bytes(), Sha256::new(), Stats::default());
    let mut bytes = vec![0; BLOCK_BYTES.min(size) as usize];
    let mut values = Vec::new();
    let mut offset = 0;
    while offset < size {
        let part = &mut bytes[..BLOCK_BYTES.min(size - offset) as usize];
        source.read_bytes(index, offset, part)?;
        hash.update(&*part);
        if want == Want::Statistics {
            values.resize((part.len() as u64 * 8 / info.dtype.bits()) as usize, 0.0);
            kernels::decode(info.dtype, part, &mut values);
            let mut block = Stats::default();
            block.add_block(&values);
            stats.merge(&block);
        }
        offset += part.len() as u64;
        progress(part.len() as u64)?;
    }
    Ok((Digest::from_bytes(hash.finalize().into()), (want == Want::Statistics).then_some(stats)))
}
