//! A model's edges to its parents: what cards, weights and people say of each, and people's decisions.

use actix_web::{HttpRequest, HttpResponse, get, routes, web};
use domain::{Evidence, Relation};
use http::{Problem, Result};
use jobs::{Contradiction, Ground, Registry, Ruling};
use serde::{Deserialize, Serialize};
use store::{Decision, DecisionRow, VerdictRow};
use utoipa::{
    IntoParams, ToSchema,
    openapi::schema::{Object, SchemaType, Type},
};

use crate::{
    body::Body,
    models::{ModelPath, find},
    paging::page_size,
    query::Query,
    schema::one_of,
    seen::Seen,
};

/// What the weights say of a claimed parent.
#[derive(Debug, Serialize, ToSchema)]
pub struct VerdictView {
    /// verified or contradicted.
    pub verdict: String,
    /// Cosine of the weights, −1 to 1.
    pub cosine: f64,
    /// Of `cosine`, for models without a common origin.
    pub standard_error: f64,
    /// log₁₀ of the chance of such weights, were the verdict wrong.
    pub log10_p: f64,
    pub sentence: String,
    /// Unix seconds.
    pub computed_at: i64,
}

impl From<VerdictRow> for VerdictView {
    fn from(row: VerdictRow) -> Self {
        Self {
            verdict: row.verdict.as_str().to_owned(),
            cosine: row.cosine,
            standard_error: row.standard_error,
            log10_p: row.log10_p,
            sentence: row.sentence,
            computed_at: row.computed_at,
        }
    }
}

/// A person's decision about an edge.
#[derive(Debug, Serialize, ToSchema)]
pub struct DecisionView {
    /// confirm, reject or add.
    pub decision: String,
    /// The user whose token it was, with the token's label.
    pub person: String,
    pub reason: String,
    /// Unix seconds.
    pub decided_at: i64,
}

impl From<DecisionRow> for DecisionView {
    fn from(row: DecisionRow) -> Self {
        let DecisionRow { decision, person, reason, decided_at, .. } = row;
        Self { decision: decision.as_str().to_owned(), person, reason, decided_at }
    }
}

/// An edge to a parent.
#[derive(Debug, Serialize, ToSchema)]
pub struct EdgeView {
    pub parent: String,
    pub as_written: String,
    /// finetune, adapter, quantized, merge, transfer, conversion or distil.
    #[schema(value_type = String)]
    pub relation: Relation,
    /// accepted, proposed, rejected_self, rejected_cycle or rejected_person.
    pub status: String,
    pub ghost: bool,
    #[schema(value_type = Vec<Object>)]
    pub evidence: Vec<Evidence>,
    /// What the weights say of it, where it is claimed and they say anything.
    pub verdict: Option<VerdictView>,
    /// The latest first.
    pub decisions: Vec<DecisionView>,
    /// Older ones that are not listed.
    pub decisions_hidden: u64,
}

/// All edges to the parents of a model.
#[derive(Debug, Serialize, ToSchema)]
pub struct EdgeList {
    pub model: String,
    pub items: Vec<EdgeView>,
}

/// A decision about an edge.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RulingRequest {
    /// The parent's id.
    pub parent: String,
    /// How the model descends from it: finetune, adapter, quantized, merge, transfer, conversion or distil. What the edge says already, or
    /// finetune, where it is left out.
    #[schema(schema_with = relations, required = false)]
    pub relation: Option<Relation>,
    #[serde(default)]
    pub reason: String,
}

fn relations() -> Object {
    let mut words = one_of(Relation::ALL.map(Relation::as_str));
    words.schema_type = SchemaType::from_iter([Type::String, Type::Null]);
    words
}

/// The address of a decision.
#[derive(Debug, Deserialize)]
pub struct RulingPath {
    pub org: Option<String>,
    pub name: String,
    pub decision: String,
}

/// A model's edges to its parents, with verdicts and decisions.
#[utoipa::path(tag = "lineage", params(("org" = String, Path), ("name" = String, Path)),
    responses((status = 200, body = EdgeList), (status = 404, body = Problem, content_type = "application/problem+json")))]
#[get("/api/v1/models/{org}/{name}/edges")]
pub async fn list_edges(registry: Seen, path: web::Path<ModelPath>) -> Result<HttpResponse> {
    edges_of(&registry, &path.id()).await
}

/// The edges of the model called `id`.
pub async fn edges_of(registry: &Registry, id: &str) -> Result<HttpResponse> {
    let row = find(registry, id).await?;
    let edges = registry.store.edges_of(row.id).await?;
    let parents: Vec<i64> = edges.iter().map(|edge| edge.parent).collect();
    let known = registry.store.models_by_ids(&parents).await?;
    let mut verdicts = registry.store.verdicts_of(&[row.id]).await?;
    let mut decisions = registry.store.decisions_of(row.id, registry.limits.page_max).await?;
    let items = edges.into_iter().map(|edge| {
        let decided = decisions.remove(&edge.parent).unwrap_or_default();
        let parent = known.iter().find(|row| row.id == edge.parent);
        EdgeView {
            parent: parent.map_or_else(|| edge.as_written.clone(), |row| row.name.clone()),
            ghost: parent.is_none_or(|row| row.ghost),
            as_written: edge.as_written,
            relation: edge.relation,
            status: edge.status.as_str().to_owned(),
            evidence: edge.evidence,
            verdict: verdicts.extract_if(.., |row| row.parent == edge.parent).next().map(VerdictView::from),
            decisions: decided.latest.into_iter().map(DecisionView::from).collect(),
            decisions_hidden: decided.older,
        }
    });
    Ok(HttpResponse::Ok().json(EdgeList { items: items.collect(), model: row.name }))
}

/// Confirm, reject or add an edge to a parent; `{decision}` is confirm, reject or add.
///
/// A rejected edge stays listed and takes no part in family trees. What cards, files and weights say stays as it is; a
/// later decision replaces an earlier one, and all of them are kept.
#[utoipa::path(post, path = "/api/v1/models/{org}/{name}/edges/{decision}", tag = "lineage",
    params(("org" = String, Path), ("name" = String, Path), ("decision" = String, Path)), request_body = RulingRequest,
    responses((status = 200, body = EdgeList), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
#[routes]
#[post("/api/v1/models/{org}/{name}/edges/{decision}")]
#[post("/api/v1/models/{name}/edges/{decision}")]
pub async fn decide_edge(
    request: HttpRequest,
    registry: Seen,
    path: web::Path<RulingPath>,
    Body(body): Body<RulingRequest>,
) -> Result<HttpResponse> {
    let RulingPath { org, name, decision } = path.into_inner();
    let child = ModelPath { org, name }.id();
    let decision: Decision = decision.parse().map_err(Problem::bad_request)?;
    let RulingRequest { parent, relation, reason } = body;
    let person = http::person(&request).await?;
    let ruling = Ruling { child: child.clone(), parent, decision, relation, person, reason };
    jobs::rule(&registry, ruling).await?;
    edges_of(&registry, &child).await
}

/// A claim that the weights contradict, or that dates speak against.
#[derive(Debug, Serialize, ToSchema)]
pub struct ContradictionView {
    /// weights or dates.
    #[schema(value_type = String)]
    pub ground: Ground,
    pub model: String,
    /// The claimed parent as it is written.
    pub claimed: String,
    /// The claimed parent by its present name.
    pub base: String,
    /// The model that the weights descend from instead, where it is here.
    pub instead: Option<String>,
    /// Cosine of the weights of model and base, −1 to 1; `null` of dates.
    pub cosine: Option<f64>,
    /// Of `cosine`, for models without a common origin.
    pub standard_error: Option<f64>,
    /// log₁₀ of the chance of such weights, were the claim true.
    pub log10_p: Option<f64>,
    /// Whole days from the model's creation to that of the base; `null` of weights.
    pub days: Option<i64>,
    pub sentence: String,
    /// Unix seconds; `null` of dates.
    pub computed_at: Option<i64>,
}

impl From<Contradiction> for ContradictionView {
    fn from(found: Contradiction) -> Self {
        Self {
            ground: found.ground,
            model: found.model,
            claimed: found.claimed,
            base: found.base,
            instead: found.instead,
            cosine: found.cosine,
            standard_error: found.standard_error,
            log10_p: found.log10_p,
            days: found.days,
            sentence: found.sentence,
            computed_at: found.computed_at,
        }
    }
}

/// A page of contradictions.
#[derive(Debug, Serialize, ToSchema)]
pub struct ContradictionPage {
    pub items: Vec<ContradictionView>,
    /// Pass as `cursor` for the next page.
    pub next: Option<String>,
}

/// Which claims, and which page of them.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ContradictionQuery {
    /// `weights`, the default: claims that the weights contradict. `dates`: claims on parents that were created a day or more
    /// after the child, which neither weights nor a person nor a recipe support.
    pub ground: Option<String>,
    /// 1 to 1,000, default 100; of dates a page may be longer, by the other parents of its last model.
    pub limit: Option<u64>,
    /// `next` of the page before.
    pub cursor: Option<String>,
}

/// Claims of descent that weights or dates speak against, the latest first; those about which a person decided are left out.
#[utoipa::path(tag = "lineage", params(ContradictionQuery), responses((status = 200, body = ContradictionPage), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
#[get("/api/v1/contradictions")]
pub async fn list_contradictions(registry: Seen, query: Query<ContradictionQuery>) -> Result<HttpResponse> {
    let limit = page_size(&registry, query.limit)?;
    let ground = query.ground.as_deref().map_or(Ok(Ground::default()), str::parse);
    let ground = ground.map_err(Problem::bad_request)?;
    let page = jobs::contradictions(&registry, ground, (query.cursor.as_deref(), limit)).await?;
    let items = page.items.into_iter().map(ContradictionView::from).collect();
    Ok(HttpResponse::Ok().json(ContradictionPage { items, next: page.next }))
}
