//! Claims that the weights contradict, and the form by which people decide about edges.

use actix_web::{HttpRequest, web};
use askama::Template;
use domain::Class;

use super::{Answer, Data};
use crate::{
    answer,
    asked::Asked,
    source::Failure,
    view::{ContradictionRow, EdgeForm, Name, encoded},
};

#[derive(Template)]
#[template(path = "pages/contradictions.html")]
struct Page {
    rows: Vec<ContradictionRow>,
    next: Option<String>,
}

/// `GET /contradictions?cursor=`
pub async fn contradictions(source: Data, request: HttpRequest) -> Answer {
    let (rows, next) = source.contradictions(Asked::read(request.query_string()).get("cursor")).await?;
    let next = next.map(|cursor| format!("/contradictions?cursor={}", encoded(&cursor)));
    Ok(answer::ok(&Page { rows, next }))
}

/// `POST /edges`
pub async fn decide(source: Data, request: HttpRequest, body: actix_web::Result<web::Bytes>) -> Answer {
    let asked = match answer::form(body) {
        Ok(bytes) => Asked::body(&bytes),
        Err(refusal) => return Ok(refusal),
    };
    let form = EdgeForm {
        model: asked.text("model"),
        parent: asked.text("parent"),
        decision: asked.text("decision"),
        relation: asked.text("relation"),
        reason: asked.text("reason"),
    };
    source.decide(&form, &person(&request).await?).await?;
    Ok(answer::see_other(&Name(form.model).href()))
}

/// Who sent a form.
pub async fn person(request: &HttpRequest) -> Result<String, Failure> {
    http::person(request).await.map_err(|problem| Failure::new(Class::Conflict, "bad_token", problem.detail))
}
