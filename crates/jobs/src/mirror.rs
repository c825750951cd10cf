//! Mirroring: models of the configured Hub brought in, with as much of their weights as is wanted.

use std::{
    collections::{BTreeSet, VecDeque},
    fmt,
    str::FromStr,
    time::{Duration, Instant},
};

use domain::{Act, Digest, Metadata, RelativePath, RepoId};
use hub::{HubClient, RemoteFile, Repository, card::Readme};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::{JobRow, NewCommit, NewJob, Openness, ShapeRow, Store};
use weights::{Header, ReadAt as _};

use crate::{
    Error, Gathered, Incoming, Made, Registry, ingest::not_reserved, ingest_files, kinds::IMPORT_MODEL,
    operand::MAIN, parentage,
};

/// How much of a model is brought in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Take {
    /// What the card, the configuration and the Hub say.
    None,
    /// That, and names and shapes of the tensors from the headers of the weight files, read by ranges.
    Headers,
    /// Every file.
    #[default]
    Full,
}

impl Take {
    pub const ALL: [Self; 3] = [Self::None, Self::Headers, Self::Full];

    /// Its word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Headers => "headers",
            Self::Full => "full",
        }
    }
}

impl fmt::Display for Take {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Take {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.map(Self::as_str).join(", ");
        let named = Self::ALL.into_iter().find(|take| take.as_str() == text);
        named.ok_or_else(|| format!("`{text}` is not one of {known}"))
    }
}

/// A model to bring in.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Mirror {
    /// `org/name` or `org/name@revision`.
    pub model: String,
    pub take: Take,
    /// Generations of declared parents that come with it.
    pub parents: u32,
    /// The commit that its branch must still be at when the files are here; it is published onto any other too where none
    /// is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub onto: Option<String>,
}

/// A model that was brought in.
#[derive(Debug, Clone, Serialize)]
pub struct Mirrored {
    pub id: String,
    /// The Hub's commit.
    pub commit: String,
    pub digest: Option<Digest>,
    /// Files that came over the network.
    pub fetched: usize,
    /// Files whose bytes were stored here already.
    pub known: usize,
    /// Why a parent could not be brought in; the model that was asked for fails as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

impl Mirror {
    /// The job that brings it in. Of those with a model as their output only one is queued at a time.
    pub(crate) fn job(&self, output: Option<&RepoId>) -> NewJob {
        NewJob {
            kind: IMPORT_MODEL.id.to_owned(),
            payload: json!(self),
            idempotency_key: None,
            output: output.map(RepoId::key),
        }
    }
}

/// Hears of the bytes fetched of a model and of those there are; an error stops the import.
pub type Advance<'a> = &'a (dyn Fn(u64, u64) -> Result<(), weights::Error> + Sync);

/// The title of a commit that is the Hub's own.
pub(crate) const IMPORTED: &str = "Import from the Hub";
/// Most models that one import brings in with their parents.
const MOST: usize = 1_000;

/// Queues a mirror; gives its job.
///
/// # Errors
/// [`Error::NoHub`], or what is wrong with the name.
pub async fn submit_mirror(
    registry: &Registry,
    wanted: &Mirror,
    key: Option<String>,
) -> Result<JobRow, Error> {
    let (id, _) = named(&wanted.model)?;
    not_reserved(&id)?;
    endpoint(registry, &wanted.model)?;
    registry.store.may(Act::Write, id.as_str()).await?;
    let job = NewJob { idempotency_key: key, ..wanted.job(None) };
    let (row, _) = registry.store.enqueue(job, registry.limits.queued_jobs).await?;
    registry.queued.notify_one();
    Ok(row)
}

/// Brings a model in, then its declared parents that are known by name only, generation by generation.
///
/// # Errors
/// [`Error::NoHub`]; what the Hub answers for the model asked for. Faults of parents are in the report.
pub async fn mirror(
    registry: &Registry,
    wanted: &Mirror,
    advance: Advance<'_>,
) -> Result<Vec<Mirrored>, Error> {
    let hub = endpoint(registry, &wanted.model)?;
    let (id, revision) = named(&wanted.model)?;
    let mut seen = BTreeSet::from([id.key()]);
    let mut open = VecDeque::from([(id, revision, 0)]);
    let mut done = Vec::new();
    while let Some((id, revision, generation)) = open.pop_front() {
        let onto = wanted.onto.as_deref().filter(|_| generation == 0);
        let one = bring(registry, hub, (&id, &revision, wanted.take, onto), advance).await;
        let (mirrored, parents) = match one {
            Ok(one) => one,
            Err(error @ Error::Weights(weights::Error::Stopped)) => return Err(error),
            Err(error) if generation == 0 => return Err(error),
            Err(error) => {
                let fault = Some(error.to_string());
                let id = id.to_string();
                (
                    Mirrored { id, commit: String::new(), digest: None, fetched: 0, known: 0, fault },
                    Vec::new(),
                )
            }
        };
        done.push(mirrored);
        if generation == wanted.parents {
            continue;
        }
        for parent in parents {
            let here = registry.store.model_by_id(parent.as_str()).await?.is_some_and(|row| !row.ghost);
            if !here && seen.len() < MOST && seen.insert(parent.key()) {
                open.push_back((parent, MAIN.to_owned(), generation + 1));
            }
        }
    }
    Ok(done)
}

pub(crate) fn endpoint<'a>(registry: &'a Registry, model: &str) -> Result<&'a HubClient, Error> {
    registry.hub.as_ref().ok_or_else(|| Error::NoHub(model.to_owned()))
}

fn named(model: &str) -> Result<(RepoId, String), Error> {
    let (id, revision) = model.split_once('@').unwrap_or((model, MAIN));
    let id = RepoId::parse(id).map_err(|error| Error::Invalid(error.to_string()))?;
    Ok((id, revision.to_owned()))
}

/// Brings one model in; gives its declared parents too.
async fn bring(
    registry: &Registry,
    hub: &HubClient,
    (id, revision, take, onto): (&RepoId, &str, Take, Option<&str>),
    advance: Advance<'_>,
) -> Result<(Mirrored, Vec<RepoId>), Error> {
    not_reserved(id)?;
    let repository = hub.repository(id, revision).await?;
    let told = hub::metadata::from_api_row(&repository.record, &registry.limits).map_err(Error::Invalid)?;
    let told = Metadata { id: id.clone(), sha: Some(repository.commit.clone()), ..told };
    keep_closed(&registry.store, id, openness(&told)).await?;
    let (mut counts, mut shapes) = ((0, 0), Vec::new());
    let mut said = described(registry, id, &repository).await?;
    match take {
        Take::None => {}
        Take::Headers => {
            shapes = headers(registry, &repository).await?;
            said.parameters = weights_in(&shapes).or(said.parameters);
        }
        Take::Full => counts = fetch(registry, (id, onto), (&repository, advance)).await?,
    }
    // Of the files the Hub tells less than is read here.
    let told = Metadata {
        sources: told.sources.iter().copied().filter(|source| !said.sources.contains(source)).collect(),
        ..told
    };
    let mut parents = Vec::new();
    // What the files say first, then what the Hub knows besides: a field that one leaves out stays as it is.
    for metadata in [said, told] {
        let (claims, notes) = analysis::lineage::claims(&metadata, &registry.limits);
        let mut metadata = metadata;
        metadata.notes.extend(notes);
        parents.extend(claims.iter().map(|claim| claim.parent.clone()));
        registry.store.upsert(&[(metadata, claims)]).await?;
    }
    registry.forests.settle_committed().await;
    let row = registry.store.model_by_id(id.as_str()).await?;
    if let Some(row) = row.as_ref().filter(|_| !shapes.is_empty()) {
        registry.store.set_shapes(row.id, &shapes).await?;
    }
    if let Some(row) = row.as_ref().filter(|row| row.has_weights) {
        parentage::examine_import(registry, row.id).await;
    }
    let mirrored = Mirrored {
        id: id.to_string(),
        commit: repository.commit,
        digest: row.and_then(|row| row.digest),
        fetched: counts.0,
        known: counts.1,
        fault: None,
    };
    Ok((mirrored, parents))
}

/// What card and configurations of a repository say.
async fn described(registry: &Registry, id: &RepoId, repository: &Repository) -> Result<Metadata, Error> {
    let limits = &registry.limits;
    let text = async |name: &str, most: u64| -> Result<Option<String>, Error> {
        match repository.file(name) {
            Some(file) => Ok(String::from_utf8(file.read_all(most).await?).ok()),
            None => Ok(None),
        }
    };
    let document = |text: Option<String>, name: &str| {
        let read = text.map(|text| weights::config_document(&text)).transpose();
        read.map_err(|error| Error::Invalid(format!("{name} of `{id}`: {error}")))
    };
    let card = match repository.file("README.md") {
        Some(file) => {
            let beginning = file.part(0, limits.card_bytes.min(file.len())).await?;
            Some(Readme { beginning, size: file.len() })
        }
        None => None,
    };
    let config = document(text("config.json", limits.config_bytes).await?, "config.json")?;
    let adapter = document(text("adapter_config.json", limits.config_bytes).await?, "adapter_config.json")?;
    let files: Vec<String> = repository.files.iter().map(|(path, _)| path.as_str().to_owned()).collect();
    let folder = hub::metadata::Folder {
        card: card.as_ref(),
        config: config.as_ref(),
        adapter_config: adapter.as_ref(),
        files: &files,
    };
    Ok(hub::metadata::from_checkpoint(id.clone(), &folder, limits))
}

/// The tensors, from the headers alone.
async fn headers(registry: &Registry, repository: &Repository) -> Result<Vec<ShapeRow>, Error> {
    let mut found = Vec::new();
    for (path, file) in &repository.files {
        if !path.as_str().ends_with(".safetensors") {
            continue;
        }
        let (size, limits) = (file.len(), &registry.limits);
        let end = Header::end(&file.part(0, size.min(8)).await?, (size, path.as_str()), limits)?;
        let header = Header::parse(&file.part(8, end).await?, (size, path.as_str()), limits)?;
        found.extend(header.tensors.into_iter().map(|(tensor, place)| ShapeRow {
            name: tensor.name,
            dtype: tensor.dtype.name().to_owned(),
            shape: tensor.shape,
            bytes: place.end - place.start,
            file: path.as_str().to_owned(),
        }));
        let most = registry.limits.tensors;
        if found.len() > most {
            return Err(Error::Invalid(format!("`{path}` has more tensors than are read ({most})")));
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// The number of weights; none where there are no tensors.
fn weights_in(shapes: &[ShapeRow]) -> Option<i64> {
    let sizes = shapes.iter().map(|one| one.shape.iter().copied().fold(1, u64::saturating_mul));
    let total = sizes.fold(0, u64::saturating_add);
    (!shapes.is_empty()).then(|| i64::try_from(total).unwrap_or(i64::MAX))
}

/// How often what came so far is pinned anew; pins end after a day.
const RENEWED: Duration = Duration::from_secs(3_600);

/// Fetches every file that is not stored yet and publishes them; gives the number of fetched and of known files.
async fn fetch(
    registry: &Registry,
    (id, onto): (&RepoId, Option<&str>),
    (repository, advance): (&Repository, Advance<'_>),
) -> Result<(usize, usize), Error> {
    let total = repository.files.iter().map(|(_, file)| file.len()).sum();
    let mut gathered = Gathered::new();
    let (mut got, mut counts) = (0, (0, 0));
    let mut renewed = Instant::now();
    for (path, file) in &repository.files {
        let start = got;
        let taken = one_file(registry, (&gathered, file), &mut |bytes| {
            got += bytes;
            advance(got, total)
        })
        .await;
        // What came whole stays pinned for a day when a file fails: the next try does not fetch it again.
        let (digest, known) = taken?;
        *(if known { &mut counts.1 } else { &mut counts.0 }) += 1;
        gathered.files.push(Incoming { path: path.clone(), digest, size: file.len() });
        got = start + file.len();
        advance(got, total)?;
        // The last file may come days after the first.
        if renewed.elapsed() < RENEWED {
            continue;
        }
        renewed = Instant::now();
        if let Err(error) = registry.store.renew(&gathered.holder).await {
            tracing::warn!("what came of `{id}` so far stays pinned for less than a day: {error}");
        }
    }
    check_paths(&gathered)?;
    // The commit is the Hub's own, so that who names it there finds it here.
    let oid = Some(repository.commit.clone()).filter(|oid| domain::is_commit(oid));
    let title = if oid.is_some() { IMPORTED } else { "Publish" }.to_owned();
    let commit = NewCommit { oid, title, parent: onto.map(str::to_owned), ..NewCommit::default() };
    ingest_files(registry, id, gathered, Made { commit, ..Made::default() }).await?;
    Ok(counts)
}

/// A file's digest, and whether its bytes were here.
async fn one_file(
    registry: &Registry,
    (gathered, file): (&Gathered, &RemoteFile),
    advance: &mut (dyn FnMut(u64) -> Result<(), weights::Error> + Send),
) -> Result<(Digest, bool), Error> {
    let store = &registry.store;
    if let Some(stated) = file.stated() {
        store.pin(&gathered.holder, &stated).await?;
        if store.blob_size(&stated).await? == Some(file.len()) {
            return Ok((stated, true));
        }
    }
    let mut writer = match file.stated() {
        // Its digest says in the end whether what an earlier try left was of the same file.
        Some(stated) => store.blob_writer_again(&gathered.holder, &stated).await?,
        None => store.blob_writer(&gathered.holder).await?,
    };
    if writer.length() > file.len() {
        writer.restart().await?;
    }
    let (step, mut at) = (registry.limits.hub_block_bytes.max(1), writer.length());
    let mut resumed = at > 0;
    file.expect_tag(writer.noted());
    if resumed {
        tracing::info!(url = file.url(), bytes = at, "{} is gone on with after {at} bytes", file.url());
    }
    let mut noted = writer.noted();
    let mut moved = advance(at);
    while at < file.len() && moved.is_ok() {
        let to = (at + step).min(file.len());
        match file.part(at, to).await {
            Ok(block) => {
                if noted.is_none()
                    && let Some(tag) = file.tag()
                {
                    writer.note(&tag)?;
                    noted = Some(tag);
                }
                resumed = false;
                writer.write(&block).await?;
                moved = advance(to - at);
                at = to;
            }
            Err(hub::Error::Changed { .. }) if resumed => {
                writer.restart().await?;
                file.expect_tag(None);
                (at, resumed, noted) = (0, false, None);
            }
            Err(error @ hub::Error::Changed { .. }) => {
                writer.abort();
                return Err(error.into());
            }
            Err(error) => {
                writer.leave().await?;
                return Err(error.into());
            }
        }
    }
    if let Err(stopped) = moved {
        writer.leave().await?;
        return Err(stopped.into());
    }
    let (digest, _) = writer.finish().await?;
    if let Some(stated) = file.stated().filter(|stated| *stated != digest) {
        store.let_go(&gathered.holder, &digest).await?;
        return Err(Error::Invalid(format!("{}: {digest} came, the Hub states {stated}", file.url())));
    }
    Ok((digest, false))
}

/// How a model is closed at the Hub; nothing inside for one that is open.
pub(crate) fn openness(told: &Metadata) -> Openness {
    Openness { private: told.private.then_some(true), gated: told.gated.map(Some) }
}

/// What is private or gated at the Hub, and comes by the operator's token, is so here. Gives the number of models that
/// are new by it.
pub(crate) async fn keep_closed(store: &Store, id: &RepoId, wanted: Openness) -> Result<u64, Error> {
    if wanted == Openness::default() {
        return Ok(0);
    }
    // Closed before anything but its name is there.
    let known = store.model_by_id(id.as_str()).await?.filter(|row| !row.ghost);
    let mut inserted = 0;
    if known.is_none() {
        inserted = store.upsert(&[(Metadata::named(id.clone()), Vec::new())]).await?.inserted;
    }
    if let Some(row) = store.model_by_id(id.as_str()).await?
        && (row.private, row.gated)
            != (wanted.private.unwrap_or(row.private), wanted.gated.unwrap_or(row.gated))
    {
        store.set_openness(row.id, wanted).await?;
    }
    Ok(inserted)
}

/// Two files of one path would hide each other.
fn check_paths(gathered: &Gathered) -> Result<(), Error> {
    let mut seen: BTreeSet<&RelativePath> = BTreeSet::new();
    match gathered.files.iter().find(|file| !seen.insert(&file.path)) {
        Some(twice) => Err(Error::Invalid(format!("the Hub lists `{}` twice", twice.path))),
        None => Ok(()),
    }
}
