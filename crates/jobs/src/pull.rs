//! A model that is asked for and is not here: brought in from the Hub once, however many ask for it at once.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError},
    time::Duration,
};

use domain::{Act, RepoId};
use hub::{HubClient, Repository};
use store::{MAIN, ModelRow};
use tokio::{
    sync::Mutex,
    time::{Instant, sleep},
};

use crate::{Error, Mirror, Pulling, Registry, Take, mirror::openness};

/// How long what the Hub said of a model holds, and how soon its import is asked for again.
const HOLDS: Duration = Duration::from_secs(60);
/// Models that a process remembers to have asked the Hub for.
const MOST: usize = 4_096;
/// Between two looks whether a model has come.
const LOOK: Duration = Duration::from_millis(100);

/// What became of a wish for a model.
pub enum Pulled {
    /// It is here now.
    Here(Box<ModelRow>),
    /// It takes longer than anybody should wait; meanwhile, the Hub's own.
    Coming(Arc<Repository>),
    /// The Hub does not have it either, or it is not for this registry to ask.
    Nowhere,
}

/// What the Hub last said of a model at a revision; none inside where it has none.
type Told = Option<(Instant, Option<Arc<Repository>>)>;

/// What this process asked the Hub for of late; whoever asks for the same waits for the one answer.
#[derive(Clone, Default)]
pub struct Pulls {
    asked: Arc<std::sync::Mutex<HashMap<String, Arc<Mutex<Told>>>>>,
}

impl Pulls {
    fn place(&self, key: &str) -> Arc<Mutex<Told>> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if asked.len() >= MOST && !asked.contains_key(key) {
            asked.clear();
        }
        Arc::clone(asked.entry(key.to_owned()).or_default())
    }

    /// The model at a revision as the Hub has it, and whether that was asked just now.
    async fn ask(
        &self,
        hub: &HubClient,
        (id, revision): (&RepoId, &str),
    ) -> Result<(Option<Arc<Repository>>, Fresh), Error> {
        let place = self.place(&format!("{}@{revision}", id.key()));
        let mut told = place.lock().await;
        if let Some((at, repository)) = &*told
            && at.elapsed() < HOLDS
        {
            return Ok((repository.clone(), Fresh::No));
        }
        let found = match hub.repository(id, revision).await {
            Ok(repository) => Some(Arc::new(repository)),
            Err(hub::Error::NoSuchModel(_) | hub::Error::NoSuchRevision { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        *told = Some((Instant::now(), found.clone()));
        Ok((found, Fresh::Yes))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fresh {
    Yes,
    No,
}

/// Brings the model called `name` in where the operator wants that, and waits for it a while.
///
/// # Errors
/// When the Hub cannot be reached, or the database.
pub async fn pull(registry: &Registry, name: &str, revision: &str) -> Result<Pulled, Error> {
    let (Some(hub), Pulling::Missing) = (&registry.hub, registry.pulling) else { return Ok(Pulled::Nowhere) };
    let Ok(id) = RepoId::parse(name) else { return Ok(Pulled::Nowhere) };
    let whole = registry.unveiled();
    let known = whole.store.model_by_id(id.as_str()).await?.filter(|row| row.revision.is_some());
    let theirs = registry.store.may(Act::Write, id.as_str()).await.is_err();
    if known.is_some() || theirs || id.is_reserved() {
        return Ok(Pulled::Nowhere);
    }
    let (found, fresh) = registry.pulls.ask(hub, (&id, revision)).await?;
    let Some(repository) = found else { return Ok(Pulled::Nowhere) };
    let Ok(told) = hub::metadata::from_api_row(&repository.record, &registry.limits) else {
        return Ok(Pulled::Nowhere);
    };
    let closed = openness(&told);
    // What only the operator's token opens there is nobody else's to bring in.
    let stranger = registry.store.viewer().role_in(id.org()).is_none();
    if closed.private.is_some() && stranger {
        return Ok(Pulled::Nowhere);
    }
    // A member may come after a stranger for whom nothing was queued.
    if fresh == Fresh::Yes || closed.private.is_some() {
        queue(registry, &id).await?;
    }
    let bytes: u64 = repository.files.iter().map(|(_, file)| weights::ReadAt::len(file)).sum();
    let patience =
        if bytes > registry.limits.hub_cache_bytes { 0 } else { registry.limits.pull_wait_seconds };
    let end = Instant::now() + Duration::from_secs(patience);
    loop {
        let row = registry.store.model_by_id(id.as_str()).await?;
        if let Some(row) = row.filter(|row| row.revision.is_some()) {
            return Ok(Pulled::Here(Box::new(row)));
        }
        if Instant::now() >= end {
            // The operator's token opens it, and whoever asks may not be let in: that is decided once it is here.
            return Ok(if closed.gated.is_some() { Pulled::Nowhere } else { Pulled::Coming(repository) });
        }
        sleep(LOOK).await;
    }
}

/// Queues the import; another one of the same that waits or runs is as good.
async fn queue(registry: &Registry, id: &RepoId) -> Result<(), Error> {
    let wanted = Mirror { model: format!("{id}@{MAIN}"), take: Take::Full, parents: 0, onto: None };
    match registry.store.enqueue(wanted.job(Some(id)), registry.limits.queued_jobs).await {
        Ok(_)
        | Err(
            store::Error::OutputQueued(_)
            | store::Error::QueueFull { .. }
            | store::Error::QueuedEnough { .. },
        ) => {}
        Err(error) => return Err(error.into()),
    }
    registry.queued.notify_one();
    Ok(())
}
