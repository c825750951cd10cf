//! Progress of one job as server-sent events, until the job or the server ends.

use std::{sync::Arc, time::Duration};

use actix_web::{HttpRequest, HttpResponse, get, http::header, web};
use domain::Digest;
use futures::stream;
use http::{Problem, Result};
use store::JobRow;
use tokio::{
    sync::{OwnedSemaphorePermit, watch},
    time::timeout,
};

use crate::{
    jobs_api::{JobView, find},
    seen::Seen,
};

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

/// Progress of one job as server-sent events, until it ends. Whoever comes back with `Last-Event-ID` hears only of
/// what has changed since, and is answered 204 when nothing will any more.
#[utoipa::path(tag = "jobs", params(("id" = String, Path), ("last-event-id" = Option<String>, Header)), responses((status = 204, description = "The job has ended as told"), (status = 503, body = Problem, content_type = "application/problem+json"), (status = 200, description = "text/event-stream of jobs", content_type = "text/event-stream", body = String), (status = 404, body = Problem, content_type = "application/problem+json")))]
#[get("/api/v1/jobs/{id}/events")]
pub async fn job_events(
    registry: Seen,
    leaving: web::Data<Leaving>,
    id: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse> {
    let id = id.into_inner();
    let row = find(&registry, &id).await?;
    let told = request.headers().get("last-event-id").and_then(|value| value.to_str().ok());
    let told = told.unwrap_or_default().to_owned();
    if row.over() && told == event(row).0 {
        // A browser that is answered so does not come back.
        return Ok(HttpResponse::NoContent().finish());
    }
    let Ok(place) = Arc::clone(&registry.following).try_acquire_owned() else {
        let most = registry.limits.event_listeners;
        return Err(jobs::Error::TooManyListeners(most).into());
    };
    let leaving = leaving.get_ref().clone();
    let start = Follow { registry, leaving, id, last: told, turns: 0, over: false, _place: place };
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

/// Id and data of the event that tells of a job as it is: the same job, the same id, whichever process tells.
fn event(row: JobRow) -> (String, String) {
    let data = serde_json::to_string(&JobView::from(row)).unwrap_or_default();
    (Digest::of(data.as_bytes()).hex()[..16].to_owned(), data)
}

struct Follow {
    registry: Seen,
    leaving: Leaving,
    id: String,
    /// Id of the last event told.
    last: String,
    turns: u32,
    over: bool,
    _place: OwnedSemaphorePermit,
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
            self.over = row.over() || self.turns > LONGEST;
            let (id, data) = event(jobs::paced(&self.registry, row));
            if id != self.last {
                self.last.clone_from(&id);
                return format!("id: {id}\ndata: {data}\n\n");
            }
            quiet += 1;
            if quiet > 40 || self.over {
                return ": still here\n\n".to_owned();
            }
        }
    }
}
