//! Everything above or below some models over all edges, and the ways there.

use domain::Relation;
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
    /// How the child of the edge it was reached over descends; none for where the walk began.
    pub relation: Option<Relation>,
    /// Whether nobody but the weights speaks for an edge on the way.
    pub proposed: bool,
}

/// What a walk reached, the starts first, then nearest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Walk {
    pub models: Vec<Reached>,
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
    /// out. All that can be reached is: a walk takes time in proportion to the edges it meets.
    pub fn walk(&self, starts: &[i64], toward: Toward) -> Walk {
        self.walk_over(starts, (toward, Over::Every))
    }

    /// As [`Self::walk`], over some edges only.
    pub(super) fn walk_over(&self, starts: &[i64], (toward, over): (Toward, Over)) -> Walk {
        let direction = match toward {
            Toward::Ancestors => Direction::Incoming,
            Toward::Descendants => Direction::Outgoing,
        };
        let mut models: Vec<Reached> = Vec::new();
        let mut seen = vec![false; self.graph.node_count()];
        let mut meet =
            |id: i64| self.place(id).is_some_and(|at| !std::mem::replace(&mut seen[at.index()], true));
        for &id in starts {
            if meet(id) {
                models.push(Reached { id, from: None, relation: None, proposed: false });
            }
        }
        let mut at = 0;
        while let Some(&here) = models.get(at) {
            let edges = self
                .place(here.id)
                .into_iter()
                .flat_map(|node| self.graph.edges_directed(node, direction))
                .filter(|edge| over == Over::Every || !edge.weight().contradicted);
            let mut next: Vec<(bool, i64, Relation)> = edges
                .map(|edge| {
                    let end = if direction == Direction::Incoming { edge.source() } else { edge.target() };
                    (edge.weight().proposed, self.graph.id(end), edge.weight().relation)
                })
                .collect();
            next.sort_unstable_by_key(|(proposed, id, _)| (*proposed, *id));
            let new = next.into_iter().filter(|(_, id, _)| meet(*id));
            models.extend(new.map(|(proposed, id, relation)| Reached {
                id,
                from: Some(at),
                relation: Some(relation),
                proposed: here.proposed || proposed,
            }));
            at += 1;
        }
        Walk { models }
    }
}
