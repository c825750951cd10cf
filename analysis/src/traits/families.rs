//! The shape of families: sizes, depths, and how many children and parents models have.

use std::{cmp::Reverse, collections::BTreeMap};

use domain::Relation;
use serde::Serialize;

use crate::lineage::Forest;

/// Largest items listed of each kind.
const LISTED: usize = 20;

/// Models joined by edges in any direction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Component {
    /// Whether edges of merges join.
    pub merges: bool,
    /// Whether models that are only names join.
    pub ghosts: bool,
    pub components: u64,
    /// Components of one model.
    pub single: u64,
    /// The sizes of the largest.
    pub largest: Vec<u64>,
}

/// A family tree's root with its measure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FamilyShape {
    pub root: String,
    pub models: u64,
    /// Generations below the root.
    pub depth: u64,
}

/// The shape of all families.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Families {
    pub models: u64,
    /// Models that are only names.
    pub ghosts: u64,
    pub edges: u64,
    /// Edges by relation.
    pub relations: BTreeMap<&'static str, u64>,
    pub components: Vec<Component>,
    /// Trees of primary parents by their number of models.
    pub sizes: BTreeMap<u64, u64>,
    /// Trees of primary parents by their generations.
    pub depths: BTreeMap<u64, u64>,
    /// Models by their number of parents that are here.
    pub parents: BTreeMap<u64, u64>,
    /// Edges on the longest line of descent.
    pub longest_line: u64,
    /// The largest trees.
    pub largest: Vec<FamilyShape>,
    /// Models with the most children that are here.
    pub most_children: Vec<(String, u64)>,
}

/// Measures every family.
pub fn families(forest: &Forest) -> Families {
    let descents = forest.descents();
    let ghosts: Vec<bool> = forest.nodes().map(|node| node.ghost).collect();
    let name = |id: i64| forest.node(id).map_or("", |node| node.name);
    let mut relations = BTreeMap::new();
    // By place.
    let (mut above, mut below) = (vec![0_u32; ghosts.len()], vec![0_u32; ghosts.len()]);
    for &(child, parent, relation) in &descents {
        *relations.entry(relation.as_str()).or_default() += 1;
        if let Some([child, parent]) = ends(forest, (child, parent))
            && !ghosts[child]
            && !ghosts[parent]
        {
            above[child] += 1;
            below[parent] += 1;
        }
    }
    let (mut sizes, mut depths, mut parents) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for family in forest.families() {
        *sizes.entry(family.size as u64).or_default() += 1;
        *depths.entry(family.depth as u64).or_default() += 1;
    }
    for count in above.into_iter().filter(|count| *count > 0) {
        *parents.entry(u64::from(count)).or_default() += 1;
    }
    let joined =
        [false, true].into_iter().flat_map(|ghosts| [true, false].map(|merges| Joined { merges, ghosts }));
    Families {
        models: ghosts.iter().filter(|ghost| !**ghost).count() as u64,
        ghosts: ghosts.iter().filter(|ghost| **ghost).count() as u64,
        edges: descents.len() as u64,
        relations,
        components: joined.map(|joined| component(forest, (&descents, &ghosts), joined)).collect(),
        sizes,
        depths,
        parents,
        longest_line: (forest.longest_line().len() as u64).saturating_sub(1),
        largest: forest
            .families()
            .iter()
            .take(LISTED)
            .map(|family| FamilyShape {
                root: name(family.root).to_owned(),
                models: family.size as u64,
                depth: family.depth as u64,
            })
            .collect(),
        most_children: most(forest, &below),
    }
}

/// Models with the most children, by their number of children by place.
fn most(forest: &Forest, below: &[u32]) -> Vec<(String, u64)> {
    let mut most: Vec<(u32, &str)> = Vec::new();
    for (node, &count) in forest.nodes().zip(below).filter(|(_, count)| **count > 0) {
        let rank = (Reverse(count), node.name);
        let at = most.partition_point(|(count, name)| (Reverse(*count), *name) < rank);
        if at < LISTED {
            most.truncate(LISTED - 1);
            most.insert(at, (count, node.name));
        }
    }
    most.into_iter().map(|(count, name)| (name.to_owned(), count.into())).collect()
}

fn ends(forest: &Forest, (child, parent): (i64, i64)) -> Option<[usize; 2]> {
    Some([forest.place(child)?.index(), forest.place(parent)?.index()])
}

/// What joins models into a component.
#[derive(Clone, Copy)]
struct Joined {
    merges: bool,
    ghosts: bool,
}

/// Weakly connected components by union-find.
fn component(
    forest: &Forest,
    (descents, is_ghost): (&[(i64, i64, Relation)], &[bool]),
    joined: Joined,
) -> Component {
    let Joined { merges, ghosts } = joined;
    let counts = |at: usize| ghosts || !is_ghost[at];
    let mut above: Vec<u32> = (0..).take(is_ghost.len()).collect();
    for &(child, parent, relation) in descents {
        let Some(ends) = ends(forest, (child, parent)) else { continue };
        if ends.into_iter().all(counts) && (merges || relation != Relation::Merge) {
            let [a, b] = ends.map(|at| root(&mut above, at));
            above[a.max(b)] = u32::try_from(a.min(b)).unwrap_or(u32::MAX);
        }
    }
    let mut sizes = vec![0_u32; above.len()];
    for at in (0..above.len()).filter(|at| counts(*at)) {
        sizes[root(&mut above, at)] += 1;
    }
    sizes.retain(|size| *size > 0);
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    Component {
        merges,
        ghosts,
        components: sizes.len() as u64,
        single: sizes.iter().filter(|size| **size == 1).count() as u64,
        largest: sizes.into_iter().take(LISTED).map(u64::from).collect(),
    }
}

fn root(above: &mut [u32], mut at: usize) -> usize {
    while above[at] as usize != at {
        above[at] = above[above[at] as usize];
        at = above[at] as usize;
    }
    at
}
