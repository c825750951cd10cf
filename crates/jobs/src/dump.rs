//! Bulk import of a metadata dump: streamed in batches, resumable, bad rows reported and skipped.

use std::path::Path;

use domain::{Claim, Digest, EdgeStatus, Evidence, Fault as _, Limits, Metadata, RepoId, Source};
use hub::dump::{Entry, Row};
use serde::Serialize;
use store::Store;

use crate::{Error, Registry};

/// Rows of one transaction, each of which waits for the disk once; fewer where their cards are long.
const BATCH: usize = 4_000;
/// Bytes of cards in one transaction.
const BATCH_BYTES: usize = 16 << 20;
/// Skipped rows are all counted, and this many are kept for the report.
const REPORTED: usize = 1_000;

/// A row that could not be used.
#[derive(Debug, Clone, Serialize)]
pub struct SkippedRow {
    /// 1-based line (JSONL, CSV) or row (Parquet, JSON).
    pub line: u64,
    pub reason: String,
}

/// What an import did.
#[derive(Debug, Clone, Default, Serialize)]
pub struct DumpReport {
    pub file: String,
    pub rows: u64,
    pub models_inserted: u64,
    pub models_updated: u64,
    pub edges: u64,
    pub aliases: u64,
    pub skipped: u64,
    pub skipped_rows: Vec<SkippedRow>,
    /// Row an interrupted import was resumed from.
    pub resumed_from: u64,
}

#[derive(Default)]
struct Batch {
    models: Vec<(Metadata, Vec<Claim>)>,
    edges: Vec<(RepoId, Claim)>,
    aliases: Vec<(RepoId, RepoId)>,
    last: u64,
    /// Bytes of the models' cards.
    bytes: usize,
}

impl Batch {
    fn is_full(&self) -> bool {
        self.models.len() + self.edges.len() + self.aliases.len() >= BATCH || self.bytes >= BATCH_BYTES
    }
}

/// Imports a dump; an interrupted import of the same file goes on where its last batch ended.
///
/// # Errors
/// When the file is no dump of model metadata, or the database fails; rows never stop it.
pub async fn import_dump(
    registry: &Registry,
    path: &Path,
    progress: &(dyn Fn(u64, u64, u64) + Sync),
) -> Result<DumpReport, Error> {
    let mut dump = hub::dump::open(path, &registry.limits)?;
    let key = resume_key(path)?;
    let mut report = DumpReport { file: path.display().to_string(), ..DumpReport::default() };
    report.resumed_from = registry.store.import_position(&key).await?;
    if report.resumed_from > 0 {
        dump.skip_to(report.resumed_from);
    }
    let total = dump.total_bytes();
    let mut batch = Batch::default();
    while let Some(Row { position, outcome }) = tokio::task::block_in_place(|| dump.next()) {
        report.rows += 1;
        batch.last = position;
        match outcome {
            Ok(Entry::Model(metadata)) if metadata.id.is_reserved() => {
                skip(&mut report, position, Error::ReservedName(metadata.id.to_string()).to_string());
            }
            Ok(entry) => collect(&mut batch, entry, &registry.limits),
            Err(reason) => skip(&mut report, position, reason),
        }
        if batch.is_full() {
            flush(&registry.store, &key, &mut batch, &mut report).await?;
            progress(report.rows, dump.bytes_read(), total);
        }
    }
    flush(&registry.store, &key, &mut batch, &mut report).await?;
    registry.store.set_import_position(&key, 0).await?;
    registry.forests.settle().await?;
    progress(report.rows, total, total);
    Ok(report)
}

fn collect(batch: &mut Batch, entry: Entry, limits: &Limits) {
    match entry {
        Entry::Model(mut metadata) => {
            let (claims, notes) = analysis::lineage::claims(&metadata, limits);
            metadata.notes.extend(notes);
            batch.bytes += metadata.card.as_ref().map_or(0, String::len);
            batch.models.push((metadata, claims));
        }
        Entry::Edge { parent, child, relation } => {
            let status =
                if parent.key() == child.key() { EdgeStatus::RejectedSelf } else { EdgeStatus::Accepted };
            let evidence = Evidence {
                source: Source::Table,
                detail: "listed in an imported table of edges".to_owned(),
                confidence: 0.9,
            };
            let claim =
                Claim { as_written: parent.to_string(), parent, relation, status, evidence: vec![evidence] };
            batch.edges.push((child, claim));
        }
        Entry::Alias { from, to } => batch.aliases.push((from, to)),
    }
}

fn skip(report: &mut DumpReport, line: u64, reason: String) {
    report.skipped += 1;
    if report.skipped_rows.len() < REPORTED {
        report.skipped_rows.push(SkippedRow { line, reason });
    }
}

async fn flush(store: &Store, key: &str, batch: &mut Batch, report: &mut DumpReport) -> Result<(), Error> {
    let Batch { models, edges, aliases, last, .. } = std::mem::take(batch);
    if !models.is_empty() {
        match store.upsert(&models).await {
            Ok(done) => {
                report.models_inserted += done.inserted;
                report.models_updated += done.updated;
                report.edges += done.edges;
            }
            Err(error) if error.class() == domain::Class::Invalid => skip(report, last, error.to_string()),
            Err(error) => return Err(error.into()),
        }
    }
    if !edges.is_empty() {
        report.edges += edges.len() as u64;
        store.add_edges(&edges).await?;
    }
    for (from, to) in &aliases {
        store.add_alias(from, to).await?;
        report.aliases += 1;
    }
    if last > 0 {
        store.set_import_position(key, last).await?;
    }
    Ok(())
}

/// Names the file by path, length and first bytes, so that a changed file starts anew.
fn resume_key(path: &Path) -> Result<String, Error> {
    use std::io::Read as _;
    let path = fs_err::canonicalize(path)?;
    let mut head = Vec::new();
    let file = fs_err::File::open(&path)?;
    let length = file.metadata()?.len();
    file.take(64 << 10).read_to_end(&mut head)?;
    Ok(Digest::of(format!("{}\0{length}\0{}", path.display(), Digest::of(&head)).as_bytes()).hex())
}
