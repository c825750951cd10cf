//! Walks through the forest: parents, children, ancestors, descendants, roots, common ancestors.

use std::collections::{HashSet, VecDeque};

use domain::Relation;
use petgraph::{Direction, graph::NodeIndex};

use super::forest::{Forest, Link};

impl Forest {
    /// Parents of a model, the primary one first, then by name.
    pub fn parents(&self, id: i64) -> Vec<Link> {
        let mut links = self.links(id, Direction::Incoming);
        links.sort_by(|a, b| b.primary.cmp(&a.primary).then_with(|| self.name(a.id).cmp(self.name(b.id))));
        links
    }

    /// Children of a model, most downloaded first, then by name.
    pub fn children(&self, id: i64) -> Vec<Link> {
        let mut links = self.links(id, Direction::Outgoing);
        let rank = |link: &Link| {
            std::cmp::Reverse(self.node(link.id).and_then(|node| node.downloads).unwrap_or_default())
        };
        links.sort_by(|a, b| rank(a).cmp(&rank(b)).then_with(|| self.name(a.id).cmp(self.name(b.id))));
        links
    }

    /// Numbers of the models that somebody declared to be children of a model, by this relation where one is given, or
    /// by one that the Hub calls so, in no order.
    pub fn declared_children(&self, id: i64, relation: Option<Relation>) -> Vec<i64> {
        let Some(at) = self.place(id) else { return Vec::new() };
        let edges = self.graph.edges_directed(at, Direction::Outgoing).filter(|edge| {
            let edge = edge.weight();
            !edge.proposed && relation.is_none_or(|asked| edge.relation.is_meant_by(asked))
        });
        edges.map(|edge| self.graph.id(edge.target())).collect()
    }

    /// Up to `cap` ancestors over all edges, nearest first.
    pub fn ancestors(&self, id: i64, cap: usize) -> Vec<i64> {
        self.reach(id, Direction::Incoming, cap)
    }

    /// Up to `cap` descendants over all edges, nearest first.
    pub fn descendants(&self, id: i64, cap: usize) -> Vec<i64> {
        self.reach(id, Direction::Outgoing, cap)
    }

    /// The topmost model along primary parents; the model itself when it has none.
    #[cfg(test)]
    pub fn root_of(&self, id: i64) -> Option<i64> {
        let at = self.place(id)?;
        self.preorder.root(at).map(|root| self.graph.id(root))
    }

    /// The parent a model hangs under in tree views.
    pub fn primary_parent(&self, id: i64) -> Option<i64> {
        let parent = self.primary_of(self.place(id)?)?;
        Some(self.graph.id(parent))
    }

    /// The model's line of primary parents, root first, the model last; empty when it is unknown.
    pub fn path_from_root(&self, id: i64) -> Vec<i64> {
        let mut path: Vec<i64> = self.line(id).into_iter().map(|node| self.graph.id(node)).collect();
        path.reverse();
        path
    }

    /// How many children a model has by each relation; relations without children are left out.
    pub fn child_counts(&self, id: i64) -> Vec<(Relation, usize)> {
        let mut counts = [0_usize; Relation::ALL.len()];
        if let Some(at) = self.place(id) {
            for edge in self.own_children(at).iter().chain(self.other_children(at)) {
                let relation = self.graph.edge(*edge).relation;
                if let Some(place) = Relation::ALL.iter().position(|known| *known == relation) {
                    counts[place] += 1;
                }
            }
        }
        Relation::ALL.into_iter().zip(counts).filter(|(_, n)| *n > 0).collect()
    }

    /// How many of the children in [`Self::child_counts`] descend from another parent by their weights, which contradict this
    /// one.
    pub fn outweighed_children(&self, id: i64) -> usize {
        let Some(at) = self.place(id) else { return 0 };
        let edges = self.own_children(at).iter().chain(self.other_children(at));
        edges.filter(|edge| self.graph.edge(**edge).outweighed).count()
    }

    /// Whether somebody declared that `id` descends from `ancestor`, over any number of generations.
    pub fn declares(&self, id: i64, ancestor: i64) -> bool {
        let (mut seen, mut open) = (HashSet::from([id]), vec![id]);
        while let Some(at) = open.pop() {
            for link in self.links(at, Direction::Incoming).into_iter().filter(|link| !link.proposed) {
                if link.id == ancestor {
                    return true;
                }
                if seen.insert(link.id) {
                    open.push(link.id);
                }
            }
        }
        false
    }

    /// The nearest model that both descend from, or one of the two when it is the other's ancestor; by no edge that the
    /// weights contradict.
    ///
    /// Of several, the one with the fewest steps to both together; ties by name.
    pub fn merge_base(&self, a: i64, b: i64) -> Option<i64> {
        let [a, b] = [self.distances(a)?, self.distances(b)?];
        let steps: std::collections::HashMap<NodeIndex, usize> = b.into_iter().collect();
        a.into_iter()
            .filter_map(|(node, up)| steps.get(&node).map(|down| (up + down, node)))
            .min_by_key(|&(distance, node)| (distance, self.graph.name(node), self.graph.id(node)))
            .map(|(_, node)| self.graph.id(node))
    }

    /// A longest line of descent over all edges, oldest first.
    pub fn longest_line(&self) -> Vec<i64> {
        let order = super::places::in_order(&self.graph);
        let mut best: Vec<(usize, Option<NodeIndex>)> = vec![(0, None); self.graph.node_count()];
        for &node in &order {
            for child in self.graph.neighbors_directed(node, Direction::Outgoing) {
                let length = best[node.index()].0 + 1;
                if length > best[child.index()].0 {
                    best[child.index()] = (length, Some(node));
                }
            }
        }
        let mut at = order.into_iter().max_by_key(|node| (best[node.index()].0, std::cmp::Reverse(*node)));
        let mut line = Vec::new();
        while let Some(node) = at {
            line.push(self.graph.id(node));
            at = best[node.index()].1;
        }
        line.reverse();
        line
    }

    /// The model and its primary parents, nearest first.
    pub(super) fn line(&self, id: i64) -> Vec<NodeIndex> {
        let mut at = self.place(id);
        let mut line = Vec::new();
        while let Some(node) = at {
            line.push(node);
            at = self.primary_of(node);
        }
        line
    }

    fn name(&self, id: i64) -> &str {
        self.node(id).map_or("", |node| node.name)
    }

    pub(super) fn links(&self, id: i64, direction: Direction) -> Vec<Link> {
        let Some(at) = self.place(id) else { return Vec::new() };
        self.graph
            .edges_directed(at, direction)
            .map(|edge| {
                let other = if direction == Direction::Incoming { edge.source() } else { edge.target() };
                Link {
                    id: self.graph.id(other),
                    edge: edge.weight().id,
                    relation: edge.weight().relation,
                    primary: self.is_primary(edge.id(), edge.target()),
                    proposed: edge.weight().proposed,
                }
            })
            .collect()
    }

    fn reach(&self, id: i64, direction: Direction, cap: usize) -> Vec<i64> {
        let Some(start) = self.place(id) else { return Vec::new() };
        let (mut seen, mut queue) = (HashSet::from([start]), VecDeque::from([start]));
        let mut found = Vec::new();
        while let Some(node) = queue.pop_front() {
            let mut next: Vec<NodeIndex> =
                self.graph.neighbors_directed(node, direction).filter(|next| !seen.contains(next)).collect();
            next.sort_unstable_by_key(|next| self.graph.id(*next));
            for next in next {
                if found.len() >= cap {
                    return found;
                }
                seen.insert(next);
                found.push(self.graph.id(next));
                queue.push_back(next);
            }
        }
        found
    }

    /// The model and all its ancestors with their least number of steps, by no edge that the weights contradict.
    fn distances(&self, id: i64) -> Option<Vec<(NodeIndex, usize)>> {
        let start = self.place(id)?;
        let (mut seen, mut found) = (HashSet::from([start]), vec![(start, 0)]);
        let mut next = 0;
        while let Some(&(node, steps)) = found.get(next) {
            next += 1;
            for edge in self.graph.edges_directed(node, Direction::Incoming) {
                if !edge.weight().contradicted && seen.insert(edge.source()) {
                    found.push((edge.source(), steps + 1));
                }
            }
        }
        Some(found)
    }
}
