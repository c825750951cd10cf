//! Jobs: list, look, follow by server-sent events, cancel.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, delete, get, http::header, web};
use futures::stream;
use http::{Problem, Result};
use jobs::Registry;
use serde::{Deserialize, Serialize};
use store::JobRow;
use utoipa::{IntoParams, ToSchema};

use crate::models::page_size;

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
    pub attempts: i32,
    #[schema(value_type = Object)]
    pub request: serde_json::Value,
    #[schema(value_type = Object)]
    pub result: Option<serde_json::Value>,
    pub error_code: Option<String>,
    pub error: Option<String>,
    /// Unix seconds.
    pub created_at: i64,
    pub started_at: Option<i64>,
    pub finished_at: Option<i64>,
    pub device: &'static str,
}

impl From<JobRow> for JobView {
    fn from(row: JobRow) -> Self {
        Self {
            id: row.id,
            kind: row.kind,
            state: row.state,
            step: row.step,
            done: row.done,
            total: row.total,
            attempts: row.attempts,
            request: row.payload,
            result: row.result,
            error_code: row.error_code,
            error: row.error_message,
            created_at: row.created_at,
            started_at: row.started_at,
            finished_at: row.finished_at,
            device: "cpu",
        }
    }
}

/// 202 with the job's address.
pub fn accepted(job: &JobRow) -> HttpResponse {
    HttpResponse::Accepted()
        .insert_header((header::LOCATION, format!("/api/v1/jobs/{}", job.id)))
        .json(JobView::from(job.clone()))
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
pub async fn list_jobs(registry: web::Data<Registry>, filter: web::Query<JobFilter>) -> Result<HttpResponse> {
    let limit = page_size(&registry, filter.limit)?;
    let page = registry.store.jobs(filter.cursor.as_deref(), limit, filter.state.as_deref()).await?;
    let body = JobPage { items: page.items.into_iter().map(JobView::from).collect(), next: page.next };
    Ok(HttpResponse::Ok().json(body))
}

async fn find(registry: &Registry, id: &str) -> Result<JobRow> {
    registry.store.job(id).await?.ok_or_else(|| Problem::not_found(format!("job `{id}`")))
}

/// One job.
#[utoipa::path(tag = "jobs", params(("id" = String, Path)), responses((status = 200, body = JobView), (status = 404, body = Problem, content_type = "application/problem+json")))]
#[get("/api/v1/jobs/{id}")]
pub async fn get_job(registry: web::Data<Registry>, id: web::Path<String>) -> Result<HttpResponse> {
    Ok(HttpResponse::Ok().json(JobView::from(find(&registry, &id).await?)))
}

/// Cancel a job; a running one stops at its next block.
#[utoipa::path(tag = "jobs", params(("id" = String, Path)), responses((status = 202, body = JobView), (status = 404, body = Problem, content_type = "application/problem+json")))]
#[delete("/api/v1/jobs/{id}")]
pub async fn cancel_job(registry: web::Data<Registry>, id: web::Path<String>) -> Result<HttpResponse> {
    find(&registry, &id).await?;
    registry.store.cancel(&id).await?;
    Ok(HttpResponse::Accepted().json(JobView::from(find(&registry, &id).await?)))
}

const POLL: Duration = Duration::from_millis(300);
const LONGEST: u32 = 3_000;

/// Progress of one job as server-sent events, until it ends.
#[utoipa::path(tag = "jobs", params(("id" = String, Path)), responses((status = 200, description = "text/event-stream of jobs", content_type = "text/event-stream", body = String), (status = 404, body = Problem, content_type = "application/problem+json")))]
#[get("/api/v1/jobs/{id}/events")]
pub async fn job_events(registry: web::Data<Registry>, id: web::Path<String>) -> Result<HttpResponse> {
    let id = id.into_inner();
    find(&registry, &id).await?;
    let start = Follow { registry, id, last: String::new(), turns: 0, over: false };
    let events = stream::unfold(start, |mut follow| async move {
        if follow.over {
            return None;
        }
        let chunk = follow.next().await;
        Some((Ok::<_, actix_web::Error>(web::Bytes::from(chunk)), follow))
    });
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header(("x-accel-buffering", "no"))
        .streaming(events))
}

struct Follow {
    registry: web::Data<Registry>,
    id: String,
    last: String,
    turns: u32,
    over: bool,
}

impl Follow {
    /// Waits for the next change (or a keep-alive) and renders it.
    async fn next(&mut self) -> String {
        let mut quiet = 0;
        loop {
            if self.turns > 0 {
                tokio::time::sleep(POLL).await;
            }
            self.turns += 1;
            let Ok(Some(row)) = self.registry.store.job(&self.id).await else {
                self.over = true;
                return "event: gone\ndata: {}\n\n".to_owned();
            };
            let ended = !matches!(row.state.as_str(), "queued" | "running");
            self.over = ended || self.turns > LONGEST;
            let data = serde_json::to_string(&JobView::from(row)).unwrap_or_default();
            if data != self.last {
                self.last.clone_from(&data);
                return format!("id: {}\ndata: {data}\n\n", self.turns);
            }
            quiet += 1;
            if quiet > 40 || self.over {
                return ": still here\n\n".to_owned();
            }
        }
    }
}
