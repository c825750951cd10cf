//! What is under `/api/` but answers nothing: an unknown address, or a known one asked in a wrong way.

use std::{collections::BTreeSet, sync::LazyLock};

use actix_web::{
    HttpRequest, HttpResponse, ResponseError as _,
    dev::ResourceDef,
    http::{StatusCode, header},
};
use http::Problem;
use utoipa::openapi::path::PathItem;

/// Every documented address with its methods.
static ROUTES: LazyLock<Vec<(ResourceDef, Vec<&str>)>> = LazyLock::new(|| {
    let document = crate::document();
    document.paths.paths.iter().map(|(path, item)| (ResourceDef::new(path.as_str()), methods(item))).collect()
});

fn methods(item: &PathItem) -> Vec<&'static str> {
    let known = [
        (&item.get, &["GET", "HEAD"][..]),
        (&item.post, &["POST"]),
        (&item.put, &["PUT"]),
        (&item.patch, &["PATCH"]),
        (&item.delete, &["DELETE"]),
    ];
    known
        .into_iter()
        .filter(|(operation, _)| operation.is_some())
        .flat_map(|(_, words)| words)
        .copied()
        .collect()
}

/// 405 with `Allow` where another method would be answered, else 404.
pub async fn nowhere(request: HttpRequest) -> HttpResponse {
    let path = request.path();
    let allowed: BTreeSet<&str> = ROUTES
        .iter()
        .filter(|(route, _)| route.is_match(path))
        .flat_map(|(_, methods)| methods)
        .copied()
        .collect();
    if allowed.is_empty() {
        return Problem::not_found(format!("the address `{path}`")).error_response();
    }
    let allowed: Vec<&str> = allowed.into_iter().collect();
    let allowed = allowed.join(", ");
    let detail = format!("`{path}` does not answer {}; use {allowed}", request.method());
    let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail);
    let mut answer = problem.error_response();
    if let Ok(value) = header::HeaderValue::from_str(&allowed) {
        answer.headers_mut().insert(header::ALLOW, value);
    }
    answer
}
