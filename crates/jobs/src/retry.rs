//! A job that failed or was stopped asked for once more, checked as the first time.

use store::JobRow;

use crate::{
    Error, MergePayload, MergeRequest, Registry, TransferPayload, TransferRequest,
    kinds::{MERGE_MODELS, TRANSFER_DIFF},
    submit_merge, submit_transfer,
};

/// Whether a job can be asked for once more: a merge or a transfer that ended without a result.
pub fn can_retry(job: &JobRow) -> bool {
    let kind = [MERGE_MODELS.id, TRANSFER_DIFF.id].contains(&job.kind.as_str());
    kind && matches!(job.state.as_str(), "failed" | "cancelled")
}

/// Queues the same request again, with its inputs as they are now; gives the new job. None for an unknown job.
///
/// # Errors
/// [`Error::Invalid`] for a job that cannot be asked for again; what is wrong with the request.
pub async fn retry(registry: &Registry, id: &str) -> Result<Option<JobRow>, Error> {
    let Some(job) = registry.store.job(id).await? else { return Ok(None) };
    if !can_retry(&job) {
        let told = format!(
            "job {id} is not tried again: it is {}; a merge or a transfer that failed or was cancelled can be",
            job.state
        );
        return Err(Error::Invalid(told));
    }
    let unread = |error: serde_json::Error| Error::Invalid(format!("the request of job {id}: {error}"));
    let again = if job.kind == MERGE_MODELS.id {
        let MergePayload { yaml, output, .. } = serde_json::from_value(job.payload).map_err(unread)?;
        submit_merge(registry, MergeRequest { yaml, output, key: None }).await?
    } else {
        let payload: TransferPayload = serde_json::from_value(job.payload).map_err(unread)?;
        let payload = TransferPayload { pins: std::collections::BTreeMap::new(), ..payload };
        submit_transfer(registry, TransferRequest { payload, key: None }).await?
    };
    Ok(Some(again))
}
