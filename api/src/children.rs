//! The children of a model, page by page: of a famous one there are tens of thousands.

use std::collections::BTreeMap;

use actix_web::{HttpResponse, get, web};
use analysis::lineage::{Forest, Growth, Kin, KinQuery, Month, Sieve};
use domain::Relation;
use http::{Problem, Result};
use jobs::Registry;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    models::{ModelPath, find},
    paging::page_length,
    query::Query,
    seen::Seen,
};

/// Which children.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ChildrenQuery {
    /// finetune, adapter, quantized, merge, transfer, conversion or distil; several with commas between them.
    pub relation: Option<String>,
    /// Licences as written, or permissive, share-alike, non-commercial, custom or unknown; several with commas.
    pub license: Option<String>,
    /// under-100m, 100m-1b, 1b-4b, 4b-10b, 10b-40b or over-40b; several with commas.
    pub size: Option<String>,
    /// A part of the name.
    pub search: Option<String>,
    /// 1 to 100, default 20.
    pub limit: Option<u64>,
    pub cursor: Option<String>,
}

/// A child and how it descends.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChildView {
    pub id: String,
    #[schema(value_type = String)]
    pub relation: Relation,
    /// Whether it hangs under this parent in family trees.
    pub primary: bool,
    /// Whether nobody but the weights says so.
    pub proposed: bool,
    pub ghost: bool,
    pub license: Option<String>,
    /// `null` where nobody counts.
    pub downloads: Option<i64>,
    /// Models below it by first parents.
    pub descendants: u64,
}

/// A page of children, the most downloaded first.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChildPage {
    pub items: Vec<ChildView>,
    /// Pass as `cursor` for the next page.
    pub next: Option<String>,
    /// Children on all pages.
    pub total: u64,
    /// All children of the model by relation.
    #[schema(value_type = Object)]
    pub relations: BTreeMap<&'static str, usize>,
    /// All children of the model by the month of their creation.
    pub growth: GrowthView,
}

/// Children by the month, by UTC, in which they were created.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct GrowthView {
    /// From the first month with a child to the last, those without one too; of more than 240 months those with the most
    /// children.
    pub months: Vec<MonthView>,
    /// Children created in other months.
    pub outside: u64,
    /// Children of which nobody says when they were created.
    pub undated: u64,
}

/// The children of one month.
#[derive(Debug, Serialize, ToSchema)]
pub struct MonthView {
    /// `2024-05`.
    pub month: String,
    pub children: u64,
}

impl From<Growth> for GrowthView {
    fn from(growth: Growth) -> Self {
        let month = |Month { month, children }| MonthView { month, children };
        let Growth { months, outside, undated } = growth;
        Self { months: months.into_iter().map(month).collect(), outside, undated }
    }
}

/// A page of siblings, the most downloaded first.
#[derive(Debug, Serialize, ToSchema)]
pub struct SiblingPage {
    /// The parent that the model hangs under; none for a root.
    pub parent: Option<String>,
    pub items: Vec<ChildView>,
    /// Pass as `cursor` for the next page.
    pub next: Option<String>,
    /// Siblings on all pages.
    pub total: u64,
}

/// The other children of the parent that one model hangs under.
#[utoipa::path(tag = "lineage", params(("org" = String, Path), ("name" = String, Path), ChildrenQuery),
    responses((status = 200, body = SiblingPage), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
#[get("/api/v1/models/{org}/{name}/siblings")]
pub async fn get_siblings(
    registry: Seen,
    path: web::Path<ModelPath>,
    query: Query<ChildrenQuery>,
) -> Result<HttpResponse> {
    siblings_of(&registry, &path.id(), &query).await
}

/// The siblings of the model called `id`.
pub async fn siblings_of(registry: &Registry, id: &str, query: &ChildrenQuery) -> Result<HttpResponse> {
    let row = find(registry, id).await?;
    let wanted = wanted(registry, query)?;
    let forest = registry.forests.current().await?;
    let Some(parent) = forest.primary_parent(row.id) else {
        let page = SiblingPage { parent: None, items: Vec::new(), next: None, total: 0 };
        return Ok(HttpResponse::Ok().json(page));
    };
    let kin = forest.kin_but(parent, &wanted, row.id);
    Ok(HttpResponse::Ok().json(SiblingPage {
        parent: forest.node(parent).map(|node| node.name.to_owned()),
        items: views(&forest, &kin),
        next: kin.next.map(jobs::after_kin),
        total: kin.total,
    }))
}

/// The children of one model.
#[utoipa::path(tag = "lineage", params(("org" = String, Path), ("name" = String, Path), ChildrenQuery),
    responses((status = 200, body = ChildPage), (status = 404, body = Problem, content_type = "application/problem+json")))]
#[get("/api/v1/models/{org}/{name}/children")]
pub async fn get_children(
    registry: Seen,
    path: web::Path<ModelPath>,
    query: Query<ChildrenQuery>,
) -> Result<HttpResponse> {
    children_of(&registry, &path.id(), &query).await
}

/// What passes of the children or the tree that is asked for.
pub(crate) fn sieve(sides: [&Option<String>; 3]) -> Result<Sieve> {
    Sieve::read(sides.map(|side| side.as_deref().unwrap_or_default())).map_err(Problem::misasked)
}

/// The children of the model called `id`.
pub async fn children_of(registry: &Registry, id: &str, query: &ChildrenQuery) -> Result<HttpResponse> {
    let row = find(registry, id).await?;
    let wanted = wanted(registry, query)?;
    let forest = registry.forests.current().await?;
    let kin = forest.kin(row.id, &wanted);
    let counts = forest.child_counts(row.id).into_iter();
    Ok(HttpResponse::Ok().json(ChildPage {
        items: views(&forest, &kin),
        next: kin.next.map(jobs::after_kin),
        total: kin.total,
        relations: counts.map(|(relation, count)| (relation.as_str(), count)).collect(),
        growth: forest.growth(row.id).into(),
    }))
}

fn wanted(registry: &Registry, query: &ChildrenQuery) -> Result<KinQuery> {
    Ok(KinQuery {
        sieve: sieve([&query.relation, &query.license, &query.size])?,
        text: query.search.clone().unwrap_or_default(),
        after: query.cursor.as_deref().map(jobs::kin_cursor).transpose()?,
        limit: page_length(registry, query.limit)?,
    })
}

fn views(forest: &Forest, kin: &Kin) -> Vec<ChildView> {
    let view = |link: &analysis::lineage::Link| {
        let node = forest.node(link.id)?;
        Some(ChildView {
            id: node.name.to_owned(),
            relation: link.relation,
            primary: link.primary,
            proposed: link.proposed,
            ghost: node.ghost,
            license: node.license.map(str::to_owned),
            downloads: node.downloads,
            descendants: forest.family_size(link.id).saturating_sub(1),
        })
    };
    kin.links.iter().filter_map(view).collect()
}
