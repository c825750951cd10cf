//! Pushes: files put into or taken out of a branch, as one commit; the weights are looked at afterwards.

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use domain::{Act, Digest, Limits, Note, RelativePath, RepoId, files};
use store::{FileRow, Founding, MAIN, ModelRow, NewCommit, Publish};

use crate::{
    Error, Gathered, Incoming, Registry,
    ingest::{Described, describe, file_rows, merge_claims, not_reserved},
    kinds::SurveyPayload,
    parentage,
};

/// One line of a commit.
#[derive(Debug, Clone)]
pub enum Change {
    /// A stored blob becomes this file.
    Put(Incoming),
    Delete(RelativePath),
    /// Every file below it.
    DeleteFolder(RelativePath),
}

/// A commit that is asked for.
pub struct Push {
    pub id: RepoId,
    pub changes: Vec<Change>,
    /// Blobs put for this push; released when it is done.
    pub gathered: Gathered,
    /// Its `parent` is what the client says it has seen.
    pub commit: NewCommit,
}

/// Tries again when another process committed in between and the client did not say what it builds on.
const TRIES: u32 = 20;

/// The longest pause between two tries, in milliseconds.
const LONGEST_PAUSE: u64 = 500;

/// Makes an empty repository with a `main` branch. One that is not to be private is open where a private model of that
/// name was taken away too.
///
/// # Errors
/// [`Error::OutputExists`] when a model is called so; where the viewer may not.
pub async fn create_repository(
    registry: &Registry,
    id: &RepoId,
    first: NewCommit,
) -> Result<ModelRow, Error> {
    not_reserved(id)?;
    let founds = first.founds.unwrap_or(Founding::Open);
    let act = if founds == Founding::Private { Act::Close } else { Act::Write };
    registry.store.may(act, id.as_str()).await?;
    // A model that was called so has another name now, and this one is free.
    let named = registry.store.model_by_id(id.as_str()).await?.filter(|row| is_called(row, id));
    if let Some(row) = named.filter(|row| !row.ghost) {
        return Err(Error::OutputExists(row.name));
    }
    let title = "initial commit".to_owned();
    let push = Push {
        id: id.clone(),
        changes: Vec::new(),
        gathered: Gathered::new(),
        commit: NewCommit { title, founds: Some(founds), ..first },
    };
    match self::push(registry, push).await {
        Ok((row, _)) => Ok(row),
        // Somebody else made it meanwhile.
        Err(Error::Store(store::Error::OutputTaken(_))) => Err(Error::OutputExists(id.to_string())),
        Err(error) => Err(error),
    }
}

/// Applies a push; gives the model and the commit's id. All of it is there at once, or nothing.
///
/// # Errors
/// Where the viewer may not write; [`store::Error::StaleParent`] when the branch has moved from where the client saw it;
/// [`Error::BusyBranch`] where no turn came; what is wrong with the changes. Nothing is left behind then.
pub async fn push(registry: &Registry, push: Push) -> Result<(ModelRow, String), Error> {
    if let Err(refused) = registry.store.may(Act::Write, push.id.as_str()).await {
        push.gathered.discard(registry).await;
        return Err(refused.into());
    }
    let registry = &registry.unveiled();
    let done = match push.commit.parent {
        Some(_) => apply(registry, &push).await,
        None => apply_onto_any(registry, &push).await,
    };
    match done {
        Ok(done) => {
            if let Err(error) = registry.store.release(&push.gathered.holder).await {
                tracing::warn!("pushed blobs stay pinned for a day: {error}");
            }
            registry.forests.settle_committed().await;
            name_contents(registry, &push, &done);
            if done.0.has_weights {
                parentage::examine_import(registry, done.0.id).await;
            }
            Ok(done)
        }
        Err(error) => {
            push.gathered.discard(registry).await;
            Err(error)
        }
    }
}

/// Finds out, beside other work, what git calls the contents that came within a commit: by that the client knows that it need
/// not send them again. A failure is only logged.
fn name_contents(registry: &Registry, push: &Push, (row, oid): &(ModelRow, String)) {
    let (store, model, oid) = (registry.store.clone(), row.id, oid.clone());
    let came: HashSet<Digest> = push.gathered.files.iter().map(|file| file.digest).collect();
    if came.is_empty() {
        return;
    }
    tokio::spawn(async move {
        let named = async {
            let Some(commit) = store.commit(model, &oid).await? else { return Ok(()) };
            let files = store.files(commit.revision).await?;
            let files: Vec<&FileRow> = files.iter().filter(|file| came.contains(&file.digest)).collect();
            store.git_oids(commit.revision, &files).await.map(drop)
        };
        let named: Result<(), store::Error> = named.await;
        if let Err(error) = named {
            tracing::warn!("git's names of what was pushed are not known yet: {error}");
        }
    });
}

/// Applies a push that builds on whatever is there, in its turn.
async fn apply_onto_any(registry: &Registry, push: &Push) -> Result<(ModelRow, String), Error> {
    let _turn = registry.turns.at(&push.id.key()).await;
    for tries in 1..=TRIES {
        match apply(registry, push).await {
            Err(Error::Store(store::Error::StaleParent { .. })) => tokio::time::sleep(pause(tries)?).await,
            other => return other,
        }
    }
    Err(Error::BusyBranch { model: push.id.to_string(), branch: push.commit.branch.clone() })
}

/// How long to wait after so many tries: longer each time, and by chance, so that several processes do not meet again.
fn pause(tries: u32) -> Result<Duration, Error> {
    let mut chance = [0_u8; 8];
    getrandom::fill(&mut chance).map_err(|error| Error::Task(format!("no random numbers: {error}")))?;
    let most = 2_u64.saturating_pow(tries).min(LONGEST_PAUSE);
    Ok(Duration::from_millis(u64::from_le_bytes(chance) % most))
}

async fn apply(registry: &Registry, push: &Push) -> Result<(ModelRow, String), Error> {
    not_reserved(&push.id)?;
    let row = registry.store.model_by_id(push.id.as_str()).await?.filter(|row| is_called(row, &push.id));
    let branch = push.commit.branch.as_str();
    let head = match &row {
        Some(row) => registry.store.branch(row.id, branch).await?.filter(|_| row.revision.is_some()),
        None => None,
    };
    if head.is_none() && branch != MAIN {
        return Err(Error::UnknownRevision { model: push.id.to_string(), revision: branch.to_owned() });
    }
    let before = match &head {
        Some(head) => registry.store.files(head.revision).await?,
        None => Vec::new(),
    };
    let before = incoming(&before)?;
    let files = changed(&before, &push.changes)?;
    let most = registry.limits.files;
    if files.len() > most {
        return Err(Error::Invalid(format!(
            "the repository would have {} files; at most {most} fit",
            files.len()
        )));
    }
    let id = row.as_ref().map_or_else(|| Ok(push.id.clone()), |row| RepoId::parse(&row.name))?;
    let Described { mut metadata, .. } = describe(registry, &id, &files).await?;
    let claims = merge_claims(&mut metadata, Vec::new(), &registry.limits);
    let same = head.as_ref().filter(|_| weights(&before) == weights(&files));
    if same.is_some() {
        metadata.parameters = metadata.parameters.or(row.as_ref().and_then(|row| row.parameters));
    }
    let parent = push.commit.parent.clone().or_else(|| head.as_ref().map(|head| head.oid.clone()));
    let publish = Publish {
        metadata,
        claims,
        files: file_rows(&files),
        tensors: Vec::new(),
        sketches: Vec::new(),
        signature: None,
        weights_of: same.map(|head| head.revision),
        // The commit before may wait for its survey itself: then there is nothing to take over.
        survey: Some(SurveyPayload::job),
        recipe: None,
        provenance: None,
        fence: None,
        commit: NewCommit { parent, ..push.commit.clone() },
    };
    let published = registry.store.publish_commit(publish).await?;
    if files.iter().any(is_weights) {
        registry.queued.notify_one();
    }
    Ok(published)
}

/// Whether a model has this very name, not only had it once.
fn is_called(row: &ModelRow, id: &RepoId) -> bool {
    row.name.eq_ignore_ascii_case(id.as_str())
}

/// Stored files as they come in.
pub(crate) fn incoming(files: &[FileRow]) -> Result<Vec<Incoming>, Error> {
    let one = |file: &FileRow| {
        let path = RelativePath::parse(&file.path)?;
        Ok(Incoming { path, digest: file.digest, size: file.size })
    };
    files.iter().map(one).collect()
}

fn is_weights(file: &Incoming) -> bool {
    files::is_weights(file.path.as_str())
}

/// Bytes of all weight files.
pub(crate) fn weight_bytes(files: &[Incoming]) -> u64 {
    files.iter().filter(|file| is_weights(file)).map(|file| file.size).sum()
}

/// Everything that decides what the tensors of a checkpoint are.
fn weights(files: &[Incoming]) -> Vec<(&str, Digest)> {
    let decides = |file: &&Incoming| {
        is_weights(file)
            || matches!(file.path.file_name(), files::CONFIG | files::ADAPTER_CONFIG)
            || file.path.as_str().ends_with(".safetensors.index.json")
    };
    let mut found: Vec<_> =
        files.iter().filter(decides).map(|file| (file.path.as_str(), file.digest)).collect();
    found.sort_unstable();
    found
}

/// The files after the changes, in their order; by path.
fn changed(before: &[Incoming], changes: &[Change]) -> Result<Vec<Incoming>, Error> {
    let mut files: BTreeMap<String, Incoming> =
        before.iter().map(|file| (file.path.as_str().to_owned(), file.clone())).collect();
    for change in changes {
        match change {
            Change::Put(file) => drop(files.insert(file.path.as_str().to_owned(), file.clone())),
            Change::Delete(path) => {
                if files.remove(path.as_str()).is_none() {
                    return Err(Error::NoSuchFile(path.to_string()));
                }
            }
            Change::DeleteFolder(folder) => {
                let below = format!("{}/", folder.as_str().trim_end_matches('/'));
                files.retain(|path, _| !path.starts_with(&below));
            }
        }
    }
    for path in files.keys() {
        if path.match_indices('/').any(|(at, _)| files.contains_key(&path[..at])) {
            return Err(Error::Invalid(format!("`{path}` lies in a folder that is also a file")));
        }
    }
    Ok(files.into_values().collect())
}

/// What is odd about a card that is about to be pushed.
pub fn card_notes(text: &str, limits: &Limits) -> Vec<Note> {
    hub::card::parse(text, limits).notes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Pulse,
        kinds::{Run, SURVEY_WEIGHTS},
        testing,
    };

    /// Pushes files to `o/tuned`.
    async fn pushed(registry: &Registry, files: &[(&str, &[u8])]) -> ModelRow {
        let (mut gathered, mut changes) = (Gathered::new(), Vec::new());
        for (path, bytes) in files {
            let mut writer = registry.store.blob_writer(&gathered.holder).await.unwrap();
            writer.write(bytes).await.unwrap();
            let (digest, size) = writer.finish().await.unwrap();
            let file = Incoming { path: RelativePath::parse(path).unwrap(), digest, size };
            gathered.files.push(file.clone());
            changes.push(Change::Put(file));
        }
        let id = RepoId::parse("o/tuned").unwrap();
        push(registry, Push { id, changes, gathered, commit: NewCommit::default() }).await.unwrap().0
    }

    #[tokio::test]
    async fn a_repository_is_as_open_as_it_is_asked_for_whatever_had_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let registry = testing::registry(&folder).await;
        let id = RepoId::parse("o/base").unwrap();
        let card = b"---\nbase_model: o/base\n---\n";
        pushed(&registry, &[("README.md", card)]).await;
        for founds in [Founding::Private, Founding::Open, Founding::Private] {
            let expected = founds == Founding::Private;
            let first = NewCommit { founds: Some(founds), ..NewCommit::default() };

            let row = create_repository(&registry, &id, first).await.unwrap();

            let stored = registry.store.model(row.id).await.unwrap().unwrap();
            assert_eq!((row.private, stored.private, stored.ghost), (expected, expected, false));
            registry.store.delete_model(row.id).await.unwrap();
            let left = registry.store.model_by_id("o/base").await.unwrap().unwrap();
            assert_eq!((left.ghost, left.private), (true, expected), "a hidden name stays hidden");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn weights_are_looked_at_when_a_card_is_pushed_before_their_survey_began() {
        let folder = tempfile::tempdir().unwrap();
        let registry = testing::registry(&folder).await;
        let header = br#"{"w":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}}"#;
        let weights = [&(header.len() as u64).to_le_bytes()[..], header, &[1; 16]].concat();
        pushed(&registry, &[("config.json", b"{}"), ("model.safetensors", &weights)]).await;
        let row = pushed(&registry, &[("README.md", b"# Tuned")]).await;

        while let Some(job) = registry.store.claim(&[SURVEY_WEIGHTS.id], "worker", 60).await.unwrap() {
            let run = Run { registry: registry.clone(), job: job.clone(), pulse: Pulse::default() };
            let result = (SURVEY_WEIGHTS.run)(run).await.unwrap();
            registry.store.finish(&job.hold(), result).await.unwrap();
        }

        let now = registry.store.model(row.id).await.unwrap().unwrap();
        assert!(now.has_weights);
        assert_eq!(now.parameters, Some(4));
        assert_eq!(registry.store.tensor_count(now.revision.unwrap()).await.unwrap(), 1);
        pushed(&registry, &[("README.md", b"# Tuned again")]).await;
        assert!(registry.store.claim(&[SURVEY_WEIGHTS.id], "worker", 60).await.unwrap().is_none());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn of_many_who_create_a_repository_one_does() {
        let folder = tempfile::tempdir().unwrap();
        let registry = testing::registry(&folder).await;
        let id = RepoId::parse("o/new").unwrap();

        let tries = (0..10).map(|_| create_repository(&registry, &id, NewCommit::default()));
        let told = futures::future::join_all(tries).await;

        assert_eq!(told.iter().filter(|one| one.is_ok()).count(), 1);
        let taken = |one: &&Result<ModelRow, Error>| matches!(one, Err(Error::OutputExists(_)));
        assert_eq!(told.iter().filter(taken).count(), 9, "{told:?}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn commits_of_several_processes_that_name_no_parent_all_go_through() {
        let folder = tempfile::tempdir().unwrap();
        let registry = testing::registry(&folder).await;
        let id = RepoId::parse("o/shared").unwrap();
        create_repository(&registry, &id, NewCommit::default()).await.unwrap();
        // What is not shared between processes: turns.
        let processes: Vec<Registry> =
            (0..3).map(|_| Registry { turns: crate::turns::Turns::default(), ..registry.clone() }).collect();
        let writers = (0..36).map(|n| {
            let (registry, id) = (processes[n % 3].clone(), id.clone());
            tokio::spawn(async move {
                let gathered = Gathered::new();
                let mut writer = registry.store.blob_writer(&gathered.holder).await.unwrap();
                writer.write(n.to_string().as_bytes()).await.unwrap();
                let (digest, size) = writer.finish().await.unwrap();
                let path = RelativePath::parse(&format!("{n}.txt")).unwrap();
                let changes = vec![Change::Put(Incoming { path, digest, size })];
                push(&registry, Push { id, changes, gathered, commit: NewCommit::default() })
                    .await
                    .map(|_| ())
            })
        });

        for done in futures::future::join_all(writers).await {
            done.unwrap().unwrap();
        }

        let row = registry.store.model_by_id("o/shared").await.unwrap().unwrap();
        assert_eq!(registry.store.files(row.revision.unwrap()).await.unwrap().len(), 36);
    }

    #[test]
    fn pauses_grow_to_half_a_second_and_no_further() {
        for (tries, most) in [(1, 2), (5, 32), (20, 500), (u32::MAX, 500)] {
            assert!((0..20).all(|_| pause(tries).unwrap() < Duration::from_millis(most)), "{tries}");
        }
    }

    #[tokio::test]
    async fn what_is_committed_is_told_as_such_also_where_the_forest_cannot_be_read() {
        let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let broken = store::Store::open("sqlite::memory:", elsewhere.path().to_str().unwrap()).await.unwrap();
        let registry = Registry { forests: crate::Forests::new(broken), ..testing::registry(&folder).await };
        assert!(registry.forests.settle().await.is_err());
        fs_err::write(elsewhere.path().join("README.md"), "# Here").unwrap();
        let id = RepoId::parse("o/folder").unwrap();

        let pushed = pushed(&registry, &[("README.md", b"# Tuned")]).await;
        let taken = crate::ingest_folder(&registry, elsewhere.path(), &id, &|_, _| {}).await.unwrap();

        for row in [pushed, taken] {
            assert_eq!(registry.store.model(row.id).await.unwrap(), Some(row));
        }
    }

    fn file(path: &str, content: &str) -> Incoming {
        let path = RelativePath::parse(path).unwrap();
        Incoming { path, digest: Digest::of(content.as_bytes()), size: content.len() as u64 }
    }

    fn paths(files: &[Incoming]) -> Vec<&str> {
        files.iter().map(|file| file.path.as_str()).collect()
    }

    #[test]
    fn changes_apply_in_their_order() {
        let before = [file("a", "1"), file("b/c", "2"), file("b/d", "3"), file("bc", "4")];
        let folder = RelativePath::parse("b").unwrap();
        let changes =
            [Change::DeleteFolder(folder), Change::Put(file("b/e", "5")), Change::Put(file("a", "6"))];

        let after = changed(&before, &changes).unwrap();

        assert_eq!(paths(&after), ["a", "b/e", "bc"]);
        assert_eq!(after[0].digest, Digest::of(b"6"));
    }

    #[test]
    fn what_is_not_there_cannot_be_deleted_and_a_file_is_no_folder() {
        let missing = Change::Delete(RelativePath::parse("x").unwrap());
        assert!(matches!(changed(&[], &[missing]), Err(Error::NoSuchFile(path)) if path == "x"));
        assert!(changed(&[file("a", "1")], &[Change::Put(file("a/b", "2"))]).is_err());
    }

    #[test]
    fn a_new_card_leaves_the_weights_as_they_are_and_what_decides_them_does_not() {
        let paths =
            ["adapter_config.json", "config.json", "model.safetensors", "model.safetensors.index.json"];
        let before: Vec<Incoming> =
            paths.iter().chain(&["README.md"]).map(|path| file(path, "old")).collect();

        for path in paths {
            let after = changed(&before, &[Change::Put(file(path, "new"))]).unwrap();
            assert!(weights(&before) != weights(&after), "{path}");
        }
        let card = changed(&before, &[Change::Put(file("README.md", "new"))]).unwrap();
        assert_eq!(weights(&before), weights(&card));
    }

    #[tokio::test]
    async fn a_repository_does_not_grow_past_its_files_commit_by_commit() {
        let folder = tempfile::tempdir().unwrap();
        let registry = testing::registry(&folder).await;
        let registry = Registry { limits: Limits { files: 2, ..Limits::default() }, ..registry };
        pushed(&registry, &[("a", b"1"), ("b", b"2")]).await;
        pushed(&registry, &[("b", b"3")]).await;

        let changes = vec![Change::Put(file("c", "4"))];
        let id = RepoId::parse("o/tuned").unwrap();
        let push = Push { id, changes, gathered: Gathered::new(), commit: NewCommit::default() };
        let refused = self::push(&registry, push).await.unwrap_err().to_string();

        assert!(refused.contains("would have 3 files; at most 2"), "{refused}");
    }
}
