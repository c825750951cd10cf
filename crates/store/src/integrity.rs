//! Whether stored bytes are still those of their digest. What is not is set aside and not given out.

use std::{
    collections::HashMap,
    fs::Metadata,
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use domain::Digest;
use sha2::{Digest as _, Sha256};

use crate::{
    BlobFile, Error, Result, Store,
    blobs::{BLOCK, Blobs},
    rows::{get, unsigned},
    sql::{self, Params},
};

/// Files remembered as compared; over this many, remembering begins anew.
const MOST: usize = 200_000;

/// By what a file is known not to have been written to since it was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    size: u64,
    inode: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
}

impl Look {
    pub fn of(about: &Metadata) -> Self {
        Self { size: about.len(), inode: about.ino(), modified: (about.mtime(), about.mtime_nsec()) }
    }

    fn at(path: &Path) -> io::Result<Self> {
        Ok(Self::of(&fs_err::metadata(path)?))
    }
}

/// Files that this process wrote, or compared with their digests.
#[derive(Debug, Default)]
pub struct Compared(Mutex<HashMap<Digest, Look>>);

impl Compared {
    pub fn knows(&self, digest: &Digest, look: &Look) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(digest) == Some(look)
    }

    pub fn note(&self, digest: &Digest, look: Look) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(*digest, look);
    }
}

/// A blob that may be read.
#[derive(Debug, Clone, Copy)]
pub struct Sound {
    pub size: u64,
    /// The file as it was when it was looked at, where its bytes were not compared with the digest.
    pub untried: Option<Look>,
}

/// Where a damaged blob is kept for whoever wants to look at it.
pub fn quarantine(root: &Path, digest: &Digest) -> PathBuf {
    root.join("quarantine").join(digest.hex())
}

impl Store {
    /// A blob as far as it is cheap to tell: a file of `check_bytes` at most is compared with its digest when this
    /// process first reads it, a larger one and one of a bucket with the size that is written down.
    ///
    /// # Errors
    /// [`Error::BlobMissing`]; [`Error::BlobDamaged`].
    pub(crate) async fn sound(&self, digest: &Digest) -> Result<Sound> {
        let size = self.blob_size(digest).await?.ok_or_else(|| self.absent(digest))?;
        let mut untried = None;
        if let Blobs::Local(root) = self.blobs() {
            let path = Blobs::file(root, digest);
            let look = Look::of(&tokio::fs::metadata(&path).await?);
            if self.compared().knows(digest, &look) {
                return Ok(Sound { size, untried });
            }
            if size <= self.limits().check_bytes {
                let found = tokio::task::spawn_blocking(move || hash(&path)).await??;
                if found != *digest {
                    return Err(self.set_aside(digest, Some(look)).await);
                }
                self.compared().note(digest, look);
                return Ok(Sound { size, untried });
            }
            untried = Some(look);
        }
        if self.written_size(digest).await?.is_some_and(|written| written != size) {
            return Err(self.set_aside(digest, untried).await);
        }
        Ok(Sound { size, untried })
    }

    /// Opens a blob to compare it with its digest: nothing is compared before. With it comes how its file looks, where it
    /// is a file: another may take its place while it is read.
    ///
    /// # Errors
    /// [`Error::BlobMissing`]; [`Error::BlobDamaged`] for one that is set aside.
    pub async fn open_untried(&self, digest: &Digest) -> Result<(BlobFile, Option<Look>)> {
        let size = self.blob_size(digest).await?.ok_or_else(|| self.absent(digest))?;
        let blob = BlobFile::open(self.blobs(), digest, size).await?;
        let look = blob.look()?;
        Ok((blob, look))
    }

    /// Blobs of a folder that are set aside, with the times at which they were, unix seconds.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub async fn aside(&self) -> Result<Vec<(Digest, i64)>> {
        let Blobs::Local(root) = self.blobs() else { return Ok(Vec::new()) };
        let folder = root.join("quarantine");
        Ok(tokio::task::spawn_blocking(move || list_aside(&folder)).await??)
    }

    /// Why there is no blob to read.
    pub fn absent(&self, digest: &Digest) -> Error {
        match self.blobs() {
            Blobs::Local(root) if quarantine(root, digest).exists() => Error::BlobDamaged(*digest),
            _ => Error::BlobMissing(*digest),
        }
    }

    /// Puts a blob whose bytes are not those of its digest out of reach, so that it can be brought in again, and takes
    /// back that it was verified; one of a bucket stays. `look` is the file as it was found, if another may have come in
    /// its place since.
    pub async fn set_aside(&self, digest: &Digest, look: Option<Look>) -> Error {
        let mut same = true;
        if let Blobs::Local(root) = self.blobs() {
            let path = Blobs::file(root, digest);
            same = look.is_none_or(|look| Look::at(&path).is_ok_and(|now| now == look));
            if same && let Err(error) = move_away(root, digest) {
                tracing::warn!("blob {digest} is damaged and cannot be set aside: {error}");
            }
        }
        if same && let Err(error) = self.mark_unverified(digest).await {
            tracing::warn!("blob {digest} is damaged, which cannot be written down: {error}");
        }
        tracing::error!("blob {digest} is damaged: it is not given out until the file is brought in again");
        Error::BlobDamaged(*digest)
    }

    /// The size that files of this digest have by the database.
    async fn written_size(&self, digest: &Digest) -> Result<Option<u64>> {
        let mut params = Params::default();
        let sql = format!("SELECT size FROM files WHERE digest = {} LIMIT 1", params.add(digest.to_string()));
        let row = sql::one(self.db(), &sql, params).await?;
        row.map(|row| unsigned(&row, "size")).transpose()
    }

    /// Models and paths that a digest stands under, `most` of them.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn places_of(&self, digest: &Digest, most: u64) -> Result<Vec<(String, String)>> {
        let mut params = Params::default();
        let sql = format!(
            "SELECT DISTINCT models.name AS name, files.path AS path FROM files
             JOIN revisions ON revisions.id = files.revision JOIN models ON models.id = revisions.model
             WHERE files.digest = {} ORDER BY 1, 2 LIMIT {}",
            params.add(digest.to_string()),
            params.add(sql::capped(most))
        );
        let rows = sql::all(self.db(), &sql, params).await?;
        rows.iter().map(|row| Ok((get(row, "name")?, get(row, "path")?))).collect()
    }
}

fn list_aside(folder: &Path) -> io::Result<Vec<(Digest, i64)>> {
    let mut found = Vec::new();
    if !folder.is_dir() {
        return Ok(found);
    }
    for entry in fs_err::read_dir(folder)? {
        let entry = entry?;
        let digest = entry.file_name().to_str().and_then(|hex| format!("sha256:{hex}").parse().ok());
        // Its owner may take it away at any moment.
        let (Some(digest), Ok(about)) = (digest, entry.metadata()) else { continue };
        found.push((digest, about.ctime()));
    }
    Ok(found)
}

fn move_away(root: &Path, digest: &Digest) -> io::Result<()> {
    let target = quarantine(root, digest);
    fs_err::create_dir_all(target.parent().unwrap_or(root))?;
    fs_err::rename(Blobs::file(root, digest), target)
}

/// The digest of a file.
pub fn hash(path: &Path) -> io::Result<Digest> {
    let mut file = fs_err::File::open(path)?;
    digest_of(|block| file.read(block))
}

/// The digest of what `read` gives, a block after the other until there is none.
pub fn digest_of(mut read: impl FnMut(&mut [u8]) -> io::Result<usize>) -> io::Result<Digest> {
    let (mut hasher, mut block) = (Sha256::new(), vec![0; BLOCK]);
    loop {
        match read(&mut block)? {
            0 => return Ok(Digest::from_bytes(hasher.finalize().into())),
            read => hasher.update(&block[..read]),
        }
    }
}
