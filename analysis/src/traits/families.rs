//! The shape of families: sizes, depths, and how many children and parents models have.

use std::collections::{BTreeMap, HashMap};

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
    let ghost = |id: i64| forest.node(id).is_none_or(|node| node.ghost);
    let name = |id: i64| forest.node(id).map(|node| node.name.clone()).unwrap_or_default();
    let mut relations = BTreeMap::new();
    let (mut above, mut below): (HashMap<i64, u64>, HashMap<i64, u64>) = (HashMap::new(), HashMap::new());
    for &(child, parent, relation) in &descents {
        *relations.entry(relation.as_str()).or_default() += 1;
        if !ghost(child) && !ghost(parent) {
            *above.entry(child).or_default() += 1;
            *below.entry(parent).or_default() += 1;
        }
    }
    let (mut sizes, mut depths, mut parents) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for family in forest.families() {
        *sizes.entry(family.size as u64).or_default() += 1;
        *depths.entry(family.depth as u64).or_default() += 1;
    }
    for count in above.into_values() {
        *parents.entry(count).or_default() += 1;
    }
    let mut most: Vec<(String, u64)> = below.into_iter().map(|(id, count)| (name(id), count)).collect();
    most.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    most.truncate(LISTED);
    let joined =
        [false, true].into_iter().flat_map(|ghosts| [true, false].map(|merges| Joined { merges, ghosts }));
    Families {
        models: forest.nodes().filter(|node| !node.ghost).count() as u64,
        ghosts: forest.nodes().filter(|node| node.ghost).count() as u64,
        edges: descents.len() as u64,
        relations,
        components: joined.map(|joined| component(forest, &descents, joined)).collect(),
        sizes,
        depths,
        parents,
        longest_line: (forest.longest_line().len() as u64).saturating_sub(1),
        largest: forest
            .families()
            .iter()
            .take(LISTED)
            .map(|family| FamilyShape {
                root: name(family.root),
                models: family.size as u64,
                depth: family.depth as u64,
            })
            .collect(),
        most_children: most,
    }
}

/// What joins models into a component.
#[derive(Clone, Copy)]
struct Joined {
    merges: bool,
    ghosts: bool,
}

/// Weakly connected components by union-find.
fn component(forest: &Forest, descents: &[(i64, i64, Relation)], joined: Joined) -> Component {
    let Joined { merges, ghosts } = joined;
    let index: HashMap<i64, usize> = forest
        .nodes()
        .filter(|node| ghosts || !node.ghost)
        .enumerate()
        .map(|(at, node)| (node.id, at))
        .collect();
    let mut above: Vec<usize> = (0..index.len()).collect();
    for (child, parent, relation) in descents {
        let (Some(&a), Some(&b)) = (index.get(child), index.get(parent)) else { continue };
        if merges || *relation != Relation::Merge {
            let [a, b] = [a, b].map(|at| root(&mut above, at));
            above[a.max(b)] = a.min(b);
        }
    }
    let mut sizes: HashMap<usize, u64> = HashMap::new();
    for at in 0..above.len() {
        *sizes.entry(root(&mut above, at)).or_default() += 1;
    }
    let mut largest: Vec<u64> = sizes.into_values().collect();
    largest.sort_unstable_by(|a, b| b.cmp(a));
    let (components, single) =
        (largest.len() as u64, largest.iter().filter(|size| **size == 1).count() as u64);
    largest.truncate(LISTED);
    Component { merges, ghosts, components, single, largest }
}

fn root(above: &mut [usize], mut at: usize) -> usize {
    while above[at] != at {
        above[at] = above[above[at]];
        at = above[at];
    }
    at
}
