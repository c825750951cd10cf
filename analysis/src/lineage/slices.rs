//! A whole family in as much detail as a picture has room for: branches of a certain size on, the rest as counts.

use std::cmp::Reverse;

use domain::Relation;
use petgraph::graph::NodeIndex;

use super::{forest::Forest, preorder::Sifted};

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
    /// siblings first, then by name. A parent stands before its children. Empty for an unknown model. Of a sifted tree
    /// only what stays is there and counted.
    pub fn slices(&self, id: i64, (levels, least): (usize, u64), sifted: Option<&Sifted>) -> Vec<Slice> {
        let Some(root) = self.place(id) else { return Vec::new() };
        let relation = |node| self.primary_edge(node).map(|edge| self.graph.edge(edge).relation);
        let mut slices = vec![Slice {
            id,
            depth: 0,
            parent: None,
            relation: relation(root),
            start: 0,
            size: sifted.map_or_else(|| self.size_of(root), |sifted| self.kept_of(sifted, root)),
            small: Small::default(),
        }];
        let mut nodes = vec![root];
        let mut at = 0;
        while at < slices.len() {
            let above = slices[at];
            let large = |size: u64| above.depth < levels && size >= least;
            let (mut children, mut small) = (Vec::new(), Small::default());
            let mut take = |size: u64, node: Option<NodeIndex>| match node {
                Some(node) => children.push((node, size)),
                None => {
                    small.branches += 1;
                    small.models += size;
                }
            };
            match sifted {
                Some(sifted) => {
                    for (place, size) in self.kept_children(sifted, nodes[at]) {
                        take(size, large(size).then(|| self.at_place(place)).flatten());
                    }
                }
                None => {
                    let edges = self.own_children(nodes[at]).iter();
                    for (_, child) in edges.filter_map(|edge| self.graph.edge_endpoints(*edge)) {
                        let size = self.size_of(child);
                        take(size, large(size).then_some(child));
                    }
                }
            }
            children.sort_unstable_by_key(|(node, size)| {
                (Reverse(*size), self.graph.name(*node), self.graph.id(*node))
            });
            let mut start = above.start;
            for (node, size) in children {
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
            slices[at].small = Small { start, ..small };
            at += 1;
        }
        slices
    }
}
