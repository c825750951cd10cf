//! Cycles in what is claimed: which edges are left out of the forest so that none is left.

use std::collections::HashSet;

use petgraph::{
    Direction,
    graph::{EdgeIndex, NodeIndex},
};

use super::{
    graph::{EdgeRef, Graph},
    places::circles,
};

/// Edges that are looked at to find which may stay; beyond, all that are left with a later parent go.
const LOOKED_AT: usize = 20_000_000;

/// A proposal never breaks what somebody declared: in a cycle it goes first.
pub(super) fn leave_out_proposals(graph: &mut Graph) {
    if !graph.edge_references().any(|edge| edge.weight().proposed) {
        return;
    }
    let circle = circles(graph);
    let circling = graph.edge_references().filter(|edge| together(&circle, edge.source(), edge.target()));
    let gone: Vec<EdgeIndex> = circling.filter(|edge| edge.weight().proposed).map(|edge| edge.id()).collect();
    graph.leave_out(&gone);
}

/// Whether two models stand in the same circle.
fn together(circle: &[Option<u32>], a: NodeIndex, b: NodeIndex) -> bool {
    circle[a.index()].is_some() && circle[a.index()] == circle[b.index()]
}

/// Rejects, in every strongly connected component, edges that run from a later to an earlier model: without any of them
/// what remains runs along one total order. From the earliest parent on, each that closes no cycle is taken back, so
/// that every rejected one would close a cycle. Gives the numbers of the rejected edges, ascending.
pub(super) fn break_cycles(graph: &mut Graph) -> Vec<i64> {
    let circle = circles(graph);
    let age = |node: NodeIndex| {
        let node = graph.node(node);
        (node.created_at.unwrap_or(i64::MAX), node.name, node.id)
    };
    let mut doubted: Vec<EdgeRef> = graph
        .edge_references()
        .filter(|edge| together(&circle, edge.source(), edge.target()))
        .filter(|edge| age(edge.source()) > age(edge.target()))
        .collect();
    if doubted.is_empty() {
        return Vec::new();
    }
    doubted.sort_by(|a, b| (age(a.source()), age(a.target())).cmp(&(age(b.source()), age(b.target()))));
    let mut rest =
        Rest { graph, circle: &circle, gone: doubted.iter().map(EdgeRef::id).collect(), left: LOOKED_AT };
    for edge in &doubted {
        if rest.stays_acyclic_with(edge) {
            rest.gone.remove(&edge.id());
        }
    }
    let Rest { gone, .. } = rest;
    let rejected = doubted.iter().filter(|edge| gone.contains(&edge.id()));
    let mut rejected: Vec<(EdgeIndex, i64)> = rejected.map(|edge| (edge.id(), edge.weight().id)).collect();
    rejected.sort_unstable_by_key(|(edge, _)| *edge);
    let (gone, mut rejected): (Vec<EdgeIndex>, Vec<i64>) = rejected.into_iter().unzip();
    graph.leave_out(&gone);
    rejected.sort_unstable();
    rejected
}

/// A graph without some of its edges.
struct Rest<'a> {
    graph: &'a Graph,
    circle: &'a [Option<u32>],
    gone: HashSet<EdgeIndex>,
    /// Edges that may still be looked at.
    left: usize,
}

impl Rest<'_> {
    /// Whether no way leads down from the edge's child to its parent. It is looked for from both ends at once, since one
    /// of them often ends soon.
    fn stays_acyclic_with(&mut self, edge: &EdgeRef) -> bool {
        let (parent, child) = (edge.source(), edge.target());
        let mut down = Search::new(child, Direction::Outgoing);
        let mut up = Search::new(parent, Direction::Incoming);
        let graph = self.graph;
        loop {
            for (search, goal) in [(&mut down, parent), (&mut up, child)] {
                let Some(node) = search.open.pop() else { return true };
                for next in graph.edges_directed(node, search.direction) {
                    let Some(left) = self.left.checked_sub(1) else { return false };
                    self.left = left;
                    let far =
                        if search.direction == Direction::Outgoing { next.target() } else { next.source() };
                    if self.gone.contains(&next.id()) || !together(self.circle, node, far) {
                        continue;
                    }
                    if far == goal {
                        return false;
                    }
                    if search.seen.insert(far) {
                        search.open.push(far);
                    }
                }
            }
        }
    }
}

/// What is reached from one model in one direction.
struct Search {
    seen: HashSet<NodeIndex>,
    open: Vec<NodeIndex>,
    direction: Direction,
}

impl Search {
    fn new(from: NodeIndex, direction: Direction) -> Self {
        Self { seen: HashSet::from([from]), open: vec![from], direction }
    }
}
