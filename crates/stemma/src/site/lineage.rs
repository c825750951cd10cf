//! Family trees as the pages show them.

use std::collections::{HashMap, HashSet};

use ::web::{
    Failure,
    view::{
        AncestorRow, ChildGroup, ChildLink, FamilyRow, LineageNode, LineagePage, LineageQuery, Name,
        Narrowing, RejectedEdge,
    },
};
use analysis::lineage::{Family, Forest, Relative, Sieve, SubtreeOptions, Toward, Tree};
use domain::{EdgeStatus, Source};
use jobs::Registry;
use store::VerdictWord;

use super::{Result, models};

/// Most nodes one page gets; the drawing shows fewer.
const NODES: usize = 2_000;

/// Further parents and further children listed.
const FURTHER: usize = 100;

/// Ancestors listed that are not drawn.
const ANCESTORS: usize = 1_000;

/// The largest families.
pub async fn families(registry: &Registry, most: usize) -> Result<Vec<FamilyRow>> {
    let forest = registry.forests.current().await.map_err(Failure::from)?;
    Ok(forest
        .families()
        .iter()
        .take(most)
        .filter(|family| family.size > 1)
        .filter_map(|family| row(&forest, family))
        .collect())
}

/// A family as a row.
pub fn row(forest: &Forest, family: &Family) -> Option<FamilyRow> {
    let root = forest.node(family.root)?;
    Some(FamilyRow {
        root: Name(root.name.to_owned()),
        ghost: root.ghost,
        size: family.size as u64,
        depth: family.depth as u64,
        license: root.license.map(str::to_owned),
    })
}

/// A model's children by relation.
pub fn groups(forest: &Forest, model: i64) -> Vec<ChildGroup> {
    let counts = forest.child_counts(model).into_iter();
    counts.map(|(relation, count)| ChildGroup { relation, count: count as u64 }).collect()
}

/// What of a tree passes a narrowing.
pub fn sieve(narrowing: &Narrowing) -> Result<Sieve> {
    let [relation, license, size] = narrowing.sides().map(|values| values.join(","));
    Ok(Sieve::read([&relation, &license, &size]).map_err(jobs::refused)?)
}

/// How the edges to the primary parents of a tree's models are known, by child.
struct Grounds {
    sources: HashMap<i64, Vec<Source>>,
    /// Where the weights agree.
    verified: HashSet<i64>,
}

async fn grounds(registry: &Registry, forest: &Forest, tree: &Tree) -> Result<Grounds> {
    let below = tree.nodes.iter().filter(|node| node.parent.is_some());
    let under: HashMap<i64, i64> =
        below.filter_map(|node| Some((node.id, forest.primary_parent(node.id)?))).collect();
    let mut children: Vec<i64> = under.keys().copied().collect();
    children.sort_unstable();
    let of_tree = |child: &i64, parent: i64| under.get(child) == Some(&parent);
    let mut sources: HashMap<i64, Vec<Source>> = HashMap::new();
    for edge in registry.store.edges_of_many(&children).await? {
        if of_tree(&edge.child, edge.parent) {
            let said = edge.evidence.into_iter().map(|evidence| evidence.source);
            sources.entry(edge.child).or_default().extend(said);
        }
    }
    let verdicts = registry.store.verdicts_of(&children).await?.into_iter();
    let verified = verdicts
        .filter(|row| row.verdict == VerdictWord::Verified && of_tree(&row.child, row.parent))
        .map(|row| row.child)
        .collect();
    Ok(Grounds { sources, verified })
}

fn further(forest: &Forest, child: &Relative) -> ChildLink {
    let parent = forest.primary_parent(child.id).and_then(|parent| forest.node(parent));
    ChildLink {
        name: Name(child.name.clone()),
        ghost: child.ghost,
        relation: Some(child.relation),
        inferred: child.proposed,
        contradicted: child.contradicted,
        under: parent.map(|parent| Name(parent.name.to_owned())),
    }
}

/// The tree around one model.
pub async fn page(registry: &Registry, name: &str, query: LineageQuery) -> Result<Option<LineagePage>> {
    let Some(row) = registry.store.model_by_id(name).await? else { return Ok(None) };
    let forest = registry.forests.current().await.map_err(Failure::from)?;
    let options = SubtreeOptions {
        up: query.up.map_or(usize::MAX, |up| up as usize),
        down: query.down as usize,
        cap: NODES,
        sieve: sieve(&query.narrowing)?,
    };
    let mut tree = forest.subtree(row.id, &options);
    jobs::mark_contradicted(registry, &forest, &mut tree).await?;
    let parents = models::parents(registry, &row).await?;
    let primary =
        forest.primary_parent(row.id).and_then(|id| forest.node(id)).map(|node| node.name.to_owned());
    let rejected = parents
        .iter()
        .filter(|parent| !parent.status.stands())
        .take(FURTHER)
        .map(|parent| RejectedEdge {
            child: Name(row.name.clone()),
            parent: parent.name.clone(),
            relation: parent.relation,
            reason: match parent.status {
                EdgeStatus::RejectedSelf => "the model names itself as its parent".to_owned(),
                EdgeStatus::RejectedPerson => "a person rejected it".to_owned(),
                _ => "this edge would close a circle of descent".to_owned(),
            },
        })
        .collect();
    let mut other_parents: Vec<_> = parents
        .into_iter()
        .filter(|parent| parent.status.stands() && Some(&parent.name.0) != primary.as_ref())
        .collect();
    let other_parents_hidden = other_parents.len().saturating_sub(FURTHER) as u64;
    other_parents.truncate(FURTHER);
    let held_back = tree.sifted;
    let other_children_hidden = tree.other_children.len().saturating_sub(FURTHER) as u64;
    let other_children =
        tree.other_children.iter().take(FURTHER).map(|child| further(&forest, child)).collect();
    let mut grounds = grounds(registry, &forest, &tree).await?;
    let (ancestors, ancestors_hidden) = off_the_line(&forest, (row.id, &tree), options.up);
    let nodes = tree
        .nodes
        .into_iter()
        .map(|node| LineageNode {
            contradicted: node.contradicted,
            verified: grounds.verified.contains(&node.id),
            evidence: grounds.sources.remove(&node.id).unwrap_or_default(),
            name: Name(node.name),
            parent: node.parent,
            relation: node.relation,
            ghost: node.ghost,
            inferred: node.proposed,
            license: node.license,
            hidden: node.hidden as u64,
        })
        .collect();
    Ok(Some(LineagePage {
        name: Name(row.name),
        nodes,
        focus: tree.focus,
        other_parents,
        other_parents_hidden,
        other_children,
        other_children_hidden,
        ancestors,
        ancestors_hidden,
        rejected,
        held_back,
        groups: groups(&forest, row.id),
    }))
}

/// The ancestors of a model that are not drawn, nearest first, and how many of them are not listed; within some
/// generations.
fn off_the_line(forest: &Forest, (model, tree): (i64, &Tree), up: usize) -> (Vec<AncestorRow>, u64) {
    let drawn: HashSet<i64> = tree.nodes.iter().map(|node| node.id).collect();
    let walk = forest.walk(&[model], Toward::Ancestors);
    let name = |id: i64| forest.node(id).map(|node| Name(node.name.to_owned())).unwrap_or_default();
    let mut steps: Vec<usize> = Vec::with_capacity(walk.models.len());
    let (mut listed, mut hidden) = (Vec::new(), 0);
    for reached in &walk.models {
        let child = reached.from.and_then(|from| walk.models.get(from));
        steps.push(reached.from.and_then(|from| steps.get(from)).map_or(0, |below| below + 1));
        let above = steps.last().copied().unwrap_or_default();
        let (Some(child), false, true) = (child, drawn.contains(&reached.id), above <= up) else { continue };
        match listed.len() < ANCESTORS {
            true => listed.push(AncestorRow {
                name: name(reached.id),
                generations: above as u64,
                child: name(child.id),
            }),
            false => hidden += 1,
        }
    }
    (listed, hidden)
}
