//! Tokenizer transplants.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, HttpResponse, post};
use analysis::transplant::{Fill, Options, TERMS};
use http::{Problem, Result};
use jobs::{Access, TransplantPayload, TransplantPlan};
use serde::Deserialize;
use serde_json::json;
use utoipa::{ToSchema, openapi::schema::Object};

use crate::{
    body::Body,
    jobs_api::{JobHeaders, JobView, accepted, idempotency_key},
    named::{self, DryRun},
    query::Query,
    schema::one_of,
    seen::Seen,
};

/// The recipient's weights with the donor's tokenizer.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTransplant {
    pub recipient: String,
    pub donor: String,
    /// `omp` (the default), `mean` or `zero`: what tokens get that the recipient lacks.
    #[serde(default)]
    #[schema(schema_with = fills)]
    pub fill: Fill,
    /// Most shared tokens that one row is put together from, 64 by default.
    pub k: Option<usize>,
    /// Shared tokens looked at for a row, all by default; fewer take less time and may give another result.
    pub candidates: Option<usize>,
    /// Id of the resulting model; only a dry run may leave it out.
    pub output: Option<String>,
}

fn fills() -> Object {
    let mut words = one_of(Fill::ALL.map(Fill::label));
    words.description = Some("What tokens get that the recipient lacks.".to_owned());
    words.default = Some(json!("omp"));
    words
}

/// Queue a tokenizer transplant; tables and tokenizers are checked first.
#[utoipa::path(tag = "transplants", params(DryRun, JobHeaders), request_body = NewTransplant, responses((status = 202, body = JobView), (status = 200, description = "dry run: rows, shared and new tokens, and warnings", body = Object), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
#[post("/api/v1/transplants")]
pub async fn create_transplant(
    request: HttpRequest,
    registry: Seen,
    options: Query<DryRun>,
    Body(wanted): Body<NewTransplant>,
) -> Result<HttpResponse> {
    let NewTransplant { recipient, donor, fill, k, candidates, output } = wanted;
    let payload = TransplantPayload {
        recipient,
        donor,
        options: Options { fill, k: k.unwrap_or(TERMS), candidates },
        output: named::or_unnamed(output.as_deref())?,
        pins: BTreeMap::new(),
    };
    let access = Access::registry();
    let plan = async || jobs::plan_transplant(&registry, &payload, &access).await;
    let show = async |plan: TransplantPlan| Ok(plan.report());
    if let Some(told) = named::looked((&registry, *options), output.as_deref(), plan, show).await? {
        return Ok(told);
    }
    let job = jobs::submit(&registry, payload, idempotency_key(&request)?).await?;
    Ok(accepted(&job))
}
