//! Stored bytes as somebody may have them: whether they are hidden and how many they are is one question.

use domain::Digest;

use crate::{Error, Result, Store};

impl Store {
    /// Bytes of a blob that the viewer may have; none where it is not here, or lost its bytes. What is hidden is not here.
    ///
    /// # Errors
    /// When the database or the blob store cannot be read.
    pub async fn open_size(&self, digest: &Digest) -> Result<Option<u64>> {
        match self.may_have(digest).await? {
            true => self.blob_size(digest).await,
            false => Ok(None),
        }
    }

    /// The same where its absence is told apart.
    ///
    /// # Errors
    /// [`Error::BlobMissing`] for one that is not here or hidden, [`Error::BlobDamaged`] for one that lost its bytes, and
    /// as [`Store::open_size`].
    pub async fn size_for_viewer(&self, digest: &Digest) -> Result<u64> {
        if !self.may_have(digest).await? {
            return Err(Error::BlobMissing(*digest));
        }
        self.blob_size(digest).await?.ok_or_else(|| self.absent(digest))
    }
}
