//! Random reads of one blob, for the rooms that parse weights.

use std::{
    fmt,
    fs::File,
    io,
    os::unix::fs::FileExt as _,
    sync::{Arc, OnceLock},
};

use domain::Digest;
use memmap2::{Advice, Mmap};
use object_store::{ObjectStore, ObjectStoreExt as _, path::Path as Key};
use tokio::runtime::Handle;
use weights::ReadAt as _;

use crate::{
    Error, Result,
    blobs::Blobs,
    integrity::{Look, digest_of},
};

/// A stored blob. Blobs of a bucket are read over the network: only from threads that may block.
pub struct BlobFile {
    digest: Digest,
    length: u64,
    bytes: Bytes,
}

enum Bytes {
    Local(File, OnceLock<Option<Mmap>>),
    Remote(Arc<dyn ObjectStore>, Key, Handle),
}

impl fmt::Debug for BlobFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlobFile").field("digest", &self.digest).field("length", &self.length).finish()
    }
}

impl BlobFile {
    pub(crate) async fn open(blobs: &Blobs, digest: &Digest, length: u64) -> Result<Self> {
        let bytes = match blobs {
            Blobs::Local(root) => {
                let file = tokio::fs::File::open(Blobs::file(root, digest)).await?.into_std().await;
                Bytes::Local(file, OnceLock::new())
            }
            Blobs::Remote(store, prefix) => {
                Bytes::Remote(Arc::clone(store), Blobs::key(prefix, digest), Handle::current())
            }
        };
        Ok(Self { digest: *digest, length, bytes })
    }

    /// How its file looks; none of a bucket's object.
    pub(crate) fn look(&self) -> io::Result<Option<Look>> {
        match &self.bytes {
            Bytes::Local(file, _) => Ok(Some(Look::of(&file.metadata()?))),
            Bytes::Remote(..) => Ok(None),
        }
    }

    /// Reads all of it: the digest that its bytes have. Only from threads that may block.
    ///
    /// # Errors
    /// [`Error::BlobStore`] where a bucket does not answer, [`Error::BlobMissing`] where it has lost the object; whatever
    /// stands in the way of reading a file.
    pub fn digest(&self) -> Result<Digest> {
        let mut done = 0;
        let hashed = digest_of(|block| {
            let some = usize::try_from(self.length - done).unwrap_or(block.len()).min(block.len());
            self.read_at(done, &mut block[..some])?;
            done += some as u64;
            Ok(some)
        });
        hashed.map_err(|error| match error.downcast::<object_store::Error>() {
            Ok(object_store::Error::NotFound { .. }) => Error::BlobMissing(self.digest),
            Ok(error) => Error::BlobStore(error),
            Err(error) => Error::Io(error),
        })
    }
}

impl weights::ReadAt for BlobFile {
    fn len(&self) -> u64 {
        self.length
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let end = offset.checked_add(out.len() as u64).filter(|end| *end <= self.length);
        let Some(end) = end else {
            let range = format!(
                "blob {} has {} bytes; asked for {} at {offset}",
                self.digest,
                self.length,
                out.len()
            );
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, range));
        };
        if out.is_empty() {
            return Ok(());
        }
        match &self.bytes {
            Bytes::Local(file, _) => file.read_exact_at(out, offset),
            Bytes::Remote(store, key, runtime) => {
                let bytes = runtime.block_on(store.get_range(key, offset..end)).map_err(io::Error::other)?;
                if bytes.len() != out.len() {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                out.copy_from_slice(&bytes);
                Ok(())
            }
        }
    }
    fn view(&self, offset: u64, len: usize) -> Option<&[u8]> {
        let Bytes::Local(_, mapped) = &self.bytes else { return None };
        let begin = usize::try_from(offset).ok()?;
        mapped.get_or_init(|| self.map().ok()).as_ref()?.get(begin..begin.checked_add(len)?)
    }
}

impl BlobFile {
    /// Maps the whole blob for reading; it takes address space, not memory.
    #[allow(unsafe_code)]
    fn map(&self) -> io::Result<Mmap> {
        let Bytes::Local(file, _) = &self.bytes else { return Err(io::ErrorKind::Unsupported.into()) };
        if file.metadata()?.len() != self.length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        // SAFETY: blobs are complete when they get their name, read-only from then on, and removed by unlinking
        // alone, which leaves mapped pages where they are.
        let mapped = unsafe { Mmap::map(file)? };
        // Neighbours are read soon; a kernel that does not know the advice reads on demand.
        let _ = mapped.advise(Advice::Sequential);
        Ok(mapped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Holder, trial::Trial};

    #[tokio::test]
    async fn a_bucket_that_does_not_answer_is_told_from_damage() {
        let (folder, bucket) = (tempfile::tempdir().unwrap(), Arc::new(Trial::default()));
        let store = bucket.store(folder.path()).await;
        let (digest, _) = store.put_bytes(&Holder::new(), b"sound").await.unwrap();
        let (blob, look) = store.open_untried(&digest).await.unwrap();
        let blob = Arc::new(blob);
        let read = async || {
            let blob = Arc::clone(&blob);
            tokio::task::spawn_blocking(move || blob.digest()).await.unwrap()
        };

        let sound = read().await.unwrap();
        bucket.fall_silent();
        let silent = read().await;

        assert_eq!((sound, look), (digest, None));
        assert!(matches!(silent, Err(Error::BlobStore(_))), "{silent:?}");
    }
}
