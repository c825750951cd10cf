//! What a revision is made of, as one document: every file with size, digest, address and tensors.

use std::collections::BTreeMap;

use domain::{Digest, address};
use serde::Serialize;
use store::{MAIN, Part};

use crate::{Error, Registry};

/// The files of a revision.
#[derive(Debug, Clone, Serialize)]
pub struct Manifest {
    pub model: String,
    /// The commit, 40 hex digits.
    pub commit: String,
    /// Content digest of all files.
    pub digest: Digest,
    /// Unix seconds.
    pub created_at: i64,
    /// Bytes of all files.
    pub size: u64,
    pub tensors: u64,
    /// Weights, by number format.
    pub parameters: BTreeMap<String, u64>,
    pub files: Vec<ManifestFile>,
}

/// A file of a revision.
#[derive(Debug, Clone, Serialize)]
pub struct ManifestFile {
    pub path: String,
    pub size: u64,
    /// 64 hex digits.
    pub sha256: String,
    /// When its bytes were last compared with the digest, unix seconds.
    pub verified_at: Option<i64>,
    /// Whether its bytes were found to be others than those of the digest; they are not given out.
    pub damaged: bool,
    /// Tensors that lie in it.
    pub tensors: u64,
    /// Where it can be fetched.
    pub url: String,
}

/// The manifest of a model at a branch, a tag, a commit or a digest; addresses begin with `origin`. None for an unknown
/// model, or one without files.
///
/// # Errors
/// [`Error::UnknownRevision`]; when the database cannot be read.
pub async fn manifest(
    registry: &Registry,
    (id, revision): (&str, Option<&str>),
    origin: &str,
) -> Result<Option<Manifest>, Error> {
    let Some(row) = registry.store.model_by_id(id).await? else { return Ok(None) };
    let wanted = revision.unwrap_or(MAIN);
    let Some(commit) = registry.store.commit(row.id, wanted).await? else {
        return match revision {
            None => Ok(None),
            Some(revision) => Err(Error::UnknownRevision {
                model: row.name,
                revision: revision.chars().take(120).collect(),
            }),
        };
    };
    let parts = registry.store.composition(commit.revision).await?;
    let parameters = Part::parameters(&parts);
    let mut within: BTreeMap<String, u64> = BTreeMap::new();
    for part in parts {
        *within.entry(part.file).or_default() += part.tensors;
    }
    let files: Vec<ManifestFile> = registry
        .store
        .checked_files(commit.revision)
        .await?
        .into_iter()
        .map(|checked| ManifestFile {
            url: format!(
                "{origin}/{}/resolve/{}/{}",
                address::path(&row.name),
                commit.oid,
                address::path(&checked.file.path)
            ),
            tensors: within.get(&checked.file.path).copied().unwrap_or_default(),
            path: checked.file.path,
            size: checked.file.size,
            sha256: checked.file.digest.hex(),
            verified_at: checked.verified_at,
            damaged: checked.damaged,
        })
        .collect();
    Ok(Some(Manifest {
        model: row.name,
        commit: commit.oid,
        digest: commit.digest,
        created_at: commit.created_at,
        size: files.iter().map(|file| file.size).sum(),
        tensors: within.values().sum(),
        parameters,
        files,
    }))
}
