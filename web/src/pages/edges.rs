//! Claims that the weights contradict, and the form by which people decide about edges.

use actix_web::{HttpRequest, web};
use askama::Template;
use domain::Class;
use http::Problem;

use super::{Answer, Data};
use crate::{
    answer,
    asked::Asked,
    source::Failure,
    view::{ContradictionRow, EdgeForm, Name, SignIn, encoded},
};

/// What is told where a name is needed and the one that the browser brings is no good any more.
const ENDED: &str =
    "Your session has ended, or its token has. Sign in again at `/login`, then send this once more.";

#[derive(Template)]
#[template(path = "pages/contradictions.html")]
struct Page {
    rows: Vec<ContradictionRow>,
    next: Option<String>,
    /// Whether there are weights of two models, without which no claim is checked.
    checkable: bool,
}

/// `GET /contradictions?cursor=`
pub async fn contradictions(source: Data, request: HttpRequest) -> Answer {
    let (rows, next) = source.contradictions(Asked::read(request.query_string()).get("cursor")).await?;
    let next = next.map(|cursor| format!("/contradictions?cursor={}", encoded(&cursor)));
    let checkable = source.counts().await?.with_weights > 1;
    Ok(answer::ok(&Page { rows, next, checkable }))
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
    let page = Name::from(form.model.as_str()).href();
    let decided = async { source.decide(&form, &person(&request).await?).await };
    Ok(match decided.await {
        Ok(()) => answer::see_other(&page),
        Err(failure) => {
            let typed = [
                ("Parent", &*form.parent),
                ("How", &form.relation),
                ("Decision", &form.decision),
                ("Reason", &form.reason),
            ];
            answer::refused(&failure, (page, &form.model), &typed)
        }
    })
}

/// What is told above the forms of a page that would be refused, or taken for those of a stranger.
pub(crate) async fn sign_in(request: &HttpRequest) -> Result<Option<SignIn>, Failure> {
    let lack = http::lack(request).await.map_err(unknown)?;
    Ok(lack.map(|lack| SignIn::of(lack, http::whence(request).as_deref())))
}

fn unknown(problem: Problem) -> Failure {
    let class = if problem.status == 503 { Class::Unavailable } else { Class::Internal };
    Failure::new(class, &problem.code, problem.detail)
}

/// Who sent a form.
///
/// # Errors
/// When the session of the browser has ended.
pub async fn person(request: &HttpRequest) -> Result<String, Failure> {
    http::person(request).await.map_err(|problem| match problem.status {
        401 => Failure::new(Class::Forbidden, "bad_token", ENDED),
        _ => unknown(problem),
    })
}
