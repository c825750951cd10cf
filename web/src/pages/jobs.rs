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
}

#[derive(Template)]
#[template(path = "pages/job.html")]
struct One {
    job: JobPage,
}

/// `GET /jobs?cursor=`
pub async fn list(source: Data, request: HttpRequest) -> Answer {
    let (jobs, next) = source.jobs(Asked::read(request.query_string()).get("cursor")).await?;
    let next = next.map(|cursor| format!("/jobs?cursor={}", encoded(&cursor)));
    Ok(answer::ok(&List { jobs, next }))
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
