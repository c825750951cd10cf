//! One model: what it is, where it comes from, what came of it, its files and its card.

use actix_web::{HttpRequest, HttpResponse, http::header, web};
use askama::Template;
use domain::Class;

use super::{Answer, Data, lineage};
use crate::{
    answer, card,
    source::Failure,
    view::{ModelPage, Name},
};

#[derive(Template)]
#[template(path = "pages/model.html")]
struct Page {
    model: ModelPage,
    card: Option<String>,
    command: Option<String>,
}

/// `GET /{org}/{name}`, `/{org}/{name}/tree/{revision}` and the same for bare names.
pub async fn show(source: Data, request: HttpRequest) -> Answer {
    let part = |key: &str| request.match_info().get(key).unwrap_or_default();
    let revision = request.match_info().get("revision");
    let name = match part("org") {
        "" => part("name").to_owned(),
        org => format!("{org}/{}", part("name")),
    };
    let Some(model) = source.model(&name, revision).await? else {
        // `/gpt2/lineage` has the shape of `/{org}/{name}`.
        if part("name") == "lineage" && !part("org").is_empty() {
            return lineage::page(&source, part("org"), request.query_string()).await;
        }
        return Ok(answer::not_found(&format!("No model `{name}` is known here.")));
    };
    if model.name.0 != name && revision.is_none() {
        return Ok(moved(&model.name.href()));
    }
    let card = match model.card.clone().filter(|text| !text.trim().is_empty()) {
        // A long card takes a while to parse and to clean.
        Some(text) => Some(
            web::block(move || card::render(&text))
                .await
                .map_err(|error| Failure::new(Class::Internal, "task_failed", error.to_string()))?,
        ),
        None => None,
    };
    let command = command(&model, &request);
    Ok(answer::ok(&Page { model, card, command }))
}

/// The lasting redirect to a name as its owner writes it.
pub fn moved(address: &str) -> HttpResponse {
    HttpResponse::PermanentRedirect().insert_header((header::LOCATION, address)).finish()
}

/// How to fetch the weights, or another file when there are none.
fn command(model: &ModelPage, request: &HttpRequest) -> Option<String> {
    let info = request.connection_info();
    let host = info.host();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
    if !host.chars().all(plain) {
        return None;
    }
    let wanted = ["model.safetensors", "config.json"];
    let file = wanted.iter().find_map(|want| model.files.iter().find(|file| file.path == *want));
    let file = file.or_else(|| model.files.first())?;
    let address = format!("{}://{host}{}", info.scheme(), resolve(&model.name, &file.path));
    Some(format!("curl -L -C - -o {} {}", shell(&file.path), shell(&address)))
}

/// The download address of a file.
pub(crate) fn resolve(name: &Name, path: &str) -> String {
    let segments: Vec<String> = path.split('/').map(crate::view::encoded).collect();
    name.below(&format!("resolve/main/{}", segments.join("/")))
}

fn shell(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '-' | '_' | ':' | '%');
    if text.chars().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}
