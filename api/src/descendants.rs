//! Everything below a model, page by page.

use actix_web::{HttpResponse, get, web};
use analysis::lineage::Toward;
use domain::Relation;
use http::{Problem, Result};
use jobs::Registry;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    children::sieve,
    models::{ModelPath, find},
    paging::{page_length, place},
    query::Query,
    seen::Seen,
};

/// Which descendants.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DescendantsQuery {
    /// Only those that descend like this from the model they were reached from: finetune, adapter, quantized, merge,
    /// transfer, conversion or distil; several with commas. Ways lead through all models.
    pub relation: Option<String>,
    /// Licences as written, or permissive, share-alike, non-commercial, custom or unknown; several with commas.
    pub license: Option<String>,
    /// under-100m, 100m-1b, 1b-4b, 4b-10b, 10b-40b or over-40b; several with commas.
    pub size: Option<String>,
    /// 1 to 100, default 20.
    pub limit: Option<u64>,
    pub cursor: Option<String>,
}

/// A model below the one asked for.
#[derive(Debug, Serialize, ToSchema)]
pub struct DescendantView {
    pub id: String,
    /// Generations below the model asked for, by the shortest way.
    pub generations: usize,
    /// The model above it on that way.
    pub parent: String,
    /// How it descends from that one.
    #[schema(value_type = String)]
    pub relation: Relation,
    /// Whether nobody but the weights speaks for an edge of the way.
    pub by_weights: bool,
    pub ghost: bool,
    pub license: Option<String>,
    /// `null` where nobody counts.
    pub downloads: Option<i64>,
}

/// A page of descendants, nearest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct DescendantPage {
    pub items: Vec<DescendantView>,
    /// Pass as `cursor` for the next page.
    pub next: Option<String>,
    /// Descendants on all pages.
    pub total: usize,
}

/// Everything below one model, over all edges, merges and proposals included.
#[utoipa::path(tag = "lineage", params(("org" = String, Path), ("name" = String, Path), DescendantsQuery),
    responses((status = 200, body = DescendantPage), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
#[get("/api/v1/models/{org}/{name}/descendants")]
pub async fn get_descendants(
    registry: Seen,
    path: web::Path<ModelPath>,
    query: Query<DescendantsQuery>,
) -> Result<HttpResponse> {
    descendants_of(&registry, &path.id(), &query).await
}

/// Everything below the model called `id`.
pub async fn descendants_of(registry: &Registry, id: &str, query: &DescendantsQuery) -> Result<HttpResponse> {
    let row = find(registry, id).await?;
    let limit = page_length(registry, query.limit)?;
    let sieve = sieve([&query.relation, &query.license, &query.size])?;
    let begin = place(query.cursor.as_deref())?;
    let forest = registry.forests.current().await?;
    let walk = forest.walk(&[row.id], Toward::Descendants);
    let mut generations: Vec<usize> = Vec::with_capacity(walk.models.len());
    let (mut items, mut total) = (Vec::new(), 0);
    for reached in &walk.models {
        generations.push(reached.from.and_then(|from| generations.get(from)).map_or(0, |above| above + 1));
        let (Some(from), Some(relation)) = (reached.from, reached.relation) else { continue };
        let Some(node) = forest.node(reached.id).filter(|node| sieve.passes(*node, Some(relation))) else {
            continue;
        };
        if (begin..begin.saturating_add(limit)).contains(&total) {
            let parent = walk.models.get(from).and_then(|above| forest.node(above.id));
            items.push(DescendantView {
                id: node.name.to_owned(),
                generations: generations.last().copied().unwrap_or_default(),
                parent: parent.map(|node| node.name.to_owned()).unwrap_or_default(),
                relation,
                by_weights: reached.proposed,
                ghost: node.ghost,
                license: node.license.map(str::to_owned),
                downloads: node.downloads,
            });
        }
        total += 1;
    }
    let end = begin.saturating_add(items.len());
    Ok(HttpResponse::Ok().json(DescendantPage { items, next: (end < total).then(|| end.to_string()), total }))
}
