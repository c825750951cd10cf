//! One file of a model: its text, or its tensors, or why neither is shown.

use actix_web::HttpRequest;
use askama::Template;
use percent_encoding::percent_decode_str;

use super::{Answer, Data, model, named::unknown};
use crate::{
    answer,
    view::{FileBody, FilePage, encoded},
};

#[derive(Template)]
#[template(path = "pages/file.html")]
struct Page {
    page: FilePage,
}

/// `GET /{org}/{name}/blob/{revision}/{path}` and the same for bare names.
pub async fn show(source: Data, request: HttpRequest) -> Answer {
    // The address as it was sent: an escaped slash belongs to a revision, a plain one may.
    let parts: Vec<String> = request
        .uri()
        .path()
        .split('/')
        .skip(1)
        .map(|part| percent_decode_str(part).decode_utf8_lossy().into_owned())
        .collect();
    let named = request.match_info().get("org").map_or(1, |_| 2);
    let (name, place) =
        (parts[..named.min(parts.len())].join("/"), parts.get(named + 1..).unwrap_or_default());
    match source.file(&name, place).await? {
        Some(page) if page.name.0 != name => {
            let place: Vec<String> = place.iter().map(|part| encoded(part)).collect();
            Ok(model::moved(&page.name.below(&format!("blob/{}", place.join("/")))))
        }
        Some(page) => Ok(answer::ok(&Page { page })),
        None => Ok(unknown(&source, &name).await),
    }
}
