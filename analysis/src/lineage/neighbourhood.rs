//! The piece of the graph around one model over all its edges, merges included: what an export holds.

use std::collections::{HashMap, HashSet, VecDeque};

use domain::Relation;
use petgraph::{Direction, graph::NodeIndex};
use serde::Serialize;

use super::forest::Forest;

/// An edge of the forest by the positions of its ends in a list of models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Number of the edge.
    pub edge: i64,
    pub child: usize,
    pub parent: usize,
    pub relation: Relation,
    /// Whether it leads to the child's primary parent.
    pub primary: bool,
}

/// A model with its ancestors and descendants, and every edge between them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Neighbourhood {
    /// The model itself, its ancestors nearest first, then its descendants nearest first.
    pub models: Vec<i64>,
    /// How many of them are ancestors.
    pub ancestors: usize,
    /// By child, then parent.
    pub edges: Vec<Step>,
    /// Whether the cap left models out.
    pub truncated: bool,
}

/// How far a neighbourhood reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// Generations above.
    pub up: usize,
    /// Generations below.
    pub down: usize,
    /// Most models.
    pub cap: usize,
}

impl Forest {
    /// The neighbourhood of a model; empty for an unknown one. Ancestors take the room first.
    pub fn neighbourhood(&self, id: i64, reach: Reach) -> Neighbourhood {
        let mut found =
            Neighbourhood { models: Vec::new(), ancestors: 0, edges: Vec::new(), truncated: false };
        let Some(start) = self.place(id) else { return found };
        let mut order = vec![start];
        for (direction, hops) in [(Direction::Incoming, reach.up), (Direction::Outgoing, reach.down)] {
            let room = reach.cap.saturating_sub(order.len());
            let (more, whole) = self.within(start, direction, (hops, room));
            found.truncated |= !whole;
            let known: HashSet<NodeIndex> = order.iter().copied().collect();
            order.extend(more.into_iter().filter(|node| !known.contains(node)));
            if direction == Direction::Incoming {
                found.ancestors = order.len() - 1;
            }
        }
        let place: HashMap<NodeIndex, usize> =
            order.iter().enumerate().map(|(at, node)| (*node, at)).collect();
        for (child, &node) in order.iter().enumerate() {
            for edge in self.graph.edges_directed(node, Direction::Incoming) {
                if let Some(&parent) = place.get(&edge.source()) {
                    let (id, relation) = (edge.weight().id, edge.weight().relation);
                    let primary = self.is_primary(edge.id(), node);
                    found.edges.push(Step { edge: id, child, parent, relation, primary });
                }
            }
        }
        found.edges.sort_unstable_by_key(|step| (step.child, step.parent));
        found.models = order.into_iter().map(|node| self.graph.id(node)).collect();
        found
    }

    /// Models within some steps of `start`, nearest first, and whether there was room for all of them.
    fn within(
        &self,
        start: NodeIndex,
        direction: Direction,
        (hops, room): (usize, usize),
    ) -> (Vec<NodeIndex>, bool) {
        let (mut seen, mut queue) = (HashSet::from([start]), VecDeque::from([(start, 0)]));
        let mut found = Vec::new();
        while let Some((node, steps)) = queue.pop_front() {
            if steps == hops {
                continue;
            }
            let mut next: Vec<NodeIndex> =
                self.graph.neighbors_directed(node, direction).filter(|next| !seen.contains(next)).collect();
            next.sort_unstable_by_key(|next| self.graph.id(*next));
            for next in next {
                if found.len() >= room {
                    return (found, false);
                }
                seen.insert(next);
                found.push(next);
                queue.push_back((next, steps + 1));
            }
        }
        (found, true)
    }

    /// Every declared edge in use as child, parent and relation, by the number of the edge; statistics leave out what only
    /// the weights propose.
    pub fn descents(&self) -> Vec<(i64, i64, Relation)> {
        let mut edges: Vec<_> = self
            .graph
            .edge_references()
            .filter(|edge| !edge.weight().proposed)
            .map(|edge| {
                let [child, parent] = [edge.target(), edge.source()].map(|node| self.graph.id(node));
                (edge.weight().id, (child, parent, edge.weight().relation))
            })
            .collect();
        edges.sort_unstable_by_key(|(id, _)| *id);
        edges.into_iter().map(|(_, edge)| edge).collect()
    }

    /// Every model, by its number.
    pub fn nodes(&self) -> impl Iterator<Item = super::Shown<'_>> {
        self.graph.node_indices().map(|node| self.shown(node))
    }
}
