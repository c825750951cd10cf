//! The nearest models by their weights, as a part of a model's page that is fetched once that is shown.

use actix_web::web;
use askama::Template;
use domain::Class;

use super::{Answer, Data};
use crate::{
    answer,
    view::{Found, Name, SearchQuery, Sort},
};

/// Models shown.
const NEAREST: u32 = 5;

#[derive(Template)]
#[template(path = "parts/kin.html")]
struct Part {
    name: Name,
    nearest: Vec<Found>,
    /// Why there are none to show.
    reason: Option<String>,
}

/// `GET /{org}/{name}/kin`
pub async fn show(source: Data, path: web::Path<(String, String)>) -> Answer {
    let (org, name) = path.into_inner();
    part(&source, &format!("{org}/{name}")).await
}

/// The part of a name, whatever its shape.
pub async fn part(source: &Data, name: &str) -> Answer {
    let pin = Some(name.to_owned());
    let query = SearchQuery { sort: Sort::Kinship, pin, limit: NEAREST, ..SearchQuery::default() };
    let name = Name(name.to_owned());
    Ok(answer::ok(&match source.search(&query).await {
        Ok(page) => Part { name, nearest: page.items, reason: None },
        Err(failure) if matches!(failure.class, Class::Internal | Class::NotFound) => return Err(failure),
        Err(failure) => Part { name, nearest: Vec::new(), reason: Some(failure.detail) },
    }))
}
