//! Random reads of one blob, for the rooms that parse weights.

use std::{fmt, fs::File, io, os::unix::fs::FileExt as _, sync::Arc};

use domain::Digest;
use memmap2::{Mmap, MmapOptions};
use object_store::{ObjectStore, ObjectStoreExt as _, path::Path as Key};
use tokio::runtime::Handle;
use weights::View;

use crate::{Error, Result, blobs::Blobs};

/// A stored blob. Blobs of a bucket are read over the network: only from threads that may block.
pub struct BlobFile {
    digest: Digest,
    length: u64,
    bytes: Bytes,
}

enum Bytes {
    Local(File),
    Remote(Arc<dyn ObjectStore>, Key, Handle),
}

impl fmt::Debug for BlobFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlobFile").field("digest", &self.digest).field("length", &self.length).finish()
    }
}

impl BlobFile {
    pub(crate) async fn open(blobs: &Blobs, digest: &Digest, size: Option<u64>) -> Result<Self> {
        let length = size.ok_or(Error::BlobMissing(*digest))?;
        let bytes = match blobs {
            Blobs::Local(root) => {
                Bytes::Local(tokio::fs::File::open(Blobs::file(root, digest)).await?.into_std().await)
            }
            Blobs::Remote(store, prefix) => {
                Bytes::Remote(Arc::clone(store), Blobs::key(prefix, digest), Handle::current())
            }
        };
        Ok(Self { digest: *digest, length, bytes })
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
            Bytes::Local(file) => file.read_exact_at(out, offset),
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
    fn view(&self, offset: u64, len: usize) -> Option<View<'_>> {
        let Bytes::Local(file) = &self.bytes else { return None };
        let end = offset.checked_add(len as u64)?;
        if len < MAPPED || end > self.length {
            return None;
        }
        map(file, offset, len).ok().map(View::held)
    }
}

/// Maps a part of a blob for reading.
#[allow(unsafe_code)]
fn map(file: &File, offset: u64, len: usize) -> io::Result<Mmap> {
    // SAFETY: blobs are complete when they get their name, read-only from then on, and removed by unlinking alone,
    // which leaves the mapped pages where they are.
    unsafe { MmapOptions::new().offset(offset).len(len).populate().map(file) }
}

/// Shorter reads are copied: setting up a mapping takes longer.
const MAPPED: usize = 256 << 10;
