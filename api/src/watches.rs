//! Authors of the configured Hub whose new and changed models are brought in.

use actix_web::{HttpRequest, HttpResponse, delete, get, post, web};
use http::{Problem, Result};
use jobs::Take;
use serde::{Deserialize, Serialize};
use store::WatchRow;
use utoipa::ToSchema;

use crate::{
    body::Body,
    imports::takes,
    paging::{Listed, listed},
    query::{Nothing, Query},
    seen::Seen,
};

/// An author to watch.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewWatch {
    /// A user or an organisation of the configured Hub.
    pub author: String,
    /// none, headers or full (default).
    #[serde(default)]
    #[schema(schema_with = takes, required = false)]
    pub weights: Take,
    /// Generations of declared parents that come with each model, as far as they are not here; default 0.
    #[serde(default)]
    pub parents: u32,
}

/// An author who is watched.
#[derive(Debug, Serialize, ToSchema)]
pub struct WatchView {
    pub author: String,
    /// none, headers or full.
    pub weights: String,
    pub parents: u64,
    /// Unix seconds.
    pub created_at: i64,
    /// Unix seconds; none before the first look.
    pub checked_at: Option<i64>,
}

impl From<WatchRow> for WatchView {
    fn from(row: WatchRow) -> Self {
        let WatchRow { author, take: weights, parents, created_at, checked_at } = row;
        Self { author, weights, parents, created_at, checked_at }
    }
}

/// Who is watched, by name.
#[utoipa::path(tag = "models", params(Listed), responses((status = 200, body = Vec<WatchView>)))]
#[get("/api/v1/watches")]
pub async fn list_watches(
    request: HttpRequest,
    registry: Seen,
    asked: Query<Listed>,
) -> Result<HttpResponse> {
    let page = registry.store.watches(asked.part(&registry)?).await?;
    Ok(listed::<_, WatchView>(&request, page))
}

/// Watch an author: their models are brought in now, and again when they change.
#[utoipa::path(tag = "models", request_body = NewWatch, responses((status = 200, body = WatchView), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
#[post("/api/v1/watches")]
pub async fn create_watch(
    registry: Seen,
    _: Query<Nothing>,
    Body(wanted): Body<NewWatch>,
) -> Result<HttpResponse> {
    let NewWatch { author, weights, parents } = wanted;
    let row = jobs::watch(&registry, &author, (weights, parents)).await?;
    Ok(HttpResponse::Ok().json(WatchView::from(row)))
}

/// Stop watching an author; what was brought in stays.
#[utoipa::path(tag = "models", params(("author" = String, Path)), responses((status = 204), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
#[delete("/api/v1/watches/{author}")]
pub async fn remove_watch(registry: Seen, author: web::Path<String>) -> Result<HttpResponse> {
    jobs::unwatch(&registry, &author).await?;
    Ok(HttpResponse::NoContent().finish())
}
