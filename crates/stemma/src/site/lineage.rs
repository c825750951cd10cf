//! Family trees as the pages show them.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    ops::Range,
};

use ::web::{
    Failure,
    view::{
        AncestorRow, ChildGroup, ChildLink, FamilyRow, FurtherParent, Growth, LineageNode, LineagePage,
        LineageQuery, Name, Narrowing, RejectedEdge, Rest, days, measured,
    },
};
use analysis::lineage::{self, Family, Forest, Groups, Relative, Sieve, SubtreeOptions, Tree, TreeNode};
use domain::{EdgeStatus, Relation, Source};
use jobs::Registry;
use store::VerdictWord;

use super::{Result, count, models};

/// Most nodes one page gets; the drawing shows fewer.
const NODES: usize = 2_000;

/// Children drawn of a group, and of one that is opened.
const GROUP: [usize; 2] = [20, 100];

/// Further parents and further children listed.
const FURTHER: usize = 100;

/// Further parents of the model that are drawn although its line does not pass them.
const BESIDE: usize = 20;

/// Ancestors listed that are not drawn.
const ANCESTORS: usize = 1_000;
/// Ancestors, nearest first, among which those are looked for.
const MET: usize = 5_000;

/// Families by their place among the largest, and how many there are.
pub async fn families(registry: &Registry, places: Range<usize>) -> Result<(Vec<FamilyRow>, u64)> {
    let forest = registry.forests.current().await.map_err(Failure::from)?;
    let all = forest.families();
    let listed = all.iter().take(places.end).skip(places.start);
    Ok((listed.filter_map(|family| row(&forest, family)).collect(), all.len() as u64))
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

fn growth(forest: &Forest, model: i64) -> Growth {
    let lineage::Growth { months, outside, undated } = forest.growth(model);
    Growth {
        months: months.into_iter().map(|month| (month.month, month.children)).collect(),
        outside,
        undated,
    }
}

/// What of a tree passes a narrowing.
pub fn sieve(narrowing: &Narrowing) -> Result<Sieve> {
    let [relation, license, size] = narrowing.sides().map(|values| values.join(","));
    Ok(Sieve::read([&relation, &license, &size]).map_err(jobs::refused)?)
}

/// How the edges to the primary parents of a tree's models are known, by child.
struct Grounds {
    sources: HashMap<i64, Vec<Source>>,
    /// What was measured, in clauses.
    measured: HashMap<i64, Vec<String>>,
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
    let mut numbers = HashMap::new();
    for edge in registry.store.edges_of_many(&children).await? {
        if of_tree(&edge.child, edge.parent) {
            numbers.insert(edge.child, measured(&edge.evidence));
            let said = edge.evidence.into_iter().map(|evidence| evidence.source);
            sources.entry(edge.child).or_default().extend(said);
        }
    }
    let verdicts = registry.store.verdicts_of(&children).await?.into_iter();
    let verified = verdicts
        .filter(|row| row.verdict == VerdictWord::Verified && of_tree(&row.child, row.parent))
        .map(|row| row.child)
        .collect();
    Ok(Grounds { sources, measured: numbers, verified })
}

fn further(child: &Relative) -> ChildLink {
    ChildLink {
        name: Name(child.name.clone()),
        ghost: child.ghost,
        relation: Some(child.relation),
        inferred: child.proposed,
        contradicted: child.grounds.contradicted,
        under: child.under.clone().map(Name),
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
        groups: Some(groups_asked(registry, &query).await?),
    };
    let mut tree = forest.subtree(row.id, &options);
    jobs::mark_known(registry, &forest, &mut tree).await?;
    let parents = models::parents(registry, &row).await?;
    let primary =
        forest.primary_parent(row.id).and_then(|id| forest.node(id)).map(|node| node.name.to_owned());
    let rejected: Vec<_> = parents.iter().filter(|parent| !parent.status.stands()).collect();
    let rejected_hidden = rejected.len().saturating_sub(FURTHER) as u64;
    let rejected = rejected
        .into_iter()
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
    let other_children = tree.other_children.iter().take(FURTHER).map(further).collect();
    let below = below(&forest, (row.id, &tree), &options.sieve);
    let nodes = nodes(registry, &forest, (&tree, &options)).await?;
    let shown: HashSet<&str> = nodes.iter().map(|node| node.name.0.as_str()).collect();
    let (ancestors, ancestors_hidden) = off_the_line(registry, &forest, (row.id, &shown), options.up).await?;
    Ok(Some(LineagePage {
        name: Name(row.name),
        nodes,
        focus: tree.focus,
        other_parents,
        other_parents_hidden,
        other_children,
        other_children_hidden,
        below,
        ancestors,
        ancestors_hidden,
        rejected,
        rejected_hidden,
        held_back,
        groups: groups(&forest, row.id),
        growth: growth(&forest, row.id),
    }))
}

/// How children are grouped, with the groups that are opened; names that nobody knows open nothing.
async fn groups_asked(registry: &Registry, query: &LineageQuery) -> Result<Groups> {
    let mut open = Vec::new();
    for (relation, name) in &query.open {
        if let Some(row) = registry.store.model_by_id(&name.0).await? {
            open.push((row.id, *relation));
        }
    }
    Ok(Groups { most: GROUP[0], open, opened: GROUP[1] })
}

/// Models below the tree's first node, itself among them; below the model asked for only those that pass the sieve.
fn below(forest: &Forest, (model, tree): (i64, &Tree), sieve: &Sieve) -> u64 {
    let all = tree.nodes.first().map_or(0, |node| forest.family_size(node.id));
    let held_back = match sieve.is_empty() {
        true => 0,
        false => forest.sift(model, usize::MAX, sieve).map_or(0, |sifted| sifted.hidden),
    };
    all.saturating_sub(held_back)
}

/// The nodes of a tree as they are drawn, and after them the further parents of the model that are not among them.
async fn nodes(
    registry: &Registry,
    forest: &Forest,
    (tree, options): (&Tree, &SubtreeOptions),
) -> Result<Vec<LineageNode>> {
    let mut grounds = grounds(registry, forest, tree).await?;
    let created = |id: i64| forest.node(id).and_then(|node| node.created_at);
    let opened = |node: &TreeNode| {
        let group = forest.primary_parent(node.id).zip(node.relation);
        group.zip(options.groups.as_ref()).is_some_and(|(group, groups)| groups.open.contains(&group))
    };
    let mut places: HashMap<i64, usize> =
        tree.nodes.iter().enumerate().map(|(at, node)| (node.id, at)).collect();
    let mut nodes: Vec<LineageNode> = tree
        .nodes
        .iter()
        .map(|node| LineageNode {
            contradicted: node.grounds.contradicted,
            verified: grounds.verified.contains(&node.id),
            evidence: grounds.sources.remove(&node.id).unwrap_or_default(),
            measured: grounds.measured.remove(&node.id).unwrap_or_default(),
            later: forest.primary_parent(node.id).and_then(|parent| days(created(parent), created(node.id))),
            name: Name(node.name.clone()),
            parent: node.parent,
            relation: node.relation,
            ghost: node.ghost,
            inferred: node.proposed,
            license: node.license.clone(),
            downloads: node.downloads.map(count),
            opened: opened(node),
            hidden: rest(node),
            ..LineageNode::default()
        })
        .collect();
    // Without the line above there is nothing to stand beside.
    let beside = tree.nodes.get(tree.focus).filter(|_| tree.focus > 0);
    for parent in beside.into_iter().flat_map(|focus| &focus.other_parents) {
        if nodes.len() - tree.nodes.len() == BESIDE || places.contains_key(&parent.id) {
            continue;
        }
        let Some(node) = forest.node(parent.id) else { continue };
        let line = forest.parents(parent.id).into_iter().find(|link| link.primary);
        places.insert(parent.id, nodes.len());
        nodes.push(LineageNode {
            name: Name(node.name.to_owned()),
            relation: line.map(|link| link.relation),
            ghost: node.ghost,
            license: node.license.map(str::to_owned),
            downloads: node.downloads.map(count),
            beside: Some(tree.focus),
            ..LineageNode::default()
        });
    }
    for (at, node) in tree.nodes.iter().enumerate() {
        let drawn = node.other_parents.iter().filter_map(|parent| Some((*places.get(&parent.id)?, parent)));
        nodes[at].further = drawn
            .map(|(place, parent)| FurtherParent {
                node: place,
                relation: parent.relation,
                inferred: parent.proposed,
                contradicted: parent.grounds.contradicted,
            })
            .collect();
    }
    let ids: Vec<i64> = places.keys().copied().collect();
    for (about, _) in registry.store.advisories_about(&ids).await? {
        if let Some(place) = places.get(&about) {
            nodes[*place].advised = true;
        }
    }
    Ok(nodes)
}

/// Children of a node that are not in the list.
fn rest(node: &TreeNode) -> Vec<Rest> {
    let group =
        |(relation, left): &(Relation, usize)| Rest { relation: Some(*relation), count: *left as u64 };
    node.rest.iter().map(group).collect()
}

/// The ancestors of a model that are not shown, nearest first, and how many of them are not listed; within some
/// generations, and among the first models that a walk up meets. A claim that the weights contradict makes no ancestor.
async fn off_the_line(
    registry: &Registry,
    forest: &Forest,
    (model, shown): (i64, &HashSet<&str>),
    up: usize,
) -> Result<(Vec<AncestorRow>, u64)> {
    let mut met = forest.ancestors(model, MET);
    met.push(model);
    let contradicted = jobs::contradicted(registry, &met).await?;
    let met: HashSet<i64> = met.into_iter().collect();
    let name = |id: i64| forest.node(id).map(|node| Name(node.name.to_owned())).unwrap_or_default();
    let mut reached = HashSet::from([model]);
    let mut queue = VecDeque::from([(model, 0)]);
    let (mut listed, mut hidden) = (Vec::new(), 0);
    while let Some((child, generations)) = queue.pop_front() {
        if generations >= up {
            continue;
        }
        for link in forest.parents(child) {
            let real = met.contains(&link.id) && !contradicted.contains(&(child, link.id));
            if !real || !reached.insert(link.id) {
                continue;
            }
            queue.push_back((link.id, generations + 1));
            let above = name(link.id);
            match listed.len() < ANCESTORS {
                _ if shown.contains(above.0.as_str()) => {}
                true => listed.push(AncestorRow {
                    name: above,
                    generations: generations as u64 + 1,
                    child: name(child),
                }),
                false => hidden += 1,
            }
        }
    }
    Ok((listed, hidden))
}
