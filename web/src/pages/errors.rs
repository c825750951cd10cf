//! Every stable error code, where the `type` of a problem points.

use actix_web::HttpResponse;
use askama::Template;
use http::{CODES, Code};

use crate::answer;

#[derive(Template)]
#[template(path = "pages/errors.html")]
struct Page {
    codes: &'static [Code],
}

/// `GET /docs/errors`
pub async fn list() -> HttpResponse {
    answer::ok(&Page { codes: CODES })
}
