//! A model on the Hub at one commit: its files, each read only where and when it is needed.

use domain::{Digest, RelativePath, RepoId};
use serde_json::Value;

use crate::{Error, HubClient, RemoteFile, Result};

/// A model at the commit that a revision named when it was opened.
#[derive(Debug)]
pub struct Repository {
    /// The commit, or the revision asked for where the Hub names none.
    pub commit: String,
    /// The Hub's record of the model.
    pub record: Value,
    pub files: Vec<(RelativePath, RemoteFile)>,
    /// Of the names and the digests of the files that are not for people only, as the Hub states them; of the commit
    /// where it states none.
    pub digest: Digest,
}

impl HubClient {
    /// Opens the model at a revision: a branch, a tag or a commit.
    ///
    /// # Errors
    /// When the Hub has no such model or revision, cannot be reached, or lists what is no file of a repository.
    pub async fn repository(&self, id: &RepoId, revision: &str) -> Result<Repository> {
        let url = self.address(&["api", "models"], id, &["revision", revision]);
        let record = self.record(&format!("{url}?blobs=true"), (id, revision)).await?;
        let commit = record.get("sha").and_then(Value::as_str).unwrap_or(revision).to_owned();
        let bad = |reason: String| Error::BadAnswer { url: url.to_string(), reason };
        let listed = record.get("siblings").and_then(Value::as_array);
        let listed = listed.ok_or_else(|| bad("it lists no files (siblings)".to_owned()))?;
        if listed.len() > self.limits().files {
            return Err(bad(format!(
                "it lists {} files; at most {} are read",
                listed.len(),
                self.limits().files
            )));
        }
        let (mut files, mut pin) = (Vec::with_capacity(listed.len()), id.to_string());
        for file in listed {
            let name = file.get("rfilename").and_then(Value::as_str).unwrap_or_default();
            let path = RelativePath::parse(name).map_err(|error| bad(error.to_string()))?;
            let size = file.get("size").and_then(Value::as_u64);
            let size = size.ok_or_else(|| bad(format!("`{path}` has no size")))?;
            if !path.as_str().ends_with(".md") && path.as_str() != ".gitattributes" {
                let content =
                    file.pointer("/lfs/sha256").or_else(|| file.get("blobId")).and_then(Value::as_str);
                pin.push_str(&format!("\n{path} {size} {}", content.unwrap_or(&commit)));
            }
            let parts: Vec<&str> = path.as_str().split('/').collect();
            let at = self.address(&[], id, &[&["resolve", commit.as_str()], &parts[..]].concat());
            let stated = file.pointer("/lfs/sha256").or_else(|| file.pointer("/lfs/oid"));
            let stated = stated.and_then(Value::as_str).and_then(|text| text.parse().ok());
            files.push((path, RemoteFile::new(self, at, size).stating(stated)));
        }
        Ok(Repository { commit, record, files, digest: Digest::of(pin.as_bytes()) })
    }
}

impl Repository {
    /// A file by its path.
    pub fn file(&self, path: &str) -> Option<&RemoteFile> {
        self.files.iter().find(|(name, _)| name.as_str() == path).map(|(_, file)| file)
    }
}
