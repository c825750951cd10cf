//! Pairs of models by kinship class, drawn with a seed: the same forest and seed give the same pairs.

use serde::Serialize;

use crate::lineage::Forest;

/// How two models are related.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kin {
    ParentChild,
    /// Children of one parent.
    Siblings,
    Grandparent,
    /// Any two models.
    Random,
}

impl Kin {
    /// All of them, in the order of reports.
    pub const ALL: [Self; 4] = [Self::ParentChild, Self::Siblings, Self::Grandparent, Self::Random];

    /// The word as JSON and CSV have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ParentChild => "parent_child",
            Self::Siblings => "siblings",
            Self::Grandparent => "grandparent",
            Self::Random => "random",
        }
    }
}

/// Pairs of one class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairClass {
    pub kin: Kin,
    pub pairs: Vec<(i64, i64)>,
}

/// Numbers of one stream, one after the other.
pub(super) struct Seeded {
    seed: u64,
    drawn: u64,
}

impl Seeded {
    pub fn new(seed: u64) -> Self {
        Self { seed, drawn: 0 }
    }

    pub fn below(&mut self, bound: usize) -> usize {
        let bits = kernels::splitmix(self.seed, self.drawn);
        self.drawn += 1;
        // The high half of the product is uniform up to a bias of bound / 2^64.
        usize::try_from((u128::from(bits) * bound as u128) >> 64).unwrap_or_default()
    }
}

/// Relatives of every model one after the other.
struct Relatives {
    starts: Vec<u32>,
    relatives: Vec<u32>,
}

impl Relatives {
    /// Of pairs of a model and its relative, by place; the relatives of one model stay in their order.
    fn of(pairs: impl Iterator<Item = (u32, u32)> + Clone, models: usize) -> Self {
        let mut starts = vec![0_u32; models + 1];
        pairs.clone().for_each(|(model, _)| starts[model as usize + 1] += 1);
        for at in 0..models {
            starts[at + 1] += starts[at];
        }
        let (mut next, mut relatives) = (starts.clone(), vec![0; starts[models] as usize]);
        for (model, relative) in pairs {
            let free = &mut next[model as usize];
            relatives[*free as usize] = relative;
            *free += 1;
        }
        Self { starts, relatives }
    }

    fn get(&self, model: u32) -> &[u32] {
        &self.relatives[self.starts[model as usize] as usize..self.starts[model as usize + 1] as usize]
    }
}

/// Draws up to `most` distinct pairs of each class among models that are here themselves.
pub fn pairs(forest: &Forest, most: usize, seed: u64) -> Vec<PairClass> {
    let nodes: Vec<bool> = forest.nodes().map(|node| !node.ghost).collect();
    let models: Vec<u32> = (0..).zip(&nodes).filter(|(_, here)| **here).map(|(at, _)| at).collect();
    let place = |id: i64| u32::try_from(forest.place(id)?.index()).ok().filter(|at| nodes[*at as usize]);
    let descents = forest.descents();
    let edges: Vec<(u32, u32)> =
        descents.iter().filter_map(|(child, parent, _)| place(*child).zip(place(*parent))).collect();
    drop(descents);
    let above = Relatives::of(edges.iter().copied(), nodes.len());
    let below = Relatives::of(edges.iter().map(|(child, parent)| (*parent, *child)), nodes.len());
    let mut drawn = Vec::new();
    for (at, kin) in (0_u64..).zip(Kin::ALL) {
        let mut random = Seeded::new(seed.wrapping_add(at.wrapping_mul(0x1000_0001)));
        let mut pick = |list: &[u32]| (!list.is_empty()).then(|| list[random.below(list.len())]);
        let mut edge_random = Seeded::new(seed.wrapping_mul(31).wrapping_add(at));
        let mut found = std::collections::BTreeSet::new();
        let mut pairs = Vec::new();
        // Enough tries that a small registry gives all it has, few enough that an odd one ends.
        for _ in 0..most.saturating_mul(20) {
            if pairs.len() >= most || (kin != Kin::Random && edges.is_empty()) {
                break;
            }
            let edge = |random: &mut Seeded| edges[random.below(edges.len())];
            let pair = match kin {
                Kin::Random => pick(&models).zip(pick(&models)),
                Kin::ParentChild => {
                    let (child, parent) = edge(&mut edge_random);
                    Some((parent, child))
                }
                Kin::Siblings => {
                    let (child, parent) = edge(&mut edge_random);
                    pick(below.get(parent)).map(|other| (child.min(other), child.max(other)))
                }
                Kin::Grandparent => {
                    let (child, parent) = edge(&mut edge_random);
                    pick(above.get(parent)).map(|grandparent| (grandparent, child))
                }
            };
            if let Some(pair) = pair.filter(|(a, b)| a != b)
                && found.insert(pair)
            {
                pairs.push(pair);
            }
        }
        let number = |(a, b): (u32, u32)| (forest.id_at(a as usize), forest.id_at(b as usize));
        drawn.push(PairClass { kin, pairs: pairs.into_iter().map(number).collect() });
    }
    drawn
}
