//! Diff-vector transfers.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, HttpResponse, post, web};
use domain::RepoId;
use http::{Problem, Result};
use jobs::{Registry, TransferPayload, TransferRequest};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::jobs_api::{JobView, accepted, idempotency_key};

/// `target_base + lambda · (source_tuned − source_base)`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTransfer {
    pub source_base: String,
    pub source_tuned: String,
    pub target_base: String,
    /// Scale of the diff, default 1.
    #[serde(default = "one")]
    pub lambda: f64,
    /// Id of the resulting model.
    pub output: String,
}

const fn one() -> f64 {
    1.0
}

/// Queue a transfer; shapes are checked first.
#[utoipa::path(tag = "transfers", request_body = NewTransfer, responses((status = 202, body = JobView), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
#[post("/api/v1/transfers")]
pub async fn create_transfer(
    request: HttpRequest,
    registry: web::Data<Registry>,
    wanted: web::Json<NewTransfer>,
) -> Result<HttpResponse> {
    let wanted = wanted.into_inner();
    let payload = TransferPayload {
        target_base: wanted.target_base,
        source_base: wanted.source_base,
        source_tuned: wanted.source_tuned,
        lambda: wanted.lambda,
        output: RepoId::parse(&wanted.output).map_err(|e| Problem::bad_request(e.to_string()))?,
        pins: BTreeMap::new(),
    };
    let job = jobs::submit_transfer(&registry, TransferRequest { payload, key: idempotency_key(&request)? })
        .await?;
    Ok(accepted(&job))
}
