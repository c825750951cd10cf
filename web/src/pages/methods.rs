//! What every merge method does and takes, as the registry of methods declares it.

use actix_web::HttpResponse;
use askama::Template;

use super::Data;
use crate::{answer, view::MethodCard};

#[derive(Template)]
#[template(path = "pages/methods.html")]
struct Page {
    methods: Vec<MethodCard>,
}

/// `GET /docs/merging`
pub async fn list(source: Data) -> HttpResponse {
    answer::ok(&Page { methods: source.merge_methods() })
}
