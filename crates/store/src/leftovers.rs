//! Stored blobs that no row of the database names: found by listing what is stored, and removed once they are old.

use std::{
    collections::HashSet,
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use domain::Digest;
use futures::{StreamExt as _, TryStreamExt as _, stream::BoxStream};
use sea_orm::ConnectionTrait;

use crate::{
    Result, Store,
    blobs::Blobs,
    rows::parsed,
    sql::{self, MOST_KEYS, Params, wall_clock},
    sweep::A_TURN,
};

/// A blob as the blob store lists it.
#[derive(Debug, Clone, Copy)]
pub struct Listed {
    pub digest: Digest,
    size: u64,
    /// When it was last written, unix seconds.
    written: i64,
}

/// What is stored, against what is named.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Leftovers {
    /// Stored blobs that a file of a revision, a job's result or a holder names.
    pub named: u64,
    /// Those that nothing names and that are older than `unnamed_blob_seconds`, with their sizes in bytes.
    pub unnamed: Vec<(Digest, u64)>,
}

impl Leftovers {
    /// Bytes of what nothing names.
    pub fn bytes(&self) -> u64 {
        self.unnamed.iter().map(|(_, size)| size).sum()
    }
}

impl Blobs {
    /// Everything that is stored under a digest, what is set aside too; files of other names are left out.
    pub fn listed(&self) -> BoxStream<'static, Result<Listed>> {
        match self {
            Self::Local(root) => {
                let folders = local_folders(root);
                let listed = futures::stream::once(async move { folders })
                    .map_ok(|folders| futures::stream::iter(folders.into_iter().map(Ok::<_, crate::Error>)))
                    .map_err(crate::Error::from)
                    .try_flatten()
                    .and_then(|folder| async move {
                        let found = tokio::task::spawn_blocking(move || list_folder(&folder)).await??;
                        Ok(futures::stream::iter(found.into_iter().map(Ok::<_, crate::Error>)))
                    })
                    .try_flatten();
                listed.boxed()
            }
            Self::Remote(store, prefix) => {
                let objects = store.list(Some(&prefix.clone().join("blobs").join("sha256")));
                let listed = objects.map_err(crate::Error::from).try_filter_map(|object| async move {
                    Ok(object.location.filename().and_then(named_after).map(|digest| Listed {
                        digest,
                        size: object.size,
                        written: object.last_modified.timestamp(),
                    }))
                });
                listed.boxed()
            }
        }
    }
}

/// Folders that hold blobs, and the one of those that are set aside.
fn local_folders(root: &Path) -> io::Result<Vec<PathBuf>> {
    let mut folders = vec![root.join("quarantine")];
    for entry in fs_err::read_dir(root.join("blobs").join("sha256"))? {
        folders.push(entry?.path());
    }
    folders.retain(|folder| folder.is_dir());
    Ok(folders)
}

fn list_folder(folder: &Path) -> io::Result<Vec<Listed>> {
    let mut found = Vec::new();
    for entry in fs_err::read_dir(folder)? {
        let entry = entry?;
        let Some(digest) = entry.file_name().to_str().and_then(named_after) else { continue };
        // Its owner may take it away at any moment.
        let Ok(about) = entry.metadata() else { continue };
        if about.is_file() {
            found.push(Listed { digest, size: about.len(), written: about.mtime() });
        }
    }
    Ok(found)
}

fn named_after(name: &str) -> Option<Digest> {
    format!("sha256:{name}").parse().ok()
}

impl Store {
    /// Looks for blobs that nothing names any more.
    ///
    /// # Errors
    /// When the blob store cannot be listed, or the database read.
    pub async fn leftovers(&self) -> Result<Leftovers> {
        let age = sql::capped(self.limits().unnamed_blob_seconds);
        let latest = wall_clock().saturating_sub(age);
        let mut found = Leftovers::default();
        let mut chunks = self.blobs().listed().try_chunks(MOST_KEYS);
        while let Some(chunk) = chunks.try_next().await.map_err(|error| error.1)? {
            let digests: Vec<Digest> = chunk.iter().map(|blob| blob.digest).collect();
            let named = named(self.db(), &digests).await?;
            for blob in chunk {
                if named.contains(&blob.digest) {
                    found.named += 1;
                } else if blob.written <= latest {
                    found.unnamed.push((blob.digest, blob.size));
                }
            }
        }
        Ok(found)
    }

    /// Whether no process of this registry has looked for leftovers in the last `every` seconds; the caller is to look now.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn leftovers_due(&self, every: u32) -> Result<bool> {
        let now = sql::now(self.backend());
        let sql = format!(
            "INSERT INTO counters (name, value) VALUES ('leftovers_sought', {now})
             ON CONFLICT (name) DO UPDATE SET value = excluded.value
             WHERE counters.value <= excluded.value - {every} RETURNING value"
        );
        Ok(self.changed(&sql, Params::default()).await?.is_some())
    }

    /// Removes those of the blobs found that nothing names still; gives their number and their bytes.
    ///
    /// # Errors
    /// When database or blob store refuse; what was removed before stays removed.
    pub async fn remove_leftovers(&self, found: &Leftovers) -> Result<(u64, u64)> {
        let (mut blobs, mut bytes) = (0, 0);
        for chunk in found.unnamed.chunks(A_TURN) {
            let digests: Vec<Digest> = chunk.iter().map(|(digest, _)| *digest).collect();
            // In the writers' turn: whoever wants one of them has pinned it before, or stores it anew after.
            let tx = self.begin_write().await?;
            let named = named(&tx, &digests).await?;
            let unneeded = chunk.iter().filter(|(digest, _)| !named.contains(digest));
            let (gone, sizes): (Vec<Digest>, Vec<u64>) = unneeded.copied().unzip();
            self.remove_each(&gone).await?;
            tx.commit().await?;
            blobs += gone.len() as u64;
            bytes += sizes.iter().sum::<u64>();
        }
        Ok((blobs, bytes))
    }
}

/// Those of at most `MOST_KEYS` digests that a file of a revision, a job's result or a living pin names.
pub async fn named(db: &impl ConnectionTrait, digests: &[Digest]) -> Result<HashSet<Digest>> {
    let mut params = Params::default();
    let list = params.list(digests.iter().map(ToString::to_string));
    let sql = format!(
        "SELECT digest FROM files WHERE digest IN {list}
         UNION SELECT digest FROM job_blobs WHERE digest IN {list}
         UNION SELECT digest FROM pins WHERE digest IN {list} AND until >= {}",
        sql::now(db.get_database_backend())
    );
    sql::all(db, &sql, params).await?.iter().map(|row| parsed(row, "digest", "digest")).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use domain::Limits;

    use super::*;
    use crate::{Holder, blobs::ASKED_AT_ONCE, trial::Trial};

    #[tokio::test]
    async fn leftovers_are_removed_several_at_once() {
        let (folder, bucket) = (tempfile::tempdir().unwrap(), Arc::new(Trial::default()));
        let limits = Limits { unnamed_blob_seconds: 0, ..Limits::default() };
        let store = bucket.store(folder.path()).await.limited(limits);
        let holder = Holder::new();
        for number in 0..A_TURN + 9 {
            store.put_bytes(&holder, number.to_string().as_bytes()).await.unwrap();
        }
        store.release(&holder).await.unwrap();
        let found = store.leftovers().await.unwrap();
        bucket.forget();

        let (blobs, bytes) = store.remove_leftovers(&found).await.unwrap();

        assert_eq!((blobs, bytes), ((A_TURN + 9) as u64, found.bytes()));
        assert_eq!(bucket.at_once(), ASKED_AT_ONCE);
        assert_eq!(store.leftovers().await.unwrap(), Leftovers::default());
    }
}
