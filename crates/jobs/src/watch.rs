//! Authors of the Hub who are watched: what is new or has changed of theirs is brought in.

use domain::{Act, RepoId};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::{NewJob, WatchRow};

use crate::{Error, Mirror, Registry, Take, kinds::WATCH_AUTHOR, mirror::endpoint, refetch::refetch};

/// Whom to look at.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WatchPayload {
    pub author: String,
}

/// Watches an author, or changes what is brought in of theirs.
///
/// # Errors
/// [`Error::NoHub`]; what is no author's name; where the viewer may not write.
pub async fn watch(
    registry: &Registry,
    author: &str,
    (take, parents): (Take, u32),
) -> Result<WatchRow, Error> {
    let named = RepoId::parse(author).ok().filter(|id| id.org().is_none());
    let named = named.ok_or_else(|| Error::Invalid(format!("`{author}` is not the name of an author")))?;
    endpoint(registry, author)?;
    registry.store.may(Act::Write, &format!("{named}/models")).await?;
    let new = WatchRow {
        author: named.to_string(),
        take: take.to_string(),
        parents: u64::from(parents),
        created_at: 0,
        checked_at: None,
    };
    registry.store.add_watch(&new).await?;
    registry.queued.notify_one();
    let stored = registry.store.watch_of(author).await?;
    stored.ok_or_else(|| Error::UnknownWatch(author.to_owned()))
}

/// Stops watching an author.
///
/// # Errors
/// [`Error::UnknownWatch`]; where the viewer may not write.
pub async fn unwatch(registry: &Registry, author: &str) -> Result<(), Error> {
    registry.store.may(Act::Write, &format!("{author}/models")).await?;
    match registry.store.remove_watch(author).await? {
        true => Ok(()),
        false => Err(Error::UnknownWatch(author.chars().take(120).collect())),
    }
}

/// Queues a look at each author whose last one was long ago. Who finds no place in the queue stays due.
///
/// # Errors
/// When the database refuses, or the queue is full.
pub(crate) async fn look_around(registry: &Registry) -> Result<(), Error> {
    if registry.hub.is_none() {
        return Ok(());
    }
    let every = i64::try_from(registry.limits.watch_seconds).unwrap_or(i64::MAX);
    for due in registry.store.due_watches(every).await? {
        if !registry.store.take_watch(&due).await? {
            continue;
        }
        let job = NewJob {
            kind: WATCH_AUTHOR.id.to_owned(),
            payload: json!(WatchPayload { author: due.author.clone() }),
            idempotency_key: None,
            output: None,
        };
        if let Err(refused) = registry.store.enqueue(job, registry.limits.queued_jobs).await {
            registry.store.give_watch_back(&due).await?;
            return Err(refused.into());
        }
        registry.queued.notify_one();
    }
    refetch(registry).await?;
    Ok(())
}

/// The models of an author that are not here at the commit where the Hub has them, the last changed first.
///
/// # Errors
/// [`Error::NoHub`], what the Hub answers; [`hub::Error::NoSuchAuthor`] where it lists none at all.
pub async fn changed_models(registry: &Registry, author: &str) -> Result<Vec<RepoId>, Error> {
    let listed = endpoint(registry, author)?.models_of(author, registry.limits.watch_models).await?;
    if listed.is_empty() {
        return Err(hub::Error::NoSuchAuthor(author.to_owned()).into());
    }
    let mut changed = Vec::new();
    for one in listed {
        let row = registry.store.model_by_id(one.id.as_str()).await?.filter(|row| !row.ghost);
        let same = row.is_some_and(|row| one.commit.is_none() || row.sha == one.commit);
        if !same {
            changed.push(one.id);
        }
    }
    Ok(changed)
}

/// Looks at an author and queues the import of what is new or has changed; gives the jobs by model.
///
/// # Errors
/// As [`changed_models`]; an author without models may have some at the next look.
pub(crate) async fn look(registry: &Registry, author: &str) -> Result<Vec<(String, String)>, Error> {
    let Some(row) = registry.store.watch_of(author).await? else { return Ok(Vec::new()) };
    let take: Take = row.take.parse().map_err(Error::Invalid)?;
    let parents = u32::try_from(row.parents).unwrap_or(u32::MAX);
    let mut queued = Vec::new();
    let changed = match changed_models(registry, author).await {
        Err(Error::Hub(hub::Error::NoSuchAuthor(_))) => Vec::new(),
        other => other?,
    };
    for id in changed {
        let wanted = Mirror { model: id.to_string(), take, parents, onto: None };
        match registry.store.enqueue(wanted.job(Some(&id)), registry.limits.queued_jobs).await {
            Ok((job, _)) => queued.push((id.to_string(), job.id)),
            Err(store::Error::OutputQueued(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    registry.queued.notify_one();
    Ok(queued)
}

#[cfg(test)]
mod tests {
    use domain::Limits;

    use super::*;
    use crate::Pulling;

    #[tokio::test]
    async fn an_author_who_finds_no_place_in_the_queue_is_looked_at_once_there_is_one() {
        let folder = tempfile::tempdir().unwrap();
        let store = crate::testing::store(&folder).await;
        let limits = Limits { queued_jobs: 1, ..Limits::default() };
        let hub = hub::HubClient::new("http://127.0.0.1:9", &limits).unwrap();
        let registry = Registry::new(store, limits, folder.path().join("scratch"));
        let registry = registry.with_hub(Some(hub), Pulling::Nothing);
        for author in ["ann", "bob"] {
            watch(&registry, author, (Take::None, 0)).await.unwrap();
        }
        let mut looked = Vec::new();

        for _ in 0..3 {
            let around = look_around(&registry).await;
            assert!(around.is_ok() || looked.is_empty(), "{around:?}");
            let Some(job) = registry.store.claim(&[WATCH_AUTHOR.id], "w", 60).await.unwrap() else {
                continue;
            };
            registry.store.finish(&job.hold(), json!({})).await.unwrap();
            looked.push(job.payload["author"].clone());
        }

        assert_eq!(looked, ["ann", "bob"]);
    }
}
