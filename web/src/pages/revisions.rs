//! Two revisions of one model side by side.

use actix_web::HttpRequest;
use askama::Template;

use super::{
    Answer, Data,
    named::{ModelName, unknown},
};
use crate::{answer, view::RevisionsPage};

#[derive(Template)]
#[template(path = "pages/revisions.html")]
struct Page {
    page: RevisionsPage,
}

/// `GET /{org}/{name}/compare/{from}...{to}`, each a branch, a tag, a commit or a digest.
pub async fn show(source: Data, request: HttpRequest, name: ModelName) -> Answer {
    let range = request.match_info().get("range").unwrap_or_default();
    let Some(range) = range.split_once("...").filter(|(a, b)| !a.is_empty() && !b.is_empty()) else {
        return Ok(answer::not_found("A comparison has the address `/org/name/compare/FROM...TO`."));
    };
    match source.revisions(&name, range).await? {
        Some(page) => Ok(answer::ok(&Page { page })),
        None => Ok(unknown(&source, &name).await),
    }
}
