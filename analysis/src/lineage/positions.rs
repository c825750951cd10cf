//! The forest by positions, for those who walk it in an order of their own: nothing is copied, no number is looked up.

use std::sync::Arc;

use domain::Relation;
use petgraph::{
    Direction,
    graph::{EdgeIndex, NodeIndex},
};

use super::{
    forest::{Forest, Shown},
    reach::Toward,
};

/// An edge by the positions of its ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edge {
    /// Its number.
    pub id: i64,
    pub child: u32,
    pub parent: u32,
    pub relation: Relation,
    /// Whether it leads to the child's primary parent.
    pub primary: bool,
    /// Whether nobody but the weights says so.
    pub proposed: bool,
}

/// The positions of a model's edges, one after the other.
pub struct Along {
    forest: Arc<Forest>,
    node: NodeIndex,
    direction: Direction,
    passed: usize,
}

impl Iterator for Along {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let at = self.forest.graph.nth_edge(self.node, self.direction, self.passed)?;
        self.passed += 1;
        u32::try_from(at.index()).ok()
    }
}

fn narrow(at: usize) -> u32 {
    // The graph counts in 32 bits.
    u32::try_from(at).unwrap_or(u32::MAX)
}

impl Forest {
    /// Where a model stands.
    pub fn position(&self, id: i64) -> Option<u32> {
        self.place(id).map(|at| narrow(at.index()))
    }

    /// The model at a position, as it is shown.
    pub fn node_at(&self, at: u32) -> Option<Shown<'_>> {
        let at = at as usize;
        (at < self.graph.node_count()).then(|| self.shown(NodeIndex::new(at)))
    }

    /// The edge at a position.
    pub fn edge_at(&self, at: u32) -> Option<Edge> {
        let index = EdgeIndex::new(at as usize);
        let (parent, child) = self.graph.edge_endpoints(index)?;
        let edge = self.graph.edge(index);
        Some(Edge {
            id: edge.id,
            child: narrow(child.index()),
            parent: narrow(parent.index()),
            relation: edge.relation,
            primary: self.is_primary(index, child),
            proposed: edge.proposed,
        })
    }

    /// The root of the family of the model at a position.
    pub fn root_at(&self, at: u32) -> Option<u32> {
        self.preorder.root(NodeIndex::new(at as usize)).map(|root| narrow(root.index()))
    }

    /// Edges from the model at a position.
    pub fn along(self: &Arc<Self>, at: u32, toward: Toward) -> Along {
        let direction = match toward {
            Toward::Ancestors => Direction::Incoming,
            Toward::Descendants => Direction::Outgoing,
        };
        Along { forest: Arc::clone(self), node: NodeIndex::new(at as usize), direction, passed: 0 }
    }
}
