//! Comparison of two models, and the diff vector as an artefact.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, HttpResponse, get, post, web};
use http::{Problem, Result};
use jobs::{Access, DiffPayload, DiffRequest, Registry};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::jobs_api::{JobView, accepted, idempotency_key};

/// Which two models.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DiffQuery {
    pub a: String,
    pub b: String,
}

/// Per-tensor comparison of `a` and `b`.
#[utoipa::path(tag = "diffs", params(DiffQuery), responses((status = 200, description = "verdict and tensor table", body = Object), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
#[get("/api/v1/diffs")]
pub async fn get_diff(registry: web::Data<Registry>, query: web::Query<DiffQuery>) -> Result<HttpResponse> {
    Ok(HttpResponse::Ok().json(jobs::compare(&registry, &query.a, &query.b, &Access::registry()).await?))
}

/// Ask for `tuned − base` as a safetensors blob.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewDiff {
    pub tuned: String,
    pub base: String,
}

/// Queue a diff artefact; the job's result names the blob.
#[utoipa::path(tag = "diffs", request_body = NewDiff, responses((status = 202, body = JobView), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
#[post("/api/v1/diffs")]
pub async fn create_diff(
    request: HttpRequest,
    registry: web::Data<Registry>,
    wanted: web::Json<NewDiff>,
) -> Result<HttpResponse> {
    let NewDiff { tuned, base } = wanted.into_inner();
    let wanted = DiffRequest {
        payload: DiffPayload { tuned, base, pins: BTreeMap::new() },
        key: idempotency_key(&request)?,
    };
    Ok(accepted(&jobs::submit_diff(&registry, wanted).await?))
}
