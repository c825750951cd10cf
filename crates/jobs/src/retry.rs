//! A job that failed or was stopped asked for once more, checked as the first time.

use domain::RepoId;
use serde::de::DeserializeOwned;
use serde_json::Value;
use store::{JobRow, NewJob, PINS};

use crate::{
    Error, Registry,
    kinds::{Asked, KINDS, Kind, Later},
    submit::submit,
};

fn kind_of(job: &JobRow) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.id == job.kind)
}

/// Whether a job can be asked for once more: one of any kind that ended without a result.
pub fn can_retry(job: &JobRow) -> bool {
    kind_of(job).is_some() && matches!(job.state.as_str(), "failed" | "cancelled")
}

/// Queues the same request again, with its inputs as they are now; gives the new job, the same for the same `key`. None for an unknown job.
///
/// # Errors
/// [`Error::Invalid`] for a job that cannot be asked for again; what is wrong with the request.
pub async fn retry(registry: &Registry, id: &str, key: Option<String>) -> Result<Option<JobRow>, Error> {
    let Some(job) = registry.store.job(id).await? else { return Ok(None) };
    let Some(kind) = kind_of(&job).filter(|_| can_retry(&job)) else {
        let told = format!(
            "job {id} is not tried again: it is {}; one that failed or was cancelled can be",
            job.state
        );
        return Err(Error::Invalid(told));
    };
    (kind.again)(registry.clone(), job, key).await.map(Some)
}

/// What a job was asked for with.
pub(crate) fn asked<T: DeserializeOwned>(job: &JobRow) -> Result<T, Error> {
    serde_json::from_value(unpinned(job.payload.clone()))
        .map_err(|error| Error::Invalid(format!("the request of job {}: {error}", job.id)))
}

/// The payload without the digests that its inputs had.
fn unpinned(mut payload: Value) -> Value {
    if let Some(fields) = payload.as_object_mut() {
        fields.remove(PINS);
    }
    payload
}

/// What was asked for and checked is checked once more.
pub(crate) fn again<A: Asked + 'static>(
    registry: Registry,
    job: JobRow,
    key: Option<String>,
) -> Later<JobRow> {
    Box::pin(async move { submit(&registry, asked::<A>(&job)?, key).await })
}

/// What the registry asked itself for has nothing to check; a name that it is to give is kept for it all the same.
pub(crate) fn plain(registry: Registry, job: JobRow, key: Option<String>) -> Later<JobRow> {
    Box::pin(async move {
        let output = job.payload.get("output").and_then(Value::as_str);
        let output = output.and_then(|name| RepoId::parse(name).ok()).map(|id| id.key());
        let payload = unpinned(job.payload);
        let again = NewJob { kind: job.kind, payload, idempotency_key: key, output };
        let (again, _) = registry.store.enqueue(again, registry.limits.queued_jobs).await?;
        registry.queued.notify_one();
        Ok(again)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use store::JobRow;

    use super::*;

    #[tokio::test]
    async fn whatever_is_tried_again_keeps_the_name_of_its_result() {
        let folder = tempfile::tempdir().unwrap();
        let registry = crate::testing::registry(&folder).await;
        let queue = async |kind: &'static str| {
            let payload =
                json!({ "output": "o/out", "model": "o/out", "revision": 1, "models": 1, "author": "o" });
            let new = NewJob { kind: kind.to_owned(), payload, idempotency_key: None, output: None };
            let (job, _) = registry.store.enqueue(new, 100).await.unwrap();
            assert!(registry.store.cancel(&job.id).await.unwrap());
            job
        };

        for kind in KINDS {
            let job = queue(kind.id).await;
            let Ok(Some(JobRow { id, .. })) = retry(&registry, &job.id, None).await else {
                // What it names is not here: nothing is queued then, under no name.
                continue;
            };
            assert!(registry.store.awaited("o/out").await.is_err(), "{}", kind.id);
            registry.store.cancel(&id).await.unwrap();
        }
        assert!(registry.store.awaited("o/out").await.is_ok());
    }
}
