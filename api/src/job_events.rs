//! Progress of one job as server-sent events, until the job or the server ends.

use std::time::Duration;

use actix_web::{HttpResponse, get, http::header, web};
use futures::stream;
use http::{Problem, Result};
use jobs::Registry;
use tokio::{sync::watch, time::timeout};

use crate::jobs_api::{JobView, find};

const POLL: Duration = Duration::from_millis(300);
const LONGEST: u32 = 3_000;

/// Turns true when the server is about to stop; whoever follows a job then lets go of the connection.
#[derive(Debug, Clone)]
pub struct Leaving(pub watch::Receiver<bool>);

impl Leaving {
    /// Waits for `time`, or less when the server stops; `true` then.
    async fn within(&mut self, time: Duration) -> bool {
        timeout(time, self.0.wait_for(|leaving| *leaving)).await.is_ok()
    }
}

/// Progress of one job as server-sent events, until it ends.
#[utoipa::path(tag = "jobs", params(("id" = String, Path)), responses((status = 200, description = "text/event-stream of jobs", content_type = "text/event-stream", body = String), (status = 404, body = Problem, content_type = "application/problem+json")))]
#[get("/api/v1/jobs/{id}/events")]
pub async fn job_events(
    registry: web::Data<Registry>,
    leaving: web::Data<Leaving>,
    id: web::Path<String>,
) -> Result<HttpResponse> {
    let id = id.into_inner();
    find(&registry, &id).await?;
    let leaving = leaving.get_ref().clone();
    let start = Follow { registry, leaving, id, last: String::new(), turns: 0, over: false };
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
    leaving: Leaving,
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
            if self.turns > 0 && self.leaving.within(POLL).await {
                self.over = true;
                return ": the server stops; ask again\n\n".to_owned();
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
