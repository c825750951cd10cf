//! Merge methods and merges.

use actix_web::{HttpRequest, HttpResponse, get, post};
use http::{Problem, Result};
use jobs::{Access, MergeRequest};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::{
    body::Body,
    jobs_api::{JobView, accepted, idempotency_key},
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

/// Queue a merge; everything knowable from headers is checked first.
#[utoipa::path(tag = "merges", params(MergeOptions), request_body = NewMerge, responses((status = 202, body = JobView), (status = 200, description = "dry run of a sound recipe: tensors, bytes, memory, disk and warnings", body = Object), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
#[post("/api/v1/merges")]
pub async fn create_merge(
    request: HttpRequest,
    registry: Seen,
    options: Query<MergeOptions>,
    Body(wanted): Body<NewMerge>,
) -> Result<HttpResponse> {
    let NewMerge { config, output } = wanted;
    if options.dry_run {
        let (output, access) = (named::given(output.as_deref())?, Access::registry());
        let plan = async || jobs::plan_merge(&registry, &config, &access).await;
        let plan = jobs::with_output(&registry, output.as_ref(), plan).await?;
        // Once in scratch and once as blobs.
        return Ok(HttpResponse::Ok().json(plan.forecast(2)));
    }
    let output = named::needed(output.as_deref())?;
    let job =
        jobs::submit_merge(&registry, MergeRequest { yaml: config, output, key: idempotency_key(&request)? })
            .await?;
    Ok(accepted(&job))
}
