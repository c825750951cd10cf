//! Merge methods and merges.

use actix_web::{HttpRequest, HttpResponse, get, post};
use http::{Problem, ProblemItem, Result};
use jobs::{Access, Forecast, MergeRequest};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    body::Body,
    jobs_api::{JobHeaders, JobView, accepted, idempotency_key},
    named,
    query::Query,
    seen::Seen,
};

/// Every merge method with its parameters.
#[utoipa::path(tag = "merges", responses((status = 200, description = "methods with parameters, ranges and papers", body = Vec<Object>)))]
#[get("/api/v1/merge-methods")]
pub async fn list_methods() -> HttpResponse {
    HttpResponse::Ok().json(analysis::merge::specs())
}

/// A merge to run.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewMerge {
    /// mergekit YAML; models are ids of this registry.
    pub config: String,
    /// Id of the resulting model; only a dry run may leave it out.
    pub output: Option<String>,
}

/// Options of a merge.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct MergeOptions {
    /// Only check: every fault, or what the merge needs and gives.
    #[serde(default)]
    pub dry_run: bool,
}

/// What a sound recipe needs and gives.
#[derive(Debug, Serialize, ToSchema)]
pub struct ForecastView {
    pub method: String,
    pub recipe_digest: String,
    pub tensors: usize,
    /// Rows of the tables of tokens; null for a model without one.
    pub vocabulary: Option<u64>,
    /// Bytes of the tensors of the result.
    pub bytes: u64,
    /// Bytes of memory that the merge stays below on this machine, files' own caches not counted.
    pub memory_bytes: u64,
    /// Bytes of disk that the merge needs while it runs.
    pub disk_bytes: u64,
    /// Always empty: a recipe with faults is refused, and the refusal lists them.
    pub faults: Vec<ProblemItem>,
    /// What the recipe probably does not mean.
    pub warnings: Vec<ProblemItem>,
}

impl From<Forecast> for ForecastView {
    fn from(told: Forecast) -> Self {
        Self {
            method: told.method,
            recipe_digest: told.recipe_digest.to_string(),
            tensors: told.tensors,
            vocabulary: told.vocabulary,
            bytes: told.bytes,
            memory_bytes: told.memory_bytes,
            disk_bytes: told.disk_bytes,
            faults: told.faults.into_iter().map(ProblemItem::from).collect(),
            warnings: told.warnings.into_iter().map(ProblemItem::from).collect(),
        }
    }
}

/// Queue a merge; everything knowable from headers is checked first.
#[utoipa::path(tag = "merges", params(MergeOptions, JobHeaders), request_body = NewMerge, responses((status = 202, body = JobView), (status = 200, description = "dry run of a sound recipe: tensors, bytes, memory, disk and warnings", body = ForecastView), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
#[post("/api/v1/merges")]
pub async fn create_merge(
    request: HttpRequest,
    registry: Seen,
    options: Query<MergeOptions>,
    Body(wanted): Body<NewMerge>,
) -> Result<HttpResponse> {
    let NewMerge { config, output } = wanted;
    let access = Access::registry();
    let plan = async || jobs::plan_merge(&registry, &config, &access).await;
    let output = named::checked(output.as_deref(), plan).await?;
    if options.dry_run {
        let plan = jobs::with_output(&registry, output.as_ref(), plan).await?;
        // Once in scratch and once as blobs.
        return Ok(HttpResponse::Ok().json(ForecastView::from(plan.forecast(2))));
    }
    let output = named::needed(output)?;
    let job =
        jobs::submit_merge(&registry, MergeRequest { yaml: config, output, key: idempotency_key(&request)? })
            .await?;
    Ok(accepted(&job))
}
