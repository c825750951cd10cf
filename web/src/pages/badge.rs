//! What a model descends from as a small sign, for README files and other people's pages.

use actix_web::{
    HttpResponse,
    http::header::{self, HeaderValue},
};
use askama::Template;

use super::{Answer, Data, named::ModelName};
use crate::{
    answer,
    svg::badge::{self, Badge},
    view::{ModelPage, ParentLink},
};

/// How long other pages may show a sign that has changed since.
const KEPT: &str = "public, max-age=300";

#[derive(Template)]
#[template(path = "pages/badge.svg")]
struct Sign {
    badge: Badge,
}

/// `GET /{org}/{name}/badge.svg`
pub async fn show(source: Data, name: ModelName) -> Answer {
    let ModelName(name) = name;
    match source.model(&name, None).await? {
        Some(model) => Ok(drawn(&model)),
        None => Ok(super::named::unknown(&source, &name).await),
    }
}

/// The sign of a model.
pub fn drawn(model: &ModelPage) -> HttpResponse {
    let mut answer = answer::picture(&model.name, &Sign { badge: sign(model) });
    let headers = answer.headers_mut();
    // It stands in pages and is no file to keep.
    headers.remove(header::CONTENT_DISPOSITION);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(KEPT));
    answer
}

fn sign(model: &ModelPage) -> Badge {
    if let Some(parent) = model.parents.iter().find(|parent| parent.disputed()) {
        let told = format!("{} ✗ contradicted", parent.name);
        return badge::draw("said to descend from", (&told, "doubted"));
    }
    let parents: Vec<&ParentLink> = model.parents.iter().filter(|parent| parent.accepted()).collect();
    let [first, more @ ..] = parents.as_slice() else {
        return badge::draw("descends from", ("nothing known here", "unknown"));
    };
    let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
    let verified =
        |parent: &&ParentLink| parent.verdict.as_ref().is_some_and(|verdict| !verdict.contradicted);
    let (sign, class) = match (parents.iter().all(verified), parents.iter().any(|parent| parent.made_here()))
    {
        (_, true) => (" ✓ made here", "verified"),
        (true, _) => (" ✓ verified", "verified"),
        _ if parents.iter().all(|parent| parent.proposed()) => (" by its weights", "claimed"),
        _ => (" as claimed", "claimed"),
    };
    badge::draw("derived from", (&format!("{}{more}{sign}", first.name), class))
}
