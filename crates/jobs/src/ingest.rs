//! Ingest of one checkpoint: stored and hashed, checked, surveyed, its parents claimed, published at once.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use domain::{
    Act, Claim, Digest, Metadata, Note, RelativePath, RepoId,
    files::{Beginning, MERGE_RECIPE, README},
};
use serde_json::Value;
use store::{FileRow, Hold, Holder, ModelRow, NewCommit, Publish, SignatureRow, SketchRow, TensorRow};
use weights::{Folder, ReadAt, Scaled, TensorFacts, TensorSource};

use crate::{Error, Registry, asking::Asking, documents::parsed, parentage, push::weight_bytes, relatives};

/// A file that is already a blob but not yet part of a model.
#[derive(Debug, Clone)]
pub struct Incoming {
    pub path: RelativePath,
    pub digest: Digest,
    pub size: u64,
}

/// The note of a model whose safetensors make no checkpoint.
pub const UNREAD: &str = "weights_unread";

/// How often the pins of what is being put together are made anew; they end after a day.
const RENEWED: Duration = Duration::from_hours(1);

/// Files on their way to a model: stored, and held until they are published or discarded.
#[derive(Debug)]
pub struct Gathered {
    pub holder: Holder,
    pub files: Vec<Incoming>,
    /// When its pins were new last.
    renewed: Instant,
}

impl Gathered {
    /// Nothing yet.
    #[expect(clippy::new_without_default, reason = "every gathering has a holder of its own")]
    pub fn new() -> Self {
        Self { holder: Holder::new(), files: Vec::new(), renewed: Instant::now() }
    }

    /// Makes its pins anew where that is long ago: the last file may come days after the first. A failure is logged.
    pub(crate) async fn renew(&mut self, registry: &Registry) {
        if self.renewed.elapsed() < RENEWED {
            return;
        }
        self.renewed = Instant::now();
        if let Err(error) = registry.store.renew(&self.holder).await {
            tracing::warn!("what is stored of a checkpoint so far stays pinned for less than a day: {error}");
        }
    }

    /// Removes what was stored, unless somebody else needs it; a failure is logged, the blobs stay then.
    pub async fn discard(self, registry: &Registry) {
        let digests: Vec<Digest> = self.files.iter().map(|file| file.digest).collect();
        if let Err(error) = registry.store.discard(&self.holder, &digests).await {
            tracing::warn!("blobs of a refused checkpoint could not be removed: {error}");
        }
    }

    /// Lets go of the files without removing any.
    async fn leave(self, registry: &Registry) {
        if let Err(error) = registry.store.release(&self.holder).await {
            tracing::warn!("published blobs stay pinned for a day: {error}");
        }
    }
}

/// Lineage of a model made here, and the claim of the job that made it.
#[derive(Debug, Clone, Default)]
pub struct Made {
    pub claims: Vec<Claim>,
    pub recipe: Option<(Digest, Value)>,
    pub provenance: Option<Value>,
    pub fence: Option<Hold>,
    pub commit: NewCommit,
}

/// Ingests a local checkpoint folder as `id`. Headers are checked before a byte is stored.
///
/// # Errors
/// What is wrong with the folder; nothing is left behind then.
pub async fn ingest_folder(
    registry: &Registry,
    path: &Path,
    id: &RepoId,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<ModelRow, Error> {
    not_reserved(id)?;
    let gathered = store_folder(registry, path, progress).await?;
    ingest_files(registry, id, gathered, Made::default()).await
}

/// Ingests a folder written here, with its recipe and lineage.
///
/// # Errors
/// As [`ingest_folder`].
pub async fn ingest_made(
    registry: &Registry,
    path: &Path,
    id: &RepoId,
    made: Made,
) -> Result<ModelRow, Error> {
    let gathered = store_folder(registry, path, &|_, _| {}).await?;
    ingest_files(registry, id, gathered, made).await
}

async fn store_folder(
    registry: &Registry,
    path: &Path,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<Gathered, Error> {
    let (at, limits) = (path.to_owned(), registry.limits);
    let folder = tokio::task::spawn_blocking(move || -> Result<Folder, Error> {
        let folder = Folder::open(&at, &limits)?;
        let has_weights = folder.checkpoint(&limits)?.is_some();
        let told = folder.config.is_some() || folder.adapter_config.is_some() || folder.readme.is_some();
        if !has_weights && !told {
            let foreign = weights::foreign_weights(folder.files.iter().map(|file| file.path.as_str()));
            return Err(foreign.map_or_else(|| Error::EmptyFolder(at.display().to_string()), Error::from));
        }
        Ok(folder)
    })
    .await??;
    let total: u64 = folder.files.iter().map(|file| file.size).sum();
    let mut gathered = Gathered::new();
    let mut done = 0;
    for file in &folder.files {
        match registry.store.put_file(&gathered.holder, &file.at).await {
            Ok((digest, size)) => {
                gathered.files.push(Incoming { path: file.path.clone(), digest, size });
            }
            Err(error) => {
                gathered.discard(registry).await;
                return Err(error.into());
            }
        }
        done += file.size;
        progress(done, total);
        gathered.renew(registry).await;
    }
    Ok(gathered)
}

/// Publishes stored files as a revision of `id`; removes the blobs again when they do not make a model.
///
/// # Errors
/// What is wrong with the files; nothing is left behind then.
pub async fn ingest_files(
    registry: &Registry,
    id: &RepoId,
    gathered: Gathered,
    made: Made,
) -> Result<ModelRow, Error> {
    if let Err(refused) = registry.store.may(Act::Write, id.as_str()).await {
        gathered.discard(registry).await;
        return Err(refused.into());
    }
    let registry = &registry.unveiled();
    match publish(registry, id, &gathered.files, made).await {
        Ok(row) => {
            gathered.leave(registry).await;
            registry.forests.settle_committed().await;
            if let Some(pulse) = &registry.pulse {
                pulse.begin("comparing it with its relatives", 0);
            }
            parentage::examine_import(registry, row.id).await;
            Ok(row)
        }
        Err(error) => {
            match error {
                // Whoever has the job now makes the very same files; what it does not publish is swept once the
                // pins have run out.
                Error::Store(store::Error::LeaseLost(_)) => {}
                _ => gathered.discard(registry).await,
            }
            Err(error)
        }
    }
}

/// Refuses names that this service needs for its own addresses.
pub(crate) fn not_reserved(id: &RepoId) -> Result<(), Error> {
    if id.is_reserved() { Err(Error::ReservedName(id.to_string())) } else { Ok(()) }
}

async fn publish(
    registry: &Registry,
    id: &RepoId,
    files: &[Incoming],
    made: Made,
) -> Result<ModelRow, Error> {
    not_reserved(id)?;
    let Described { mut metadata, config } = describe(registry, id, files).await?;
    let asking = Asking::default();
    let listener = asking.listener();
    let pulse = registry.pulse.clone();
    if let Some(pulse) = &pulse {
        pulse.begin("reading its weights", weight_bytes(files));
    }
    let go_on = move |bytes| {
        // What is stored already is published, also where the job is asked to stop.
        let _ = pulse.as_ref().map(|pulse| pulse.advance(bytes));
        listener.go_on()
    };
    let looked = look(registry, (files, config), go_on).await?;
    drop(asking);
    metadata.notes.extend(looked.notes);
    metadata.parameters = metadata.parameters.or(looked.parameters);
    let claims = merge_claims(&mut metadata, made.claims, &registry.limits);
    let publish = Publish {
        metadata,
        claims,
        files: file_rows(files),
        tensors: looked.tensors,
        sketches: looked.sketches,
        signature: looked.signature,
        weights_of: None,
        survey: None,
        recipe: made.recipe,
        provenance: made.provenance,
        fence: made.fence,
        commit: made.commit,
    };
    Ok(registry.store.publish(publish).await?)
}

pub(crate) fn file_rows(files: &[Incoming]) -> Vec<FileRow> {
    let row = |file: &Incoming| FileRow {
        path: file.path.as_str().to_owned(),
        size: file.size,
        digest: file.digest,
    };
    files.iter().map(row).collect()
}

/// What the small files of a model say.
pub(crate) struct Described {
    pub(crate) metadata: Metadata,
    pub(crate) config: Option<Value>,
}

/// Reads card, configuration and adapter configuration among stored files.
pub(crate) async fn describe(
    registry: &Registry,
    id: &RepoId,
    files: &[Incoming],
) -> Result<Described, Error> {
    let limits = registry.limits;
    let of = |name: &str| files.iter().find(|file| file.path.as_str() == name);
    let card = match of(README) {
        Some(file) => Some(readme(registry, &file.digest).await?),
        None => None,
    };
    let recipe = match of(MERGE_RECIPE) {
        Some(file) => {
            let (bytes, size) = registry.store.read_beginning(&file.digest, limits.config_bytes).await?;
            Some(Beginning { bytes, size })
        }
        None => None,
    };
    let config = configuration(registry, (files, "config.json")).await?;
    let adapter = configuration(registry, (files, "adapter_config.json")).await?;
    let names: Vec<String> = files.iter().map(|file| file.path.as_str().to_owned()).collect();
    let folder = hub::metadata::Folder {
        card: card.as_ref(),
        config: config.as_ref(),
        adapter_config: adapter.as_ref(),
        recipe: recipe.as_ref(),
        files: &names,
    };
    let metadata = hub::metadata::from_checkpoint(id.clone(), &folder, &limits);
    Ok(Described { metadata, config })
}

/// As much of a stored README.md as is read of cards.
pub(crate) async fn readme(registry: &Registry, digest: &Digest) -> Result<Beginning, store::Error> {
    let (bytes, size) = registry.store.read_beginning(digest, registry.limits.card_bytes).await?;
    Ok(Beginning { bytes, size })
}

/// The configuration of this name among stored files.
pub(crate) async fn configuration(
    registry: &Registry,
    (files, name): (&[Incoming], &str),
) -> Result<Option<Value>, Error> {
    match files.iter().find(|file| file.path.as_str() == name) {
        Some(file) => {
            let text = registry.store.read_text(&file.digest, registry.limits.config_bytes).await?;
            json(Some(text), name)
        }
        None => Ok(None),
    }
}

/// What one look at the weights among stored files found.
#[derive(Default)]
pub(crate) struct Looked {
    pub(crate) tensors: Vec<TensorRow>,
    pub(crate) sketches: Vec<SketchRow>,
    pub(crate) signature: Option<SignatureRow>,
    /// Number of weights.
    pub(crate) parameters: Option<i64>,
    pub(crate) notes: Vec<Note>,
}

/// Reads the weights among stored files once; `go_on` hears of the bytes read and may stop it.
pub(crate) async fn look(
    registry: &Registry,
    (files, config): (&[Incoming], Option<Value>),
    go_on: impl Fn(u64) -> Result<(), weights::Error> + Send + Sync + 'static,
) -> Result<Looked, Error> {
    let mut opened: Vec<Named> = Vec::with_capacity(files.len());
    for file in files {
        opened.push((file.path.clone(), Arc::new(registry.store.open_blob(&file.digest).await?)));
    }
    let limits = registry.limits;
    let surveyed =
        tokio::task::spawn_blocking(move || survey((&opened, config.as_ref()), &limits, &go_on)).await??;
    let count = |facts: &TensorFacts| facts.shape.iter().product::<u64>();
    let parameters = (!surveyed.facts.is_empty())
        .then(|| surveyed.facts.iter().map(count).sum::<u64>().try_into().unwrap_or(i64::MAX));
    let tensors: Vec<TensorRow> = surveyed
        .facts
        .into_iter()
        .zip(surveyed.shards)
        .map(|(facts, shard)| tensor_row(facts, shard))
        .collect();
    Ok(Looked {
        signature: relatives::signature_of(&tensors, &surveyed.sketches),
        tensors,
        sketches: surveyed.sketches,
        parameters,
        notes: surveyed.note.into_iter().collect(),
    })
}

/// What was computed here outweighs the card: a recipe's claims replace declared ones for the same parents.
pub(crate) fn merge_claims(metadata: &mut Metadata, made: Vec<Claim>, limits: &domain::Limits) -> Vec<Claim> {
    let (declared, notes) = analysis::lineage::claims(metadata, limits);
    metadata.notes.extend(notes);
    let mut claims = made;
    for claim in declared {
        match claims.iter_mut().find(|known| known.parent.key() == claim.parent.key()) {
            Some(known) => known.evidence.extend(claim.evidence),
            None => claims.push(claim),
        }
    }
    claims
}

/// A stored file by its path in the repository.
type Named = (RelativePath, Arc<dyn ReadAt>);

type Shard = (String, std::ops::Range<u64>);

/// What one pass over the weights found.
#[derive(Default)]
struct Surveyed {
    facts: Vec<TensorFacts>,
    shards: Vec<Shard>,
    sketches: Vec<SketchRow>,
    note: Option<Note>,
}

fn survey(
    (files, config): (&[Named], Option<&Value>),
    limits: &domain::Limits,
    go_on: &(dyn Fn(u64) -> Result<(), weights::Error> + Sync),
) -> Result<Surveyed, Error> {
    let Some(checkpoint) = weights::assemble(files, limits)? else {
        let names =
            files.iter().map(|(path, _)| path.as_str()).filter(|path| domain::files::is_weights(path));
        let note = weights::foreign_weights(names)
            .map(|told| Note { code: UNREAD.to_owned(), detail: told.to_string() });
        return Ok(Surveyed { note, ..Surveyed::default() });
    };
    let look =
        |source: &dyn TensorSource| weights::survey(source, limits.sketch_cells, go_on).map_err(Error::from);
    let facts = look(&checkpoint)?;
    let shards = (0..checkpoint.tensors().len())
        .map(|index| (checkpoint.shard_of(index).to_owned(), checkpoint.byte_range(index)))
        .collect();
    if weights::is_difference(&checkpoint) {
        // Its numbers are those of no model: sketches would make it a relative of some.
        let detail = "it is a stored difference, not a whole model; it has no relatives by weights";
        let note = Some(Note { code: "difference".to_owned(), detail: detail.to_owned() });
        return Ok(Surveyed { facts, shards, sketches: Vec::new(), note });
    }
    let told = weights::quantisation(checkpoint.tensors(), config).map(weights::Error::from);
    let source = Arc::new(checkpoint);
    let scaled = match told {
        Some(told) => Err(told),
        None => Scaled::new(Arc::clone(&source) as Arc<dyn TensorSource>, config),
    };
    // A sketch is of the numbers that codes stand for, and of nothing where that is not known.
    let (sketches, note) = match scaled {
        Ok(None) => ((0..).zip(&facts).filter_map(sketch_row).collect(), None),
        Ok(Some(numbers)) => {
            let places = numbers.tensors().iter().filter_map(|info| source.position(&info.name));
            let places = places.map(|place| i64::try_from(place).unwrap_or(i64::MAX));
            (places.zip(&look(&numbers)?).filter_map(sketch_row).collect(), None)
        }
        Err(told) => (Vec::new(), Some(Note { code: "quantised".to_owned(), detail: told.to_string() })),
    };
    Ok(Surveyed { facts, shards, sketches, note })
}

fn sketch_row((position, facts): (i64, &TensorFacts)) -> Option<SketchRow> {
    let sketch = facts.sketch.as_ref()?;
    Some(SketchRow {
        position,
        scheme: weights::SCHEME,
        exact: sketch.is_exact(),
        sum: facts.stats.map(|stats| stats.sum)?,
        block_sums: sketch.block_sums().to_vec(),
        cells: sketch.cells().iter().map(|cell| *cell as f32).collect(),
    })
}

fn tensor_row(facts: TensorFacts, (file, range): Shard) -> TensorRow {
    let stats = facts.stats.as_ref();
    TensorRow {
        name: facts.name,
        dtype: facts.dtype.name().to_owned(),
        shape: facts.shape,
        digest: facts.digest,
        file,
        offset_begin: range.start,
        offset_end: range.end,
        l2: stats.map(weights::Stats::l2),
        mean: stats.map(weights::Stats::mean),
        min: stats.and_then(|s| s.range()).map(|range| range.0),
        max: stats.and_then(|s| s.range()).map(|range| range.1),
        std: stats.map(weights::Stats::std),
        skewness: stats.and_then(weights::Stats::skewness),
        kurtosis: stats.and_then(weights::Stats::kurtosis),
        zeros: stats.map(|s| s.zeros),
        nonfinite: stats.map_or(0, |s| s.nans + s.infs),
    }
}

fn json(text: Option<String>, file: &str) -> Result<Option<Value>, Error> {
    text.map(|text| parsed(&text, file)).transpose()
}
