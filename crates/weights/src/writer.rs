//! Streams any source out as one safetensors file.

use std::{
    io::{self, Write as _},
    ops::Range,
    sync::mpsc,
};

use domain::Digest;
use rayon::prelude::*;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::{Progress, Result, TensorInfo, TensorSource};

/// Bytes read at a time; a whole number of reduction blocks in every dtype.
pub(crate) const BLOCK_BYTES: u64 = 1 << 20;

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// Length of the file.
    pub bytes: u64,
    pub tensors: usize,
    /// Digest of the whole file.
    pub digest: Digest,
}

/// Writes `source` as a safetensors file: header, then the tensors in name order. Blocks are computed in
/// parallel, a bounded number at a time, and written in order. `format: pt` is added to the metadata when
/// the source names no format. `progress` is told the bytes of each block written.
///
/// # Errors
/// What reading, writing or `progress` fails with; nothing marks the output complete then.
pub fn write_safetensors(
    source: &dyn TensorSource,
    out: &mut (dyn io::Write + Send),
    progress: Progress<'_>,
) -> Result<Written> {
    write_part(source, 0..source.tensors().len(), out, progress)
}

/// Length of the file that [`write_safetensors`] writes of `source`, which is known before anything is computed.
///
/// # Errors
/// When the header cannot be written.
pub fn file_bytes(source: &dyn TensorSource) -> Result<u64> {
    let header = header(source, 0..source.tensors().len())?.len() as u64;
    Ok(source.tensors().iter().map(TensorInfo::bytes).fold(header, u64::saturating_add))
}

/// The tensors of each file: as many in a row as have at most `most` bytes together, at least one.
pub(crate) fn shards(tensors: &[TensorInfo], most: u64) -> Vec<Range<usize>> {
    let (mut shards, mut begin, mut size) = (Vec::new(), 0, 0u64);
    for (at, info) in tensors.iter().enumerate() {
        if at > begin && size.saturating_add(info.bytes()) > most {
            shards.push(begin..at);
            (begin, size) = (at, 0);
        }
        size = size.saturating_add(info.bytes());
    }
    shards.push(begin..tensors.len());
    shards
}

fn write_part(
    source: &dyn TensorSource,
    part: Range<usize>,
    out: &mut (dyn io::Write + Send),
    progress: Progress<'_>,
) -> Result<Written> {
    let tensors = part.len();
    let mut out = Hashing { out, hash: Sha256::new(), bytes: 0 };
    let header = header(source, part.clone())?;
    out.write_all(&header)?;
    write_body(source, part, &mut out, progress)?;
    out.flush()?;
    let digest = Digest::from_bytes(out.hash.finalize().into());
    Ok(Written { bytes: out.bytes, tensors, digest })
}

/// Writes the bytes of the tensors of a part, one after the other: some blocks are written while the next are computed.
pub(crate) fn write_body(
    source: &dyn TensorSource,
    part: Range<usize>,
    out: &mut (dyn io::Write + Send),
    progress: Progress<'_>,
) -> Result<()> {
    let window = 2 * rayon::current_num_threads().max(1);
    let mut blocks = blocks(source, part);
    // A thread of its own waits for the disk, so that none of those that compute has to.
    std::thread::scope(|scope| {
        let (ready, to_write) = mpsc::sync_channel::<Vec<u8>>(window);
        let (written, spare) = mpsc::channel();
        let writing = scope.spawn(move || -> Result<()> {
            for bytes in to_write {
                out.write_all(&bytes)?;
                progress(bytes.len() as u64)?;
                // Nobody wants the memory once everything is computed.
                let _ = written.send(bytes);
            }
            Ok(())
        });
        let computed = loop {
            let next: Vec<_> = blocks.by_ref().take(window).collect();
            if next.is_empty() {
                break Ok(());
            }
            match compute(source, next, &mut spare.try_iter().collect()) {
                Ok(all) => {
                    if all.into_iter().any(|bytes| ready.send(bytes).is_err()) {
                        // Writing failed, and says why.
                        break Ok(());
                    }
                }
                Err(error) => break Err(error),
            }
        };
        drop(ready);
        let wrote = writing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        wrote.and(computed)
    })
}

/// Blocks of tensors in order, in memory taken from `spare` where it holds some.
fn compute(
    source: &dyn TensorSource,
    blocks: Vec<(usize, u64, usize)>,
    spare: &mut Vec<Vec<u8>>,
) -> Result<Vec<Vec<u8>>> {
    let mut readied = None;
    for (index, ..) in &blocks {
        if readied.replace(*index) != Some(*index) {
            source.ready(*index)?;
        }
    }
    let with_room = blocks.into_iter().map(|block| (block, spare.pop().unwrap_or_default()));
    let fill = |((index, offset, length), mut bytes): ((usize, u64, usize), Vec<u8>)| {
        bytes.resize(length, 0);
        source.read_bytes(index, offset, &mut bytes).map(|()| bytes)
    };
    with_room.collect::<Vec<_>>().into_par_iter().map(fill).collect()
}

/// Every block of the tensors of a part, in order: tensor, offset, length.
fn blocks(source: &dyn TensorSource, part: Range<usize>) -> impl Iterator<Item = (usize, u64, usize)> + '_ {
    part.flat_map(|index| {
        let size = source.tensors()[index].bytes();
        (0..size.div_ceil(BLOCK_BYTES)).map(move |block| {
            let offset = block * BLOCK_BYTES;
            (index, offset, BLOCK_BYTES.min(size - offset) as usize)
        })
    })
}

/// A file's bytes up to its data: the header's length, then the header, padded with spaces so that the data begins at
/// a multiple of eight.
pub(crate) fn header(source: &dyn TensorSource, part: Range<usize>) -> Result<Vec<u8>> {
    let mut metadata = source.metadata();
    metadata.entry("format".to_owned()).or_insert_with(|| "pt".to_owned());
    let mut object = Map::new();
    object.insert(
        "__metadata__".to_owned(),
        metadata.into_iter().map(|(k, v)| (k, Value::String(v))).collect(),
    );
    let mut cursor = 0u64;
    for info in &source.tensors()[part] {
        let end = cursor + info.bytes();
        let entry = json!({"dtype": info.dtype.name(), "shape": info.shape, "data_offsets": [cursor, end]});
        object.insert(info.name.clone(), entry);
        cursor = end;
    }
    let mut bytes = vec![0; 8];
    serde_json::to_writer(&mut bytes, &object).map_err(io::Error::from)?;
    bytes.resize(bytes.len().next_multiple_of(8), b' ');
    let length = bytes.len() as u64 - 8;
    bytes[..8].copy_from_slice(&length.to_le_bytes());
    Ok(bytes)
}

struct Hashing<'a> {
    out: &'a mut (dyn io::Write + Send),
    hash: Sha256,
    bytes: u64,
}

impl io::Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write_all(bytes)?;
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
