//! Comparison of two models, the diff vector as an artefact, and a stored one added to a base.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, HttpResponse, get, post};
use http::{Problem, Result};
use jobs::{Access, AppliedPlan, ApplyPayload, DiffForm, DiffPayload, Reading};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::{
    body::Body,
    jobs_api::{JobHeaders, JobView, accepted, idempotency_key},
    named::{self, DryRun},
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
    /// Read the weights also where more of them differ than `compare_bytes` says; sketches answer without it, with standard errors.
    #[serde(default)]
    pub exact: bool,
}

/// Per-tensor comparison of `a` and `b`: `exact` says whether no number is an estimate. What has equal digests is not read.
#[utoipa::path(tag = "diffs", params(DiffQuery), responses((status = 200, description = "verdict and tensor table", body = Object), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
#[get("/api/v1/diffs")]
pub async fn get_diff(registry: Seen, query: Query<DiffQuery>) -> Result<HttpResponse> {
    let reading = if query.exact { Reading::Weights } else { Reading::Stored };
    let compared = jobs::compare(&registry, [&query.a, &query.b], (&Access::registry(), reading)).await;
    Ok(HttpResponse::Ok().json(&*compared.map_err(|error| Problem::from(error).of_parameters())?))
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
#[utoipa::path(tag = "diffs", params(DryRun, JobHeaders), request_body = NewDiff, responses((status = 202, body = JobView), (status = 200, description = "dry run: the form, and the digests of the models as they are now", body = Object), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
#[post("/api/v1/diffs")]
pub async fn create_diff(
    request: HttpRequest,
    registry: Seen,
    options: Query<DryRun>,
    Body(wanted): Body<NewDiff>,
) -> Result<HttpResponse> {
    let NewDiff { tuned, with, base, form, density, rank, energy, dtype } = wanted;
    let form = DiffForm { form, density, rank, energy, dtype };
    let payload = DiffPayload { tuned, with, base, form, pins: BTreeMap::new() };
    if options.dry_run {
        return Ok(HttpResponse::Ok().json(jobs::plan_diff(&registry, &payload).await?));
    }
    Ok(accepted(&jobs::submit(&registry, payload, idempotency_key(&request)?).await?))
}

/// `base + scale · diff` as a whole model.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewApplication {
    pub base: String,
    /// A model that holds a stored difference in any form, `org/name`, or `org/name#member` of one that several share.
    pub diff: String,
    /// Strength of the difference, default 1.
    #[serde(default = "crate::adapters::one")]
    pub scale: f64,
    /// Id of the resulting model; only a dry run may leave it out.
    pub output: Option<String>,
}

/// Queue the application of a stored difference; that it fits is checked first. With a dense one the base it was taken of
/// becomes the fine-tune again.
#[utoipa::path(tag = "diffs", params(DryRun, JobHeaders), request_body = NewApplication, responses((status = 202, body = JobView), (status = 200, description = "dry run: the recipe's digest, parents, tensors, bytes and warnings of the result", body = Object), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
#[post("/api/v1/diffs/apply")]
pub async fn apply_diff(
    request: HttpRequest,
    registry: Seen,
    options: Query<DryRun>,
    Body(wanted): Body<NewApplication>,
) -> Result<HttpResponse> {
    let NewApplication { base, diff, scale, output } = wanted;
    let id = named::or_unnamed(output.as_deref())?;
    let payload = ApplyPayload { base, diff, scale, output: id, pins: BTreeMap::new() };
    let access = Access::registry();
    let plan = async || jobs::plan_apply(&registry, &payload, &access).await;
    let show = async |plan: AppliedPlan| Ok(plan.forecast());
    if let Some(told) = named::looked((&registry, *options), output.as_deref(), plan, show).await? {
        return Ok(told);
    }
    Ok(accepted(&jobs::submit(&registry, payload, idempotency_key(&request)?).await?))
}
