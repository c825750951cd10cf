//! Clearing away what processes that died left behind: staged files, and blobs that nothing came to name.

use std::{io, path::Path, time::Duration};

use futures::TryStreamExt as _;
use object_store::ObjectStoreExt as _;
use sea_orm::DatabaseTransaction;

use crate::{
    Result, Store,
    blobs::Blobs,
    rows::parsed,
    sql::{self, Params, wall_clock},
};

/// Age from which an unfinished file has no owner any more.
const ABANDONED: Duration = Duration::from_hours(24);

impl Store {
    /// Removes staged files of writers that vanished a day ago or earlier, blobs whose holders did, and results
    /// of jobs that did not succeed; gives their number. Uploads that a bucket has not put together yet are for
    /// its own lifecycle rule.
    ///
    /// # Errors
    /// When database or blob store refuse.
    pub async fn sweep(&self) -> Result<usize> {
        let mut staged = 0;
        if let Some(staging) = self.staging().filter(|folder| folder.is_dir()) {
            staged += tokio::task::spawn_blocking(move || sweep_folder(&staging)).await??;
        }
        if let Blobs::Remote(store, prefix) = self.blobs() {
            let limit = wall_clock() - i64::try_from(ABANDONED.as_secs()).unwrap_or(i64::MAX);
            let mut objects = store.list(Some(&prefix.clone().join("staging")));
            while let Some(object) = objects.try_next().await? {
                if object.last_modified.timestamp() < limit {
                    store.delete(&object.location).await?;
                    staged += 1;
                }
            }
        }
        // In the writers' turn: a publish either committed before, or looks for its blobs after.
        let tx = self.begin_write().await?;
        let orphans = orphans(&tx).await?;
        let removed = self.remove_unneeded(&tx, &orphans).await?;
        tx.commit().await?;
        Ok(staged + usize::try_from(removed).unwrap_or(usize::MAX))
    }
}

/// What nothing names any more on behalf of those who put it; others may need it still.
async fn orphans(tx: &DatabaseTransaction) -> Result<Vec<domain::Digest>> {
    use sea_orm::ConnectionTrait as _;
    let expired =
        format!("DELETE FROM pins WHERE until < {} RETURNING digest", sql::now(tx.get_database_backend()));
    let unfinished =
        "DELETE FROM job_blobs WHERE job IN (SELECT id FROM jobs WHERE state IN ('failed', 'cancelled'))
         RETURNING digest";
    let mut digests = Vec::new();
    for sql in [expired.as_str(), unfinished] {
        for row in sql::all(tx, sql, Params::default()).await? {
            digests.push(parsed(&row, "digest", "digest")?);
        }
    }
    digests.sort_unstable();
    digests.dedup();
    Ok(digests)
}

/// Removes the files of `folder` that nobody has written to for a day.
///
/// # Errors
/// When the folder cannot be read.
pub fn sweep_folder(folder: &Path) -> io::Result<usize> {
    let mut removed = 0;
    for entry in fs_err::read_dir(folder)? {
        let entry = entry?;
        // Its owner may finish, and take it away, at any moment.
        let Ok(about) = entry.metadata() else { continue };
        let path = entry.path();
        if idle(&path, &about) <= ABANDONED {
            continue;
        }
        let gone = if about.is_dir() { fs_err::remove_dir_all(&path) } else { fs_err::remove_file(&path) };
        removed += usize::from(gone.is_ok());
    }
    Ok(removed)
}

/// How long nothing was written to a file, or to a folder and the files right in it.
fn idle(path: &Path, about: &std::fs::Metadata) -> Duration {
    let age = |about: &std::fs::Metadata| {
        about.modified().ok().and_then(|at| at.elapsed().ok()).unwrap_or_default()
    };
    let inside = about.is_dir().then(|| fs_err::read_dir(path).ok()).flatten().into_iter().flatten();
    let ages = inside.filter_map(|entry| entry.ok()?.metadata().ok()).map(|about| age(&about));
    ages.fold(age(about), Duration::min)
}
