//! Mirroring: models of the configured Hub brought in, with as much of their weights as is wanted.

use std::{
    collections::{BTreeSet, VecDeque},
    fmt,
    str::FromStr,
};

use domain::{Act, Digest, Metadata, Note, RelativePath, RepoId, Viewer};
use hub::{HubClient, RemoteFile, Repository};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::{Draft, Hold, JobRow, MAIN, ModelRow, NewCommit, NewJob, Openness, Store};
use weights::ReadAt as _;

use crate::{
    Error, Gathered, Incoming, Made, Registry,
    glimpse::{described, headers, weights_in},
    ingest::not_reserved,
    ingest_files,
    kinds::IMPORT_MODEL,
    parentage,
    rights::asker_of,
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
    /// Generations of declared parents that come with it, as far as they are not here.
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

impl Mirrored {
    /// A model that could not be brought in.
    fn failed(id: &RepoId, error: &Error) -> Self {
        let (id, fault) = (id.to_string(), Some(error.to_string()));
        Self { id, commit: String::new(), digest: None, fetched: 0, known: 0, fault }
    }
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

/// The claim under which a model is brought in; none outside a job.
type Fence<'a> = Option<&'a Hold>;

/// The title of a commit that is the Hub's own.
pub(crate) const IMPORTED: &str = "Import from the Hub";
/// Most models that one import brings in with their parents.
const MOST: usize = domain::FIXED.import_models;

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

/// Brings a model in, then its declared parents that are not here with what is wanted, generation by generation; under the
/// fence of `job`, where one does it.
///
/// # Errors
/// [`Error::NoHub`]; what the Hub answers for the model asked for; [`store::Error::LeaseLost`] when the job was handed on,
/// [`store::Error::Cancelled`]. Faults of parents are in the report, and so are those that whoever asked may not write.
pub async fn mirror(
    registry: &Registry,
    wanted: &Mirror,
    job: Option<&JobRow>,
    advance: Advance<'_>,
) -> Result<Vec<Mirrored>, Error> {
    let hub = endpoint(registry, &wanted.model)?;
    let (own, revision) = named(&wanted.model)?;
    let fence = job.map(JobRow::hold);
    // Strangers' cards choose the parents: a job that nobody by name asked for brings none into a namespace with an owner.
    let theirs = match job {
        Some(job) => {
            asker_of(registry, job).await?.unwrap_or_else(|| registry.store.seen_by(Viewer::default()))
        }
        None => registry.store.clone(),
    };
    let mut seen = BTreeSet::from([own.key()]);
    let mut open = VecDeque::from([(own.clone(), revision, 0)]);
    let mut done = Vec::new();
    while let Some((id, revision, generation)) = open.pop_front() {
        let stays = if generation == 0 { None } else { stays(registry, &id, (wanted.take, &own)).await? };
        let parents = match stays {
            Some(parents) => parents,
            None => {
                let onto = wanted.onto.as_deref().filter(|_| generation == 0);
                let may = if generation == 0 { Ok(()) } else { theirs.may(Act::Write, id.as_str()).await };
                let what = (&id, &*revision, wanted.take, onto);
                let one = match may {
                    Ok(()) => bring(registry, hub, what, (advance, fence.as_ref())).await,
                    Err(refused) => Err(refused.into()),
                };
                let (mirrored, parents) = match one {
                    Ok(one) => one,
                    Err(error) if generation == 0 || ends(&error) => return Err(error),
                    Err(error) => (Mirrored::failed(&id, &error), Vec::new()),
                };
                done.push(mirrored);
                parents
            }
        };
        if generation == wanted.parents {
            continue;
        }
        for parent in parents {
            if seen.len() < MOST && seen.insert(parent.key()) {
                open.push_back((parent, MAIN.to_owned(), generation + 1));
            }
        }
    }
    Ok(done)
}

/// Whether nothing more is to be brought in.
fn ends(error: &Error) -> bool {
    matches!(
        error,
        Error::Weights(weights::Error::Stopped)
            | Error::Store(store::Error::LeaseLost(_) | store::Error::Cancelled(_))
    )
}

/// The declared parents of a model that stays as it is: it is here with what is wanted, or it is somebody's and not of
/// the namespace of the model asked for. None where it is to be brought in.
async fn stays(
    registry: &Registry,
    id: &RepoId,
    (take, own): (Take, &RepoId),
) -> Result<Option<Vec<RepoId>>, Error> {
    let row = registry.store.model_by_id(id.as_str()).await?;
    let Some(row) = row.filter(|row| !row.ghost) else { return Ok(None) };
    let here = row.revision.is_some()
        || match take {
            Take::None => true,
            Take::Headers => !registry.store.shapes_of(row.id).await?.is_empty(),
            Take::Full => false,
        };
    // The report names what is brought in: it must tell nothing of models that only their members see.
    let open = registry.store.seen_by(Viewer::default());
    let kin = id.org().zip(own.org()).is_some_and(|(theirs, ours)| theirs.eq_ignore_ascii_case(ours));
    let fills = kin || open.may(Act::Write, id.as_str()).await.is_ok();
    if !here && fills {
        return Ok(None);
    }
    let edges = open.edges_of(row.id).await?;
    let parents: Vec<i64> = edges.iter().filter(|edge| edge.declared()).map(|edge| edge.parent).collect();
    let parents = open.models_by_ids(&parents).await?;
    Ok(Some(parents.iter().filter_map(|row| RepoId::parse(&row.name).ok()).collect()))
}

pub(crate) fn endpoint<'a>(registry: &'a Registry, model: &str) -> Result<&'a HubClient, Error> {
    registry.hub.as_ref().ok_or_else(|| Error::NoHub(model.to_owned()))
}

fn named(model: &str) -> Result<(RepoId, String), Error> {
    let (id, revision) = model.split_once('@').unwrap_or((model, MAIN));
    let id = RepoId::parse(id)?;
    Ok((id, revision.to_owned()))
}

/// Brings one model in; gives its declared parents too.
async fn bring(
    registry: &Registry,
    hub: &HubClient,
    (id, revision, take, onto): (&RepoId, &str, Take, Option<&str>),
    (advance, fence): (Advance<'_>, Fence<'_>),
) -> Result<(Mirrored, Vec<RepoId>), Error> {
    not_reserved(id)?;
    let repository = hub.repository(id, revision).await?;
    let told = hub::metadata::from_api_row(&repository.record, &registry.limits).map_err(Error::Invalid)?;
    let told = Metadata { id: id.clone(), sha: Some(repository.commit.clone()), ..told };
    keep_closed(&registry.store, id, openness(&told)).await?;
    let (mut counts, mut shapes, mut notes) = ((0, 0), Vec::new(), Vec::new());
    let mut said = described(registry, id, &repository).await?;
    match take {
        Take::None => {}
        Take::Headers => {
            shapes = headers(registry, &repository).await?;
            said.parameters = weights_in(&shapes).or(said.parameters);
        }
        Take::Full => {
            let (row, files) = fetch(registry, (id, onto), (&repository, advance), fence).await?;
            counts = files;
            // What the weights themselves made known is in no metadata.
            notes = registry.store.notes_of(row.id).await?;
        }
    }
    // Of the files the Hub tells less than is read here.
    let told = Metadata {
        sources: told.sources.iter().copied().filter(|source| !said.sources.contains(source)).collect(),
        ..told
    };
    // What the files say first, then what the Hub knows besides: a field that one leaves out stays as it is.
    let mut records = [said, told].map(|metadata| {
        let (claims, odd) = analysis::lineage::claims(&metadata, &registry.limits);
        for note in metadata.notes.iter().cloned().chain(odd) {
            add_new(&mut notes, note);
        }
        (metadata, claims)
    });
    for (metadata, _) in &mut records {
        metadata.notes.clone_from(&notes);
    }
    let claims = records.iter().flat_map(|(_, claims)| claims);
    let parents = claims.map(|claim| claim.parent.clone()).collect();
    registry.store.upsert_under(fence, Draft::of(records)?).await?;
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

fn add_new(notes: &mut Vec<Note>, note: Note) {
    if !notes.contains(&note) {
        notes.push(note);
    }
}

/// Fetches every file that is not stored yet and publishes them; gives the number of fetched and of known files too.
async fn fetch(
    registry: &Registry,
    (id, onto): (&RepoId, Option<&str>),
    (repository, advance): (&Repository, Advance<'_>),
    fence: Fence<'_>,
) -> Result<(ModelRow, (usize, usize)), Error> {
    let total = repository.files.iter().map(|(_, file)| file.len()).sum();
    let mut gathered = Gathered::new();
    let (mut got, mut counts) = (0, (0, 0));
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
        gathered.renew(registry).await;
    }
    check_paths(&gathered)?;
    // The commit is the Hub's own, so that who names it there finds it here.
    let oid = Some(repository.commit.clone()).filter(|oid| domain::is_commit(oid));
    let title = if oid.is_some() { IMPORTED } else { "Publish" }.to_owned();
    let commit = NewCommit { oid, title, parent: onto.map(str::to_owned), ..NewCommit::default() };
    let made = Made { fence: fence.cloned(), commit, ..Made::default() };
    Ok((ingest_files(registry, id, gathered, made).await?, counts))
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
    store.room_for(file.len().saturating_sub(at))?;
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
