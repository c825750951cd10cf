//! `GET /api/v1/models/{org}/{name}/merge-suggestions`: partners to merge a model with, by kinship.

use actix_web::{HttpResponse, get, web};
use http::{Problem, Result};
use jobs::{Access, Registry, SuggestQuery};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{models::ModelPath, paging::page_length, query::Query, seen::Seen};

/// Which base deltas are taken against, and how many partners to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SuggestionsOf {
    /// The base that the partners share with the model.
    pub base: String,
    /// 1 to 100, default 20.
    pub limit: Option<u64>,
}

/// Partners to merge a model with, the one of lowest kinship first, from stored sketches.
///
/// Only models with the tensors of the base, in its shapes, among the hundred that are nearest to it by their weights. The
/// `caveat` of the answer is meant: kinship is a hint, not a measurement of quality.
#[utoipa::path(tag = "kinship", params(("org" = String, Path), ("name" = String, Path), SuggestionsOf),
    responses((status = 200, description = "`suggestions` with `model`, `kinship`, `standard_error`, `relative_norm`, `share`, `declared` and `reason`", body = Object), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
#[get("/api/v1/models/{org}/{name}/merge-suggestions")]
pub async fn get_suggestions(
    registry: Seen,
    path: web::Path<ModelPath>,
    asked: Query<SuggestionsOf>,
) -> Result<HttpResponse> {
    suggestions_of(&registry, &path.id(), &asked).await
}

/// Partners for the model called `id`.
pub async fn suggestions_of(registry: &Registry, id: &str, asked: &SuggestionsOf) -> Result<HttpResponse> {
    let limit = page_length(registry, asked.limit)?;
    let query =
        SuggestQuery { model: id.to_owned(), base: asked.base.clone(), limit, access: Access::registry() };
    let found = jobs::suggest(registry, query).await;
    Ok(HttpResponse::Ok().json(found.map_err(|error| Problem::from(error).of_parameters())?))
}
