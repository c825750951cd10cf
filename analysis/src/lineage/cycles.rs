//! Cycles in what is claimed: which edges are left out of the forest so that none is left.

use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet},
};

use petgraph::{
    Direction,
    graph::{EdgeIndex, NodeIndex},
};

use super::{
    forest::Standing,
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
/// that every rejected one would close a cycle. Where such an edge is more than claimed, all that are less sure are doubted
/// with it, and taken back after it.
pub(super) fn break_cycles(graph: &mut Graph) -> Broken {
    let circle = circles(graph);
    let circling = graph.node_indices().filter(|node| circle[node.index()].is_some());
    let circling = circling.map(|node| graph.id(node)).collect();
    Broken { rejected: rejected(graph, &circle), circling }
}

/// What was found of cycles, by numbers, ascending.
pub(super) struct Broken {
    /// Edges that are left out.
    pub rejected: Vec<i64>,
    /// Models that descend from themselves by all that is claimed.
    pub circling: Vec<i64>,
}

fn rejected(graph: &mut Graph, circle: &[Option<u32>]) -> Vec<i64> {
    let age = |node: NodeIndex| {
        let node = graph.node(node);
        // Models without a date count in the order in which they came in.
        let name = if node.created_at.is_some() { node.name } else { "" };
        (node.created_at.unwrap_or(i64::MAX), name, node.id)
    };
    let late = |edge: &EdgeRef| age(edge.source()) > age(edge.target());
    let circling: Vec<EdgeRef> =
        graph.edge_references().filter(|edge| together(circle, edge.source(), edge.target())).collect();
    // The surest of the late edges in each circle.
    let mut surest: HashMap<Option<u32>, Standing> = HashMap::new();
    for edge in circling.iter().filter(|edge| late(edge)) {
        let known = surest.entry(circle[edge.target().index()]).or_default();
        *known = edge.weight().standing.max(*known);
    }
    if surest.is_empty() {
        return Vec::new();
    }
    let doubtful = |edge: &EdgeRef| {
        let surest = surest.get(&circle[edge.target().index()]).copied().unwrap_or_default();
        late(edge) || edge.weight().standing < surest
    };
    let mut doubted: Vec<EdgeRef> = circling.into_iter().filter(doubtful).collect();
    let order = |edge: &EdgeRef| {
        (Reverse(edge.weight().standing), late(edge), age(edge.source()), age(edge.target()))
    };
    doubted.sort_by(|a, b| order(a).cmp(&order(b)));
    let mut rest = Rest { graph, circle, gone: doubted.iter().map(EdgeRef::id).collect(), left: LOOKED_AT };
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

#[cfg(test)]
mod tests {
    use domain::{EdgeStatus, Relation};

    use super::super::{Forest, ForestBuilder, ForestEdge, Shown, Standing};

    const NAMES: [&str; 3] = ["o/c", "o/b", "o/a"];

    /// A forest of three models with these days, edges from parent to child, and what is known of edges by place.
    fn forest(days: [Option<i64>; 3], edges: &[(i64, i64)], sure: &[(i64, Standing)]) -> Forest {
        let mut builder = ForestBuilder::default();
        builder.found(sure.iter().copied());
        for ((id, name), created_at) in (1..).zip(NAMES).zip(days) {
            builder.add(Shown { id, name, created_at, ..Shown::default() });
        }
        for (id, (parent, child)) in (0..).zip(edges) {
            let (relation, status) = (Relation::Merge, EdgeStatus::Accepted);
            builder.connect(ForestEdge { id, child: *child, parent: *parent, relation, status });
        }
        builder.finish()
    }

    #[test]
    fn what_a_recipe_made_stays_and_a_claim_goes_whatever_the_dates() {
        let cycle = [(1, 2), (2, 3), (3, 1)];
        let days = [Some(1), Some(2), Some(3)];

        let claimed = forest(days, &cycle, &[]);
        let made = forest(days, &cycle, &[(2, Standing::Made)]);
        let said = forest(days, &cycle, &[(1, Standing::Made), (2, Standing::Stated)]);
        let sure = forest(days, &cycle, &[0, 1, 2].map(|at| (at, Standing::Made)));

        assert_eq!(claimed.rejected_cycle_edges(), [2]);
        assert!([1, 2, 3].iter().all(|id| claimed.circles(*id)));
        assert_eq!(made.rejected_cycle_edges().len(), 1);
        assert_ne!(made.rejected_cycle_edges(), [2]);
        assert_eq!(said.rejected_cycle_edges(), [0]);
        assert_eq!(sure.rejected_cycle_edges(), [2]);
    }

    #[test]
    fn a_statement_gives_way_to_what_was_made() {
        let found = forest([None; 3], &[(2, 1), (1, 2)], &[(0, Standing::Made), (1, Standing::Stated)]);

        assert_eq!(found.rejected_cycle_edges(), [1]);
        assert_eq!([1, 2, 3].map(|id| found.circles(id)), [true, true, false]);
    }

    #[test]
    fn models_without_a_date_count_in_the_order_they_came_in() {
        let found = forest([None; 3], &[(1, 3), (3, 1)], &[]);

        assert_eq!(found.rejected_cycle_edges(), [1]);
    }

    #[test]
    fn a_sure_edge_of_one_circle_leaves_another_circle_alone() {
        let both = [(1, 2), (2, 1)];
        let mut builder = ForestBuilder::default();
        builder.found([(1, Standing::Made)]);
        for id in 1..=4 {
            builder.add(Shown { id, created_at: Some(id), ..Shown::default() });
        }
        for (id, (parent, child)) in (0..).zip(both.into_iter().chain([(3, 4), (4, 3)])) {
            let (relation, status) = (Relation::Finetune, EdgeStatus::Accepted);
            builder.connect(ForestEdge { id, child, parent, relation, status });
        }

        assert_eq!(builder.finish().rejected_cycle_edges(), [0, 3]);
    }

    #[test]
    fn a_model_hangs_under_the_first_of_its_recipe_whatever_the_downloads() {
        let grown = |leading: &[i64], outweighed: &[i64]| {
            let mut builder = ForestBuilder::default();
            builder.lead(leading.iter().copied());
            builder.outweigh(outweighed.iter().copied());
            for (id, downloads) in [(1, None), (2, Some(9)), (3, None)] {
                builder.add(Shown { id, downloads, ..Shown::default() });
            }
            for (id, parent) in [(7, 1), (8, 2)] {
                let (relation, status) = (Relation::Transfer, EdgeStatus::Accepted);
                builder.connect(ForestEdge { id, child: 3, parent, relation, status });
            }
            builder.finish().primary_parent(3)
        };

        assert_eq!(grown(&[], &[]), Some(2));
        assert_eq!(grown(&[7], &[]), Some(1));
        assert_eq!(grown(&[7], &[7]), Some(2));
    }
}
