//! LoRA adapters made from fine-tunes, and baked into a base.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, HttpResponse, post};
use analysis::lowrank::Shaping;
use http::{Problem, Result};
use jobs::{Access, BakePayload, BakePlan, ExtractPayload, ExtractPlan};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::{
    body::Body,
    jobs_api::{JobHeaders, JobView, accepted, idempotency_key},
    merges::yes,
    named::{self, DryRun},
    query::Query,
    seen::Seen,
};

/// A LoRA adapter that turns `base` into `tuned` as far as its rank allows.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewExtraction {
    pub base: String,
    pub tuned: String,
    /// Most singular values of a module; 32 when neither this nor `energy` is given.
    pub rank: Option<usize>,
    /// Or the share of a module's squared change that its factors hold.
    pub energy: Option<f64>,
    /// Only modules whose name this regular expression finds itself in.
    pub include: Option<String>,
    /// No module whose name this regular expression finds itself in.
    pub exclude: Option<String>,
    /// Only singular values above this are kept, the largest in any case; 0 unless given.
    #[serde(default)]
    #[schema(default = 0.0, minimum = 0.0)]
    pub sv_epsilon: f64,
    /// Whether tables of tokens and the head get factors too (`lora_embedding_A` and `_B`), instead of being stored whole.
    #[serde(default)]
    #[schema(default = false)]
    pub embed_lora: bool,
    /// Whether both factors get the root of each singular value; else A gets all of it and B none.
    #[serde(default = "yes")]
    #[schema(default = true)]
    pub distribute_scale: bool,
    /// Number format of the factors: float32 (default), float16, bfloat16 or float64.
    pub dtype: Option<String>,
    /// Id of the resulting adapter; only a dry run may leave it out.
    pub output: Option<String>,
}

/// `base + scale · adapter` as a whole model.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewBake {
    pub base: String,
    pub adapter: String,
    /// Strength of the adapter, default 1.
    #[serde(default = "one")]
    pub scale: f64,
    /// Id of the resulting model; only a dry run may leave it out.
    pub output: Option<String>,
}

pub(crate) const fn one() -> f64 {
    1.0
}

/// Queue the extraction of an adapter; the job's result tells the captured energy of each module.
#[utoipa::path(tag = "adapters", params(DryRun, JobHeaders), request_body = NewExtraction, responses((status = 202, body = JobView), (status = 200, description = "dry run: the recipe's digest, parents and warnings of the result", body = Object), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
#[post("/api/v1/adapters/extract")]
pub async fn extract_adapter(
    request: HttpRequest,
    registry: Seen,
    options: Query<DryRun>,
    Body(wanted): Body<NewExtraction>,
) -> Result<HttpResponse> {
    let NewExtraction { base, tuned, rank, energy, include, exclude, dtype, output, .. } = wanted;
    let NewExtraction { sv_epsilon, embed_lora, distribute_scale, .. } = wanted;
    let shaping = Shaping { sv_epsilon, embed_lora, distribute_scale };
    let (id, pins) = (named::or_unnamed(output.as_deref())?, BTreeMap::new());
    let payload =
        ExtractPayload { base, tuned, rank, energy, include, exclude, dtype, shaping, output: id, pins };
    let access = Access::registry();
    let plan = async || jobs::plan_extract(&registry, &payload, &access).await;
    let show = async |plan: ExtractPlan| Ok(plan.forecast());
    if let Some(told) = named::looked((&registry, *options), output.as_deref(), plan, show).await? {
        return Ok(told);
    }
    Ok(accepted(&jobs::submit(&registry, payload, idempotency_key(&request)?).await?))
}

/// Queue a bake; the adapter's fit is checked first.
#[utoipa::path(tag = "adapters", params(DryRun, JobHeaders), request_body = NewBake, responses((status = 202, body = JobView), (status = 200, description = "dry run: the recipe's digest, parents, tensors, bytes and warnings of the result", body = Object), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
#[post("/api/v1/adapters/bake")]
pub async fn bake_adapter(
    request: HttpRequest,
    registry: Seen,
    options: Query<DryRun>,
    Body(wanted): Body<NewBake>,
) -> Result<HttpResponse> {
    let NewBake { base, adapter, scale, output } = wanted;
    let (id, pins) = (named::or_unnamed(output.as_deref())?, BTreeMap::new());
    let payload = BakePayload { base, adapter, scale, output: id, pins };
    let access = Access::registry();
    let plan = async || jobs::plan_bake(&registry, &payload, &access).await;
    let show = async |plan: BakePlan| Ok(plan.forecast());
    if let Some(told) = named::looked((&registry, *options), output.as_deref(), plan, show).await? {
        return Ok(told);
    }
    Ok(accepted(&jobs::submit(&registry, payload, idempotency_key(&request)?).await?))
}
