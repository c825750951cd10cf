//! Files as the Hub lists them: which are large, and by which ids their contents are known.

use std::collections::HashMap;

use http::Result;
use jobs::Registry;
use serde_json::{Value, json};
use sha1::{Digest as _, Sha1};
use store::FileRow;

use crate::download::Name;

/// Files from this size on are large whatever they are called.
const LARGE: u64 = 10_000_000;

/// Extensions of what the Hub's default `.gitattributes` keeps out of git.
const BINARY: [&str; 27] = [
    "7z",
    "arrow",
    "bin",
    "bz2",
    "ckpt",
    "ftz",
    "gguf",
    "gz",
    "h5",
    "joblib",
    "model",
    "mlmodel",
    "msgpack",
    "npy",
    "npz",
    "onnx",
    "ot",
    "parquet",
    "pb",
    "pickle",
    "pkl",
    "pt",
    "pth",
    "safetensors",
    "tflite",
    "xz",
    "zst",
];

/// Where the Hub would keep this file.
pub fn kept(path: &str, size: u64) -> Kept {
    let name = path.rsplit('/').next().unwrap_or(path);
    let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    let binary = extension.is_some_and(|extension| BINARY.contains(&extension.as_str()));
    if size > 0 && (size >= LARGE || binary) { Kept::Lfs } else { Kept::Git }
}

/// Where the Hub keeps a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    Git,
    Lfs,
}

/// The LFS pointer file that git would hold instead of the content.
fn pointer(file: &FileRow) -> String {
    format!(
        "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize {}\n",
        file.digest.hex(),
        file.size
    )
}

/// The git object id of a small content.
pub fn git_oid(content: &[u8]) -> String {
    let mut hash = Sha1::new();
    hash.update(format!("blob {}\0", content.len()));
    hash.update(content);
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Object ids of the files of a revision, by path.
///
/// # Errors
/// When a blob or the database cannot be read.
pub async fn oids(registry: &Registry, revision: i64, files: &[FileRow]) -> Result<HashMap<String, String>> {
    let small: Vec<&FileRow> = files.iter().filter(|file| kept(&file.path, file.size) == Kept::Git).collect();
    let mut oids = registry.store.git_oids(revision, &small).await?;
    for file in files.iter().filter(|file| kept(&file.path, file.size) == Kept::Lfs) {
        oids.insert(file.path.clone(), git_oid(pointer(file).as_bytes()));
    }
    Ok(oids)
}

/// What the entity tag of a file of a revision is made of, as on the Hub: the id that its tree lists for a small file,
/// the digest for a large one.
///
/// # Errors
/// When a blob or the database cannot be read.
pub async fn content_name(registry: &Registry, revision: i64, file: &FileRow) -> Result<Name> {
    if kept(&file.path, file.size) == Kept::Lfs {
        return Ok(Name::Lfs);
    }
    let oid = registry.store.git_oids(revision, &[file]).await?.remove(&file.path);
    Ok(oid.map_or(Name::Sha256, Name::Git))
}

/// `lfs` of a large file, with the name its digest has in this kind of answer.
pub fn lfs(file: &FileRow, digest_name: &str) -> Option<Value> {
    (kept(&file.path, file.size) == Kept::Lfs).then(
        || json!({ digest_name: file.digest.hex(), "size": file.size, "pointerSize": pointer(file).len() }),
    )
}

/// An entry of a tree.
pub fn entry(file: &FileRow, oid: &str) -> Value {
    let mut entry = json!({ "type": "file", "path": file.path, "oid": oid, "size": file.size });
    if let (Some(lfs), Some(object)) = (lfs(file, "oid"), entry.as_object_mut()) {
        object.insert("lfs".to_owned(), lfs);
    }
    entry
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_and_large_files_are_kept_in_lfs_and_empty_ones_never() {
        for (path, size, place) in [
            ("model.safetensors", 8, Kept::Lfs),
            ("a/PYTORCH_MODEL.BIN", 8, Kept::Lfs),
            ("vocab.json", LARGE, Kept::Lfs),
            ("config.json", 900, Kept::Git),
            ("safetensors", 900, Kept::Git),
            ("empty.bin", 0, Kept::Git),
        ] {
            assert_eq!(kept(path, size), place, "{path} of {size} bytes");
        }
    }

    #[test]
    fn an_object_id_is_the_one_that_git_gives() {
        assert_eq!(git_oid(b"hello\n"), "ce013625030ba8dba906f756967f9e9ca394464a");
        assert_eq!(git_oid(b""), "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
    }
}
