//! Family trees: a model's lineage and the list of families.

use actix_web::{HttpResponse, get, web};
use analysis::lineage::SubtreeOptions;
use http::{Problem, Result};
use jobs::Registry;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::models::{find, page_size};

/// How much of the tree to answer.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct LineageQuery {
    /// Generations below the model, default 1.
    pub down: Option<usize>,
    /// Generations above it, default all.
    pub up: Option<usize>,
}

/// The tree around one model.
#[utoipa::path(tag = "lineage", params(("org" = String, Path), ("name" = String, Path), LineageQuery),
    responses((status = 200, description = "nested tree", body = Object), (status = 404, body = Problem, content_type = "application/problem+json")))]
#[get("/api/v1/models/{org}/{name}/lineage")]
pub async fn get_lineage(
    registry: web::Data<Registry>,
    path: web::Path<(String, String)>,
    query: web::Query<LineageQuery>,
) -> Result<HttpResponse> {
    let (org, name) = path.into_inner();
    let row = find(&registry, &format!("{org}/{name}")).await?;
    let forest = registry.forests.current().await?;
    let options = SubtreeOptions {
        up: query.up.unwrap_or(usize::MAX),
        down: query.down.unwrap_or(1),
        cap: registry.limits.traversal,
        ..SubtreeOptions::default()
    };
    Ok(HttpResponse::Ok().json(forest.subtree(row.id, &options)))
}

/// A family: a root and everything below it.
#[derive(Debug, Serialize, ToSchema)]
pub struct FamilyView {
    pub root: String,
    pub models: usize,
    /// Generations below the root.
    pub depth: usize,
}

/// How many families to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct FamilyQuery {
    /// 1 to 100, default 20.
    pub limit: Option<u64>,
}

/// The largest families.
#[utoipa::path(tag = "lineage", params(FamilyQuery), responses((status = 200, body = Vec<FamilyView>)))]
#[get("/api/v1/families")]
pub async fn list_families(
    registry: web::Data<Registry>,
    query: web::Query<FamilyQuery>,
) -> Result<HttpResponse> {
    let limit = usize::try_from(page_size(&registry, query.limit)?).unwrap_or(20);
    let forest = registry.forests.current().await?;
    let families: Vec<FamilyView> = forest
        .families()
        .iter()
        .take(limit)
        .filter_map(|family| {
            let root = forest.node(family.root)?.name.clone();
            Some(FamilyView { root, models: family.size, depth: family.depth })
        })
        .collect();
    Ok(HttpResponse::Ok().json(families))
}
