//! One model: what it is, where it comes from, what came of it, its files and its card.

use actix_web::{HttpRequest, HttpResponse, http::header, web};
use askama::Template;
use domain::Class;
use percent_encoding::percent_decode_str;

use super::{
    Answer, Data, children, icicle, kin, lineage,
    named::{ModelName, unknown},
    namespace,
};
use crate::{
    answer,
    asked::Asked,
    caller::sign_in,
    card, limits,
    source::Failure,
    view::{ModelPage, SignIn, When, encoded},
};

#[derive(Template)]
#[template(path = "pages/model.html")]
struct Page {
    model: ModelPage,
    card: Option<String>,
    commands: Vec<(&'static str, String)>,
    /// The older name by which it was asked for.
    formerly: Option<String>,
    /// BibTeX; none for what is only a name.
    citation: Option<String>,
    sign_in: Option<SignIn>,
    /// What the card says of limits.
    limits: Option<String>,
    /// Markdown that shows what it descends from.
    badge: Option<String>,
}

/// `GET /{org}/{name}`, `/{org}/{name}/tree/{revision}` and the same for bare names.
pub async fn show(source: Data, request: HttpRequest, name: ModelName) -> Answer {
    let revision =
        request.match_info().get("revision").map(|text| percent_decode_str(text).decode_utf8_lossy());
    let revision = revision.as_deref();
    let ModelName(name) = name;
    let Some(model) = source.model(&name, revision).await? else {
        // `/gpt2/lineage` has the shape of `/{org}/{name}`.
        match name.split_once('/') {
            Some((bare, "lineage")) => return lineage::page(&source, &request, bare).await,
            Some((bare, "children")) => return children::page(&source, &request, bare).await,
            Some((bare, "kin")) => return kin::page(&source, &request, bare).await,
            Some((bare, "icicle")) => return icicle::page(&source, &request, bare).await,
            _ => {}
        }
        if !name.contains('/')
            && revision.is_none()
            && let Some(answer) = namespace::page(&source, &name).await?
        {
            return Ok(answer);
        }
        if let Some(revision) = revision
            && source.model(&name, None).await?.is_some()
        {
            let told = format!("`{name}` has no revision `{revision}`; name one by its digest, or `main`.");
            return Ok(answer::not_found(&told));
        }
        return Ok(unknown(&source, &name).await);
    };
    let renamed = !model.name.0.eq_ignore_ascii_case(&name);
    if model.name.0 != name && revision.is_none() {
        let notice = if renamed { format!("?formerly={}", encoded(&name)) } else { String::new() };
        return Ok(moved(&format!("{}{notice}", model.name.href())));
    }
    let formerly = match Asked::read(request.query_string()).get("formerly").map(str::to_owned) {
        _ if renamed => Some(name),
        // An address says what it likes; the registry knows.
        Some(old) if !old.eq_ignore_ascii_case(&name) => {
            source.known_as(&old).await?.filter(|now| *now == model.name).map(|_| old)
        }
        _ => None,
    };
    let (card, limits) = match model.card.clone().filter(|text| !text.trim().is_empty()) {
        // A long card takes a while to parse and to clean.
        Some(text) => {
            let read = web::block(move || (Some(card::rendered(&text)), limits::of(&text)));
            read.await.map_err(|error| Failure::new(Class::Internal, "task_failed", error.to_string()))?
        }
        None => (None, None),
    };
    let commands = commands(&model, &request);
    let citation = (!model.ghost).then(|| citation(&model, &request)).flatten();
    let badge = (!model.ghost).then(|| badge(&model, &request)).flatten();
    let sign_in = sign_in(&request).await?;
    Ok(answer::ok(&Page { model, card, commands, formerly, citation, sign_in, limits, badge }))
}

/// The lasting redirect to a name as its owner writes it.
pub fn moved(address: &str) -> HttpResponse {
    HttpResponse::PermanentRedirect().insert_header((header::LOCATION, address)).finish()
}

/// Scheme and host of this registry as its readers reach it; none for a host that is no plain name.
fn place(request: &HttpRequest) -> Option<String> {
    let own = http::address(request);
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
    own.split_once("://").is_some_and(|(_, host)| host.chars().all(plain)).then_some(own)
}

/// A sign of its descent for a README, as Markdown.
fn badge(model: &ModelPage, request: &HttpRequest) -> Option<String> {
    let (place, name) = (place(request)?, &model.name);
    // A name without an organisation has no pages below it.
    name.namespace()?;
    Some(format!("[![descent]({place}{})]({place}{})", name.below("badge.svg"), name.below("lineage")))
}

/// How to cite the revision that is shown, as BibTeX.
fn citation(model: &ModelPage, request: &HttpRequest) -> Option<String> {
    let plain = |text: &str| -> String { text.chars().filter(|c| !matches!(c, '{' | '}' | '\\')).collect() };
    let printed = |text: &str| plain(text).replace('_', "\\_");
    let key: String = model.name.0.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let mut fields = vec![("title", printed(&model.name.0))];
    let org = model.name.org().trim_end_matches('/');
    fields.extend((!org.is_empty()).then(|| ("author", format!("{{{}}}", printed(org)))));
    fields.extend(model.created_at.map(|at| ("year", When(at).machine().chars().take(4).collect())));
    fields.extend(model.revision.as_ref().map(|revision| ("note", format!("Revision {}", revision.digest))));
    let page = match &model.revision {
        Some(revision) => model.name.below(&format!("tree/{}", crate::view::encoded(&revision.digest))),
        None => model.name.href(),
    };
    fields.push(("url", format!("{}{page}", place(request)?)));
    let lines: Vec<String> = fields.iter().map(|(name, value)| format!("  {name} = {{{value}}}")).collect();
    Some(format!("@misc{{{key},\n{}\n}}", lines.join(",\n")))
}

/// Ready-made commands that fetch the model from here.
fn commands(model: &ModelPage, request: &HttpRequest) -> Vec<(&'static str, String)> {
    let Some(place) = place(request) else { return Vec::new() };
    let wanted = ["model.safetensors", "config.json"];
    let file = wanted.iter().find_map(|want| model.files.iter().find(|file| file.path == *want));
    let Some(file) = file.or_else(|| model.files.first()) else { return Vec::new() };
    let revision = model.at.as_deref().unwrap_or("main");
    let (endpoint, id) = (format!("HF_ENDPOINT={place}"), shell(&model.name.0));
    let option = model.at.as_ref().map_or_else(String::new, |at| format!(" --revision {}", shell(at)));
    let mut commands = vec![("The whole model", format!("{endpoint} hf download {id}{option}"))];
    if model.files.iter().any(|file| file.path == "config.json") {
        let argument = model.at.as_ref().map_or_else(String::new, |at| format!(", revision={at:?}"));
        let code = format!("AutoModel.from_pretrained({:?}{argument})", model.name.0);
        let code = format!("from transformers import AutoModel; model = {code}");
        commands.push(("In Python", format!("{endpoint} python -i -c {}", shell(&code))));
    }
    let address = format!("{place}{}", model.name.file("resolve", (revision, &file.path)));
    commands.push(("One file", format!("curl -L -C - -o {} {}", shell(&file.path), shell(&address))));
    commands
}

/// The download address of a file of the model that is shown.
pub(crate) fn resolve(model: &ModelPage, path: &str) -> String {
    model.name.file("resolve", (model.at.as_deref().unwrap_or("main"), path))
}

/// The page of a file of the model that is shown.
pub(crate) fn shown(model: &ModelPage, path: &str) -> String {
    model.name.file("blob", (model.at.as_deref().unwrap_or("main"), path))
}

fn shell(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '-' | '_' | ':' | '%');
    if text.chars().all(plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}
