//! Files of models as text, at the Hub's address for them.

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, HeaderName, HeaderValue},
    routes, web,
};
use http::{Problem, Result};

use crate::{
    download::{self, Place},
    models::ModelPath,
    seen::Seen,
};

/// A browser shows it as text, and nothing in it acts.
const SHOWN: [(HeaderName, &str); 3] = [
    (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
    (header::CONTENT_DISPOSITION, "inline"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox"),
];

/// A file of a model as text; weights and archives are sent as at `resolve`.
#[utoipa::path(get, path = "/{org}/{name}/raw/{revision}/{path}", tag = "files", params(("org" = String, Path), ("name" = String, Path), ("revision" = String, Path), ("path" = String, Path)), responses((status = 200, description = "text"), (status = 206, description = "a range"), (status = 404, body = Problem, content_type = "application/problem+json")))]
#[routes]
#[get("/{org}/{name}/raw/{revision}/{path:.*}")]
#[get("/{name}/raw/{revision}/{path:.*}", guard = "http::may_be_a_model")]
pub async fn raw_file(
    request: HttpRequest,
    registry: Seen,
    model: web::Path<ModelPath>,
    place: web::Path<Place>,
) -> Result<HttpResponse> {
    let Place { revision, path } = place.into_inner();
    let mut answer = download::send_file((&request, &registry), &model.id(), (&revision, &path)).await?;
    if answer.status().is_success() && domain::may_be_text(&path) {
        for (name, value) in SHOWN {
            answer.headers_mut().insert(name, HeaderValue::from_static(value));
        }
    }
    Ok(answer)
}
