//! `GET /api/v1/path`: the path between two models.

use actix_web::{HttpResponse, get, http::StatusCode};
use analysis::lineage::{Forest, PathStep, Toward};
use domain::Item;
use http::{Problem, Result};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{models::find, query::Query, seen::Seen};

/// Two models.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PathQuery {
    pub from: String,
    pub to: String,
}

/// The path between two models.
#[derive(Debug, Serialize, ToSchema)]
pub struct PathView {
    pub from: String,
    pub to: String,
    /// The model in which both lines meet; none where no path is known.
    pub meets: Option<String>,
    /// `ancestor` or `descendant`: what that model is to both.
    pub by: Option<&'static str>,
    /// Edges of the whole path; none where no path is known.
    pub length: Option<usize>,
    /// From the first model to the second; empty where no path is known. Of a path of more than 5,000 models the first
    /// and the last 2,500.
    pub steps: Vec<PathStepView>,
    /// Models of the path that are not listed: those between the halves of `steps`.
    pub hidden: usize,
}

/// A model on the path.
#[derive(Debug, Serialize, ToSchema)]
pub struct PathStepView {
    pub name: String,
    /// Only known by name.
    pub ghost: bool,
    /// The edge to the model before; none for the first.
    pub edge: Option<PathEdgeView>,
}

/// An edge on the path.
#[derive(Debug, Serialize, ToSchema)]
pub struct PathEdgeView {
    pub child: String,
    pub parent: String,
    pub relation: &'static str,
    /// Whether nobody but the weights says so.
    pub proposed: bool,
    /// Whether the weights contradict it and no person decided.
    pub contradicted: bool,
}

/// The path between two models over the fewest edges.
///
/// Up to an ancestor of both and down again, merges and proposals included; where there is none, by a descendant of both.
/// An edge that the weights contradict is on the path only where there is no path without one, and then says so.
#[utoipa::path(tag = "lineage", params(PathQuery),
    responses((status = 200, body = PathView), (status = 404, body = Problem, content_type = "application/problem+json")))]
#[get("/api/v1/path")]
pub async fn get_path(registry: Seen, query: Query<PathQuery>) -> Result<HttpResponse> {
    let (from, to) = match (find(&registry, &query.from).await, find(&registry, &query.to).await) {
        (Ok(from), Ok(to)) => (from, to),
        (from, to) => {
            let told = [("from", from.err()), ("to", to.err())];
            return Err(missing(told.into_iter().filter_map(|(name, error)| Some((name, error?))).collect()));
        }
    };
    let forest = registry.forests.current().await?;
    let mut view = PathView {
        from: from.name,
        to: to.name,
        meets: None,
        by: None,
        length: None,
        steps: Vec::new(),
        hidden: 0,
    };
    if let Some(path) = forest.path_between(from.id, to.id) {
        let end = (registry.limits.tree_nodes_max / 2).max(1);
        let last = path.steps.len().saturating_sub(end).max(end);
        view.length = path.steps.len().checked_sub(1);
        view.hidden = last.min(path.steps.len()).saturating_sub(end);
        view.meets = path.steps.get(path.turn).map(|step| named(&forest, step.id));
        view.by = Some(match path.by {
            Toward::Ancestors => "ancestor",
            Toward::Descendants => "descendant",
        });
        let listed = path.steps.iter().take(end).chain(path.steps.iter().skip(last));
        view.steps = listed.map(|step| told(&forest, step)).collect();
    }
    Ok(HttpResponse::Ok().json(view))
}

/// The refusal of parameters whose models are not here.
fn missing(mut told: Vec<(&str, Problem)>) -> Problem {
    let not_here = |problem: &Problem| problem.status == StatusCode::NOT_FOUND.as_u16();
    if let Some(at) = told.iter().position(|(_, problem)| !not_here(problem)) {
        return told.swap_remove(at).1;
    }
    let item = |(name, problem): &(&str, Problem)| Item {
        pointer: (*name).to_owned(),
        message: problem.detail.clone(),
    };
    let items: Vec<Item> = told.iter().map(item).collect();
    let detail = match items.as_slice() {
        [one] => one.message.clone(),
        several => format!("the request has {} faults", several.len()),
    };
    Problem::new(StatusCode::NOT_FOUND, "not_found", detail).listing(items).of_parameters()
}

fn named(forest: &Forest, id: i64) -> String {
    forest.node(id).map(|node| node.name.to_owned()).unwrap_or_default()
}

fn told(forest: &Forest, step: &PathStep) -> PathStepView {
    PathStepView {
        name: named(forest, step.id),
        ghost: forest.node(step.id).is_some_and(|node| node.ghost),
        edge: step.edge.map(|edge| PathEdgeView {
            child: named(forest, edge.child),
            parent: named(forest, edge.link.id),
            relation: edge.link.relation.as_str(),
            proposed: edge.link.proposed,
            contradicted: edge.contradicted,
        }),
    }
}
