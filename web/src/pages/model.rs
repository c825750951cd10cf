//! One model: what it is, where it comes from, what came of it, its files and its card.

use actix_web::{HttpRequest, HttpResponse, http::header};
use askama::Template;

use super::{Answer, Data, lineage};
use crate::{
    answer, card,
    view::{ModelPage, Name},
};

#[derive(Template)]
#[template(path = "pages/model.html")]
struct Page {
    model: ModelPage,
    card: Option<String>,
    commands: Vec<String>,
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
    let card = model.card.as_deref().filter(|text| !text.trim().is_empty()).map(card::render);
    let commands = commands(&model, &request);
    Ok(answer::ok(&Page { model, card, commands }))
}

/// The lasting redirect to a name as its owner writes it.
pub fn moved(address: &str) -> HttpResponse {
    HttpResponse::PermanentRedirect().insert_header((header::LOCATION, address)).finish()
}

fn commands(model: &ModelPage, request: &HttpRequest) -> Vec<String> {
    let info = request.connection_info();
    let host = info.host();
    let plain = host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']'));
    if model.files.is_empty() || !plain {
        return Vec::new();
    }
    let site = format!("{}://{host}", info.scheme());
    let mut lines = vec![format!("HF_ENDPOINT={site} hf download {}", shell(&model.name.0))];
    let wanted = ["model.safetensors", "config.json"];
    let file = wanted.iter().find_map(|want| model.files.iter().find(|file| file.path == *want));
    if let Some(file) = file.or_else(|| model.files.first()) {
        let path = resolve(&model.name, &file.path);
        lines.push(format!("curl -L -C - -o {} {}", shell(&file.path), shell(&format!("{site}{path}"))));
    }
    lines
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
