//! The model that an address names, and the page of a name that nobody has.

use std::{
    future::{Ready, ready},
    ops::Deref,
};

use actix_web::{FromRequest, HttpRequest, HttpResponse, dev::Payload};
use http::Problem;

use super::Data;
use crate::answer;

/// `{org}/{name}` of an address, or `{name}` of one without an organisation, such as `gpt2`.
pub struct ModelName(pub String);

impl Deref for ModelName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl FromRequest for ModelName {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let part = |key: &str| request.match_info().get(key).unwrap_or_default();
        ready(Ok(Self(match part("org") {
            "" => part("name").to_owned(),
            org => format!("{org}/{}", part("name")),
        })))
    }
}

/// The 404 page of a model, with the names that may have been meant.
pub async fn unknown(source: &Data, name: &str) -> HttpResponse {
    let short = name.split_once('/').map_or(name, |(_, short)| short);
    // A part that is too long for a search has no neighbours.
    let mut near = source.suggest(short).await.unwrap_or_default();
    near.retain(|near| domain::alike(short, near.short()));
    answer::no_model(name, &near)
}
