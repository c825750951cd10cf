//! Diff-vector transfers.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, HttpResponse, post};
use analysis::transfer::{Options, Preset};
use http::{Problem, Result};
use jobs::{Access, TransferPayload, TransferRequest};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::{
    IntoParams, ToSchema,
    openapi::schema::{Array, Object, OneOf, Schema, Type},
};

use crate::{
    body::Body,
    jobs_api::{JobHeaders, JobView, accepted, idempotency_key},
    named,
    query::Query,
    schema::one_of,
    seen::Seen,
};

/// `target_base + lambda · (source_tuned − source_base)`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTransfer {
    /// What the fine-tune was tuned from; left out, its lineage tells.
    pub source_base: Option<String>,
    pub source_tuned: String,
    pub target_base: String,
    /// `diff_vector` (the default), `shadow_ft` or `chat_vector`.
    #[serde(default)]
    #[schema(schema_with = presets)]
    pub preset: Preset,
    /// Share of the diff, 1 by default: a number, a list of numbers from the first layer to the last, one
    /// `{filter, value}` or a list of them.
    #[serde(default = "one")]
    #[schema(schema_with = strengths)]
    pub lambda: Value,
    /// Only tensors in whose name this regular expression is found.
    pub include: Option<String>,
    /// No tensor in whose name this regular expression is found.
    pub exclude: Option<String>,
    /// Id of the resulting model; only a dry run may leave it out.
    pub output: Option<String>,
}

fn presets() -> Object {
    let mut words = one_of(Preset::ALL.map(Preset::label));
    words.description = Some("A published way of transferring.".to_owned());
    words.default = Some(json!("diff_vector"));
    words
}

/// A number, a list of numbers, one `{filter, value}` or a list of them.
fn strengths() -> Schema {
    let number = || Object::with_type(Type::Number);
    let value = OneOf::builder().item(number()).item(Array::new(number()));
    let filtered = Object::builder()
        .property("filter", Object::with_type(Type::String))
        .property("value", value)
        .required("value");
    let filtered = filtered.build();
    OneOf::builder()
        .item(number())
        .item(Array::new(number()))
        .item(filtered.clone())
        .item(Array::new(filtered))
        .description(Some(
            "Share of the diff that is added: one, one from the first layer to the last, or by tensor.",
        ))
        .default(Some(json!(1.0)))
        .build()
        .into()
}

fn one() -> Value {
    json!(1.0)
}

/// Options of a request for a transfer.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TransferQuery {
    /// Only look at the weights: is it likely to work?
    #[serde(default)]
    pub dry_run: bool,
}

/// Queue a transfer; shapes are checked first.
#[utoipa::path(tag = "transfers", params(TransferQuery, JobHeaders), request_body = NewTransfer, responses((status = 202, body = JobView), (status = 200, description = "dry run: numbers over the weights with a heuristic verdict and its reasons", body = Object), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
#[post("/api/v1/transfers")]
pub async fn create_transfer(
    request: HttpRequest,
    registry: Seen,
    options: Query<TransferQuery>,
    Body(wanted): Body<NewTransfer>,
) -> Result<HttpResponse> {
    let source_base = match wanted.source_base {
        Some(base) => base,
        None => jobs::tuned_from(&registry, &wanted.source_tuned).await?,
    };
    let payload = TransferPayload {
        target_base: wanted.target_base,
        source_base,
        source_tuned: wanted.source_tuned,
        options: Options {
            preset: wanted.preset,
            lambda: wanted.lambda,
            include: wanted.include,
            exclude: wanted.exclude,
        },
        output: named::or_unnamed(wanted.output.as_deref())?,
        pins: BTreeMap::new(),
    };
    let access = Access::registry();
    let plan = async || jobs::plan_transfer(&registry, &payload, &access).await;
    let output = named::checked(wanted.output.as_deref(), plan).await?;
    if options.dry_run {
        let look = async || jobs::check_transfer(&registry, &payload, &access).await;
        let report = jobs::with_output(&registry, output.as_ref(), look).await?;
        return Ok(HttpResponse::Ok().json(report));
    }
    named::needed(output)?;
    let job = jobs::submit_transfer(&registry, TransferRequest { payload, key: idempotency_key(&request)? })
        .await?;
    Ok(accepted(&job))
}
