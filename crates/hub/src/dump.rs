//! Metadata dumps of any common shape, read one record at a time.

mod csv_rows;
mod input;
mod json_parts;
mod json_rows;
mod parquet_cost;
mod parquet_rows;
mod shape;
mod unread;

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use domain::{Limits, Metadata, Relation, RepoId};

use self::unread::Unread;
use crate::{Error, Result};

/// What one record says.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "nearly every entry is a model, and entries do not pile up")]
pub enum Entry {
    /// A model.
    Model(Metadata),
    /// One parent of one child, both as they are written; a word for their relation that is none of ours is `unknown`.
    Edge { parent: String, child: String, relation: Relation, unknown: Option<String> },
    /// A former or misspelt name and the present one.
    Alias { from: RepoId, to: RepoId },
}

/// One record, or why it cannot be used.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// 1-based line (JSONL, CSV) or record (JSON, Parquet).
    pub position: u64,
    pub outcome: std::result::Result<Entry, String>,
}

/// A record not read yet, so that skipping is cheap.
struct Raw {
    position: u64,
    read: Box<dyn FnOnce() -> std::result::Result<Entry, String> + Send>,
}

/// Where a dump breaks off before its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// As of a [`Row`]: the one that cannot be read.
    pub position: u64,
    pub reason: String,
}

type Rows = Box<dyn Iterator<Item = std::result::Result<Raw, Broken>> + Send>;

/// What a format gives of a file.
struct Opened {
    rows: Rows,
    unread: Unread,
}

/// An open dump.
pub struct Dump {
    rows: Rows,
    unread: Unread,
    broken: Option<Broken>,
    total: u64,
    read: Arc<AtomicU64>,
    skip: u64,
}

/// Opens a dump and checks that it holds model metadata.
///
/// Formats by name: `.jsonl`, `.ndjson`, `.json` (a list, or a map of resolved ids), `.csv`, and `.parquet`; all but the
/// last may be packed by zstd or gzip, with `.zst` or `.gz` at the end of the name or without. Records: models, edges (a
/// parent and a child column) or aliases. Lists of records may stand one after the other, as pages of the Hub's lists do.
///
/// # Errors
/// When the file cannot be read, has another format, or has none of the columns looked for.
pub fn open(path: &Path, limits: &Limits) -> Result<Dump> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let plain = [".zst", ".gz"].iter().find_map(|packed| name.strip_suffix(packed)).unwrap_or(&name);
    let extension = plain.rsplit_once('.').map_or("", |(_, extension)| extension);
    let label = path.display().to_string();
    let io = |source| Error::Io { path: label.clone(), source };
    let total = fs_err::metadata(path).map_err(io)?.len();
    let read = Arc::new(AtomicU64::new(0));
    let source = input::Source { path, label: &label, read: &read, limits };
    let Opened { rows, unread } = match extension {
        "jsonl" | "ndjson" => json_rows::lines(&source)?,
        "json" => json_rows::document(&source)?,
        "csv" => csv_rows::rows(&source)?,
        "parquet" if plain == name => parquet_rows::rows(&source, total)?,
        _ => return Err(Error::UnknownFormat { path: label }),
    };
    Ok(Dump { rows, unread, broken: None, total, read, skip: 0 })
}

impl Dump {
    /// Size of the file, bytes.
    pub fn total_bytes(&self) -> u64 {
        self.total
    }

    /// How much of the file was read so far, bytes.
    pub fn bytes_read(&self) -> u64 {
        self.read.load(Ordering::Relaxed).min(self.total)
    }

    /// Columns that nothing reads: of a table in its order, of JSON the first 100 of the records read so far.
    pub fn unread_columns(&self) -> Vec<String> {
        self.unread.names()
    }

    /// Why there are no more rows, where the file broke off.
    pub fn broken(&self) -> Option<&Broken> {
        self.broken.as_ref()
    }

    /// Leaves out everything up to and including `position`.
    pub fn skip_to(&mut self, position: u64) {
        self.skip = position;
    }
}

impl Iterator for Dump {
    type Item = Row;

    fn next(&mut self) -> Option<Row> {
        loop {
            let raw = match self.rows.next()? {
                Ok(raw) => raw,
                Err(broken) => {
                    self.broken = Some(broken);
                    return None;
                }
            };
            if raw.position > self.skip {
                return Some(Row { position: raw.position, outcome: (raw.read)() });
            }
        }
    }
}

#[cfg(test)]
mod tests;
