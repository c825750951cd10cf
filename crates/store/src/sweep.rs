//! Clearing away what processes that died left behind: staged files, and blobs that nothing came to name.

use std::{io, path::Path, time::Duration};

use fs_err::File;

use domain::Digest;
use sea_orm::DatabaseTransaction;

use crate::{
    Result, Store,
    rows::parsed,
    sql::{self, Params},
};

/// Age from which an unfinished file has no owner any more.
const ABANDONED: Duration = Duration::from_hours(24);
/// Blobs looked at in one turn of the writers: each is a question to the blob store, and everybody else waits.
pub const A_TURN: usize = 256;

impl Store {
    /// Removes staged files of writers that vanished a day ago or earlier, blobs whose holders did, and results
    /// of jobs that did not succeed; gives their number. Jobs that ended `kept_job_seconds` ago go too. Uploads that a
    /// bucket has not put together yet are for its own lifecycle rule.
    ///
    /// # Errors
    /// When database or blob store refuse; what was removed before stays removed.
    pub async fn sweep(&self) -> Result<usize> {
        let mut removed = 0;
        if let Some(staging) = self.staging().filter(|folder| folder.is_dir()) {
            removed += tokio::task::spawn_blocking(move || sweep_folder(&staging)).await??;
        }
        removed += self.remove_orphans().await?;
        match self.forget_jobs().await? {
            0 => {}
            jobs => tracing::info!(jobs, "{jobs} jobs that ended long ago are forgotten"),
        }
        Ok(removed)
    }

    async fn remove_orphans(&self) -> Result<usize> {
        let mut removed = 0;
        loop {
            // In the writers' turn: a publish either committed before, or looks for its blobs after.
            let tx = self.begin_write().await?;
            let orphans = orphans(&tx).await?;
            if orphans.is_empty() {
                return Ok(removed);
            }
            let blobs = self.remove_unneeded(&tx, &orphans).await?;
            tx.commit().await?;
            removed += usize::try_from(blobs).unwrap_or(usize::MAX);
        }
    }
}

/// Some of what nothing names any more on behalf of those who put it; others may need it still.
async fn orphans(tx: &DatabaseTransaction) -> Result<Vec<Digest>> {
    use sea_orm::ConnectionTrait as _;
    let now = sql::now(tx.get_database_backend());
    let expired = format!(
        "DELETE FROM pins WHERE (holder, digest) IN
             (SELECT holder, digest FROM pins WHERE until < {now} LIMIT {A_TURN}) RETURNING digest"
    );
    let unfinished = format!(
        "DELETE FROM job_blobs WHERE (job, digest) IN
             (SELECT job, digest FROM job_blobs
              WHERE job IN (SELECT id FROM jobs WHERE state IN ('failed', 'cancelled')) LIMIT {A_TURN})
         RETURNING digest"
    );
    let mut digests = Vec::new();
    for sql in [expired, unfinished] {
        for row in sql::all(tx, &sql, Params::default()).await? {
            digests.push(parsed(&row, "digest", "digest")?);
        }
    }
    digests.sort_unstable();
    digests.dedup();
    Ok(digests)
}

/// The file in a folder by whose lock a process holds it.
pub const LOCK: &str = "lock";

/// Takes the lock of a folder, where it has one.
///
/// # Errors
/// [`io::ErrorKind::WouldBlock`] where another process holds it; when it cannot be opened.
pub fn lock_folder(folder: &Path) -> io::Result<Option<File>> {
    let lock = match File::open(folder.join(LOCK)) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        other => other?,
    };
    lock.file().try_lock()?;
    Ok(Some(lock))
}

/// Removes the files of `folder` that nobody has written to for a day, and the folders there that nobody holds either.
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
        // Whoever holds it may compute for days before the next file.
        let Ok(_lock) = lock_folder(&path) else { continue };
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{Holder, trial::Trial};

    #[tokio::test]
    async fn a_sweep_takes_some_blobs_a_turn_and_asks_of_several_at_once() {
        let (folder, bucket) = (tempfile::tempdir().unwrap(), Arc::new(Trial::default()));
        let store = bucket.store(folder.path()).await;
        let holder = Holder::new();
        for number in 0..A_TURN + 9 {
            store.put_bytes(&holder, number.to_string().as_bytes()).await.unwrap();
        }
        sql::run(store.db(), "UPDATE pins SET until = 1", Params::default()).await.unwrap();
        let turn = store.begin_write().await.unwrap();
        let first = orphans(&turn).await.unwrap().len();
        turn.rollback().await.unwrap();
        bucket.forget();

        let swept = store.sweep().await.unwrap();

        assert_eq!((first, swept), (A_TURN, A_TURN + 9));
        assert!((2..=16).contains(&bucket.at_once()), "{}", bucket.at_once());
        assert_eq!(store.leftovers().await.unwrap(), crate::Leftovers::default());
    }
}
