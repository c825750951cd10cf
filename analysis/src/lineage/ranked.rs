//! Every model's children, ranked once: a page of a hundred thousand costs what it shows.

use std::cmp::Reverse;

use petgraph::{
    graph::{DiGraph, EdgeIndex, NodeIndex},
    visit::EdgeRef,
};
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};

use super::forest::{Edge, Forest, Link, Node};

/// The edges to the children of each model one after the other: those to first parents before the others, the most
/// downloaded child first, then by name.
#[derive(Default)]
pub(super) struct Ranked {
    edges: Vec<EdgeIndex>,
    /// Where the edges of each model begin, where its others begin, and so on.
    borders: Vec<u32>,
}

impl Ranked {
    /// O(E log E) in time, on all processors; the order does not depend on how many there are.
    pub fn of(graph: &DiGraph<Node, Edge>, primary: &[Option<EdgeIndex>]) -> Self {
        let mut borders = vec![0_u32; graph.node_count() * 2 + 1];
        let place = |edge: EdgeIndex, source: NodeIndex, target: NodeIndex| {
            source.index() * 2 + usize::from(primary[target.index()] != Some(edge))
        };
        for edge in graph.edge_references() {
            borders[place(edge.id(), edge.source(), edge.target()) + 1] += 1;
        }
        for at in 1..borders.len() {
            borders[at] += borders[at - 1];
        }
        let mut next = borders.clone();
        let mut edges = vec![EdgeIndex::new(0); graph.edge_count()];
        for edge in graph.edge_references() {
            let free = &mut next[place(edge.id(), edge.source(), edge.target())];
            edges[*free as usize] = edge.id();
            *free += 1;
        }
        let (mut rest, mut lists) = (edges.as_mut_slice(), Vec::new());
        for ends in borders.windows(2) {
            let (list, after) = std::mem::take(&mut rest).split_at_mut((ends[1] - ends[0]) as usize);
            rest = after;
            if list.len() > 1 {
                lists.push(list);
            }
        }
        lists.into_par_iter().for_each(|list| {
            list.sort_by_cached_key(|edge| {
                let child = graph.edge_endpoints(*edge).map(|(_, child)| &graph[child]);
                child.map(|child| (Reverse(child.downloads), child.name.as_str(), child.id))
            });
        });
        Self { edges, borders }
    }

    fn list(&self, at: usize) -> &[EdgeIndex] {
        match (self.borders.get(at), self.borders.get(at + 1)) {
            (Some(&from), Some(&to)) => &self.edges[from as usize..to as usize],
            _ => &[],
        }
    }
}

impl Forest {
    /// Edges to the children that hang under a model.
    pub(super) fn own_children(&self, model: NodeIndex) -> &[EdgeIndex] {
        self.ranked.list(model.index() * 2)
    }

    /// Edges to the children that hang under another parent.
    pub(super) fn other_children(&self, model: NodeIndex) -> &[EdgeIndex] {
        self.ranked.list(model.index() * 2 + 1)
    }

    /// The child's end of an edge.
    pub(super) fn to_child(&self, edge: EdgeIndex) -> Option<Link> {
        let (_, child) = self.graph.edge_endpoints(edge)?;
        let Edge { id, relation, proposed } = self.graph[edge];
        let primary = self.primary[child.index()] == Some(edge);
        Some(Link { id: self.graph[child].id, edge: id, relation, primary, proposed })
    }

    /// Links of a part of the children, ranked as they are shown, `most` at most.
    pub(super) fn ranked_links(
        &self,
        edges: &[EdgeIndex],
        most: usize,
        wanted: impl Fn(&Link) -> bool,
    ) -> Vec<Link> {
        let links = edges.iter().filter_map(|edge| self.to_child(*edge)).filter(wanted);
        if self.veils_nothing() {
            return links.take(most).collect();
        }
        let mut links: Vec<Link> = links.collect();
        links.sort_by_cached_key(|link| {
            let node = self.node(link.id);
            node.map(|node| (Reverse(node.downloads), node.name.clone()))
        });
        links.truncate(most);
        links
    }
}
