//! Diff-vector transfers.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, HttpResponse, post};
use analysis::transfer::{Missing, Options, Preset, SparseKind, Sparsify};
use domain::Item;
use http::{Problem, Result};
use jobs::{Access, AppliedPlan, Registry, StoredPayload, TransferPayload, TransferPlan};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::{
    ToSchema,
    openapi::schema::{Array, Object, OneOf, Schema, Type},
};

use crate::{
    body::Body,
    jobs_api::{JobHeaders, JobView, accepted, idempotency_key},
    named::{self, DryRun},
    query::Query,
    schema::one_of,
    seen::Seen,
};

/// `target_base + lambda · (source_tuned − source_base)`, or `target_base + lambda · diff`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTransfer {
    /// What the fine-tune was tuned from; left out, its lineage tells.
    pub source_base: Option<String>,
    /// The fine-tune; needed unless there is `diff`.
    pub source_tuned: Option<String>,
    /// In the place of both: a model that holds a stored difference, `org/name`, or `org/name#member` of one that several share.
    pub diff: Option<String>,
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
    /// For tensors that not all models have: `error` (the default), `base`, which leaves the target's as they are, or `skip`, which
    /// leaves them out.
    #[serde(default)]
    #[schema(schema_with = policies)]
    pub missing: Missing,
    /// Which elements of the diff are carried over: `{kind, density}` with `magnitude`, `middle` (and `gamma`), `random` or
    /// `magprune` (and `epsilon`), the latter two with a `seed`. Not with `diff`.
    #[schema(schema_with = sparse)]
    pub sparsify: Option<Sparsify>,
    /// Id of the resulting model; only a dry run may leave it out.
    pub output: Option<String>,
}

fn policies() -> Object {
    let mut words = one_of(Missing::ALL.map(Missing::label));
    words.description = Some("What becomes of tensors that not all models have.".to_owned());
    words.default = Some(json!("error"));
    words
}

fn sparse() -> Object {
    let number = || Object::with_type(Type::Number);
    Object::builder()
        .property("kind", one_of(SparseKind::ALL.map(SparseKind::label)))
        .required("kind")
        .property("density", number())
        .required("density")
        .property("gamma", number())
        .property("epsilon", number())
        .property("seed", Object::with_type(Type::Integer))
        .description(Some("Which elements of the diff are carried over; all unless given."))
        .build()
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

/// Queue a transfer; shapes are checked first.
#[utoipa::path(tag = "transfers", params(DryRun, JobHeaders), request_body = NewTransfer, responses((status = 202, body = JobView), (status = 200, description = "dry run: numbers over the weights with a heuristic verdict and its reasons; of a stored difference the recipe's digest, parents, tensors, bytes and warnings of the result", body = Object), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
#[post("/api/v1/transfers")]
pub async fn create_transfer(
    request: HttpRequest,
    registry: Seen,
    options: Query<DryRun>,
    Body(wanted): Body<NewTransfer>,
) -> Result<HttpResponse> {
    let NewTransfer {
        source_base,
        source_tuned,
        diff,
        target_base,
        preset,
        lambda,
        include,
        exclude,
        missing,
        sparsify,
        output,
    } = wanted;
    let asked = Asked {
        target_base,
        options: Options { preset, lambda, include, exclude, missing, sparsify },
        output,
        key: idempotency_key(&request)?,
        dry: *options,
    };
    match (diff, source_tuned) {
        (None, Some(tuned)) => of_models(&registry, (source_base, tuned), asked).await,
        (Some(diff), None) if source_base.is_none() => of_stored(&registry, diff, asked).await,
        (None, None) => {
            let message = "it is missing: the fine-tune, or `diff` for a stored difference".to_owned();
            Err(Problem::misread(vec![Item { pointer: "/source_tuned".to_owned(), message }]))
        }
        (Some(_), tuned) => {
            let given = [("/source_base", source_base), ("/source_tuned", tuned)];
            let fault = |(pointer, given): (&str, Option<String>)| {
                let message = "it does not go with `diff`, which stands in its place".to_owned();
                given.map(|_| Item { pointer: pointer.to_owned(), message })
            };
            Err(Problem::misread(given.into_iter().filter_map(fault).collect()))
        }
    }
}

/// What transfers of two models and of a stored difference have in common.
struct Asked {
    target_base: String,
    options: Options,
    output: Option<String>,
    key: Option<String>,
    dry: DryRun,
}

async fn of_stored(registry: &Registry, diff: String, asked: Asked) -> Result<HttpResponse> {
    let Asked { target_base, options, output, key, dry } = asked;
    let id = named::or_unnamed(output.as_deref())?;
    let payload = StoredPayload { target_base, diff, options, output: id, pins: BTreeMap::new() };
    let access = Access::registry();
    let plan = async || jobs::plan_stored_transfer(registry, &payload, &access).await;
    let show = async |plan: AppliedPlan| {
        let mut forecast = plan.forecast();
        let warned = jobs::warned(registry, &forecast.parents).await?;
        forecast.warnings.extend(warned);
        Ok(forecast)
    };
    if let Some(told) = named::looked((registry, dry), output.as_deref(), plan, show).await? {
        return Ok(told);
    }
    Ok(accepted(&jobs::submit(registry, payload, key).await?))
}

async fn of_models(
    registry: &Registry,
    (source_base, source_tuned): (Option<String>, String),
    asked: Asked,
) -> Result<HttpResponse> {
    let Asked { target_base, options, output, key, dry } = asked;
    let source_base = match source_base {
        Some(base) => base,
        None => jobs::tuned_from(registry, &source_tuned).await?,
    };
    let id = named::or_unnamed(output.as_deref())?;
    let pins = BTreeMap::new();
    let payload = TransferPayload { target_base, source_base, source_tuned, options, output: id, pins };
    let access = Access::registry();
    let plan = async || jobs::plan_transfer(registry, &payload, &access).await;
    let show = async |plan: TransferPlan| jobs::check_transfer(registry, &plan).await;
    if let Some(told) = named::looked((registry, dry), output.as_deref(), plan, show).await? {
        return Ok(told);
    }
    Ok(accepted(&jobs::submit(registry, payload, key).await?))
}
