//! The nearest models by their weights: a part of a model's page that is fetched once that is shown, or a page of their own.

use actix_web::{HttpRequest, http::header};
use askama::Template;
use domain::Class;

use super::{Answer, Data, named::ModelName};
use crate::{
    answer,
    caller::wants_part,
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

#[derive(Template)]
#[template(path = "pages/kin.html")]
struct Page {
    name: Name,
    nearest: Vec<Found>,
    reason: Option<String>,
}

/// `GET /{org}/{name}/kin`
pub async fn show(source: Data, request: HttpRequest, name: ModelName) -> Answer {
    page(&source, &request, &name).await
}

/// The nearest of a name, whatever its shape: a part for the script that asks for one, else a page.
pub async fn page(source: &Data, request: &HttpRequest, name: &str) -> Answer {
    let pin = Some(name.to_owned());
    let query = SearchQuery { sort: Sort::Kinship, pin, limit: NEAREST, ..SearchQuery::default() };
    let name = Name(name.to_owned());
    let (nearest, reason) = match source.search(&query).await {
        Ok(page) => (page.items, None),
        Err(failure) if matches!(failure.class, Class::Internal | Class::NotFound) => return Err(failure),
        Err(failure) => (Vec::new(), Some(failure.detail)),
    };
    let mut answer = match wants_part(request) {
        true => answer::ok(&Part { name, nearest, reason }),
        false => answer::ok(&Page { name, nearest, reason }),
    };
    let varies = header::HeaderValue::from_static("HX-Request");
    answer.headers_mut().append(header::VARY, varies);
    Ok(answer)
}
