//! Everything above or below some models over all edges, and the ways there.

use std::collections::{HashMap, VecDeque, hash_map::Entry};

use petgraph::Direction;

use super::forest::Forest;

/// Which edges to walk over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    Every,
    /// Those that the weights do not contradict.
    Sound,
}

/// Which way to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Toward {
    Ancestors,
    Descendants,
}

/// A model that was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reached {
    pub id: i64,
    /// Position in the list of the model it was reached from; none for where the walk began.
    pub from: Option<usize>,
    /// Whether nobody but the weights speaks for an edge on the way.
    pub proposed: bool,
}

/// What a walk reached, the starts first, then nearest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Walk {
    pub models: Vec<Reached>,
    /// Whether the cap left models out.
    pub truncated: bool,
}

impl Walk {
    /// Models from where the walk began to the one at this position.
    pub fn path(&self, to: usize) -> Vec<i64> {
        let mut path = Vec::new();
        let mut at = Some(to);
        while let Some(model) = at.and_then(|at| self.models.get(at)) {
            path.push(model.id);
            at = model.from;
        }
        path.reverse();
        path
    }
}

impl Forest {
    /// Walks from some models over all edges, merges and proposals included, by the fewest steps; unknown starts are left
    /// out.
    pub fn walk(&self, starts: &[i64], toward: Toward, cap: usize) -> Walk {
        self.walk_over(starts, (toward, Over::Every), cap)
    }

    /// As [`Self::walk`], over some edges only.
    pub(super) fn walk_over(&self, starts: &[i64], (toward, over): (Toward, Over), cap: usize) -> Walk {
        let direction = match toward {
            Toward::Ancestors => Direction::Incoming,
            Toward::Descendants => Direction::Outgoing,
        };
        let mut models: Vec<Reached> = Vec::new();
        let mut place: HashMap<i64, usize> = HashMap::new();
        let mut queue = VecDeque::new();
        for &id in starts.iter().filter(|id| self.place(**id).is_some()) {
            if let Entry::Vacant(free) = place.entry(id) {
                free.insert(models.len());
                queue.push_back(models.len());
                models.push(Reached { id, from: None, proposed: false });
            }
        }
        while let Some(at) = queue.pop_front() {
            let here = models[at];
            let Some(node) = self.place(here.id) else { continue };
            let edges = self
                .graph
                .edges_directed(node, direction)
                .filter(|edge| over == Over::Every || !edge.weight().contradicted);
            let mut next: Vec<(bool, i64)> = edges
                .map(|edge| {
                    let end = if direction == Direction::Incoming { edge.source() } else { edge.target() };
                    (edge.weight().proposed, self.graph.id(end))
                })
                .collect();
            next.sort_unstable();
            for (proposed, id) in next {
                if place.contains_key(&id) {
                    continue;
                }
                if models.len() >= cap {
                    return Walk { models, truncated: true };
                }
                place.insert(id, models.len());
                queue.push_back(models.len());
                models.push(Reached { id, from: Some(at), proposed: here.proposed || proposed });
            }
        }
        Walk { models, truncated: false }
    }
}
