//! One pass over a checkpoint: the digest, the statistics and the sketch of every tensor.

use domain::Digest;
use kernels::{Dtype, Sketch, Stats};
use rayon::prelude::*;
use sha2::{Digest as _, Sha256};

use crate::{Progress, Result, TensorSource, range::slice_of, sketches::sketch_of, writer::BLOCK_BYTES};

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
    /// Sketch of a float tensor.
    pub sketch: Option<Sketch>,
}

/// Digest of the stored bytes of one tensor.
///
/// # Errors
/// When the tensor cannot be read.
pub fn tensor_digest(source: &dyn TensorSource, index: usize) -> Result<Digest> {
    Ok(read(source, index, Want::Digest, &|_| Ok(()))?.0)
}

/// Digests of the stored bytes of every tensor, in the order of [`TensorSource::tensors`]; read in parallel.
///
/// # Errors
/// When a tensor cannot be read.
pub fn tensor_digests(source: &dyn TensorSource) -> Result<Vec<Digest>> {
    (0..source.tensors().len()).into_par_iter().map(|index| tensor_digest(source, index)).collect()
}

/// Facts of every tensor, in the order of [`TensorSource::tensors`], with sketches of at most about
/// `sketch_cells` numbers each. Tensors are read in parallel, a block of each thread at a time; `progress` is
/// told the bytes of each block.
///
/// # Errors
/// When a tensor cannot be read, or `progress` asks to stop.
pub fn survey(
    source: &dyn TensorSource,
    sketch_cells: usize,
    progress: Progress<'_>,
) -> Result<Vec<TensorFacts>> {
    let all: Vec<usize> = (0..source.tensors().len()).collect();
    survey_some(source, &all, sketch_cells, progress)
}

/// [`survey`] of the tensors at `indices` alone, in that order.
///
/// # Errors
/// As [`survey`], and for an index that is not one of a tensor.
pub fn survey_some(
    source: &dyn TensorSource,
    indices: &[usize],
    sketch_cells: usize,
    progress: Progress<'_>,
) -> Result<Vec<TensorFacts>> {
    let facts = |&index: &usize| {
        let info = slice_of(source.tensors(), index, 0, 0)?;
        let want = if info.dtype.is_float() { Want::Numbers { sketch_cells } } else { Want::Digest };
        let (digest, numbers) = read(source, index, want, progress)?;
        let (stats, sketch) = numbers.unzip();
        Ok(TensorFacts {
            name: info.name.clone(),
            dtype: info.dtype,
            shape: info.shape.clone(),
            digest,
            stats,
            sketch,
        })
    };
    indices.par_iter().map(facts).collect()
}

/// Bytes of one step; whole groups of a sketch in every dtype.
const PART_BYTES: usize = 16 << 10;

/// What to compute of a tensor's bytes; numbers only of floats.
#[derive(Clone, Copy, PartialEq)]
enum Want {
    Digest,
    Numbers { sketch_cells: usize },
}

type Numbers = (Stats, Sketch);

fn read(
    source: &dyn TensorSource,
    index: usize,
    want: Want,
    progress: Progress<'_>,
) -> Result<(Digest, Option<Numbers>)> {
    let info = slice_of(source.tensors(), index, 0, 0)?;
    let (size, mut hash) = (info.bytes(), Sha256::new());
    let mut numbers = match want {
        Want::Digest => None,
        Want::Numbers { sketch_cells } => Some((Stats::default(), sketch_of(info, sketch_cells))),
    };
    let mut buffer = Vec::new();
    let mut values = Vec::new();
    let (mut offset, mut start) = (0, 0);
    while offset < size {
        let len = BLOCK_BYTES.min(size - offset) as usize;
        let block = match source.view(index, offset, len) {
            Some(bytes) => bytes,
            None => {
                buffer.resize(len, 0);
                source.read_bytes(index, offset, &mut buffer)?;
                &buffer[..]
            }
        };
        // Hashed, decoded and summed while it is in the nearest caches.
        for part in block.chunks(PART_BYTES) {
            hash.update(part);
            if let Some((stats, sketch)) = &mut numbers {
                values.resize((part.len() as u64 * 8 / info.dtype.bits()) as usize, 0.0);
                kernels::decode(info.dtype, part, &mut values);
                stats.add_block(&values);
                sketch.add_block(start, &values);
                start += values.len() as u64;
            }
        }
        offset += len as u64;
        progress(len as u64)?;
    }
    Ok((Digest::from_bytes(hash.finalize().into()), numbers))
}
