//! Family trees: a model's lineage and the list of families.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, HttpResponse, get, http::header, web};
use analysis::{
    export::Format,
    lineage::{Family, Forest, Grounds, Relative, SubtreeOptions, Tree},
};
use domain::{Item, Known, Relation, Source};
use http::{Problem, Result};
use jobs::Registry;
use serde::{Deserialize, Serialize};
use store::VerdictWord;
use utoipa::{IntoParams, ToSchema};

use crate::{
    children::{GrowthView, sieve},
    models::{ModelPath, find},
    paging::{PageQuery, limit_of, page_length, place},
    query::Query,
    seen::Seen,
};

/// How much of the tree to answer.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct LineageQuery {
    /// Generations below the model, default 1.
    pub down: Option<usize>,
    /// Generations above it: a whole number, or `all`, the default.
    pub up: Option<String>,
    /// Most models in the tree, 500 unless given, at most 5,000; of children the most downloaded stay. The rest is counted
    /// in `hidden`, and listed page by page at `…/children`.
    pub limit: Option<usize>,
    /// Only what descends like this below the model: finetune, adapter, quantized, merge, transfer, conversion or distil; several with commas.
    /// Whatever leads to a model that is shown stays.
    pub relation: Option<String>,
    /// Licences as written, or permissive, share-alike, non-commercial, custom or unknown; several with commas.
    pub license: Option<String>,
    /// under-100m, 100m-1b, 1b-4b, 4b-10b, 10b-40b or over-40b; several with commas.
    pub size: Option<String>,
    /// `json` (the tree, the default), or with every edge and its evidence, merges included: graph, csv, jsonl, dot,
    /// graphml, newick, prov, cyclonedx, spdx. Without it `Accept` may name the media type of one of them.
    pub format: Option<String>,
}

impl LineageQuery {
    /// Generations above.
    fn above(&self) -> Result<usize> {
        match self.up.as_deref() {
            None | Some("all") => Ok(usize::MAX),
            Some(text) => text.parse().map_err(|_| {
                let shown: String = text.chars().take(80).collect();
                let message = format!("`up={shown}`: expected a whole number, or `all`");
                Problem::misasked(vec![Item { pointer: "up".to_owned(), message }])
            }),
        }
    }
}

/// An edge that is not part of the tree.
#[derive(Debug, Serialize, ToSchema)]
pub struct LinkView {
    /// The model at the other end.
    pub name: String,
    pub ghost: bool,
    /// finetune, adapter, quantized, merge, transfer, conversion or distil.
    #[schema(value_type = String)]
    pub relation: Relation,
    /// Whether nobody but the weights says so.
    pub proposed: bool,
    /// Whether the weights contradict it.
    pub contradicted: bool,
    /// The parent that a child hangs under instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub under: Option<String>,
    #[serde(flatten)]
    pub grounds: GroundsView,
}

/// What speaks for an edge, and against it.
#[derive(Debug, Serialize, ToSchema)]
pub struct GroundsView {
    /// Where what speaks for it comes from: api, tag, card, adapter_config, merge_config, table, recipe, inferred, weights
    /// or person.
    #[schema(value_type = Vec<String>)]
    pub evidence: Vec<Source>,
    /// Of the strongest evidence, 0 to 1.
    pub confidence: Option<f64>,
    /// What the weights say of the claim: verified or contradicted; `null` where they say nothing.
    pub verdict: Option<&'static str>,
    /// How it is known, by what says most: made, verified, stated, declared, from_files, by_weights, doubted (the parent is
    /// dated more than a day later) or contradicted.
    #[schema(value_type = Option<String>)]
    pub known: Option<Known>,
}

impl From<Grounds> for GroundsView {
    fn from(grounds: Grounds) -> Self {
        let verdict = match grounds {
            Grounds { contradicted: true, .. } => Some(VerdictWord::Contradicted),
            Grounds { verified: true, .. } => Some(VerdictWord::Verified),
            _ => None,
        };
        Self {
            evidence: grounds.evidence,
            confidence: grounds.confidence,
            verdict: verdict.map(VerdictWord::as_str),
            known: grounds.known,
        }
    }
}

/// Links listed; of a famous ingredient there may be thousands.
const LINKS: usize = 100;

fn links(all: Vec<Relative>) -> (Vec<LinkView>, usize) {
    let hidden = all.len().saturating_sub(LINKS);
    let view = |Relative { name, ghost, relation, proposed, under, grounds, .. }| LinkView {
        name,
        ghost,
        relation,
        proposed,
        contradicted: grounds.contradicted,
        under,
        grounds: grounds.into(),
    };
    (all.into_iter().take(LINKS).map(view).collect(), hidden)
}

/// A model in a tree.
#[derive(Debug, Serialize, ToSchema)]
pub struct TreeNodeView {
    pub name: String,
    pub ghost: bool,
    pub license: Option<String>,
    /// `null` where nobody counts.
    pub downloads: Option<i64>,
    /// Generations below the tree's first node.
    pub depth: usize,
    /// Position of the primary parent in the list.
    pub parent: Option<usize>,
    /// How it descends from its primary parent, shown or not.
    #[schema(value_type = Option<String>)]
    pub relation: Option<Relation>,
    /// Whether nobody but the weights says so.
    pub proposed: bool,
    /// Whether the weights contradict that it descends from its primary parent.
    pub contradicted: bool,
    /// Of the edge to its primary parent, shown or not.
    #[serde(flatten)]
    pub grounds: GroundsView,
    /// Children under it in the whole forest.
    pub children: usize,
    /// Children under it that are not in the list, but for those that the filter hides.
    pub hidden: usize,
    /// Parents beyond the primary one, at most 100.
    pub other_parents: Vec<LinkView>,
    pub other_parents_hidden: usize,
}

/// The tree around one model, a parent before its children.
#[derive(Debug, Serialize, ToSchema)]
pub struct LineageView {
    pub nodes: Vec<TreeNodeView>,
    /// Position of the model asked for.
    pub focus: usize,
    /// Whether the limit cut nodes off.
    pub truncated: bool,
    /// Models in the generations asked for that the filter hides.
    pub hidden_by_filter: u64,
    /// Models above the one asked for over all edges, merges included; the tree has the line of first parents, and
    /// `format=graph` has them all.
    pub ancestors: u64,
    /// Models below the one asked for by first parents.
    pub descendants: u64,
    /// Its children by relation, over all edges.
    #[schema(value_type = Object)]
    pub children: BTreeMap<&'static str, usize>,
    /// Its children by the month of their creation, over all edges.
    pub growth: GrowthView,
    /// Children of the model that hang under another primary parent, at most 100.
    pub other_children: Vec<LinkView>,
    pub other_children_hidden: usize,
}

impl LineageView {
    /// The tree around a model as it is answered: names in the place of this database's numbers, and how many models are
    /// above and below it.
    pub fn of(tree: Tree, forest: &Forest, model: i64) -> Self {
        let counts = forest.child_counts(model).into_iter();
        let (other_children, other_children_hidden) = links(tree.other_children);
        let nodes = tree.nodes.into_iter().map(|node| {
            let (other_parents, other_parents_hidden) = links(node.other_parents);
            TreeNodeView {
                name: node.name,
                ghost: node.ghost,
                license: node.license,
                downloads: node.downloads,
                depth: node.depth,
                parent: node.parent,
                relation: node.relation,
                proposed: node.proposed,
                contradicted: node.grounds.contradicted,
                grounds: node.grounds.into(),
                children: node.children,
                hidden: node.hidden,
                other_parents,
                other_parents_hidden,
            }
        });
        Self {
            nodes: nodes.collect(),
            focus: tree.focus,
            truncated: tree.truncated,
            hidden_by_filter: tree.sifted,
            ancestors: forest.ancestors(model, usize::MAX).len() as u64,
            descendants: forest.family_size(model).saturating_sub(1),
            children: counts.map(|(relation, count)| (relation.as_str(), count)).collect(),
            growth: forest.growth(model).into(),
            other_children,
            other_children_hidden,
        }
    }
}

/// The tree around one model.
#[utoipa::path(tag = "lineage", params(("org" = String, Path), ("name" = String, Path), LineageQuery),
    responses((status = 200, body = LineageView), (status = 404, body = Problem, content_type = "application/problem+json")))]
#[get("/api/v1/models/{org}/{name}/lineage")]
pub async fn get_lineage(
    request: HttpRequest,
    registry: Seen,
    path: web::Path<ModelPath>,
    query: Query<LineageQuery>,
) -> Result<HttpResponse> {
    lineage_of(&request, &registry, (&path.id(), &query)).await
}

/// The tree around the model called `id`.
pub async fn lineage_of(
    request: &HttpRequest,
    registry: &Registry,
    (id, query): (&str, &LineageQuery),
) -> Result<HttpResponse> {
    let row = find(registry, id).await?;
    let sieve = sieve([&query.relation, &query.license, &query.size])?;
    let accept = request.headers().get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    let accepted = accept.and_then(Format::accepted).map(Format::label);
    if let Some(word) = query.format.as_deref().or(accepted).filter(|word| *word != "json") {
        if !sieve.is_empty() {
            let told = "a filter goes with format json; other formats are written whole";
            return Err(Problem::bad_request(told.to_owned()));
        }
        return export(registry, &row, (word, query)).await;
    }
    let forest = registry.forests.current().await?;
    let limits = registry.limits;
    let cap = limit_of(query.limit.unwrap_or(limits.tree_nodes), limits.tree_nodes_max)?;
    let options =
        SubtreeOptions { up: query.above()?, down: query.down.unwrap_or(1), cap, sieve, groups: None };
    let mut tree = forest.subtree(row.id, &options);
    jobs::mark_known(registry, &forest, &mut tree).await?;
    let view = LineageView::of(tree, &forest, row.id);
    Ok(HttpResponse::Ok().insert_header((header::VARY, "Accept")).json(view))
}

async fn export(
    registry: &Registry,
    row: &store::ModelRow,
    (word, query): (&str, &LineageQuery),
) -> Result<HttpResponse> {
    let Some(format) = Format::of(word) else {
        let known = Format::ALL.map(Format::label).join(", ");
        return Err(Problem::bad_request(format!("format is json, {known}, not `{word}`")));
    };
    let reach = (query.above()?, query.down.unwrap_or(1));
    let pedigree = jobs::pedigree(registry, row, reach).await?;
    let name = http::attachment(&row.name, format.extension());
    Ok(HttpResponse::Ok()
        .content_type(format.media_type())
        .insert_header((header::CONTENT_DISPOSITION, name))
        .insert_header((header::VARY, "Accept"))
        .body(analysis::export::write(&pedigree, format)))
}

/// A family: a root and everything below it.
#[derive(Debug, Serialize, ToSchema)]
pub struct FamilyView {
    pub root: String,
    pub models: usize,
    /// Generations below the root.
    pub depth: usize,
}

/// A page of families, the largest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct FamilyPage {
    pub items: Vec<FamilyView>,
    /// Pass as `cursor` for the next page.
    pub next: Option<String>,
    /// Families on all pages.
    pub total: usize,
}

/// Families, the largest first.
#[utoipa::path(tag = "lineage", params(PageQuery), responses((status = 200, body = FamilyPage), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
#[get("/api/v1/families")]
pub async fn list_families(registry: Seen, query: Query<PageQuery>) -> Result<HttpResponse> {
    let (limit, begin) = (page_length(&registry, query.limit)?, place(query.cursor.as_deref())?);
    let forest = registry.forests.current().await?;
    let (families, end) = (forest.families(), begin.saturating_add(limit));
    let view = |family: &Family| {
        let root = forest.node(family.root)?.name.to_owned();
        Some(FamilyView { root, models: family.size, depth: family.depth })
    };
    Ok(HttpResponse::Ok().json(FamilyPage {
        items: families.iter().skip(begin).take(limit).filter_map(view).collect(),
        next: (end < families.len()).then(|| end.to_string()),
        total: families.len(),
    }))
}
