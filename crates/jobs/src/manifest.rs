//! What a revision is made of, as one document: every file with size, digest, address and tensors.

use std::{collections::BTreeMap, io::Read as _, path::Path};

use domain::{Digest, Limits, address};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use store::{MAIN, Part};
use weights::{Folder, TensorSource as _};

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

/// Bytes of a file that are read at once.
const BUFFER: usize = 1 << 20;

/// The files of a folder as they would be stored.
#[derive(Debug, Clone, Serialize)]
pub struct FolderManifest {
    pub folder: String,
    /// Bytes of all files.
    pub size: u64,
    pub tensors: u64,
    /// Weights, by number format.
    pub parameters: BTreeMap<String, u64>,
    pub files: Vec<FolderManifestFile>,
}

/// A file of a folder.
#[derive(Debug, Clone, Serialize)]
pub struct FolderManifestFile {
    pub path: String,
    pub size: u64,
    /// 64 hex digits.
    pub sha256: String,
    /// Tensors that lie in it.
    pub tensors: u64,
}

/// The manifest of a checkpoint folder; every file is read.
///
/// # Errors
/// What is wrong with the folder or its weights.
pub fn manifest_in(folder: &Path, limits: &Limits) -> Result<FolderManifest, Error> {
    let opened = Folder::open(folder, limits)?;
    let (mut within, mut parameters) = (BTreeMap::<String, u64>::new(), BTreeMap::<String, u64>::new());
    if let Some(checkpoint) = opened.checkpoint(limits)? {
        for (at, info) in checkpoint.tensors().iter().enumerate() {
            *within.entry(checkpoint.shard_of(at).to_owned()).or_default() += 1;
            *parameters.entry(info.dtype.name().to_owned()).or_default() += info.elements();
        }
    }
    let mut files = Vec::with_capacity(opened.files.len());
    let mut buffer = vec![0; BUFFER];
    for file in opened.files {
        let (mut hash, mut reader) = (Sha256::new(), fs_err::File::open(&file.at)?);
        loop {
            match reader.read(&mut buffer)? {
                0 => break,
                count => hash.update(&buffer[..count]),
            }
        }
        let path = file.path.as_str().to_owned();
        let tensors = within.get(&path).copied().unwrap_or_default();
        let sha256 = Digest::from_bytes(hash.finalize().into()).hex();
        files.push(FolderManifestFile { path, size: file.size, sha256, tensors });
    }
    Ok(FolderManifest {
        folder: folder.display().to_string(),
        size: files.iter().map(|file| file.size).sum(),
        tensors: within.values().sum(),
        parameters,
        files,
    })
}
