//! A whole family in as much detail as a picture has room for: branches of a certain size on, the rest as counts.

use std::cmp::Reverse;

use domain::Relation;
use petgraph::graph::{EdgeIndex, NodeIndex};

use super::forest::Forest;

/// A model with everything below it by first parents, as an interval of models.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    pub id: i64,
    /// Generations below the first slice.
    pub depth: usize,
    /// Position of the parent in the list; none for the first.
    pub parent: Option<usize>,
    /// How it descends from its primary parent.
    pub relation: Option<Relation>,
    /// Models before it in its generation's column.
    pub start: u64,
    /// Models below it, itself among them.
    pub size: u64,
    /// Its children that are too small, or too deep, for a slice of their own.
    pub small: Small,
}

/// Branches that are only counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Small {
    pub branches: u64,
    /// Models in all of them.
    pub models: u64,
    /// Models before them in their column.
    pub start: u64,
}

impl Forest {
    /// Models below one by first parents, itself among them; 0 for an unknown one.
    pub fn family_size(&self, id: i64) -> u64 {
        self.place(id).map_or(0, |node| self.size_of(node))
    }

    pub(super) fn size_of(&self, node: NodeIndex) -> u64 {
        self.below.get(node.index()).copied().unwrap_or(1).into()
    }

    /// The branches below a model that hold at least `least` models, at most `levels` generations down; the largest of
    /// siblings first, then by name. A parent stands before its children. Empty for an unknown model.
    pub fn slices(&self, id: i64, (levels, least): (usize, u64)) -> Vec<Slice> {
        let Some(root) = self.place(id) else { return Vec::new() };
        let relation = |node| self.primary_edge(node).map(|edge: EdgeIndex| self.graph.edge(edge).relation);
        let mut slices = vec![Slice {
            id,
            depth: 0,
            parent: None,
            relation: relation(root),
            start: 0,
            size: self.size_of(root),
            small: Small::default(),
        }];
        let mut nodes = vec![root];
        let mut at = 0;
        while at < slices.len() {
            let above = slices[at];
            let mut children: Vec<NodeIndex> = self
                .own_children(nodes[at])
                .iter()
                .filter_map(|edge| self.graph.edge_endpoints(*edge))
                .map(|(_, child)| child)
                .collect();
            let large = |node: &NodeIndex| above.depth < levels && self.size_of(*node) >= least;
            let small: Vec<NodeIndex> = children.extract_if(.., |node| !large(node)).collect();
            children.sort_unstable_by_key(|node| {
                (Reverse(self.size_of(*node)), self.graph.name(*node), self.graph.id(*node))
            });
            let mut start = above.start;
            for node in children {
                let size = self.size_of(node);
                slices.push(Slice {
                    id: self.graph.id(node),
                    depth: above.depth + 1,
                    parent: Some(at),
                    relation: relation(node),
                    start,
                    size,
                    small: Small::default(),
                });
                nodes.push(node);
                start += size;
            }
            slices[at].small = Small {
                branches: small.len() as u64,
                models: small.into_iter().map(|node| self.size_of(node)).sum(),
                start,
            };
            at += 1;
        }
        slices
    }
}
