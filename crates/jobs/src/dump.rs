//! Bulk import of a metadata dump: read and written side by side in batches, resumable, bad rows reported and skipped.

mod earlier;

use std::{
    collections::{BTreeMap, HashSet},
    hash::{BuildHasher as _, RandomState},
    path::Path,
    time::SystemTime,
};

use analysis::lineage::{claims, identify};
use domain::{Claim, Digest, EdgeStatus, Evidence, Fault as _, Limits, Metadata, Note, RepoId};
use hub::dump::{Broken, Dump, Entry, Row};
use serde::Serialize;
use store::{Draft, Openness, Store};
use tokio::sync::mpsc;

use self::earlier::Earlier;
use crate::{Error, Registry, mirror::keep_closed};

/// Rows of one transaction, fewer where their cards are long: the more, the fewer pages of the index of names, whose
/// order is not the dump's, are written again and again.
const BATCH: usize = 16_000;
/// Bytes of cards in one transaction.
const BATCH_BYTES: usize = 16 << 20;
/// Skipped rows are all counted, and this many are kept for the report.
const REPORTED: usize = 1_000;

/// Most unknown words for relations that are told.
const WORDS: usize = 100;

/// What is private where a dump comes from is so here.
const CLOSED: Openness = Openness { private: Some(true), gated: None };

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
    /// Rows of models that an earlier row of the file is counted for.
    pub repeated: u64,
    pub edges: u64,
    pub aliases: u64,
    /// Models whose rows changed nothing, since they are known to have been changed later (`lastModified`).
    pub older: u64,
    pub skipped: u64,
    pub skipped_rows: Vec<SkippedRow>,
    /// Columns that nothing reads.
    pub unread_columns: Vec<String>,
    /// What is odd about models, by the code of the note that they carry.
    pub notes: BTreeMap<String, Noted>,
    /// Words for relations that are none of ours, with the number of edges taken as fine-tunes for them.
    pub unknown_relations: BTreeMap<String, u64>,
    /// Row an interrupted import was resumed from.
    pub resumed_from: u64,
    /// The row that cannot be read, where the file breaks off before its end; those before it are kept.
    pub broken: Option<SkippedRow>,
}

impl DumpReport {
    /// The error of a file that breaks off.
    pub fn fault(&self) -> Option<Error> {
        let SkippedRow { line, reason } = self.broken.clone()?;
        let (file, rows, skipped) = (self.file.clone(), self.rows, self.skipped);
        Some(Error::DumpBroken { file, rows, skipped, position: line, reason })
    }
}

/// Models with notes of one code.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Noted {
    pub models: u64,
    /// Of the first: its line or row, and what its note says.
    pub line: u64,
    pub detail: String,
    /// The row counted last: a model with several such notes is one.
    #[serde(skip)]
    counted: u64,
}

#[derive(Default)]
struct Batch {
    models: Vec<(Metadata, Vec<Claim>)>,
    /// Those of the models that only their own people see.
    private: Vec<RepoId>,
    edges: Vec<(RepoId, Claim)>,
    aliases: Vec<(RepoId, RepoId)>,
    /// Words for relations, of the edges that have one which is none of ours.
    unknown: Vec<String>,
    notes: BTreeMap<String, Noted>,
    /// Keys of those of the models that an earlier batch has.
    earlier: HashSet<String>,
    /// Rows that were read for it, the skipped among them.
    rows: u64,
    skipped: u64,
    skipped_rows: Vec<SkippedRow>,
    last: u64,
    /// Bytes of the models' cards.
    bytes: usize,
    /// Bytes of the file read so far.
    read: u64,
}

impl Batch {
    fn is_full(&self) -> bool {
        self.rows >= BATCH as u64 || self.bytes >= BATCH_BYTES
    }

    fn add(&mut self, Row { position, outcome }: Row, (limits, earlier): (&Limits, &mut Earlier)) {
        self.rows += 1;
        self.last = position;
        match outcome {
            Ok(Entry::Model(metadata)) if metadata.id.is_reserved() => {
                self.skip(position, Error::ReservedName(metadata.id.to_string()).to_string());
            }
            Ok(entry) => {
                if let Err(reason) = collect(self, entry, (limits, earlier)) {
                    self.skip(position, reason);
                }
            }
            Err(reason) => self.skip(position, reason),
        }
    }

    /// Counts what is odd about the model of the row read last.
    fn note(&mut self, notes: &[Note]) {
        let line = self.last;
        for Note { code, detail } in notes {
            let detail = || detail.chars().take(300).collect();
            let first = || Noted { line, detail: detail(), ..Noted::default() };
            let noted = self.notes.entry(code.clone()).or_insert_with(first);
            noted.models += u64::from(noted.counted != line);
            noted.counted = line;
        }
    }

    fn skip(&mut self, line: u64, reason: String) {
        self.skipped += 1;
        if self.skipped_rows.len() < REPORTED {
            self.skipped_rows.push(SkippedRow { line, reason });
        }
    }
}

/// Imports a dump; an interrupted import of the same file goes on where its last batch ended.
///
/// # Errors
/// When the file is no dump of model metadata, or the database fails; rows never stop it, and that the file breaks off
/// stands in the report.
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
    let (total, limits) = (dump.total_bytes(), registry.limits);
    let bulk = registry.store.begin_bulk().await?;
    // One batch is read while the one before is written.
    let (full, mut batches) = mpsc::channel(1);
    let reader = tokio::task::spawn_blocking(move || read(dump, &limits, &full));
    let written = async {
        while let Some((batch, draft)) = batches.recv().await {
            let read = batch.read;
            flush((&bulk, &key), batch, draft?, &mut report).await?;
            progress(report.rows, read, total);
        }
        Ok::<_, Error>(())
    };
    let written = written.await;
    drop(batches);
    let read = reader.await;
    // Two processors have both something to do: the forest is read while the indexes are made.
    let (ended, forest) = tokio::join!(bulk.end_bulk(), registry.forests.current());
    ended?;
    written?;
    let (broken, unread_columns) = read?;
    forest?;
    registry.store.set_import_position(&key, 0).await?;
    registry.forests.settle().await?;
    report.unread_columns = unread_columns;
    report.broken = broken.map(|Broken { position, reason }| SkippedRow { line: position, reason });
    if report.broken.is_none() {
        progress(report.rows, total, total);
    }
    Ok(report)
}

/// A batch whose models are ready for the database.
type Ready = (Batch, store::Result<Draft>);

/// Reads the dump to its end, or until nobody takes its batches any more; tells where it broke off, and the columns that
/// nothing read.
fn read(mut dump: Dump, limits: &Limits, full: &mpsc::Sender<Ready>) -> (Option<Broken>, Vec<String>) {
    let (mut batch, mut earlier) = (Batch::default(), Earlier::default());
    // Hashes of the keys of all batches before: a dump of the whole Hub has millions.
    let (state, mut seen) = (RandomState::new(), HashSet::new());
    let mut ready = |mut batch: Batch| {
        let keys: HashSet<String> = batch.models.iter().map(|(metadata, _)| metadata.id.key()).collect();
        batch.earlier = keys.into_iter().filter(|key| !seen.insert(state.hash_one(key))).collect();
        let draft = Draft::dated(std::mem::take(&mut batch.models));
        let earlier = std::mem::take(&mut batch.earlier);
        (batch, draft.map(|draft| draft.after(earlier)))
    };
    while let Some(row) = dump.next() {
        batch.add(row, (limits, &mut earlier));
        if batch.is_full() {
            batch.read = dump.bytes_read();
            if full.blocking_send(ready(std::mem::take(&mut batch))).is_err() {
                return (None, Vec::new());
            }
        }
    }
    batch.read = dump.bytes_read();
    let _ = full.blocking_send(ready(batch));
    (dump.broken().cloned(), dump.unread_columns())
}

/// Adds what a row says to its batch.
///
/// # Errors
/// Why an end of an edge is no model, or how it contradicts earlier rows.
fn collect(
    batch: &mut Batch,
    entry: Entry,
    (limits, earlier): (&Limits, &mut Earlier),
) -> Result<(), String> {
    match entry {
        Entry::Model(mut metadata) => {
            let (claims, notes) = claims(&metadata, limits);
            metadata.notes.extend(notes);
            batch.note(&metadata.notes);
            batch.bytes += metadata.card.as_ref().map_or(0, String::len);
            if metadata.private {
                batch.private.push(metadata.id.clone());
            }
            batch.models.push((metadata, claims));
        }
        Entry::Edge { parent: as_written, child, relation, unknown } => {
            let (parent, child) = (identify(&as_written)?, identify(&child)?);
            earlier.edge((&child, &parent), limits.parents)?;
            let status =
                if parent.key() == child.key() { EdgeStatus::RejectedSelf } else { EdgeStatus::Accepted };
            let evidence = vec![Evidence::listed()];
            let as_written = as_written.chars().take(200).collect();
            batch.edges.push((child, Claim { as_written, parent, relation, status, evidence }));
            batch.unknown.extend(unknown);
        }
        Entry::Alias { from, to } => {
            earlier.alias(&from, &to)?;
            batch.aliases.push((from, to));
        }
    }
    Ok(())
}

async fn flush(
    (store, key): (&Store, &str),
    mut batch: Batch,
    draft: Draft,
    report: &mut DumpReport,
) -> Result<(), Error> {
    if !draft.is_empty() {
        let mut closed = 0;
        for id in &batch.private {
            closed += keep_closed(store, id, CLOSED).await?;
        }
        let models = draft.records.len() as u64;
        match store.upsert_draft(draft).await {
            Ok(done) => {
                report.models_inserted += done.inserted + closed;
                report.models_updated += done.updated.saturating_sub(closed);
                report.edges += done.edges;
                report.repeated += done.repeated;
                report.older += done.older;
            }
            Err(error) if error.class() == domain::Class::Invalid => {
                batch.skip(batch.last, error.to_string());
                batch.skipped += models - 1;
            }
            Err(error) => return Err(error.into()),
        }
    }
    if !batch.edges.is_empty() {
        report.edges += batch.edges.len() as u64;
        store.add_edges(&batch.edges).await?;
    }
    for (from, to) in &batch.aliases {
        store.add_alias(from, to).await?;
        report.aliases += 1;
    }
    if batch.last > 0 {
        store.set_import_position(key, batch.last).await?;
    }
    for word in batch.unknown {
        let words = &mut report.unknown_relations;
        if words.len() < WORDS || words.contains_key(&word) {
            *words.entry(word).or_default() += 1;
        }
    }
    for (code, Noted { models, line, detail, .. }) in batch.notes {
        let first = || Noted { line, detail, ..Noted::default() };
        report.notes.entry(code).or_insert_with(first).models += models;
    }
    report.rows += batch.rows;
    report.skipped += batch.skipped;
    let room = REPORTED.saturating_sub(report.skipped_rows.len());
    report.skipped_rows.extend(batch.skipped_rows.into_iter().take(room));
    Ok(())
}

/// Names the file by path, length, time of change and first bytes, so that a changed file starts anew.
fn resume_key(path: &Path) -> Result<String, Error> {
    use std::io::Read as _;
    let path = fs_err::canonicalize(path)?;
    let mut head = Vec::new();
    let file = fs_err::File::open(&path)?;
    let about = file.metadata()?;
    let changed = about.modified()?.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
    file.take(64 << 10).read_to_end(&mut head)?;
    let (path, length, head) = (path.display(), about.len(), Digest::of(&head));
    Ok(Digest::of(format!("{path}\0{length}\0{changed}\0{head}").as_bytes()).hex())
}
