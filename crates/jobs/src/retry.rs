//! A job that failed or was stopped asked for once more, checked as the first time.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use store::{JobRow, NewJob, PINS};

use crate::{
    ApplyPayload, BakePayload, DiffPayload, DiffRequest, Error, ExtractPayload, KINDS, MergePayload,
    MergeRequest, Mirror, Registry, StoredPayload, TransferPayload, TransferRequest, TransplantPayload,
    kinds::{
        APPLY_DIFF, BAKE_ADAPTER, DIFF_MODELS, EXTRACT_ADAPTER, IMPORT_MODEL, MERGE_MODELS, TRANSFER_DIFF,
        TRANSPLANT_TOKENIZER,
    },
    submit_apply, submit_bake, submit_diff, submit_extract, submit_merge, submit_mirror,
    submit_stored_transfer, submit_transfer, submit_transplant,
};

/// Whether a job can be asked for once more: one of any kind that ended without a result.
pub fn can_retry(job: &JobRow) -> bool {
    let known = KINDS.iter().any(|kind| kind.id == job.kind);
    known && matches!(job.state.as_str(), "failed" | "cancelled")
}

/// Queues the same request again, with its inputs as they are now; gives the new job, the same for the same `key`. None for an unknown job.
///
/// # Errors
/// [`Error::Invalid`] for a job that cannot be asked for again; what is wrong with the request.
pub async fn retry(registry: &Registry, id: &str, key: Option<String>) -> Result<Option<JobRow>, Error> {
    let Some(job) = registry.store.job(id).await? else { return Ok(None) };
    if !can_retry(&job) {
        let told = format!(
            "job {id} is not tried again: it is {}; one that failed or was cancelled can be",
            job.state
        );
        return Err(Error::Invalid(told));
    }
    let none = BTreeMap::new;
    let again = match job.kind.as_str() {
        kind if kind == MERGE_MODELS.id => {
            let MergePayload { yaml, output, extras, .. } = read(&job)?;
            submit_merge(registry, MergeRequest { yaml, output, extras, key }).await?
        }
        kind if kind == APPLY_DIFF.id => {
            submit_apply(registry, ApplyPayload { pins: none(), ..read(&job)? }, key).await?
        }
        kind if kind == TRANSFER_DIFF.id && StoredPayload::is(&job.payload) => {
            submit_stored_transfer(registry, StoredPayload { pins: none(), ..read(&job)? }, key).await?
        }
        kind if kind == TRANSFER_DIFF.id => {
            let payload = TransferPayload { pins: none(), ..read(&job)? };
            submit_transfer(registry, TransferRequest { payload, key }).await?
        }
        kind if kind == DIFF_MODELS.id => {
            let payload = DiffPayload { pins: none(), ..read(&job)? };
            submit_diff(registry, DiffRequest { payload, key }).await?
        }
        kind if kind == EXTRACT_ADAPTER.id => {
            submit_extract(registry, ExtractPayload { pins: none(), ..read(&job)? }, key).await?
        }
        kind if kind == BAKE_ADAPTER.id => {
            submit_bake(registry, BakePayload { pins: none(), ..read(&job)? }, key).await?
        }
        kind if kind == TRANSPLANT_TOKENIZER.id => {
            submit_transplant(registry, TransplantPayload { pins: none(), ..read(&job)? }, key).await?
        }
        kind if kind == IMPORT_MODEL.id => submit_mirror(registry, &read::<Mirror>(&job)?, key).await?,
        _ => plainly(registry, job, key).await?,
    };
    Ok(Some(again))
}

fn read<T: DeserializeOwned>(job: &JobRow) -> Result<T, Error> {
    serde_json::from_value(job.payload.clone())
        .map_err(|error| Error::Invalid(format!("the request of job {}: {error}", job.id)))
}

/// What the registry asked itself for has nothing to check.
async fn plainly(registry: &Registry, job: JobRow, key: Option<String>) -> Result<JobRow, Error> {
    let mut payload = job.payload;
    if let Some(fields) = payload.as_object_mut() {
        fields.remove(PINS);
    }
    let again = NewJob { kind: job.kind, payload, idempotency_key: key, output: None };
    let (again, _) = registry.store.enqueue(again, registry.limits.queued_jobs).await?;
    registry.queued.notify_one();
    Ok(again)
}
