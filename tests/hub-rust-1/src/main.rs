//! What the Hub's Rust client of the 1.x line does with a registry, call by call, told as JSON.
//!
//! `HF_ENDPOINT`, `HF_TOKEN`, `HF_HOME` and `HUB_USER` say where and who; the argument is a checkpoint to push.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail, ensure};
use fs_err as fs;
use futures::TryStreamExt as _;
use hf_hub::{
    HFClient, HFError, HFRepository, HFResult, RepoTypeModel,
    repository::{AddSource, CommitOperation, RepoTreeEntry},
};

const CONFIG: &[u8] = br#"{"model_type": "llama"}"#;
const CARD: &[u8] = b"---\nlicense: mit\nbase_model: mandoc/scribe-v1\n---\n# First\n";

struct Registry {
    client: HFClient,
    user: String,
    home: PathBuf,
    folder: PathBuf,
}

impl Registry {
    fn from_environment() -> Result<Self> {
        let set = |name: &str| std::env::var(name).with_context(|| format!("{name} is not set"));
        let home = PathBuf::from(set("HF_HOME")?);
        let client = HFClient::builder().endpoint(set("HF_ENDPOINT")?).token(set("HF_TOKEN")?);
        let folder = std::env::args_os().nth(1).context("which folder?")?.into();
        Ok(Self { client: client.cache_dir(home.join("hub")).build()?, user: set("HUB_USER")?, home, folder })
    }

    fn id(&self, name: &str) -> String {
        format!("{}/{name}", self.user)
    }

    fn named(&self, name: &str) -> HFRepository<RepoTypeModel> {
        self.client.model(&self.user, name)
    }

    fn first(&self) -> HFRepository<RepoTypeModel> {
        self.named("first")
    }

    fn other(&self, token: &str, cache: &str) -> Result<HFClient> {
        let client = HFClient::builder().endpoint(self.client.endpoint()).cache_dir(self.home.join(cache));
        Ok(client.token(token).build()?)
    }
}

/// Bytes that no compression makes small.
fn noise(length: u32) -> Vec<u8> {
    (0..length).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

fn refusal<T>(answer: HFResult<T>) -> Result<HFError> {
    match answer {
        Ok(_) => bail!("it was not refused"),
        Err(error) => Ok(error),
    }
}

fn status(error: &HFError) -> Option<u16> {
    match error {
        HFError::Http { context }
        | HFError::AuthRequired { context }
        | HFError::Forbidden { context }
        | HFError::Conflict { context } => Some(context.status.as_u16()),
        _ => None,
    }
}

fn paths(entries: &[RepoTreeEntry]) -> Vec<&str> {
    let path = |entry| match entry {
        &RepoTreeEntry::File { ref path, .. } | &RepoTreeEntry::Directory { ref path, .. } => path.as_str(),
    };
    entries.iter().map(path).collect()
}

async fn files(repository: &HFRepository<RepoTypeModel>) -> Result<Vec<String>> {
    let listed: Vec<_> = repository.list_tree().recursive(true).send()?.try_collect().await?;
    Ok(paths(&listed).into_iter().map(str::to_owned).collect())
}

async fn the_caller_is_named(on: &Registry) -> Result<()> {
    let me = on.client.whoami().send().await?;
    let bad = refusal(on.other("stemma_wrong", "wrong")?.whoami().send().await)?;

    ensure!(me.username == on.user, "{me:?}");
    ensure!(matches!(bad, HFError::AuthRequired { .. }), "{bad:?}");
    Ok(())
}

async fn a_repository_is_created_once(on: &Registry) -> Result<()> {
    let id = on.id("first");
    let create = || on.client.create_repository().repo_id(&id).repo_type(RepoTypeModel);
    let made = create().send().await?;
    create().exist_ok(true).send().await?;
    let again = refusal(create().send().await)?;

    ensure!(made.url.ends_with(&id), "{made:?}");
    ensure!(matches!(again, HFError::Conflict { .. }), "{again:?}");
    ensure!(on.first().exists().send().await? && !on.named("none").exists().send().await?);
    Ok(())
}

async fn small_and_large_files_go_up_and_come_down(on: &Registry) -> Result<()> {
    let (repository, big) = (on.first(), noise(6_000_000));
    for (path, content) in
        [("config.json", CONFIG), ("data/big.bin", &big), ("data/x.bin", &big[..2_000_000])]
    {
        let source = AddSource::bytes(content.to_vec());
        repository.upload_file().source(source).path_in_repo(path).send().await?;
    }

    for (path, content) in [("config.json", CONFIG), ("data/big.bin", &big)] {
        let place = repository.download_file().filename(path).send().await?;
        ensure!(fs::read(&place)? == content, "{path}: other bytes");
        ensure!(repository.download_file().filename(path).send().await? == place, "{path}: another place");
    }
    let part = repository.download_file_to_bytes().filename("data/big.bin").range(4_000_000..4_100_000);
    ensure!(part.send().await? == big[4_000_000..4_100_000], "a range");
    let metadata = repository.get_file_metadata().filepath("data/big.bin").send().await?;
    ensure!(metadata.file_size == 6_000_000 && metadata.etag.len() == 64, "{metadata:?}");
    Ok(())
}

async fn a_commit_adds_and_deletes_at_once(on: &Registry) -> Result<()> {
    let repository = on.first();
    let operations = vec![
        CommitOperation::add_bytes("notes/a.txt", b"a".to_vec()),
        CommitOperation::add_bytes("README.md", CARD),
        CommitOperation::delete("data/x.bin"),
    ];
    let commit = repository.create_commit().operations(operations).commit_message("Several things");
    let done = commit.commit_description("At once.").send().await?;

    let all = files(&repository).await?;
    ensure!(
        all.iter().any(|path| path == "notes/a.txt") && !all.iter().any(|path| path == "data/x.bin"),
        "{all:?}"
    );
    ensure!(done.commit_oid.is_some() && done.commit_oid == repository.info().send().await?.sha, "{done:?}");
    Ok(())
}

async fn a_stale_parent_is_refused(on: &Registry) -> Result<()> {
    let repository = on.first();
    let commits: Vec<_> = repository.list_commits().send()?.try_collect().await?;
    let (newest, oldest) = (commits.first().context("no commits")?, commits.last().context("no commits")?);
    let late = vec![CommitOperation::add_bytes("late.txt", b"late".to_vec())];
    let commit = repository.create_commit().operations(late).commit_message("late").parent_commit(&oldest.id);
    let error = refusal(commit.send().await)?;

    ensure!(newest.title == "Several things" && newest.message.trim().starts_with("At once"), "{newest:?}");
    ensure!(oldest.title == "initial commit", "{oldest:?}");
    ensure!(newest.authors.iter().any(|author| author.user.as_ref() == Some(&on.user)), "{newest:?}");
    ensure!(status(&error) == Some(412), "{error:?}");
    Ok(())
}

async fn a_model_is_described(on: &Registry) -> Result<()> {
    let repository = on.first();
    let info = repository.info().send().await?;
    let some = repository.info().expand(vec!["sha".into(), "likes".into()]).send().await?;
    let wrong = refusal(repository.info().expand(vec!["nonsense".into()]).send().await)?;

    ensure!(info.id == on.id("first") && info.author.as_ref() == Some(&on.user), "{info:?}");
    let tags = info.tags.unwrap_or_default();
    ensure!(tags.iter().any(|tag| tag == "base_model:finetune:mandoc/scribe-v1"), "{tags:?}");
    ensure!(info.card_data.is_some_and(|card| card["license"] == "mit"));
    ensure!(info.siblings.is_some_and(|all| all.iter().any(|file| file.rfilename == "data/big.bin")));
    ensure!(some.sha.is_some() && some.likes.is_some() && some.tags.is_none(), "{some:?}");
    ensure!(status(&wrong) == Some(400), "{wrong:?}");
    Ok(())
}

async fn what_is_missing_is_told_apart(on: &Registry) -> Result<()> {
    let (first, none) = (on.first(), on.named("none"));
    let repository = refusal(none.info().send().await)?;
    let listed: HFResult<Vec<_>> = none.list_tree().send()?.try_collect().await;
    let revision = refusal(first.info().revision("none").send().await)?;
    let entry = [
        refusal(first.download_file().filename("none.json").send().await)?,
        refusal(first.get_file_metadata().filepath("none.json").send().await)?,
    ];

    ensure!(matches!(repository, HFError::RepoNotFound { .. }), "{repository:?}");
    // The client has no error of its own for what it lists page by page.
    let code = match refusal(listed)? {
        HFError::Http { context } => context.error_code,
        other => bail!("{other:?}"),
    };
    ensure!(code.as_deref() == Some("RepoNotFound"), "{code:?}");
    ensure!(matches!(revision, HFError::RevisionNotFound { .. }), "{revision:?}");
    ensure!(entry.iter().all(|error| matches!(error, HFError::EntryNotFound { .. })), "{entry:?}");
    ensure!(first.file_exists().filename("config.json").send().await?);
    ensure!(!first.file_exists().filename("none.json").send().await?);
    ensure!(first.revision_exists().revision("main").send().await?);
    ensure!(!first.revision_exists().revision("none").send().await?);
    Ok(())
}

async fn trees_are_listed_flat_deep_and_from_a_folder(on: &Registry) -> Result<()> {
    let repository = on.first();
    let flat: Vec<_> = repository.list_tree().send()?.try_collect().await?;
    let deep: Vec<_> = repository.list_tree().recursive(true).expand(true).send()?.try_collect().await?;
    let notes: Vec<_> = repository.list_tree().path_in_repo("notes").send()?.try_collect().await?;
    let asked = ["config.json", "data", "none"].map(str::to_owned).to_vec();
    let mut found = repository.get_paths_info().paths(asked).send().await?;
    found.sort_by_key(|entry| paths(std::slice::from_ref(entry)).concat());

    ensure!(paths(&flat).starts_with(&["data", "notes"]) && paths(&flat).contains(&"README.md"), "{flat:?}");
    let large = deep.iter().find_map(|entry| match entry {
        RepoTreeEntry::File { path, size, lfs: Some(lfs), last_commit, .. } if path == "data/big.bin" => {
            Some((*size, lfs.size, last_commit.is_some()))
        }
        _ => None,
    });
    ensure!(large == Some((6_000_000, Some(6_000_000), true)), "{deep:?}");
    ensure!(paths(&notes) == ["notes/a.txt"], "{notes:?}");
    ensure!(paths(&found) == ["config.json", "data"], "{found:?}");
    Ok(())
}

async fn branches_and_tags_come_and_go(on: &Registry) -> Result<()> {
    let repository = on.first();
    repository.create_branch().branch("dev").send().await?;
    repository.create_tag().tag("v1").message("One").send().await?;
    let again = refusal(repository.create_branch().branch("dev").send().await)?;
    let dev = CommitOperation::add_bytes("dev.txt", b"dev".to_vec());
    repository.create_commit().operations(vec![dev]).commit_message("dev").revision("dev").send().await?;
    let refs = repository.list_refs().send().await?;
    let main = repository.info().send().await?.sha.context("no sha")?;

    let head = |name: &str| refs.branches.iter().find(|one| one.name == name).map(|one| &one.target_commit);
    ensure!(matches!(again, HFError::Conflict { .. }), "{again:?}");
    ensure!(head("main") == Some(&main) && head("dev").is_some_and(|dev| *dev != main), "{refs:?}");
    ensure!(
        refs.tags.len() == 1 && refs.tags[0].name == "v1" && refs.tags[0].target_commit == main,
        "{refs:?}"
    );
    ensure!(repository.file_exists().filename("dev.txt").revision("dev").send().await?);
    ensure!(!repository.file_exists().filename("dev.txt").send().await?);
    repository.delete_tag().tag("v1").send().await?;
    repository.delete_branch().branch("dev").send().await?;
    let refs = repository.list_refs().send().await?;
    ensure!(refs.branches.len() == 1 && refs.tags.is_empty(), "{refs:?}");
    Ok(())
}

async fn a_checkpoint_is_pushed_and_comes_back_as_it_was(on: &Registry) -> Result<()> {
    let (id, repository) = (on.id("pushed"), on.named("pushed"));
    on.client.create_repository().repo_id(&id).repo_type(RepoTypeModel).send().await?;
    repository.upload_folder().folder_path(&on.folder).commit_message("Push a checkpoint").send().await?;
    let place = repository.snapshot_download().send().await?;
    let only = on.home.join("only");
    let some = repository.snapshot_download().allow_patterns(vec!["*.json".into()]).local_dir(&only);
    some.send().await?;

    for entry in fs::read_dir(&on.folder)? {
        let path = entry?.path();
        let name = path.file_name().context("no name")?;
        ensure!(fs::read(place.join(name))? == fs::read(&path)?, "{path:?}");
        ensure!(only.join(name).exists() == (path.extension().is_some_and(|ext| ext == "json")), "{path:?}");
    }
    Ok(())
}

async fn models_are_listed_by_author_text_and_tag(on: &Registry) -> Result<()> {
    let mut mine: Vec<_> = on.client.list_models().author(&on.user).send()?.try_collect().await?;
    mine.sort_by(|a, b| a.id.cmp(&b.id));
    let parent = "base_model:finetune:mandoc/scribe-v1";
    let children: Vec<_> = on.client.list_models().filter(parent).full(true).send()?.try_collect().await?;
    let several: Vec<_> = on.client.list_models().search("crowd").limit(150).send()?.try_collect().await?;

    ensure!(mine.iter().map(|one| &one.id).eq([&on.id("first"), &on.id("pushed")]), "{mine:?}");
    ensure!(children.iter().any(|one| one.id == on.id("first") && one.sha.is_some()), "{children:?}");
    ensure!(several.len() == 150, "{}", several.len());
    Ok(())
}

async fn what_is_private_is_not_found_by_others(on: &Registry) -> Result<()> {
    let stranger = std::env::var("OTHER_TOKEN").context("OTHER_TOKEN is not set")?;
    let stranger = on.other(&stranger, "stranger")?;
    on.named("pushed").update_settings().private(true).send().await?;
    let hidden = refusal(stranger.model(&on.user, "pushed").info().send().await)?;
    on.named("pushed").update_settings().private(false).send().await?;

    ensure!(matches!(hidden, HFError::RepoNotFound { .. }), "{hidden:?}");
    ensure!(stranger.model(&on.user, "pushed").info().send().await?.private == Some(false));
    let add = AddSource::bytes(CONFIG);
    let write =
        stranger.model(&on.user, "pushed").upload_file().source(add).path_in_repo("x.json").send().await;
    ensure!(matches!(refusal(write)?, HFError::Forbidden { .. }));
    Ok(())
}

async fn files_and_repositories_are_deleted_and_moved(on: &Registry) -> Result<()> {
    let (repository, moved) = (on.first(), on.named("second"));
    repository.delete_file().path_in_repo("config.json").send().await?;
    repository.delete_folder().path_in_repo("notes").send().await?;
    let left = files(&repository).await?;
    let (from, to) = (on.id("first"), on.id("second"));
    on.client.move_repository().from_id(&from).to_id(&to).repo_type(RepoTypeModel).send().await?;
    let found = repository.info().send().await?;
    on.client.delete_repository().repo_id(&to).repo_type(RepoTypeModel).send().await?;

    ensure!(!left.iter().any(|path| path == "config.json" || path.starts_with("notes/")), "{left:?}");
    ensure!(found.id == to, "the old name leads to {}", found.id);
    ensure!(matches!(refusal(moved.info().send().await)?, HFError::RepoNotFound { .. }));
    on.client.delete_repository().repo_id(&to).repo_type(RepoTypeModel).missing_ok(true).send().await?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<()> {
    let on = Registry::from_environment()?;
    let (mut passed, mut failed) = (Vec::new(), serde_json::Map::new());
    // A check that fails does not keep the next from being told.
    macro_rules! checks {
        ($($name:ident),* $(,)?) => {$(
            match $name(&on).await {
                Ok(()) => passed.push(stringify!($name)),
                Err(error) => drop(failed.insert(stringify!($name).into(), format!("{error:#}").into())),
            }
        )*};
    }
    checks![
        the_caller_is_named,
        a_repository_is_created_once,
        small_and_large_files_go_up_and_come_down,
        a_commit_adds_and_deletes_at_once,
        a_stale_parent_is_refused,
        a_model_is_described,
        what_is_missing_is_told_apart,
        trees_are_listed_flat_deep_and_from_a_folder,
        branches_and_tags_come_and_go,
        a_checkpoint_is_pushed_and_comes_back_as_it_was,
        models_are_listed_by_author_text_and_tag,
        what_is_private_is_not_found_by_others,
        files_and_repositories_are_deleted_and_moved,
    ];
    println!("{}", serde_json::json!({ "passed": passed, "failed": failed }));
    Ok(())
}
