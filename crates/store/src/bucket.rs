//! Files on their way into a bucket.

use std::io::SeekFrom;

use domain::Digest;
use object_store::{ObjectStore, ObjectStoreExt as _, WriteMultipart, path::Path as Key};
use sha2::{Digest as _, Sha256};
use tokio::{
    fs::File,
    io::{AsyncReadExt as _, AsyncSeekExt as _},
};

use crate::{
    Error, Result,
    blobs::{BLOCK, Blobs},
};

/// Bytes of a part of what is sent to a bucket, unless there would be too many.
const PART: usize = 8 * BLOCK;
/// Parts of one object; buckets take 10,000.
const MOST_PARTS: u64 = 9_000;

/// Sends a file to a bucket, in parts where it is large, unless the bucket has it; gives its length. There is nothing
/// under the key before all of it is there and was seen on the way to be what its digest says.
///
/// # Errors
/// [`Error::BlobDamaged`] for other bytes than those of the digest; when the file cannot be read, or the bucket refuses.
pub async fn send(
    (store, prefix): (&dyn ObjectStore, &Key),
    digest: &Digest,
    file: &mut File,
) -> Result<u64> {
    let (key, length) = (Blobs::key(prefix, digest), file.metadata().await?.len());
    if store.head(&key).await.is_ok_and(|held| held.size == length) {
        return Ok(length);
    }
    file.seek(SeekFrom::Start(0)).await?;
    if length <= PART as u64 {
        let mut bytes = Vec::new();
        file.take(PART as u64 + 1).read_to_end(&mut bytes).await?;
        if Digest::of(&bytes) != *digest {
            return Err(Error::BlobDamaged(*digest));
        }
        store.put(&key, bytes.into()).await?;
        return Ok(length);
    }
    let upload = store.put_multipart(&key).await?;
    let mut upload = WriteMultipart::new_with_chunk_size(upload, part_bytes(length));
    match fill(&mut upload, file).await {
        Ok(found) if found == *digest => {
            upload.finish().await?;
            Ok(length)
        }
        other => {
            // What went wrong first is told; a bucket that does not hear of it drops the parts by a rule of its own.
            drop(upload.abort().await);
            other.and(Err(Error::BlobDamaged(*digest)))
        }
    }
}

/// Gives a file to an upload, a few parts at once; tells its digest.
async fn fill(upload: &mut WriteMultipart, file: &mut File) -> Result<Digest> {
    let (mut hash, mut block) = (Sha256::new(), vec![0; BLOCK]);
    loop {
        upload.wait_for_capacity(4).await?;
        match file.read(&mut block).await? {
            0 => return Ok(Digest::from_bytes(hash.finalize().into())),
            read => {
                hash.update(&block[..read]);
                upload.write(&block[..read]);
            }
        }
    }
}

/// Bytes of a part of an object of this length.
fn part_bytes(length: u64) -> usize {
    usize::try_from(length.div_ceil(MOST_PARTS)).unwrap_or(usize::MAX).max(PART)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{Holder, trial::Trial};

    fn bytes(length: u32) -> Vec<u8> {
        (0..length).map(|n| (n * 7 % 251) as u8).collect()
    }

    #[tokio::test]
    async fn a_bucket_that_copies_nothing_takes_blobs_of_every_kind() {
        let folder = tempfile::tempdir().unwrap();
        let (staging, bucket) = (folder.path().join("staging"), Arc::new(Trial::default()));
        let store = bucket.store(&staging).await;
        let (large, small) = (bytes(20_000_000), b"small".to_vec());
        let file = folder.path().join("model.safetensors");
        fs_err::write(&file, &large[1..]).unwrap();

        let mut writer = store.blob_writer(&Holder::new()).await.unwrap();
        for part in large.chunks(3_000_001) {
            writer.write(part).await.unwrap();
        }
        let streamed = writer.finish().await.unwrap();
        let stored = store.put_file(&Holder::new(), &file).await.unwrap();
        let short = store.put_bytes(&Holder::new(), &small).await.unwrap();

        assert_eq!(streamed, (Digest::of(&large), 20_000_000));
        assert_eq!(stored, (Digest::of(&large[1..]), 19_999_999));
        assert_eq!(short, (Digest::of(&small), 5));
        for (digest, size) in [streamed, stored, short] {
            assert_eq!(store.blob_size(&digest).await.unwrap(), Some(size));
        }
        assert_eq!(bucket.uploads(), 2, "small ones go by one request");
        assert_eq!(fs_err::read_dir(&staging).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn a_file_that_is_not_what_its_digest_says_does_not_reach_a_bucket() {
        let folder = tempfile::tempdir().unwrap();
        let bucket = Trial::default();
        for length in [9_u32, 20_000_000] {
            let path = folder.path().join("file");
            fs_err::write(&path, bytes(length)).unwrap();
            let mut file = tokio::fs::File::open(&path).await.unwrap();
            let other = Digest::of(b"other");

            let sent = send((&bucket, &Key::from("p")), &other, &mut file).await;

            assert!(matches!(sent, Err(Error::BlobDamaged(digest)) if digest == other), "{sent:?}");
            assert!(bucket.head(&Blobs::key(&Key::from("p"), &other)).await.is_err());
        }
    }

    #[test]
    fn the_largest_file_has_no_more_parts_than_a_bucket_takes() {
        let largest = domain::Limits::default().file_bytes;

        for length in [1, PART as u64, largest, 5_u64 << 40] {
            let part = part_bytes(length) as u64;

            assert!(
                length.div_ceil(part) <= 10_000 && (5 << 20..=5 << 30).contains(&part),
                "{length}: {part}"
            );
        }
    }
}
