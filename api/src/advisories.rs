//! Advisories: filed, withdrawn, carried down the tree, and as feeds.

use actix_web::{HttpRequest, HttpResponse, get, http::header, post, web};
use analysis::export::{self, Advisory, Feed};
use domain::Digest;
use http::{Problem, Result};
use jobs::{AffectedModel, Filing, Registry, Threat};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{AdvisoryKind, Severity};
use utoipa::{ToSchema, openapi::schema::Object};

use crate::{
    body::Body,
    models::{ModelPath, find},
    paging::{PageQuery, page_size},
    query::Query,
    schema::one_of,
    seen::Seen,
};

/// An advisory to be filed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AdvisoryRequest {
    /// The id of the model it is about.
    pub model: Option<String>,
    /// Or the digest of a revision or of a file.
    #[schema(value_type = Option<String>)]
    pub digest: Option<Digest>,
    /// defect, recall, licence_change or dataset_takedown.
    #[schema(schema_with = kinds)]
    pub kind: AdvisoryKind,
    /// low, moderate, high or critical.
    #[schema(schema_with = severities)]
    pub severity: Severity,
    /// One line.
    pub summary: String,
    #[serde(default)]
    pub details: String,
    /// Where to read more, http:// or https://.
    pub link: Option<String>,
}

fn kinds() -> Object {
    one_of(AdvisoryKind::ALL.map(AdvisoryKind::as_str))
}

fn severities() -> Object {
    one_of(Severity::ALL.map(Severity::as_str))
}

/// Why an advisory is withdrawn.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WithdrawalRequest {
    #[serde(default)]
    pub reason: String,
}

/// A page of advisories in OSV's format.
#[derive(Debug, Serialize, ToSchema)]
pub struct AdvisoryPage {
    #[schema(value_type = Vec<Object>)]
    pub items: Vec<Value>,
    /// Pass as `cursor` for the next page.
    pub next: Option<String>,
}

/// A model that an advisory reaches.
#[derive(Debug, Serialize, ToSchema)]
pub struct AffectedView {
    pub model: String,
    /// Generations below the model that the advisory is about.
    pub steps: usize,
    /// From that model down to this one; of more than 64 models the first and the last 32.
    pub path: Vec<String>,
    /// Models of the path that are not listed, those between its halves.
    pub path_hidden: usize,
    /// Whether nobody but the weights speaks for an edge of the path.
    pub by_weights: bool,
}

impl From<AffectedModel> for AffectedView {
    fn from(AffectedModel { model, steps, path, by_weights }: AffectedModel) -> Self {
        Self { model, steps, path: path.names, path_hidden: path.hidden, by_weights }
    }
}

/// An advisory in OSV's format, and one page of the models that it reaches.
#[derive(Debug, Serialize, ToSchema)]
pub struct AdvisoryDetail {
    #[serde(flatten)]
    #[schema(value_type = Object)]
    pub advisory: Value,
    /// Models reached in all: those it is about and their descendants; none once it is withdrawn.
    pub affected_total: usize,
    /// Nearest first.
    pub affected_models: Vec<AffectedView>,
    /// Pass as `cursor` for the next page of them.
    pub next: Option<String>,
}

/// An advisory that reaches a model.
#[derive(Debug, Serialize, ToSchema)]
pub struct ThreatView {
    #[schema(value_type = Object)]
    pub advisory: Value,
    /// The model that it is about: the one asked for, or an ancestor.
    pub through: String,
    /// From that model down to the one asked for; of more than 64 models the first and the last 32.
    pub path: Vec<String>,
    /// Models of the path that are not listed, those between its halves.
    pub path_hidden: usize,
    /// Whether nobody but the weights speaks for an edge of the path.
    pub by_weights: bool,
}

/// The advisories that reach a model.
#[derive(Debug, Serialize, ToSchema)]
pub struct ThreatList {
    pub model: String,
    /// The most severe first, at most 1,000.
    pub items: Vec<ThreatView>,
    /// Those beyond them.
    pub hidden: usize,
}

/// Advisories, the latest first, withdrawn ones included.
#[utoipa::path(tag = "advisories", params(PageQuery), responses((status = 200, body = AdvisoryPage), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
#[get("/api/v1/advisories")]
pub async fn list_advisories(registry: Seen, query: Query<PageQuery>) -> Result<HttpResponse> {
    let limit = page_size(&registry, query.limit)?;
    let page = jobs::advisories(&registry, query.cursor.as_deref(), limit).await?;
    Ok(HttpResponse::Ok()
        .json(AdvisoryPage { items: page.items.iter().map(export::osv).collect(), next: page.next }))
}

/// File an advisory about a model or a digest; every descendant is reached.
#[utoipa::path(tag = "advisories", request_body = AdvisoryRequest, responses((status = 201, body = Object), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
#[post("/api/v1/advisories")]
pub async fn file_advisory(
    request: HttpRequest,
    registry: Seen,
    Body(body): Body<AdvisoryRequest>,
) -> Result<HttpResponse> {
    let AdvisoryRequest { model, digest, kind, severity, summary, details, link } = body;
    let (digest, person) = (digest.map(|digest| digest.to_string()), http::person(&request).await?);
    let filing = Filing { model, digest, kind, severity, summary, details, link, person };
    let advisory = jobs::file_advisory(&registry, filing).await?;
    Ok(HttpResponse::Created()
        .insert_header((header::LOCATION, format!("/api/v1/advisories/{}", advisory.id)))
        .json(export::osv(&advisory)))
}

/// One advisory and the models that it reaches.
#[utoipa::path(tag = "advisories", params(("id" = String, Path), PageQuery), responses((status = 200, body = AdvisoryDetail), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
#[get("/api/v1/advisories/{id}")]
pub async fn get_advisory(
    registry: Seen,
    id: web::Path<String>,
    query: Query<PageQuery>,
) -> Result<HttpResponse> {
    let limit = page_size(&registry, query.limit)?;
    let advisory = jobs::advisory(&registry, &id).await?;
    let affected = jobs::affected(&registry, &id, (query.cursor.as_deref(), limit)).await?;
    Ok(HttpResponse::Ok().json(AdvisoryDetail {
        advisory: export::osv(&advisory),
        affected_total: affected.total,
        affected_models: affected.items.into_iter().map(AffectedView::from).collect(),
        next: affected.next,
    }))
}

/// Withdraw an advisory; it stays listed and reaches nobody any more.
#[utoipa::path(tag = "advisories", params(("id" = String, Path)), request_body = WithdrawalRequest, responses((status = 200, body = Object), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
#[post("/api/v1/advisories/{id}/withdraw")]
pub async fn withdraw_advisory(
    request: HttpRequest,
    registry: Seen,
    id: web::Path<String>,
    Body(body): Body<WithdrawalRequest>,
) -> Result<HttpResponse> {
    let person = http::person(&request).await?;
    let advisory = jobs::withdraw_advisory(&registry, &id, (&person, &body.reason)).await?;
    Ok(HttpResponse::Ok().json(export::osv(&advisory)))
}

/// The advisories in force that reach a model, its own and its ancestors'.
#[utoipa::path(tag = "advisories", params(("org" = String, Path), ("name" = String, Path)), responses((status = 200, body = ThreatList), (status = 404, body = Problem, content_type = "application/problem+json")))]
#[get("/api/v1/models/{org}/{name}/advisories")]
pub async fn get_model_advisories(registry: Seen, path: web::Path<ModelPath>) -> Result<HttpResponse> {
    advisories_of(&registry, &path.id()).await
}

/// The advisories that reach the model called `id`.
pub async fn advisories_of(registry: &Registry, id: &str) -> Result<HttpResponse> {
    let row = find(registry, id).await?;
    let view = |Threat { advisory, through, path, by_weights }: Threat| ThreatView {
        advisory: export::osv(&advisory),
        through,
        path: path.names,
        path_hidden: path.hidden,
        by_weights,
    };
    let found = jobs::advisories_of(registry, &row).await?;
    let items = found.items.into_iter().map(view).collect();
    Ok(HttpResponse::Ok().json(ThreatList { model: row.name, items, hidden: found.hidden }))
}

/// The last 100 advisories as a feed: `advisories.atom` or `advisories.json`.
#[utoipa::path(tag = "advisories", params(("form" = String, Path, description = "atom or json")), responses((status = 200, description = "an Atom or JSON feed"), (status = 404, body = Problem, content_type = "application/problem+json")))]
#[get("/api/v1/advisories.{form}")]
pub async fn get_feed(request: HttpRequest, registry: Seen, form: web::Path<String>) -> Result<HttpResponse> {
    let page = jobs::advisories(&registry, None, registry.limits.page_max).await?;
    feed(&request, "Advisories", (&form, &page.items))
}

/// The advisories that reach a model as a feed.
#[utoipa::path(tag = "advisories", params(("org" = String, Path), ("name" = String, Path), ("form" = String, Path, description = "atom or json")), responses((status = 200, description = "an Atom or JSON feed"), (status = 404, body = Problem, content_type = "application/problem+json")))]
#[get("/api/v1/models/{org}/{name}/advisories.{form}")]
pub async fn get_model_feed(
    request: HttpRequest,
    registry: Seen,
    path: web::Path<(String, String, String)>,
) -> Result<HttpResponse> {
    let (org, name, form) = path.into_inner();
    feed_of(&request, &registry, (&format!("{org}/{name}"), &form)).await
}

/// The feed of the model called `id`.
pub async fn feed_of(
    request: &HttpRequest,
    registry: &Registry,
    (id, form): (&str, &str),
) -> Result<HttpResponse> {
    let row = find(registry, id).await?;
    let mut found: Vec<Advisory> =
        jobs::advisories_of(registry, &row).await?.items.into_iter().map(|threat| threat.advisory).collect();
    found.sort_by(|a, b| b.id.cmp(&a.id));
    found.dedup_by(|a, b| a.id == b.id);
    feed(request, &format!("Advisories that reach {}", row.name), (form, &found))
}

fn feed(request: &HttpRequest, title: &str, (form, advisories): (&str, &[Advisory])) -> Result<HttpResponse> {
    let site = http::address(request);
    let feed = Feed { title: title.to_owned(), site, path: request.path().to_owned() };
    match form {
        "atom" => {
            let body = export::atom(&feed, advisories);
            Ok(HttpResponse::Ok().content_type("application/atom+xml; charset=utf-8").body(body))
        }
        "json" => {
            let body = export::json_feed(&feed, advisories).to_string();
            Ok(HttpResponse::Ok().content_type("application/feed+json").body(body))
        }
        _ => Err(Problem::not_found("a feed of this kind (there are atom and json)")),
    }
}
