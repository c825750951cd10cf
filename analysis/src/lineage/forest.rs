//! The forest of all models: built once, cycles broken, one primary parent per model. No recursion anywhere.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use domain::{EdgeStatus, Relation};
use petgraph::{
    Direction,
    graph::{DiGraph, EdgeIndex, NodeIndex},
    visit::EdgeRef,
};
use rayon::slice::ParallelSliceMut as _;
use serde::Serialize;

use super::{
    places::{Places, circles, in_order},
    preorder::Preorder,
    ranked::Ranked,
};

/// A model as the forest knows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Node {
    pub id: i64,
    pub name: String,
    /// Unix seconds.
    pub created_at: Option<i64>,
    /// Known only because a child names it.
    pub ghost: bool,
    pub downloads: i64,
    pub license: Option<String>,
    /// Position of its class of size in [`crate::catalogue::SIZES`].
    pub size: Option<u8>,
}

/// "child descends from parent".
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ForestEdge {
    pub id: i64,
    pub child: i64,
    pub parent: i64,
    pub relation: Relation,
    pub status: EdgeStatus,
}

/// One step to a parent or child.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Link {
    /// The model at the other end.
    pub id: i64,
    /// The edge walked.
    pub edge: i64,
    pub relation: Relation,
    /// Whether the edge leads to the child's primary parent.
    pub primary: bool,
    /// Whether nobody but the weights says so.
    pub proposed: bool,
}

/// A tree of primary parents with at least two models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Family {
    pub root: i64,
    /// Models, the root included.
    pub size: usize,
    /// Generations below the root.
    pub depth: usize,
}

#[derive(Clone, Copy)]
pub(super) struct Edge {
    pub id: i64,
    pub relation: Relation,
    pub proposed: bool,
}

/// All models and the accepted edges between them; edges run from parent to child and close no cycle. Cheap to clone.
#[derive(Clone)]
pub struct Forest {
    pub(super) graph: Arc<DiGraph<Node, Edge>>,
    pub(super) index: Arc<Places>,
    pub(super) primary: Arc<Vec<Option<EdgeIndex>>>,
    pub(super) root: Arc<Vec<NodeIndex>>,
    /// Models below each by first parents, itself among them.
    pub(super) below: Arc<Vec<u32>>,
    pub(super) ranked: Arc<Ranked>,
    pub(super) preorder: Arc<Preorder>,
    families: Arc<Vec<Family>>,
    rejected: Arc<Vec<i64>>,
    restated: Arc<Vec<(i64, EdgeStatus)>>,
    /// Models shown as somebody else, by number.
    veiled: HashMap<i64, Node>,
}

impl Forest {
    /// Builds the forest; the result does not depend on the order of nodes or edges.
    ///
    /// Edges to unknown models, self-references and repeated pairs are left out. In each cycle the edges whose
    /// parent is later (by creation, then name; undated models last) are rejected; before that, what only the weights
    /// propose in it is left out.
    pub fn build(nodes: impl Iterator<Item = Node>, edges: impl Iterator<Item = ForestEdge>) -> Self {
        let mut nodes: Vec<Node> = nodes.collect();
        nodes.sort_unstable_by_key(|node| node.id);
        nodes.dedup_by_key(|node| node.id);
        let mut edges: Vec<ForestEdge> = edges.collect();
        edges.sort_unstable_by_key(|edge| edge.id);

        let mut graph = DiGraph::with_capacity(nodes.len(), edges.len());
        let index = Places::of(nodes.iter().map(|node| node.id).collect());
        nodes.into_iter().for_each(|node| {
            graph.add_node(node);
        });
        let doubted: HashSet<i64> = edges
            .iter()
            .filter(|edge| edge.status == EdgeStatus::RejectedCycle)
            .map(|edge| edge.id)
            .collect();
        let place = |edge: &ForestEdge| {
            let barred = matches!(edge.status, EdgeStatus::RejectedSelf | EdgeStatus::RejectedPerson);
            let ends = (index.get(edge.parent)?, index.get(edge.child)?);
            (ends.0 != ends.1 && !barred).then_some(ends)
        };
        let ends: Vec<Option<(NodeIndex, NodeIndex)>> = edges.iter().map(place).collect();
        for at in first_of_pairs(&ends) {
            if let Some((parent, child)) = ends[at] {
                let ForestEdge { id, relation, status, .. } = edges[at];
                graph.add_edge(
                    parent,
                    child,
                    Edge { id, relation, proposed: status == EdgeStatus::Proposed },
                );
            }
        }
        drop((edges, ends));
        leave_out_proposals(&mut graph);
        let rejected = break_cycles(&mut graph);
        let restated = restate(&rejected, &doubted);
        let primary: Vec<_> = graph.node_indices().map(|node| primary_edge(&graph, node)).collect();
        let ranked = Ranked::of(&graph, &primary);
        let mut forest = Self {
            graph: Arc::new(graph),
            index: Arc::new(index),
            primary: Arc::new(primary),
            root: Arc::default(),
            below: Arc::default(),
            ranked: Arc::new(ranked),
            preorder: Arc::default(),
            families: Arc::default(),
            rejected: Arc::new(rejected),
            restated: Arc::new(restated),
            veiled: HashMap::new(),
        };
        forest.plant();
        forest
    }

    /// The same forest with `hidden` models as ghosts of which nothing but their place is told.
    #[must_use]
    pub fn veiled(&self, hidden: impl IntoIterator<Item = i64>) -> Self {
        let ghost = |id: i64| Node {
            id,
            name: format!("private model {id}"),
            created_at: None,
            ghost: true,
            downloads: 0,
            license: None,
            size: None,
        };
        Self { veiled: hidden.into_iter().map(|id| (id, ghost(id))).collect(), ..self.clone() }
    }

    /// Whether nothing but its place is told of a model.
    pub fn is_veiled(&self, id: i64) -> bool {
        self.veiled.contains_key(&id)
    }

    /// Models of which nothing but their place is told.
    pub(super) fn veiled_ids(&self) -> impl Iterator<Item = i64> {
        self.veiled.keys().copied()
    }

    /// Whether every model is shown as itself.
    pub(super) fn veils_nothing(&self) -> bool {
        self.veiled.is_empty()
    }

    /// A model of the graph as it is shown.
    pub(super) fn shown<'a>(&'a self, node: &'a Node) -> &'a Node {
        self.veiled.get(&node.id).unwrap_or(node)
    }

    /// Ids of edges left out because they close a cycle, ascending.
    pub fn rejected_cycle_edges(&self) -> &[i64] {
        &self.rejected
    }

    /// Edges whose stored status is no longer right, with the right one, ascending.
    pub fn restated(&self) -> &[(i64, EdgeStatus)] {
        &self.restated
    }

    /// Number of models.
    pub fn len(&self) -> usize {
        self.graph.node_count()
    }

    /// Whether no model is known.
    pub fn is_empty(&self) -> bool {
        self.graph.node_count() == 0
    }

    /// Number of edges in use.
    pub fn edge_count(&self) -> usize {
        self.graph.edge_count()
    }

    /// A model by id.
    pub fn node(&self, id: i64) -> Option<&Node> {
        self.index.get(id).map(|at| self.shown(&self.graph[at]))
    }

    /// Families of two or more models, largest first.
    pub fn families(&self) -> &[Family] {
        &self.families
    }

    /// Finds every model's root and the families, walking parents before children.
    fn plant(&mut self) {
        let mut root: Vec<NodeIndex> = self.graph.node_indices().collect();
        let mut depth = vec![0_usize; self.graph.node_count()];
        // Without cycles a topological order always exists.
        let order = in_order(&self.graph);
        let mut trees = vec![(0_usize, 0_usize); self.graph.node_count()];
        let mut below = vec![1; self.graph.node_count()];
        for &node in order.iter().rev() {
            if let Some(parent) = self.primary_of(node) {
                below[parent.index()] += below[node.index()];
            }
        }
        self.below = Arc::new(below);
        self.preorder = Arc::new(Preorder::of(self, &order));
        for node in order {
            if let Some(parent) = self.primary_of(node) {
                root[node.index()] = root[parent.index()];
                depth[node.index()] = depth[parent.index()] + 1;
            }
            let tree = &mut trees[root[node.index()].index()];
            tree.0 += 1;
            tree.1 = tree.1.max(depth[node.index()]);
        }
        let mut families: Vec<(Family, &str)> = self
            .graph
            .node_indices()
            .zip(trees)
            .filter(|(_, (size, _))| *size > 1)
            .map(|(root, (size, depth))| {
                let root = &self.graph[root];
                (Family { root: root.id, size, depth }, root.name.as_str())
            })
            .collect();
        families.sort_unstable_by(|a, b| b.0.size.cmp(&a.0.size).then_with(|| a.1.cmp(b.1)));
        self.families = Arc::new(families.into_iter().map(|(family, _)| family).collect());
        self.root = Arc::new(root);
    }

    pub(super) fn primary_of(&self, node: NodeIndex) -> Option<NodeIndex> {
        let edge = self.primary[node.index()]?;
        self.graph.edge_endpoints(edge).map(|(parent, _)| parent)
    }
}

/// What differs between the edges that close a cycle and those stored as doing so.
fn restate(rejected: &[i64], doubted: &HashSet<i64>) -> Vec<(i64, EdgeStatus)> {
    let found: HashSet<i64> = rejected.iter().copied().collect();
    let now = found.difference(doubted).map(|id| (*id, EdgeStatus::RejectedCycle));
    let no_more = doubted.difference(&found).map(|id| (*id, EdgeStatus::Accepted));
    let mut changes: Vec<_> = now.chain(no_more).collect();
    changes.sort_unstable_by_key(|(id, _)| *id);
    changes
}

/// A proposal never breaks what somebody declared: in a cycle it goes first.
fn leave_out_proposals(graph: &mut DiGraph<Node, Edge>) {
    if !graph.edge_weights().any(|edge| edge.proposed) {
        return;
    }
    let circle = circles(graph);
    graph.retain_edges(|graph, edge| {
        let ends = graph.edge_endpoints(edge);
        let circling = ends.is_some_and(|(a, b)| together(&circle, a, b));
        !(circling && graph[edge].proposed)
    });
}

/// Positions of the first of every pair of models, ascending.
fn first_of_pairs(ends: &[Option<(NodeIndex, NodeIndex)>]) -> Vec<usize> {
    let mut pairs: Vec<(NodeIndex, NodeIndex, u32)> =
        (0..).zip(ends).filter_map(|(at, ends)| ends.map(|(parent, child)| (child, parent, at))).collect();
    pairs.par_sort_unstable();
    pairs.dedup_by_key(|(child, parent, _)| (*child, *parent));
    let mut kept: Vec<usize> = pairs.into_iter().map(|(.., at)| at as usize).collect();
    kept.par_sort_unstable();
    kept
}

/// Whether two models stand in the same circle.
fn together(circle: &[Option<u32>], a: NodeIndex, b: NodeIndex) -> bool {
    circle[a.index()].is_some() && circle[a.index()] == circle[b.index()]
}

/// Rejects, in every strongly connected component, the edges that run from a later to an earlier model.
/// What remains runs along one total order, so no cycle is left.
fn break_cycles(graph: &mut DiGraph<Node, Edge>) -> Vec<i64> {
    let circle = circles(graph);
    let age = |node: NodeIndex| {
        let node = &graph[node];
        (node.created_at.unwrap_or(i64::MAX), node.name.as_str(), node.id)
    };
    let mut doomed: Vec<(EdgeIndex, i64)> = graph
        .edge_references()
        .filter(|edge| together(&circle, edge.source(), edge.target()))
        .filter(|edge| age(edge.source()) > age(edge.target()))
        .map(|edge| (edge.id(), edge.weight().id))
        .collect();
    if doomed.is_empty() {
        return Vec::new();
    }
    let drop: HashSet<EdgeIndex> = doomed.iter().map(|(index, _)| *index).collect();
    graph.retain_edges(|_, edge| !drop.contains(&edge));
    doomed.sort_unstable_by_key(|(_, id)| *id);
    doomed.into_iter().map(|(_, id)| id).collect()
}

/// The edge to the parent a model hangs under: a declared one before a proposed one, then the most downloaded known
/// one, ties by name.
fn primary_edge(graph: &DiGraph<Node, Edge>, node: NodeIndex) -> Option<EdgeIndex> {
    graph
        .edges_directed(node, Direction::Incoming)
        .min_by(|a, b| {
            let proposed = a.weight().proposed.cmp(&b.weight().proposed);
            let [a, b] = [a, b].map(|edge| &graph[edge.source()]);
            proposed
                .then_with(|| b.downloads.cmp(&a.downloads))
                .then_with(|| (&a.name, a.id).cmp(&(&b.name, b.id)))
        })
        .map(|edge| edge.id())
}
