//! Jobs: list, look, cancel, ask for again.

use actix_web::{HttpRequest, HttpResponse, delete, get, http::header, post, web};
use http::{Problem, Result};
use jobs::Registry;
use serde::{Deserialize, Serialize};
use store::{JOB_STATES, JobRow, LogLine};
use utoipa::{IntoParams, ToSchema};

use crate::{
    paging::page_size,
    query::{Nothing, Query},
    seen::Seen,
};

/// Lines of a log that are answered.
const LINES: u64 = 200;

/// A job.
#[derive(Debug, Serialize, ToSchema)]
pub struct JobView {
    pub id: String,
    pub kind: String,
    /// queued, running, succeeded, failed or cancelled.
    pub state: String,
    pub step: Option<String>,
    /// Bytes done of the current step.
    pub done: i64,
    /// Bytes of the current step.
    pub total: i64,
    /// Bytes a second of late.
    pub rate: Option<i64>,
    /// Seconds until the current step ends at this rate.
    pub eta: Option<i64>,
    pub attempts: i32,
    /// Up to a megabyte, so only the answer about one job holds it.
    #[schema(value_type = Option<Object>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<serde_json::Value>,
    #[schema(value_type = Option<Object>)]
    pub result: Option<serde_json::Value>,
    pub error_code: Option<String>,
    pub error: Option<String>,
    /// Unix seconds.
    pub created_at: i64,
    pub started_at: Option<i64>,
    pub finished_at: Option<i64>,
    /// The last 200 lines of what happened, oldest first; only the answer about one job holds them.
    #[schema(value_type = Option<Vec<Object>>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<Vec<LogLine>>,
    /// What computed it: `cpu`, `gpu`, or `gpu and cpu`; its result says why.
    pub device: String,
}

impl From<JobRow> for JobView {
    fn from(row: JobRow) -> Self {
        let device =
            row.result.as_ref().and_then(|result| result["device"]["used"].as_str()).unwrap_or("cpu");
        Self {
            device: device.to_owned(),
            rate: row.rate,
            eta: row.eta(),
            id: row.id,
            kind: row.kind,
            state: row.state,
            step: row.step,
            done: row.done,
            total: row.total,
            attempts: row.attempts,
            request: None,
            log: None,
            result: row.result,
            error_code: row.error_code,
            error: row.error_message,
            created_at: row.created_at,
            started_at: row.started_at,
            finished_at: row.finished_at,
        }
    }
}

impl JobView {
    /// The job with its request and its log.
    pub fn with_log(row: JobRow, log: Vec<LogLine>) -> Self {
        Self { log: Some(log), ..Self::whole(row) }
    }

    /// The job with the request it was made from.
    fn whole(mut row: JobRow) -> Self {
        let request = Some(row.payload.take());
        Self { request, ..Self::from(row) }
    }
}

/// 202 with the job's address.
pub fn accepted(job: &JobRow) -> HttpResponse {
    HttpResponse::Accepted()
        .insert_header((header::LOCATION, format!("/api/v1/jobs/{}", job.id)))
        .json(JobView::from(job.clone()))
}

/// Headers of a request for a job.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
pub struct JobHeaders {
    /// 1 to 255 printable characters, chosen by the client. The same request under the same key is answered with the
    /// job that it made the first time; another request under it is refused.
    #[allow(dead_code)] // It stands for the header in the document; `idempotency_key` reads it.
    #[param(rename = "Idempotency-Key", value_type = Option<String>)]
    pub idempotency_key: Option<String>,
}

/// The `Idempotency-Key` header.
pub fn idempotency_key(request: &HttpRequest) -> Result<Option<String>> {
    let Some(value) = request.headers().get("idempotency-key") else { return Ok(None) };
    match value.to_str() {
        Ok(text) if (1..=255).contains(&text.len()) => Ok(Some(text.to_owned())),
        _ => Err(Problem::bad_request("Idempotency-Key is 1 to 255 printable characters")),
    }
}

/// A page of jobs.
#[derive(Debug, Serialize, ToSchema)]
pub struct JobPage {
    pub items: Vec<JobView>,
    pub next: Option<String>,
}

/// Job filters.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct JobFilter {
    /// queued, running, succeeded, failed or cancelled.
    pub state: Option<String>,
    pub limit: Option<u64>,
    pub cursor: Option<String>,
}

/// Jobs, newest first.
#[utoipa::path(tag = "jobs", params(JobFilter), responses((status = 200, body = JobPage), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
#[get("/api/v1/jobs")]
pub async fn list_jobs(registry: Seen, filter: Query<JobFilter>) -> Result<HttpResponse> {
    let limit = page_size(&registry, filter.limit)?;
    if let Some(state) = filter.state.as_deref().filter(|state| !JOB_STATES.contains(state)) {
        let (state, known): (String, _) = (state.chars().take(60).collect(), JOB_STATES.join(", "));
        return Err(Problem::bad_request(format!("no job is `{state}`; `state` is one of {known}")));
    }
    let page = registry.store.jobs(filter.cursor.as_deref(), limit, filter.state.as_deref()).await?;
    let view = |job| JobView::from(jobs::paced(&registry, job));
    let body = JobPage { items: page.items.into_iter().map(view).collect(), next: page.next };
    Ok(HttpResponse::Ok().json(body))
}

/// Finds a job or answers 404.
pub async fn find(registry: &Registry, id: &str) -> Result<JobRow> {
    let job = registry.store.job(id).await?.ok_or_else(|| Problem::not_found(format!("job `{id}`")))?;
    Ok(jobs::paced(registry, job))
}

/// One job.
#[utoipa::path(tag = "jobs", params(("id" = String, Path)), responses((status = 200, body = JobView), (status = 404, body = Problem, content_type = "application/problem+json")))]
#[get("/api/v1/jobs/{id}")]
pub async fn get_job(registry: Seen, id: web::Path<String>) -> Result<HttpResponse> {
    let job = find(&registry, &id).await?;
    let log = registry.store.job_log(&job.id, LINES).await?;
    Ok(HttpResponse::Ok().json(JobView::with_log(job, log)))
}

/// Ask for the same once more, as a new job, after a job of any kind failed or was cancelled.
#[utoipa::path(tag = "jobs", params(("id" = String, Path), JobHeaders), responses((status = 202, body = JobView), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
#[post("/api/v1/jobs/{id}/retry")]
pub async fn retry_job(
    request: HttpRequest,
    registry: Seen,
    id: web::Path<String>,
    _: Query<Nothing>,
) -> Result<HttpResponse> {
    match jobs::retry(&registry, &id, idempotency_key(&request)?).await? {
        Some(again) => Ok(accepted(&again)),
        None => Err(Problem::not_found(format!("job `{id}`"))),
    }
}

/// Cancel a job; a running one stops at its next block, one that has ended is left as it is.
///
/// Whoever asked for it may, a member with the role write where its result goes, and an administrator.
#[utoipa::path(tag = "jobs", params(("id" = String, Path)), responses((status = 202, body = JobView), (status = 403, description = "the job is somebody else's", body = Problem, content_type = "application/problem+json"), (status = 404, body = Problem, content_type = "application/problem+json"), (status = 409, description = "the job has ended", body = Problem, content_type = "application/problem+json")))]
#[delete("/api/v1/jobs/{id}")]
pub async fn cancel_job(registry: Seen, id: web::Path<String>) -> Result<HttpResponse> {
    match jobs::cancel(&registry, &id).await? {
        Some(job) => Ok(HttpResponse::Accepted().json(JobView::from(jobs::paced(&registry, job)))),
        None => Err(Problem::not_found(format!("job `{id}`"))),
    }
}
