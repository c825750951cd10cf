//! Where each model stands in the graph, by number; and which models stand in circles.

use petgraph::{
    Direction,
    algo::kosaraju_scc,
    graph::{DiGraph, NodeIndex},
    visit::EdgeRef,
};

/// Positions by number: of ascending numbers, a position is found where it would be without gaps, or by halving.
#[derive(Default)]
pub(super) struct Places(Vec<i64>);

impl Places {
    /// Of distinct numbers, ascending.
    pub fn of(numbers: Vec<i64>) -> Self {
        Self(numbers)
    }

    pub fn get(&self, number: i64) -> Option<NodeIndex> {
        let first = *self.0.first()?;
        let guess = usize::try_from(number.checked_sub(first)?).ok()?.min(self.0.len() - 1);
        if self.0[guess] == number {
            return Some(NodeIndex::new(guess));
        }
        self.0[..guess].binary_search(&number).ok().map(NodeIndex::new)
    }
}

/// An order in which every parent comes before its children; models in or below circles are left out. O(V + E).
pub(super) fn in_order<N, E>(graph: &DiGraph<N, E>) -> Vec<NodeIndex> {
    peel(graph, Direction::Incoming, &mut vec![false; graph.node_count()])
}

/// Takes away what has no open neighbour in a direction, until nothing more can go.
fn peel<N, E>(graph: &DiGraph<N, E>, direction: Direction, gone: &mut [bool]) -> Vec<NodeIndex> {
    let mut waits = vec![0_u32; graph.node_count()];
    for edge in graph.edge_references() {
        let (from, to) = match direction {
            Direction::Incoming => (edge.source(), edge.target()),
            Direction::Outgoing => (edge.target(), edge.source()),
        };
        waits[to.index()] += u32::from(!gone[from.index()]);
    }
    let mut order: Vec<NodeIndex> =
        graph.node_indices().filter(|node| !gone[node.index()] && waits[node.index()] == 0).collect();
    let mut done = 0;
    while let Some(&node) = order.get(done) {
        done += 1;
        gone[node.index()] = true;
        for next in graph.neighbors_directed(node, direction.opposite()) {
            let wait = &mut waits[next.index()];
            *wait -= 1;
            if *wait == 0 && !gone[next.index()] {
                order.push(next);
            }
        }
    }
    order
}

/// The circle of each model, none for most: what is above all circles or below them is taken away first, so that
/// Kosaraju's algorithm, which keeps its own stack, looks at the rest alone.
pub(super) fn circles<N, E>(graph: &DiGraph<N, E>) -> Vec<Option<u32>> {
    let mut gone = vec![false; graph.node_count()];
    peel(graph, Direction::Incoming, &mut gone);
    peel(graph, Direction::Outgoing, &mut gone);
    let mut circle = vec![None; graph.node_count()];
    let left: Vec<NodeIndex> = graph.node_indices().filter(|node| !gone[node.index()]).collect();
    if left.is_empty() {
        return circle;
    }
    let mut rest: DiGraph<NodeIndex, ()> = DiGraph::new();
    let mut place = vec![None; graph.node_count()];
    for node in left {
        place[node.index()] = Some(rest.add_node(node));
    }
    for edge in graph.edge_references() {
        if let (Some(from), Some(to)) = (place[edge.source().index()], place[edge.target().index()]) {
            rest.add_edge(from, to, ());
        }
    }
    for (number, members) in (0..).zip(kosaraju_scc(&rest)) {
        if members.len() > 1 {
            members.into_iter().for_each(|member| circle[rest[member].index()] = Some(number));
        }
    }
    circle
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_found_among_gaps_and_others_are_not() {
        let places = Places::of(vec![3, 4, 9, 10, 1_000]);

        let found: Vec<Option<usize>> = [3, 4, 9, 1_000, 2, 5, 11, i64::MIN, i64::MAX]
            .map(|n| places.get(n).map(NodeIndex::index))
            .into();
        assert_eq!(found, [Some(0), Some(1), Some(2), Some(4), None, None, None, None, None]);
        assert_eq!(Places::default().get(1), None);
    }

    #[test]
    fn two_circles_with_what_is_above_between_and_below_them() {
        let edges = [(0, 1), (1, 2), (2, 1), (2, 3), (3, 4), (4, 5), (5, 4), (5, 6)];
        let graph: DiGraph<(), ()> = DiGraph::from_edges(edges);

        let circles = circles(&graph);

        assert_eq!(
            circles.iter().map(Option::is_some).collect::<Vec<_>>(),
            [false, true, true, false, true, true, false]
        );
        assert!(circles[1] == circles[2] && circles[4] == circles[5] && circles[1] != circles[4]);
        assert_eq!(in_order(&graph), [NodeIndex::new(0)]);
    }

    #[test]
    fn parents_come_before_children() {
        let graph: DiGraph<(), ()> = DiGraph::from_edges([(2, 0), (0, 1), (2, 1)]);

        assert_eq!(in_order(&graph).iter().map(|node| node.index()).collect::<Vec<_>>(), [2, 0, 1]);
    }
}
