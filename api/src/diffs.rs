//! Comparison of two models, and the diff vector as an artefact.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, HttpResponse, get, post};
use http::{Problem, Result};
use jobs::{Access, DiffForm, DiffPayload, DiffRequest};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::{
    body::Body,
    jobs_api::{JobHeaders, JobView, accepted, idempotency_key},
    query::Query,
    seen::Seen,
};

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
pub async fn get_diff(registry: Seen, query: Query<DiffQuery>) -> Result<HttpResponse> {
    let compared = jobs::compare(&registry, &query.a, &query.b, &Access::registry()).await;
    Ok(HttpResponse::Ok().json(compared.map_err(|error| Problem::from(error).of_parameters())?))
}

/// Ask for `tuned − base` as a safetensors blob.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewDiff {
    pub tuned: String,
    /// Other fine-tunes of the base, for the form emr: all are stored as one difference that they share, and a bit and a
    /// scale of each.
    #[serde(default)]
    pub with: Vec<String>,
    pub base: String,
    /// dense (default), sparse, low-rank, bitdelta, skillpack-rtn or emr.
    pub form: Option<String>,
    /// Share of the elements of each tensor that a sparse form keeps, the largest first; default 0.1.
    pub density: Option<f64>,
    /// Rank of a low-rank form, default 32, or of a skillpack-rtn, default a quarter of each matrix's smaller side.
    pub rank: Option<usize>,
    /// Or the share of each matrix's squared norm that its factors hold.
    pub energy: Option<f64>,
    /// float32 (default), float16, bfloat16 or float64; of emr by default that of the models where all are halves of one
    /// kind.
    pub dtype: Option<String>,
}

/// Queue a diff artefact; the job's result names the blob and the captured energy, or how near each member of a shared
/// difference comes.
#[utoipa::path(tag = "diffs", params(JobHeaders), request_body = NewDiff, responses((status = 202, body = JobView), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
#[post("/api/v1/diffs")]
pub async fn create_diff(
    request: HttpRequest,
    registry: Seen,
    Body(wanted): Body<NewDiff>,
) -> Result<HttpResponse> {
    let NewDiff { tuned, with, base, form, density, rank, energy, dtype } = wanted;
    let form = DiffForm { form, density, rank, energy, dtype };
    let wanted = DiffRequest {
        payload: DiffPayload { tuned, with, base, form, pins: BTreeMap::new() },
        key: idempotency_key(&request)?,
    };
    Ok(accepted(&jobs::submit_diff(&registry, wanted).await?))
}
