//! Pairs of models by kinship class, drawn with a seed: the same forest and seed give the same pairs.

use std::collections::HashMap;

use domain::Relation;
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

/// SplitMix64: small, and the same everywhere.
pub(super) struct Seeded(pub u64);

impl Seeded {
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        // The high half of the product is uniform up to a bias of bound / 2^64.
        usize::try_from((u128::from(z) * bound as u128) >> 64).unwrap_or_default()
    }
}

/// Draws up to `most` distinct pairs of each class among models that are here themselves.
pub fn pairs(forest: &Forest, most: usize, seed: u64) -> Vec<PairClass> {
    let here = |id: i64| forest.node(id).is_some_and(|node| !node.ghost);
    let models: Vec<i64> = forest.nodes().filter(|node| !node.ghost).map(|node| node.id).collect();
    let edges: Vec<(i64, i64, Relation)> =
        forest.descents().into_iter().filter(|&(child, parent, _)| here(child) && here(parent)).collect();
    let (mut above, mut below): (HashMap<i64, Vec<i64>>, HashMap<i64, Vec<i64>>) =
        (HashMap::new(), HashMap::new());
    for &(child, parent, _) in &edges {
        above.entry(child).or_default().push(parent);
        below.entry(parent).or_default().push(child);
    }
    let mut drawn = Vec::new();
    for (at, kin) in (0_u64..).zip(Kin::ALL) {
        let mut random = Seeded(seed.wrapping_add(at.wrapping_mul(0x1000_0001)));
        let mut pick = |list: &[i64]| (!list.is_empty()).then(|| list[random.below(list.len())]);
        let mut edge_random = Seeded(seed.wrapping_mul(31).wrapping_add(at));
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
                    let (child, parent, _) = edge(&mut edge_random);
                    Some((parent, child))
                }
                Kin::Siblings => {
                    let (child, parent, _) = edge(&mut edge_random);
                    below
                        .get(&parent)
                        .and_then(|all| pick(all))
                        .map(|other| (child.min(other), child.max(other)))
                }
                Kin::Grandparent => {
                    let (child, parent, _) = edge(&mut edge_random);
                    above.get(&parent).and_then(|all| pick(all)).map(|grandparent| (grandparent, child))
                }
            };
            if let Some(pair) = pair.filter(|(a, b)| a != b)
                && found.insert(pair)
            {
                pairs.push(pair);
            }
        }
        drawn.push(PairClass { kin, pairs });
    }
    drawn
}
