//! The path between two models as its page shows it.

use std::collections::HashMap;

use ::web::{
    Failure,
    view::{LineageNode, Name, ParentLink, PathLine, PathLink, PathPage, plural},
};
use analysis::lineage::{Forest, LineagePath, PathEdge, PathStep, Toward};
use domain::{Item, Relation};
use jobs::Registry;
use store::ModelRow;

use super::{Result, models};

/// Models listed of a path, from each end.
const LISTED: usize = 50;

/// The path from one model to another.
pub async fn page(registry: &Registry, (from, to): (&str, &str)) -> Result<PathPage> {
    let (from, to) = ends(registry, (from, to)).await?;
    let forest = registry.forests.current().await.map_err(Failure::from)?;
    let mut page =
        PathPage { from: Name(from.name.clone()), to: Name(to.name.clone()), ..PathPage::default() };
    let Some(path) = forest.path_between(from.id, to.id) else {
        page.sentence =
            "No path between them is known: neither an ancestor nor a descendant in common.".into();
        return Ok(page);
    };
    let told =
        |step: &PathStep| forest.node(step.id).map(|node| Name(node.name.to_owned())).unwrap_or_default();
    let names: Vec<Name> = path.steps.iter().map(told).collect();
    page.sentence = sentence(&names, &path);
    let shared = path.by == Toward::Ancestors && !path.is_contradicted();
    page.ancestor = shared.then(|| names[path.turn].clone());
    let hidden = listed_out(path.steps.len());
    page.hidden = hidden.len() as u64;
    page.lines = lines(registry, (&forest, &path), &names).await?;
    if path.by == Toward::Ancestors && page.hidden == 0 {
        (page.nodes, page.ends) = tree(&forest, &path, &page.lines);
    }
    Ok(page)
}

/// The middle of a long path.
fn listed_out(steps: usize) -> std::ops::Range<usize> {
    if steps > 2 * LISTED { LISTED..steps - LISTED } else { 0..0 }
}

/// The rows of both, or each that is not here.
async fn ends(registry: &Registry, (from, to): (&str, &str)) -> Result<(ModelRow, ModelRow)> {
    let row = async |name: &str| registry.store.model_by_id(name).await;
    let rows = (row(from).await?, row(to).await?);
    let missing =
        [("from", from, &rows.0), ("to", to, &rows.1)].into_iter().filter(|(.., row)| row.is_none());
    let fault = |(field, name, _): (&str, &str, _)| Item {
        pointer: field.to_owned(),
        message: Failure::unknown_model(name).detail,
    };
    let items: Vec<Item> = missing.map(fault).collect();
    match (rows, items.as_slice()) {
        ((Some(from), Some(to)), _) => Ok((from, to)),
        (_, [one]) => Err(Failure { items: vec![one.clone()], ..Failure::not_found(one.message.clone()) }),
        (_, several) => {
            let told = format!("The request has {} faults.", several.len());
            Err(Failure { items: several.to_vec(), ..Failure::not_found(told) })
        }
    }
}

/// How the two are related; a path over an edge that the weights contradict is told as a claim.
fn sentence(names: &[Name], path: &LineagePath) -> String {
    let last = names.len().saturating_sub(1);
    let steps = |count: usize| plural(count as u64, "step", "steps");
    let (from, to, meeting) = (&names[0], &names[last], &names[path.turn]);
    let claimed = path.is_contradicted();
    let both = if claimed { "both" } else { "Both" };
    let told = match (path.by, path.turn) {
        _ if last == 0 => return "They are one model.".to_owned(),
        (Toward::Ancestors, 0) => format!("{to} descends from {from}, {} below it", steps(last)),
        (Toward::Ancestors, at) if at == last => {
            format!("{from} descends from {to}, {} below it", steps(last))
        }
        (Toward::Ancestors, at) => {
            format!("{both} descend from {meeting}: {} up and {} down", steps(at), steps(last - at))
        }
        (Toward::Descendants, _) if claimed => format!("{meeting} descends from both"),
        (Toward::Descendants, _) => {
            format!("They have no ancestor in common that is known, but {meeting} descends from both")
        }
    };
    match claimed {
        true => format!(
            "No path between them holds. It is declared that {told}, but the weights contradict a step of that path."
        ),
        false => format!("{told}."),
    }
}

/// Every model that is listed, with what is known of the edge before it.
async fn lines(
    registry: &Registry,
    (forest, path): (&Forest, &LineagePath),
    names: &[Name],
) -> Result<Vec<PathLine>> {
    let hidden = listed_out(path.steps.len());
    let shown = || path.steps.iter().enumerate().filter(|(at, _)| !hidden.contains(at));
    let children: Vec<i64> = shown().filter_map(|(_, step)| Some(step.edge?.child)).collect();
    let mut parents: HashMap<i64, Vec<ParentLink>> = HashMap::new();
    for row in registry.store.models_by_ids(&children).await? {
        parents.insert(row.id, models::parents(registry, &row).await?);
    }
    let line = |(at, step): (usize, &PathStep)| PathLine {
        name: names[at].clone(),
        ghost: forest.node(step.id).is_some_and(|node| node.ghost),
        edge: step.edge.map(|edge| link(forest, (step.id, edge), parents.get(&edge.child))),
    };
    Ok(shown().map(line).collect())
}

fn link(forest: &Forest, (here, edge): (i64, PathEdge), parents: Option<&Vec<ParentLink>>) -> PathLink {
    let parent = forest.node(edge.link.id).map(|node| node.name);
    let known = parents
        .into_iter()
        .flatten()
        .find(|known| Some(known.name.0.as_str()) == parent && known.relation == edge.link.relation);
    PathLink {
        phrase: if edge.child == here { downward(edge.link.relation) } else { upward(edge.link.relation) },
        sources: known.map(ParentLink::sources).unwrap_or_default(),
        inferred: edge.link.proposed,
        contradicted: edge.contradicted,
    }
}

/// What a child is to the parent that follows.
const fn upward(relation: Relation) -> &'static str {
    match relation {
        Relation::Finetune => "is a fine-tune of",
        Relation::Adapter => "is an adapter for",
        Relation::Quantized => "is a quantised copy of",
        Relation::Merge => "was merged from",
        Relation::Transfer => "carries a change from",
        Relation::Conversion => "was converted from",
        Relation::Distil => "was distilled from",
    }
}

/// What a parent is to the child that follows.
const fn downward(relation: Relation) -> &'static str {
    match relation {
        Relation::Finetune => "was fine-tuned to",
        Relation::Adapter => "has the adapter",
        Relation::Quantized => "was quantised to",
        Relation::Merge => "was merged into",
        Relation::Transfer => "gave a change to",
        Relation::Conversion => "was converted to",
        Relation::Distil => "was distilled to",
    }
}

/// The common ancestor and the lines below it, and where both ends stand.
fn tree(forest: &Forest, path: &LineagePath, lines: &[PathLine]) -> (Vec<LineageNode>, [usize; 2]) {
    let node = |at: usize, parent: Option<usize>, edge: usize| LineageNode {
        name: lines[at].name.clone(),
        parent,
        relation: path.steps[edge].edge.map(|edge| edge.link.relation).filter(|_| parent.is_some()),
        ghost: lines[at].ghost,
        inferred: parent.is_some() && lines[edge].edge.as_ref().is_some_and(|edge| edge.inferred),
        contradicted: parent.is_some() && lines[edge].edge.as_ref().is_some_and(|edge| edge.contradicted),
        license: forest.node(path.steps[at].id).and_then(|node| node.license.map(str::to_owned)),
        ..LineageNode::default()
    };
    let mut nodes = vec![node(path.turn, None, 0)];
    let mut ends = [0, 0];
    // On the way up an edge stands with the parent that it leads to, on the way down with the child.
    let up: Vec<(usize, usize)> = (0..path.turn).rev().map(|at| (at, at + 1)).collect();
    let down: Vec<(usize, usize)> = (path.turn + 1..path.steps.len()).map(|at| (at, at)).collect();
    for (side, branch) in [up, down].into_iter().enumerate() {
        for (at, edge) in branch {
            let parent = ends[side];
            ends[side] = nodes.len();
            nodes.push(node(at, Some(parent), edge));
        }
    }
    (nodes, ends)
}
