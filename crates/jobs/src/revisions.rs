//! Two revisions of one model side by side: files and tensors by digest, the configuration key by key, and the step
//! between their versions.

use std::collections::BTreeMap;

use analysis::versions::{Differences, KeyChange, Release, differences, key_changes};
use domain::{Digest, files};
use serde::Serialize;
use serde_json::Value;
use store::{CommitRow, FileRow, ModelRow};

use crate::{Error, Registry, documents::parsed, version_step};

/// What differs between two revisions.
#[derive(Debug, Serialize)]
pub struct RevisionDiff {
    pub model: String,
    /// Commits.
    pub from: CommitRow,
    pub to: CommitRow,
    /// By the digest of their content.
    pub files: Differences,
    /// By number format, shape and the digest of their bytes; a tensor that only moved to another file is the same.
    pub tensors: Differences,
    /// Of config.json.
    pub config: Vec<KeyChange>,
    /// The derived version step.
    pub step: Release,
}

/// What differs from one revision of a model to another, each named by a branch, a tag, a commit or a digest; at most
/// `page_max` names of each kind.
///
/// # Errors
/// [`Error::UnknownRevision`]; when the database or a stored configuration cannot be read.
pub async fn compare_revisions(
    registry: &Registry,
    row: &ModelRow,
    (from, to): (&str, &str),
) -> Result<RevisionDiff, Error> {
    let (from, to) = (commit(registry, row, from).await?, commit(registry, row, to).await?);
    let step = version_step(registry, row, (&from, &to)).await?;
    let most = usize::try_from(registry.limits.page_max).unwrap_or(usize::MAX);
    let (before, after) =
        (registry.store.files(from.revision).await?, registry.store.files(to.revision).await?);
    let (old, new) = (config(registry, &before).await?, config(registry, &after).await?);
    let tensors = (tensors(registry, &from).await?, tensors(registry, &to).await?);
    let (mut config, _) = key_changes(old.as_ref(), new.as_ref(), usize::MAX);
    config.truncate(most);
    Ok(RevisionDiff {
        files: differences((&by_path(before), &by_path(after)), most),
        tensors: differences((&tensors.0, &tensors.1), most),
        config,
        step,
        model: row.name.clone(),
        from,
        to,
    })
}

/// How a revision of a model was made, named as in [`compare_revisions`], the current one where none is; none where it was
/// not made here.
///
/// # Errors
/// [`Error::UnknownRevision`]; when the database cannot be read.
pub async fn record_of(
    registry: &Registry,
    (row, revision): (&ModelRow, Option<&str>),
) -> Result<Option<Value>, Error> {
    let id = match revision {
        Some(name) => Some(commit(registry, row, name).await?.revision),
        None => row.revision,
    };
    Ok(match id {
        Some(id) => registry.store.provenance_of(id).await?,
        None => None,
    })
}

async fn commit(registry: &Registry, row: &ModelRow, name: &str) -> Result<CommitRow, Error> {
    let found = registry.store.commit(row.id, name).await?;
    found.ok_or_else(|| {
        let (model, revision) = (row.name.clone(), name.chars().take(120).collect());
        Error::UnknownRevision { model, revision }
    })
}

fn by_path(files: Vec<FileRow>) -> BTreeMap<String, Digest> {
    files.into_iter().map(|file| (file.path, file.digest)).collect()
}

/// The configuration among these files; none where it is not JSON.
async fn config(registry: &Registry, files: &[FileRow]) -> Result<Option<Value>, Error> {
    let Some(file) = files.iter().find(|file| file.path == files::CONFIG) else { return Ok(None) };
    let text = registry.store.read_text(&file.digest, registry.limits.config_bytes).await?;
    Ok(parsed(&text, files::CONFIG).ok())
}

type Content = (String, Vec<u64>, Digest);

async fn tensors(registry: &Registry, commit: &CommitRow) -> Result<BTreeMap<String, Content>, Error> {
    let tensors = registry.store.tensors(commit.revision).await?;
    Ok(tensors.into_iter().map(|one| (one.name, (one.dtype, one.shape, one.digest))).collect())
}
