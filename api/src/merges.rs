//! Merge methods and merges.

use std::{collections::BTreeMap, num::NonZeroU64};

use actix_web::{HttpRequest, HttpResponse, body::SizedStream, get, http::header, post, web::Bytes};
use analysis::merge::Touched;
use futures::TryStreamExt as _;
use http::{Problem, ProblemItem, Result};
use jobs::{Access, Extras, Forecast, MergePayload, MergePlan};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    body::Body,
    jobs_api::{JobHeaders, JobView, accepted, idempotency_key},
    named::{self, DryRun},
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
    /// mergekit YAML; models are ids of this registry. `missing` (`error`, `base`, `skip` or `union`) and `on_mismatch`
    /// (`error` or `base`) at its top say what becomes of tensors that some models lack or have in another shape;
    /// `truncate_prefix: true` cuts tables of tokens to the rows that all models have, where these are the same tokens;
    /// `exclude` lists parts of names of tensors that are the base's; `allow_crimes: true` merges what models of different
    /// architectures have in common;
    /// `allow_nonfinite: true` lets NaN and infinities through as NaN; `lora_merge_dtype` rounds models with an adapter applied
    /// before they are merged; `post_t: 1` puts what is behind the layers at the end of gradients.
    pub config: String,
    /// The `name` of the document whose result is made, of a recipe of several: that document, and those it uses.
    pub document: Option<String>,
    /// Id of the resulting model; only a dry run may leave it out.
    pub output: Option<String>,
    /// Whether the result has a README.md.
    #[serde(default = "yes")]
    #[schema(default = true)]
    pub write_model_card: bool,
    /// Whether the result has the tokenizer's files.
    #[serde(default = "yes")]
    #[schema(default = true)]
    pub copy_tokenizer: bool,
    /// Most bytes of tensors in one file of the result; as the server is configured unless given.
    #[schema(value_type = Option<u64>, minimum = 1)]
    pub out_shard_size: Option<NonZeroU64>,
}

pub(crate) const fn yes() -> bool {
    true
}

/// What a sound recipe needs and gives.
#[derive(Debug, Serialize, ToSchema)]
pub struct ForecastView {
    pub method: String,
    pub recipe_digest: String,
    /// Digest of the recipe with every model named by its content: the same on any machine.
    pub recipe_address: String,
    pub tensors: usize,
    /// Rows of the tables of tokens; null for a model without one.
    pub vocabulary: Option<u64>,
    /// Bytes of the tensors of the result.
    pub bytes: u64,
    /// Bytes of memory that the merge stays below on this machine, files' own caches not counted.
    pub memory_bytes: u64,
    /// Bytes of disk that the merge needs while it runs.
    pub disk_bytes: u64,
    /// Bytes of disk that are left where the merge would work; null where that cannot be told.
    pub free_disk_bytes: Option<u64>,
    /// A model here that the recipe made before, whose tensors the job takes over where they are to lie in files of the same
    /// sizes; null where there is none.
    pub made: Option<String>,
    /// Always empty: a recipe with faults is refused, and the refusal lists them.
    pub faults: Vec<ProblemItem>,
    /// What the recipe probably does not mean.
    pub warnings: Vec<ProblemItem>,
    /// What policies of the recipe decide about tensors that the models do not have alike.
    pub policies: Vec<PolicyView>,
}

/// Tensors that one policy of a recipe decides about in one way.
#[derive(Debug, Serialize, ToSchema)]
pub struct PolicyView {
    /// JSON Pointer of the key in the recipe, e.g. `/missing`.
    pub pointer: String,
    /// `copied` from a model, `merged` among the models that have them, `left_out`, or `cut` to their first rows.
    pub outcome: String,
    /// The model they are copied from.
    pub model: Option<String>,
    /// Rows that tables of tokens are cut to.
    pub rows: Option<u64>,
    /// How many there are.
    pub tensors: u64,
    /// Names of the first 100 of them.
    pub names: Vec<String>,
}

impl From<Touched> for PolicyView {
    fn from(touched: Touched) -> Self {
        let outcome = touched.outcome.word().to_owned();
        let Touched { pointer, model, rows, tensors, names, .. } = touched;
        Self { pointer, outcome, model, rows, tensors, names }
    }
}

impl From<Forecast> for ForecastView {
    fn from(told: Forecast) -> Self {
        Self {
            method: told.method,
            recipe_digest: told.recipe_digest.to_string(),
            recipe_address: told.recipe_address.to_string(),
            tensors: told.tensors,
            vocabulary: told.vocabulary,
            bytes: told.bytes,
            memory_bytes: told.memory_bytes,
            disk_bytes: told.disk_bytes,
            free_disk_bytes: told.free_disk_bytes,
            made: told.made,
            faults: told.faults.into_iter().map(ProblemItem::from).collect(),
            warnings: told.warnings.into_iter().map(ProblemItem::from).collect(),
            policies: told.policies.into_iter().map(PolicyView::from).collect(),
        }
    }
}

/// Queue a merge; everything knowable from headers is checked first.
#[utoipa::path(tag = "merges", params(DryRun, JobHeaders), request_body = NewMerge, responses((status = 202, body = JobView), (status = 200, description = "dry run of a sound recipe: tensors, bytes, memory, disk and warnings", body = ForecastView), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
#[post("/api/v1/merges")]
pub async fn create_merge(
    request: HttpRequest,
    registry: Seen,
    options: Query<DryRun>,
    Body(wanted): Body<NewMerge>,
) -> Result<HttpResponse> {
    let NewMerge { config, document, output, write_model_card, copy_tokenizer, out_shard_size } = wanted;
    let config = match document {
        Some(name) => analysis::merge::only(&config, &name).map_err(jobs::Error::from)?,
        None => config,
    };
    let extras = Extras { write_model_card, copy_tokenizer, out_shard_size };
    let access = Access::registry();
    let plan = async || jobs::plan_merge(&registry, &config, &access).await;
    let show = async |plan: MergePlan| {
        plan.fits(&registry.scratch)?;
        // Once in scratch and once as blobs.
        let mut forecast = plan.forecast(2, &registry.scratch);
        forecast.warnings.extend(jobs::warned(&registry, &plan.models()).await?);
        forecast.made = jobs::made_before(&registry, &plan.recipe).await?;
        Ok(ForecastView::from(forecast))
    };
    if let Some(told) = named::looked((&registry, *options), output.as_deref(), plan, show).await? {
        return Ok(told);
    }
    let output = named::or_unnamed(output.as_deref())?;
    let payload = MergePayload { yaml: config, output, extras, pins: BTreeMap::new() };
    let job = jobs::submit(&registry, payload, idempotency_key(&request)?).await?;
    Ok(accepted(&job))
}

/// A merge that is sent and not kept.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MergeDownload {
    /// mergekit YAML, as for `POST /api/v1/merges`.
    pub config: String,
}

/// The weights of a merge that is computed while they are sent, as one safetensors file: no model is made of it here. Its length
/// and its entity tag, which is the same for the same recipe and contents, are known before the first byte; what cannot be
/// computed on the way breaks the answer off. A few at once are computed (`merge_downloads`).
#[utoipa::path(tag = "merges", request_body = MergeDownload, responses((status = 200, description = "bytes of a safetensors file"), (status = 503, description = "as many are computed as may be at once", body = Problem, content_type = "application/problem+json"), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
#[post("/api/v1/merges/download")]
pub async fn download_merge(registry: Seen, Body(wanted): Body<MergeDownload>) -> Result<HttpResponse> {
    let sent = jobs::stream_merge(&registry, &wanted.config, &Access::registry()).await?;
    Ok(HttpResponse::Ok()
        .insert_header((header::ETAG, http::strong_etag(sent.tag.hex())))
        .insert_header((header::CONTENT_DISPOSITION, "attachment; filename=\"model.safetensors\""))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::CONTENT_ENCODING, "identity"))
        .content_type("application/octet-stream")
        .body(SizedStream::new(sent.bytes, sent.body.map_ok(Bytes::from))))
}
