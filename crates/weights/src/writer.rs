//! Streams any source out as one safetensors file, or as a checkpoint of several.

use std::{io, ops::Range, path::Path};

use domain::Digest;
use rayon::prelude::*;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::{Error, Progress, Result, TensorInfo, TensorSource};

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
    out: &mut dyn io::Write,
    progress: Progress<'_>,
) -> Result<Written> {
    write_part(source, 0..source.tensors().len(), out, progress)
}

/// How a checkpoint is laid out in files.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// Files are named after it: `model` or `adapter_model`.
    pub stem: &'static str,
    /// Bytes of tensors in one file.
    pub most: u64,
}

/// Writes `source` as a checkpoint into `folder`: one file, or shards and their index where it has more bytes than
/// the layout allows in one. Tensors are laid out in name order, so that the same source is cut the same way each time; a
/// tensor is never cut. Gives the names of the files, all of them durable.
///
/// # Errors
/// As [`write_safetensors`]; files of these names in the folder.
pub fn write_checkpoint(
    source: &dyn TensorSource,
    folder: &Path,
    Layout { stem, most }: Layout,
    progress: Progress<'_>,
) -> Result<Vec<String>> {
    let shards = shards(source.tensors(), most);
    let mut names = Vec::with_capacity(shards.len() + 1);
    let mut map = Map::new();
    for (at, part) in shards.iter().enumerate() {
        let name = match shards.len() {
            1 => format!("{stem}.safetensors"),
            count => format!("{stem}-{:05}-of-{count:05}.safetensors", at + 1),
        };
        let mut out = io::BufWriter::with_capacity(1 << 20, fs_err::File::create_new(folder.join(&name))?);
        write_part(source, part.clone(), &mut out, progress)?;
        out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        map.extend(source.tensors()[part.clone()].iter().map(|info| (info.name.clone(), json!(name))));
        names.push(name);
    }
    if shards.len() > 1 {
        let total: u64 = source.tensors().iter().map(TensorInfo::bytes).sum();
        let index_name = format!("{stem}.safetensors.index.json");
        let index = json!({"metadata": {"total_size": total}, "weight_map": map});
        let mut out = fs_err::File::create_new(folder.join(&index_name))?;
        io::Write::write_all(&mut out, format!("{index:#}\n").as_bytes())?;
        out.sync_all()?;
        names.push(index_name);
    }
    fs_err::File::open(folder)?.sync_all()?;
    Ok(names)
}

/// The tensors of each file: as many in a row as have at most `most` bytes together, at least one.
fn shards(tensors: &[TensorInfo], most: u64) -> Vec<Range<usize>> {
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
    out: &mut dyn io::Write,
    progress: Progress<'_>,
) -> Result<Written> {
    let tensors = part.len();
    let mut out = Hashing { out, hash: Sha256::new(), bytes: 0 };
    let header = header(source, part.clone())?;
    out.write(&(header.len() as u64).to_le_bytes())?;
    out.write(&header)?;
    let window = 2 * rayon::current_num_threads().max(1);
    let mut blocks = blocks(source, part);
    loop {
        let next: Vec<_> = blocks.by_ref().take(window).collect();
        if next.is_empty() {
            break;
        }
        let mut readied = None;
        for (index, ..) in &next {
            if readied.replace(*index) != Some(*index) {
                source.ready(*index)?;
            }
        }
        let read = |(index, offset, length): (usize, u64, usize)| -> Result<Vec<u8>> {
            let mut bytes = vec![0; length];
            source.read_bytes(index, offset, &mut bytes)?;
            Ok(bytes)
        };
        let filled: Vec<Result<Vec<u8>>> = next.into_par_iter().map(read).collect();
        for bytes in filled {
            let bytes = bytes?;
            out.write(&bytes)?;
            progress(bytes.len() as u64)?;
        }
    }
    out.out.flush()?;
    let digest = Digest::from_bytes(out.hash.finalize().into());
    Ok(Written { bytes: out.bytes, tensors, digest })
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

/// The header's bytes, padded with spaces so that the data begins at a multiple of eight.
fn header(source: &dyn TensorSource, part: Range<usize>) -> Result<Vec<u8>> {
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
    let mut bytes = serde_json::to_vec(&object).map_err(io::Error::from)?;
    bytes.resize(bytes.len().next_multiple_of(8), b' ');
    Ok(bytes)
}

struct Hashing<'a> {
    out: &'a mut dyn io::Write,
    hash: Sha256,
    bytes: u64,
}

impl Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.out.write_all(bytes)?;
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(())
    }
}
