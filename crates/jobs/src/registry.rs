//! What every operation needs at hand: the store, the limits, a scratch folder, the live forest.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use domain::{Limits, Viewer};
use hub::HubClient;
use store::Store;
use tokio::sync::{Notify, Semaphore};

use crate::{
    Catalogue, Devices, Forests, Pulls, Pulse, ReadSoFar, Relatives, Reports, compared::Compared,
    contents::Contents, output, tokens::MovedTokens, turns::Turns, workplace,
};

/// Seconds between two looks for stored blobs that nothing names.
const COLLECTION: u32 = 24 * 60 * 60;

/// What is brought in from the Hub without an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pulling {
    Nothing,
    /// Models that are asked for and are not here.
    Missing,
}

/// Cheap to clone; one per process.
#[derive(Clone)]
pub struct Registry {
    pub store: Store,
    pub limits: Limits,
    /// The Hub that `hub:org/name` stands for, when one is configured.
    pub hub: Option<HubClient>,
    /// What is brought in from there unasked.
    pub pulling: Pulling,
    /// What is on its way from there.
    pub pulls: Pulls,
    /// Scratch space on the same machine, for outputs before they become blobs.
    pub scratch: PathBuf,
    /// Digests of checkpoints on this machine.
    pub contents: Contents,
    pub forests: Forests,
    /// The index behind search.
    pub catalogue: Catalogue,
    pub relatives: Relatives,
    /// The last report on each subject.
    pub reports: Reports,
    /// Tokenizers found to give tokens other rows than others.
    pub moved: MovedTokens,
    /// Comparisons that were computed.
    pub compared: Compared,
    /// At most this many measurements read weights at once.
    pub measuring: Arc<Semaphore>,
    /// At most this many merges are sent while they are computed at once.
    pub streaming: Arc<Semaphore>,
    /// At most this many connections follow jobs at once.
    pub following: Arc<Semaphore>,
    /// At most this many SPARQL questions are answered at once.
    pub answering: Arc<Semaphore>,
    /// What computes beside the processor.
    pub devices: Devices,
    /// The job that works with this registry: what it opened is no longer read once it is stopped.
    pub pulse: Option<Pulse>,
    /// Commits to one repository, one after the other.
    pub turns: Turns,
    /// How many recipes are being opened, each named by the one before.
    pub within: usize,
    /// Counts what is read for an answer that somebody waits for and watches.
    pub read: Option<ReadSoFar>,
    /// Rung when a job is queued here, so a worker in this process starts at once.
    pub queued: Arc<Notify>,
}

impl Registry {
    /// Wires a registry over an opened store.
    pub fn new(store: Store, limits: Limits, scratch: PathBuf) -> Self {
        let store = store.limited(limits).staged_in(&scratch.with_file_name("staging"));
        Self {
            forests: Forests::new(store.clone()),
            catalogue: Catalogue::new(store.clone()),
            relatives: Relatives::new(store.clone()),
            reports: Reports::default(),
            store,
            limits,
            hub: None,
            pulling: Pulling::Nothing,
            pulls: Pulls::default(),
            contents: Contents::new(scratch.with_file_name("contents")),
            scratch,
            moved: MovedTokens::default(),
            compared: Compared::new(limits.compared_tensors),
            measuring: Arc::new(Semaphore::new(2)),
            streaming: Arc::new(Semaphore::new(limits.merge_downloads)),
            following: Arc::new(Semaphore::new(limits.event_listeners)),
            answering: Arc::new(Semaphore::new(limits.sparql_at_once)),
            devices: Devices::default(),
            pulse: None,
            turns: Turns::default(),
            within: 0,
            read: None,
            queued: Arc::new(Notify::new()),
        }
    }

    /// The same with a Hub, and what is brought in from there unasked.
    #[must_use]
    pub fn with_hub(self, hub: Option<HubClient>, pulling: Pulling) -> Self {
        Self { hub, pulling, ..self }
    }

    /// The same registry as `viewer` may see it.
    #[must_use]
    pub fn seen_by(&self, viewer: Viewer) -> Self {
        self.through(self.store.seen_by(viewer))
    }

    /// The same registry with nothing hidden, for the work behind a request that was let in.
    #[must_use]
    pub(crate) fn unveiled(&self) -> Self {
        self.through(self.store.unveiled())
    }

    fn through(&self, store: Store) -> Self {
        let (forests, catalogue) =
            (self.forests.seen_through(store.clone()), self.catalogue.seen_through(store.clone()));
        Self { forests, catalogue, store, ..self.clone() }
    }

    /// The same with other devices.
    #[must_use]
    pub fn with_devices(self, devices: Devices) -> Self {
        Self { devices, ..self }
    }

    /// The same with its scratch beside `out`, to plan what is written there outside a job. Others' files lie there: it must not
    /// be swept.
    #[must_use]
    pub fn beside(self, out: &Path) -> Self {
        Self { scratch: output::parent_of(out).to_owned(), ..self }
    }

    /// Removes the scratch folder of a job that has ended; those of others wait for their next attempt.
    pub(crate) async fn clear_job(&self, job: &str) {
        let over = match self.store.job(job).await {
            Ok(row) => row.is_some_and(|row| row.over()),
            Err(error) => {
                tracing::warn!("scratch of job {job} is kept: {error}");
                false
            }
        };
        if over {
            self.drop_job(job);
        }
    }

    /// Removes the scratch folder of a job, whatever becomes of the job.
    pub(crate) fn drop_job(&self, job: &str) {
        if let Err(error) = workplace::clear(&self.scratch, job) {
            tracing::warn!("scratch of job {job} is not cleared: {error}");
        }
    }

    /// Starts to remove old blobs that nothing names, beside other work; a failure is only logged. All stored blobs are listed
    /// for that, so one process of a registry does it once a day. Where more are unnamed than named, the database is
    /// probably not the one of this blob store, and they are left to `stemma gc`.
    pub(crate) fn collect_garbage(&self) {
        let store = self.store.clone();
        tokio::spawn(async move {
            match collect(&store).await {
                Ok((0, _)) => {}
                Ok((blobs, bytes)) => {
                    tracing::info!(blobs, bytes, "removed {blobs} blobs that nothing named")
                }
                Err(error) => tracing::warn!("blobs that nothing names are not removed: {error}"),
            }
        });
    }

    /// Clears away what processes that vanished left in scratch and staging; a failure is only logged.
    pub async fn sweep(&self) {
        for job in workplace::jobs_in(&self.scratch) {
            self.clear_job(&job).await;
        }
        let scratch = self.scratch.clone();
        let swept =
            tokio::task::spawn_blocking(
                move || {
                    if scratch.is_dir() { store::sweep_folder(&scratch) } else { Ok(0) }
                },
            );
        let scratch = swept.await.map_err(crate::Error::from).and_then(|swept| Ok(swept?));
        match (scratch, self.store.sweep().await) {
            (Ok(0), Ok(0)) => {}
            (Ok(scratch), Ok(staged)) => {
                tracing::info!(scratch, staged, "cleared {scratch} scratch and {staged} staged files");
            }
            (Err(error), _) => tracing::warn!("scratch is not cleared: {error}"),
            (_, Err(error)) => tracing::warn!("staging is not cleared: {error}"),
        }
    }
}

/// Removes old blobs that nothing names, where that is due and safe; gives how many, and their bytes.
async fn collect(store: &Store) -> Result<(u64, u64), store::Error> {
    if !store.leftovers_due(COLLECTION).await? {
        return Ok((0, 0));
    }
    let found = store.leftovers().await?;
    let (named, unnamed) = (found.named, found.unnamed.len());
    if unnamed as u64 > named {
        tracing::warn!(
            "{unnamed} stored blobs are named by nothing and {named} are named: if this is the right database for \
             them, `stemma gc` removes them"
        );
        return Ok((0, 0));
    }
    store.remove_leftovers(&found).await
}

#[cfg(test)]
mod tests {
    use store::Holder;

    use super::*;

    /// A store of one blob that is held and of so many that nothing names, none of them too young.
    async fn with_leftovers(folder: &tempfile::TempDir, count: u8) -> Store {
        let store = crate::testing::store(folder).await;
        store.put_bytes(&Holder::new(), b"held").await.unwrap();
        let lost = Holder::new();
        for at in 0..count {
            store.put_bytes(&lost, &[at]).await.unwrap();
        }
        store.release(&lost).await.unwrap();
        store.limited(Limits { unnamed_blob_seconds: 0, ..Limits::default() })
    }

    #[tokio::test]
    async fn where_more_blobs_are_unnamed_than_named_none_is_removed() {
        for (unnamed, removed) in [(1, (1, 1)), (2, (0, 0))] {
            let folder = tempfile::tempdir().unwrap();
            let store = with_leftovers(&folder, unnamed).await;

            assert_eq!(collect(&store).await.unwrap(), removed, "{unnamed}");

            let left = store.leftovers().await.unwrap();
            assert_eq!((left.named, left.unnamed.len() as u64), (1, u64::from(unnamed) - removed.0));
            assert_eq!(collect(&store).await.unwrap(), (0, 0), "it is done once a day");
        }
    }
}
