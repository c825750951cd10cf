//! The shortest path between two models: up to an ancestor of both and down again, else by a descendant of both.

use std::collections::HashMap;

use petgraph::Direction;

use super::{
    forest::{Forest, Link},
    reach::{Over, Toward, Walk},
};

/// Models told of each end of a long way: all ways of a long line together are as long as its square.
const ENDS: usize = 32;

/// What is told of a way, of more than 64 models the first and the last 32, and how many are left out between them.
pub fn ends<T>(way: &[T]) -> (impl Iterator<Item = &T>, usize) {
    let hidden = way.len().saturating_sub(2 * ENDS);
    let begin = if hidden > 0 { ENDS } else { way.len() };
    (way[..begin].iter().chain(&way[begin + hidden..]), hidden)
}

/// The path between two models.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineagePath {
    /// From the first model to the second.
    pub steps: Vec<PathStep>,
    /// Position of the model in which both lines meet.
    pub turn: usize,
    /// Whether that is an ancestor or a descendant of both; a line of descent turns at one of its ends.
    pub by: Toward,
}

impl LineagePath {
    /// Whether the weights contradict an edge on the way, so that the path is a claim and no finding.
    pub fn is_contradicted(&self) -> bool {
        self.steps.iter().any(|step| step.edge.is_some_and(|edge| edge.contradicted))
    }
}

/// A model on the path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathStep {
    pub id: i64,
    /// The edge to the model before, as its child sees it: none for the first.
    pub edge: Option<PathEdge>,
}

/// An edge on the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathEdge {
    pub child: i64,
    /// To the parent.
    pub link: Link,
    /// Whether the weights contradict it and no person decided.
    pub contradicted: bool,
}

impl Forest {
    /// The path over the fewest edges, merges and proposals included; of several the one whose turn comes first by name.
    /// An edge that the weights contradict is on it only where there is no path without one. None where there is no such path, and for unknown models.
    pub fn path_between(&self, from: i64, to: i64) -> Option<LineagePath> {
        let mut ways = [Over::Sound, Over::Every]
            .into_iter()
            .flat_map(|over| [Toward::Ancestors, Toward::Descendants].map(|by| (by, over)));
        ways.find_map(|(by, over)| {
            let walks = [from, to].map(|start| self.walk_over(&[start], (by, over)));
            let [here, there] = walks.each_ref().map(steps);
            let met = here.iter().filter_map(|(id, (up, at))| {
                there.get(id).map(|(down, place)| (up + down, *id, *at, *place))
            });
            let (_, _, at, place) = met.min_by_key(|(steps, id, ..)| {
                (*steps, self.node(*id).map(|node| node.name.to_owned()), *id)
            })?;
            let (mut ids, back) = (walks[0].path(at), walks[1].path(place));
            let turn = ids.len().saturating_sub(1);
            ids.extend(back.into_iter().rev().skip(1));
            let before = [None].into_iter().chain(ids.iter().copied().map(Some));
            let steps = before.zip(&ids).map(|(before, id)| PathStep {
                id: *id,
                edge: before.and_then(|before| self.joined(before, *id)),
            });
            Some(LineagePath { steps: steps.collect(), turn, by })
        })
    }

    fn joined(&self, one: i64, other: i64) -> Option<PathEdge> {
        [(one, other), (other, one)].into_iter().find_map(|(child, parent)| {
            let link = self.links(child, Direction::Incoming).into_iter().find(|link| link.id == parent)?;
            let mut edges = self.graph.edges_directed(self.place(child)?, Direction::Incoming);
            let contradicted = edges.any(|edge| edge.weight().id == link.edge && edge.weight().contradicted);
            Some(PathEdge { child, link, contradicted })
        })
    }
}

/// How far each model is from where a walk began, and its position.
fn steps(walk: &Walk) -> HashMap<i64, (usize, usize)> {
    let mut far: Vec<usize> = Vec::with_capacity(walk.models.len());
    let mut found = HashMap::with_capacity(walk.models.len());
    for (at, reached) in walk.models.iter().enumerate() {
        let steps = reached.from.and_then(|from| far.get(from)).map_or(0, |before| before + 1);
        far.push(steps);
        found.insert(reached.id, (steps, at));
    }
    found
}

#[cfg(test)]
mod tests {
    use domain::{EdgeStatus, Relation};

    use super::*;
    use crate::lineage::{ForestBuilder, ForestEdge, Node};

    fn forest(edges: &[(i64, i64)]) -> Forest {
        contradicted(edges, &[])
    }

    /// A forest in which the weights contradict some of the edges.
    fn contradicted(edges: &[(i64, i64)], against: &[(i64, i64)]) -> Forest {
        let node = |id: i64| Node {
            id,
            name: format!("org/m{id}"),
            created_at: Some(id),
            ghost: false,
            downloads: None,
            license: None,
            size: None,
        };
        let edge = |&(child, parent): &(i64, i64)| ForestEdge {
            id: child * 100 + parent,
            child,
            parent,
            relation: Relation::Finetune,
            status: EdgeStatus::Accepted,
        };
        let mut builder = ForestBuilder::default();
        builder.contradict(against.iter().map(|pair| edge(pair).id));
        (1..=9).map(node).for_each(|node| builder.add(node.shown()));
        edges.iter().for_each(|pair| builder.connect(edge(pair)));
        builder.finish()
    }

    fn ids(path: &LineagePath) -> Vec<i64> {
        path.steps.iter().map(|step| step.id).collect()
    }

    #[test]
    fn cousins_meet_in_their_nearest_ancestor_and_every_edge_is_told_from_child_to_parent() {
        let forest = forest(&[(2, 1), (3, 2), (4, 2), (5, 4), (5, 1)]);

        let path = forest.path_between(3, 5).unwrap();

        assert_eq!((ids(&path), path.turn, path.by), (vec![3, 2, 1, 5], 2, Toward::Ancestors));
        let edges: Vec<_> =
            path.steps.iter().map(|step| step.edge.map(|edge| (edge.child, edge.link.id))).collect();
        assert_eq!(edges, [None, Some((3, 2)), Some((2, 1)), Some((5, 1))]);
    }

    #[test]
    fn a_line_of_descent_turns_at_its_upper_end_whichever_way_it_is_asked_for() {
        let forest = forest(&[(2, 1), (3, 2)]);

        let (up, down) = (forest.path_between(3, 1).unwrap(), forest.path_between(1, 3).unwrap());

        assert_eq!((ids(&up), up.turn), (vec![3, 2, 1], 2));
        assert_eq!((ids(&down), down.turn), (vec![1, 2, 3], 0));
        assert_eq!((ids(&forest.path_between(2, 2).unwrap()), forest.path_between(2, 77)), (vec![2], None));
    }

    #[test]
    fn strangers_may_meet_in_a_merge_and_models_without_one_do_not() {
        let forest = forest(&[(2, 1), (4, 3), (5, 2), (5, 4)]);

        let path = forest.path_between(1, 3).unwrap();

        assert_eq!((ids(&path), path.turn, path.by), (vec![1, 2, 5, 4, 3], 2, Toward::Descendants));
        assert_eq!(forest.path_between(1, 9), None);
    }

    #[test]
    fn an_edge_that_the_weights_contradict_carries_a_path_only_where_there_is_no_other_and_is_marked() {
        let edges = [(3, 1), (4, 1), (5, 4), (6, 3), (6, 4)];
        let forest = contradicted(&edges, &[(4, 1)]);

        let around = forest.path_between(3, 4).unwrap();
        let claimed = self::contradicted(&edges[..3], &[(4, 1)]).path_between(3, 5).unwrap();

        assert_eq!((ids(&around), around.by), (vec![3, 6, 4], Toward::Descendants));
        assert!(!around.is_contradicted());
        assert_eq!((ids(&claimed), claimed.by), (vec![3, 1, 4, 5], Toward::Ancestors));
        let marks: Vec<_> =
            claimed.steps.iter().filter_map(|step| step.edge.map(|edge| edge.contradicted)).collect();
        assert_eq!(marks, [false, true, false]);
        assert!(claimed.is_contradicted());
        assert_eq!((forest.merge_base(3, 5), forest.merge_base(4, 6)), (None, Some(4)));
    }
}
