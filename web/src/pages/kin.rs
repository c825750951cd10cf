//! The nearest models by their weights, as a part of a model's page that is fetched once that is shown.

use actix_web::web;
use askama::Template;

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
    let nearest = source.search(&query).await?.items;
    Ok(answer::ok(&Part { name: Name(name.to_owned()), nearest }))
}
