//! Bytes by digest, in a folder or a bucket: asked for, read, removed when nothing refers to them.

use std::{
    collections::HashSet,
    io,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use domain::Digest;
use futures::{
    StreamExt as _, TryStreamExt as _,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use object_store::{
    ObjectStore, ObjectStoreExt as _, aws::AmazonS3Builder, memory::InMemory, path::Path as Key,
};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use ulid::Ulid;

use crate::{
    BlobFile, Error, Result, Store,
    integrity::{Look, Sound, quarantine},
};

/// Bytes read or buffered at once.
pub const BLOCK: usize = 1 << 20;

/// Questions to the blob store at once, while other writers wait for their answers.
pub const ASKED_AT_ONCE: usize = 16;

/// Where blobs live.
#[derive(Debug, Clone)]
pub enum Blobs {
    /// A folder of this machine.
    Local(PathBuf),
    /// A bucket, under a prefix.
    Remote(Arc<dyn ObjectStore>, Key),
}

/// Compares what a stream gives with its digest.
struct Trial {
    store: Store,
    digest: Digest,
    look: Look,
    hash: Sha256,
}

impl Trial {
    async fn end(self) -> Result<()> {
        if Digest::from_bytes(self.hash.finalize().into()) != self.digest {
            return Err(self.store.set_aside(&self.digest, Some(self.look)).await);
        }
        self.store.compared().note(&self.digest, self.look);
        Ok(())
    }
}

/// Makes a folder, and those above it, that only its owner enters; one that is there keeps its rights.
///
/// # Errors
/// When it cannot be made.
pub fn create_private(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", folder.display())))
}

impl Blobs {
    /// A folder, `s3://bucket/prefix`, or `memory://` for trials.
    pub fn open(url: &str) -> Result<Self> {
        if let Some(place) = url.strip_prefix("s3://") {
            let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
            if bucket.is_empty() {
                return Err(Error::BadUrl(format!("`{url}` names no bucket; use s3://bucket/prefix")));
            }
            let store = AmazonS3Builder::from_env().with_bucket_name(bucket).build()?;
            return Ok(Self::Remote(Arc::new(store), Key::from(prefix)));
        }
        if url == "memory://" {
            return Ok(Self::Remote(Arc::new(InMemory::new()), Key::default()));
        }
        let folder = url.strip_prefix("file://").unwrap_or(url);
        if folder.is_empty() || folder.contains("://") {
            return Err(Error::BadUrl(format!(
                "blob store `{url}` is not supported; use a folder or s3://bucket/prefix"
            )));
        }
        let root = PathBuf::from(folder);
        create_private(&root.join("staging"))?;
        create_private(&root.join("blobs").join("sha256"))?;
        Ok(Self::Local(root))
    }

    /// Whether the place takes new bytes; a bucket is only asked whether it answers.
    pub async fn check(&self) -> Result<()> {
        match self {
            Self::Local(root) => {
                let path = root.join("staging").join(format!("{}.probe", Ulid::generate()));
                tokio::task::spawn_blocking(move || {
                    let written = fs_err::write(&path, [0; 4096]);
                    drop(fs_err::remove_file(&path));
                    written
                })
                .await??;
            }
            Self::Remote(store, prefix) => {
                store.list(Some(prefix)).next().await.transpose()?;
            }
        }
        Ok(())
    }

    /// The file of a blob in a local folder.
    pub fn file(root: &Path, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        root.join("blobs").join("sha256").join(&hex[..2]).join(hex)
    }

    /// The key of a blob in a bucket.
    pub fn key(prefix: &Key, digest: &Digest) -> Key {
        let hex = digest.hex();
        prefix.clone().join("blobs").join("sha256").join(&hex[..2]).join(hex)
    }

    async fn size(&self, digest: &Digest) -> Result<Option<u64>> {
        match self {
            Self::Local(root) => match tokio::fs::metadata(Self::file(root, digest)).await {
                Ok(found) => Ok(Some(found.len())),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error.into()),
            },
            Self::Remote(store, prefix) => match store.head(&Self::key(prefix, digest)).await {
                Ok(found) => Ok(Some(found.size)),
                Err(object_store::Error::NotFound { .. }) => Ok(None),
                Err(error) => Err(error.into()),
            },
        }
    }

    /// Removes a blob that nobody needs; one that is gone already is no fault.
    pub async fn remove(&self, digest: &Digest) -> Result<()> {
        match self {
            Self::Local(root) => {
                for path in [Self::file(root, digest), quarantine(root, digest)] {
                    match tokio::fs::remove_file(path).await {
                        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
                        _ => {}
                    }
                }
                Ok(())
            }
            Self::Remote(store, prefix) => match store.delete(&Self::key(prefix, digest)).await {
                Err(error) if !matches!(error, object_store::Error::NotFound { .. }) => Err(error.into()),
                _ => Ok(()),
            },
        }
    }
}

impl Store {
    /// Whether a blob is stored.
    ///
    /// # Errors
    /// When the blob store cannot be asked.
    pub async fn has(&self, digest: &Digest) -> Result<bool> {
        Ok(self.blob_size(digest).await?.is_some())
    }

    /// One of these blobs that is not stored.
    pub(crate) async fn lacking(&self, digests: HashSet<Digest>) -> Result<Option<Digest>> {
        let ask = |digest: Digest| -> BoxFuture<'static, Result<(Digest, bool)>> {
            let store = self.clone();
            Box::pin(async move { Ok((digest, store.has(&digest).await?)) })
        };
        let asked: Vec<_> = digests.into_iter().map(ask).collect();
        let mut told = stream::iter(asked).buffer_unordered(ASKED_AT_ONCE);
        while let Some((digest, stored)) = told.try_next().await? {
            if !stored {
                return Ok(Some(digest));
            }
        }
        Ok(None)
    }

    /// Length of a blob, when it is stored.
    ///
    /// # Errors
    /// When the blob store cannot be asked.
    pub async fn blob_size(&self, digest: &Digest) -> Result<Option<u64>> {
        self.blobs().size(digest).await
    }

    /// Opens a blob for random reads.
    ///
    /// # Errors
    /// [`Error::BlobMissing`]; [`Error::BlobDamaged`].
    pub async fn open_blob(&self, digest: &Digest) -> Result<BlobFile> {
        BlobFile::open(self.blobs(), digest, self.sound(digest).await?.size).await
    }

    /// Streams a range of a blob; the range is cut at its end. A whole file that was not compared with its digest
    /// before is on the way, and fails before its last block if it is damaged.
    ///
    /// # Errors
    /// [`Error::BlobMissing`]; [`Error::BlobDamaged`], also from the stream.
    pub async fn stream(
        &self,
        digest: &Digest,
        range: Range<u64>,
    ) -> Result<BoxStream<'static, Result<Bytes>>> {
        let Sound { size, untried } = self.sound(digest).await?;
        let range = range.start.min(size)..range.end.min(size);
        if range.is_empty() {
            return Ok(stream::empty().boxed());
        }
        match self.blobs() {
            Blobs::Local(root) => {
                let mut file = tokio::fs::File::open(Blobs::file(root, digest)).await?;
                file.set_max_buf_size(BLOCK);
                file.seek(io::SeekFrom::Start(range.start)).await?;
                let rest = file.take(range.end - range.start);
                let trial = untried.filter(|_| range == (0..size)).map(|look| Trial {
                    store: self.clone(),
                    digest: *digest,
                    look,
                    hash: Sha256::new(),
                });
                Ok(stream::try_unfold((rest, trial), |(mut rest, mut trial)| async move {
                    let mut block = vec![0; BLOCK.min(usize::try_from(rest.limit()).unwrap_or(BLOCK))];
                    let read = if block.is_empty() { 0 } else { rest.read(&mut block).await? };
                    block.truncate(read);
                    if let Some(trial) = &mut trial {
                        trial.hash.update(&block);
                    }
                    if rest.limit() == 0
                        && let Some(trial) = trial.take()
                    {
                        trial.end().await?;
                    }
                    Ok((read > 0).then(|| (Bytes::from(block), (rest, trial))))
                })
                .boxed())
            }
            Blobs::Remote(store, prefix) => {
                let options = object_store::GetOptions { range: Some(range.into()), ..Default::default() };
                let found = store.get_opts(&Blobs::key(prefix, digest), options).await?;
                Ok(found.into_stream().map_err(Error::from).boxed())
            }
        }
    }

    /// A small blob as text.
    ///
    /// # Errors
    /// [`Error::BlobMissing`], [`Error::BlobDamaged`], [`Error::TextTooLong`] over `max` bytes, [`Error::NotText`].
    pub async fn read_text(&self, digest: &Digest, max: u64) -> Result<String> {
        let size = self.blob_size(digest).await?.ok_or_else(|| self.absent(digest))?;
        if size > max {
            return Err(Error::TextTooLong { digest: *digest, size, max });
        }
        String::from_utf8(self.read_first(digest, size).await?).map_err(|_| Error::NotText(*digest))
    }

    /// The first bytes of a blob, at most `max`, and the size of all of it.
    ///
    /// # Errors
    /// [`Error::BlobMissing`], [`Error::BlobDamaged`]; when it cannot be read.
    pub async fn read_beginning(&self, digest: &Digest, max: u64) -> Result<(Vec<u8>, u64)> {
        let size = self.blob_size(digest).await?.ok_or_else(|| self.absent(digest))?;
        Ok((self.read_first(digest, size.min(max)).await?, size))
    }

    async fn read_first(&self, digest: &Digest, count: u64) -> Result<Vec<u8>> {
        let bytes: Vec<Bytes> = self.stream(digest, 0..count).await?.try_collect().await?;
        Ok(bytes.concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Holder, trial::Trial};

    #[tokio::test]
    async fn whether_files_are_stored_is_asked_of_several_at_once() {
        let (folder, bucket) = (tempfile::tempdir().unwrap(), Arc::new(Trial::default()));
        let store = bucket.store(folder.path()).await;
        let mut digests = HashSet::new();
        for number in 0..40 {
            digests.insert(store.put_bytes(&Holder::new(), &[number]).await.unwrap().0);
        }
        bucket.forget();

        let none = store.lacking(digests.clone()).await.unwrap();
        let absent = Digest::of(b"absent");
        digests.insert(absent);

        assert_eq!((none, store.lacking(digests).await.unwrap()), (None, Some(absent)));
        assert_eq!(bucket.at_once(), ASKED_AT_ONCE);
    }
}
