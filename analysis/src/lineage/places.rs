//! Where each model stands in the graph, by number; and which models stand in circles.

use petgraph::{
    Direction,
    algo::kosaraju_scc,
    graph::{DiGraph, NodeIndex},
};

use super::{graph::Graph, numbers::Numbers};

/// Positions by number: of ascending numbers, a position is found where it would be without gaps, or near before.
#[derive(Default)]
pub(crate) struct Places {
    numbers: Numbers,
    len: usize,
}

impl Places {
    /// Adds a number above all that are there.
    pub fn push(&mut self, number: i64) {
        self.numbers.set(self.len, Some(number));
        self.len += 1;
    }

    pub const fn len(&self) -> usize {
        self.len
    }

    /// The number at a position.
    pub fn at(&self, position: usize) -> i64 {
        self.numbers.get(position).unwrap_or_default()
    }

    pub fn last(&self) -> Option<i64> {
        self.len.checked_sub(1).map(|last| self.at(last))
    }

    pub fn get(&self, number: i64) -> Option<NodeIndex> {
        let last = self.len.checked_sub(1)?;
        let guess = usize::try_from(number.checked_sub(self.at(0))?).ok()?.min(last);
        // A number is never behind its guess; the numbers are dense, so that it is not far before it.
        let (mut high, mut step) = (guess, 1);
        let mut low = guess;
        while self.at(low) > number {
            high = low;
            low = low.saturating_sub(step);
            step *= 2;
        }
        while low < high {
            let middle = usize::midpoint(low, high);
            if self.at(middle) < number { low = middle + 1 } else { high = middle }
        }
        (self.at(low) == number).then(|| NodeIndex::new(low))
    }

    pub fn shrink(&mut self) {
        self.numbers.shrink();
    }

    /// Memory that it takes, bytes.
    pub fn bytes(&self) -> usize {
        self.numbers.bytes()
    }
}

/// An order in which every parent comes before its children; models in or below circles are left out. O(V + E).
pub(super) fn in_order(graph: &Graph) -> Vec<NodeIndex> {
    peel(graph, Direction::Incoming, &mut vec![false; graph.node_count()])
}

/// Takes away what has no open neighbour in a direction, until nothing more can go.
fn peel(graph: &Graph, direction: Direction, gone: &mut [bool]) -> Vec<NodeIndex> {
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
pub(super) fn circles(graph: &Graph) -> Vec<Option<u32>> {
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
    use domain::Relation;

    use super::{
        super::{
            forest::{Edge, Shown},
            graph::{Edges, Models},
        },
        *,
    };

    fn graph(edges: &[(usize, usize)]) -> Graph {
        let (mut models, mut stated) = (Models::default(), Edges::default());
        let count = edges.iter().map(|(a, b)| 1 + a.max(b)).max().unwrap_or_default();
        (0..).take(count).for_each(|id| models.push(Shown { id, ..Shown::default() }));
        for (id, (parent, child)) in (0..).zip(edges) {
            let edge = Edge::declared(id, Relation::Finetune);
            stated.push((NodeIndex::new(*parent), NodeIndex::new(*child)), edge);
        }
        Graph::of(models, stated)
    }

    #[test]
    fn a_number_is_found_among_gaps_and_others_are_not() {
        let mut places = Places::default();
        [3, 4, 9, 10, 1_000, i64::MAX].into_iter().for_each(|number| places.push(number));

        let found: Vec<Option<usize>> = [3, 4, 9, 1_000, i64::MAX, 2, 5, 11, 1_001, i64::MIN]
            .map(|n| places.get(n).map(NodeIndex::index))
            .into();
        assert_eq!(found, [Some(0), Some(1), Some(2), Some(4), Some(5), None, None, None, None, None]);
        assert_eq!(Places::default().get(1), None);
    }

    #[test]
    fn two_circles_with_what_is_above_between_and_below_them() {
        let graph = graph(&[(0, 1), (1, 2), (2, 1), (2, 3), (3, 4), (4, 5), (5, 4), (5, 6)]);

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
        let graph = graph(&[(2, 0), (0, 1), (2, 1)]);

        assert_eq!(in_order(&graph).iter().map(|node| node.index()).collect::<Vec<_>>(), [2, 0, 1]);
    }
}
