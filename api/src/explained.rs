//! `POST /api/v1/merges/explain`: which values every tensor of a merge gets.

use std::collections::BTreeMap;

use actix_web::{HttpResponse, post};
use analysis::merge::{Explained, ExplainedSource};
use http::{Problem, Result};
use jobs::Access;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    body::Body,
    paging::{Window, cut},
    query::Query,
    seen::Seen,
};

/// A recipe to look into.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Explanation {
    /// mergekit YAML; models are ids of this registry.
    pub config: String,
    /// The `name` of the document that is looked into, of a recipe of several; its result unless given.
    pub document: Option<String>,
    /// Only tensors with this text in their names.
    pub name: Option<String>,
}

/// How one tensor of a result is made.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExplainedView {
    pub tensor: String,
    /// `merged`, or `copied` from one model or from all that hold it alike.
    pub made: String,
    /// The key of the recipe that decided about it, e.g. `exclude`; null where none did.
    pub policy: Option<String>,
    /// The method's parameters that all models share, as recipes write them: filters, gradients and defaults resolved.
    #[schema(value_type = Object)]
    pub parameters: BTreeMap<&'static str, Value>,
    /// The models, in the order in which the method takes them.
    pub models: Vec<ExplainedModel>,
    /// What deltas are taken from; null for a method that takes none.
    pub base: Option<ExplainedModel>,
}

/// A tensor of one model that goes into a result.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExplainedModel {
    /// As the recipe names it.
    pub model: String,
    /// The tensor's name there: another one where other layers are taken, or where a head is tied.
    pub tensor: String,
    /// The model's own parameters.
    #[schema(value_type = Object)]
    pub parameters: BTreeMap<&'static str, Value>,
}

/// A page of tensors.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExplainedPage {
    /// Tensors of the result that were asked for, on all pages.
    pub tensors: usize,
    pub items: Vec<ExplainedView>,
    /// Pass as `cursor` for the next page.
    pub next: Option<String>,
}

impl From<ExplainedSource> for ExplainedModel {
    fn from(ExplainedSource { model, tensor, parameters }: ExplainedSource) -> Self {
        Self { model, tensor, parameters }
    }
}

impl From<Explained> for ExplainedView {
    fn from(told: Explained) -> Self {
        let Explained { tensor, made, policy, parameters, models, base } = told;
        let models = models.into_iter().map(ExplainedModel::from).collect();
        Self { tensor, made: made.to_owned(), policy, parameters, models, base: base.map(Into::into) }
    }
}

/// Which values every tensor of a merge gets, told without reading a weight; of a recipe of several documents, of its result.
#[utoipa::path(tag = "merges", params(Window), request_body = Explanation, responses((status = 200, body = ExplainedPage), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
#[post("/api/v1/merges/explain")]
pub async fn explain_merge(
    registry: Seen,
    window: Query<Window>,
    Body(wanted): Body<Explanation>,
) -> Result<HttpResponse> {
    let Explanation { config, document, name } = wanted;
    let config = match document {
        Some(name) => analysis::merge::only(&config, &name).map_err(jobs::Error::from)?,
        None => config,
    };
    let plan = jobs::plan_merge(&registry, &config, &Access::registry()).await?;
    let part = name.unwrap_or_default();
    let told: Vec<Explained> = plan.source.explain().filter(|told| told.tensor.contains(&part)).collect();
    let tensors = told.len();
    let (items, next) = cut(told, &window, registry.limits.page_max, |told| &told.tensor)?;
    let items = items.into_iter().map(ExplainedView::from).collect();
    Ok(HttpResponse::Ok().json(ExplainedPage { tensors, items, next }))
}
