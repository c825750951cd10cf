//! Every model's children as they are ranked once: a page of a hundred thousand costs what it shows.

use std::cmp::Reverse;

use petgraph::graph::{EdgeIndex, NodeIndex};

use super::forest::{Edge, Forest, Link};

impl Forest {
    /// Edges to the children that hang under a model.
    pub(super) fn own_children(&self, model: NodeIndex) -> &[EdgeIndex] {
        let all = self.graph.down(model);
        &all[..self.first_other(all)]
    }

    /// Edges to the children that hang under another parent.
    pub(super) fn other_children(&self, model: NodeIndex) -> &[EdgeIndex] {
        let all = self.graph.down(model);
        &all[self.first_other(all)..]
    }

    /// Where the children that hang under another parent begin.
    fn first_other(&self, ranked: &[EdgeIndex]) -> usize {
        ranked.partition_point(|edge| {
            self.graph.edge_endpoints(*edge).is_some_and(|(_, child)| self.is_primary(*edge, child))
        })
    }

    /// The child's end of an edge.
    pub(super) fn to_child(&self, edge: EdgeIndex) -> Option<Link> {
        let (_, child) = self.graph.edge_endpoints(edge)?;
        let Edge { id, relation, proposed, .. } = self.graph.edge(edge);
        let primary = self.is_primary(edge, child);
        Some(Link { id: self.graph.id(child), edge: id, relation, primary, proposed })
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
            node.map(|node| (Reverse(node.downloads.unwrap_or_default()), node.name))
        });
        links.truncate(most);
        links
    }
}
