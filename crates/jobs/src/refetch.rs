//! Damaged files of models that came from the configured Hub: the import is queued again, once for each time a file is
//! set aside.

use domain::RepoId;
use store::{CommitRow, MAIN, NewJob};

use crate::{Error, Mirror, Registry, Take, mirror::IMPORTED};

/// Files of one damaged blob that are looked at.
const PLACES: u64 = 100;

/// Queues the imports of models whose files are set aside, at the commit that is here; gives their names. A model whose
/// last commit is not of the Hub is left alone, also where that comes while the import waits or runs.
///
/// # Errors
/// When the blob folder or the database cannot be read, or the queue is full.
pub async fn refetch(registry: &Registry) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    if registry.hub.is_none() {
        return Ok(names);
    }
    for (digest, at) in registry.store.aside().await? {
        let mut places = registry.store.places_of(&digest, PLACES).await?;
        places.dedup_by(|one, other| one.0 == other.0);
        for (name, _) in places {
            let Some(row) = registry.store.model_by_id(&name).await? else { continue };
            let Some(commit) = registry.store.commit(row.id, MAIN).await? else { continue };
            let files = registry.store.files(commit.revision).await?;
            if commit.title != IMPORTED || !files.iter().any(|file| file.digest == digest) {
                continue;
            }
            let id = RepoId::parse(&name)?;
            // The Hub knows the commit by which these files first came; the last one may show them again.
            let (history, _) = registry.store.history(row.id, &commit.oid, (0, PLACES)).await?;
            let came = |one: &&CommitRow| one.title == IMPORTED && one.revision == commit.revision;
            let first = history.iter().rfind(came).unwrap_or(&commit);
            let (model, onto) = (format!("{id}@{}", first.oid), Some(commit.oid.clone()));
            let wanted = Mirror { model, take: Take::Full, parents: 0, onto };
            let key = Some(format!("damaged {digest} {at} {name}"));
            let job = NewJob { idempotency_key: key, ..wanted.job(Some(&id)) };
            match registry.store.enqueue(job, registry.limits.queued_jobs).await {
                Ok((_, true)) => {
                    tracing::info!("{digest} of {name} is damaged: its import is queued again");
                    registry.queued.notify_one();
                    names.push(name);
                }
                // Asked for already, perhaps when the branch was at another commit.
                Ok((_, false))
                | Err(store::Error::OutputQueued(_) | store::Error::IdempotencyMismatch(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(names)
}
