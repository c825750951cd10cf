//! Work in the background: the list, one job, and the button that stops it.

use actix_web::{HttpRequest, web};
use askama::Template;

use super::{Answer, Data};
use crate::{
    answer,
    asked::Asked,
    view::{JobPage, JobRow, encoded},
};

#[derive(Template)]
#[template(path = "pages/jobs.html")]
struct List {
    jobs: Vec<JobRow>,
    next: Option<String>,
    /// Whether one of them is not over, so that the list is asked for again.
    moving: bool,
    /// The address of the list that is shown.
    here: String,
}

#[derive(Template)]
#[template(path = "pages/job.html")]
struct One {
    job: JobPage,
}

/// `GET /jobs?cursor=`
pub async fn list(source: Data, request: HttpRequest) -> Answer {
    let asked = Asked::read(request.query_string());
    let page = |cursor: &str| format!("/jobs?cursor={}", encoded(cursor));
    let (jobs, next) = source.jobs(asked.get("cursor")).await?;
    let here = asked.get("cursor").map_or_else(|| "/jobs".to_owned(), page);
    let moving = jobs.iter().any(|job| !job.state.over());
    Ok(answer::ok(&List { jobs, next: next.as_deref().map(page), moving, here }))
}

/// `GET /jobs/{id}`
pub async fn show(source: Data, id: web::Path<String>) -> Answer {
    Ok(match source.job(&id).await? {
        Some(job) => answer::ok(&One { job }),
        None => answer::not_found(&format!("There is no job `{id}`.")),
    })
}

/// `POST /jobs/{id}/retry`
pub async fn retry(source: Data, id: web::Path<String>) -> Answer {
    Ok(match source.retry(&id).await? {
        Some(again) => answer::see_other(&format!("/jobs/{}", encoded(&again))),
        None => answer::not_found(&format!("There is no job `{id}`.")),
    })
}

/// `POST /jobs/{id}/cancel`
pub async fn cancel(source: Data, id: web::Path<String>) -> Answer {
    source.cancel(&id).await?;
    Ok(answer::see_other(&format!("/jobs/{}", encoded(&id))))
}
