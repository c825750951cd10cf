//! Sketches of an earlier scheme are made anew while nothing else is to be done: they compare with none of today's.

use crate::{Error, Registry, kinds::SurveyPayload};

/// Models that are looked through, and jobs that are queued at once: the queue is there for people.
const SEEN: u64 = 1_000;
const AT_ONCE: usize = 10;

/// Whether models may be left whose sketches are of an earlier scheme.
pub(crate) struct Outdated(bool);

impl Default for Outdated {
    fn default() -> Self {
        Self(true)
    }
}

impl Outdated {
    /// Queues looks at the weights of some such models; whether there is something to do now. Where none is left this is
    /// not asked again.
    pub(crate) async fn asked(&mut self, registry: &Registry) -> bool {
        if self.0 {
            self.0 = resketch(registry).await.map(|queued| queued > 0).unwrap_or_else(|error| {
                tracing::warn!("sketches of an earlier scheme are not made anew: {error}");
                false
            });
        }
        self.0
    }
}

/// Queues a look at the weights of models whose sketches are of an earlier scheme, each once; gives how many are new.
///
/// # Errors
/// When the database cannot be read, or the queue takes no more.
async fn resketch(registry: &Registry) -> Result<usize, Error> {
    let scheme = weights::SCHEME;
    let mut queued = 0;
    for (model, revision) in registry.store.outdated_sketches(scheme, SEEN).await? {
        let mut job = SurveyPayload::job(model, revision);
        job.idempotency_key = Some(format!("sketches {scheme} of {revision}"));
        let (_, new) = registry.store.enqueue(job, registry.limits.queued_jobs).await?;
        queued += usize::from(new);
        if queued == AT_ONCE {
            break;
        }
    }
    Ok(queued)
}
