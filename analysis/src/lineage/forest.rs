//! The forest of all models: built once, cycles broken, one primary parent per model. No recursion anywhere.

use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet},
    sync::Arc,
};

use domain::{EdgeStatus, Relation};
use petgraph::{
    Direction,
    graph::{EdgeIndex, NodeIndex},
};
use serde::Serialize;

use super::{
    cycles::{Broken, break_cycles, leave_out_proposals},
    graph::{EdgeRef, Edges, Graph, Models},
    places::in_order,
    preorder::Preorder,
};
use crate::catalogue::Words;

/// A model on its way into a forest.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    pub id: i64,
    pub name: String,
    /// Unix seconds.
    pub created_at: Option<i64>,
    /// Known only because a child names it.
    pub ghost: bool,
    /// None where nobody counts.
    pub downloads: Option<i64>,
    pub license: Option<String>,
    /// Position of its class of size in [`crate::catalogue::SIZES`].
    pub size: Option<u8>,
}

impl Node {
    /// The same, borrowed.
    pub fn shown(&self) -> Shown<'_> {
        Shown {
            id: self.id,
            name: &self.name,
            created_at: self.created_at,
            ghost: self.ghost,
            downloads: self.downloads,
            license: self.license.as_deref(),
            size: self.size,
        }
    }
}

/// A model as the forest shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Shown<'a> {
    pub id: i64,
    pub name: &'a str,
    /// Unix seconds.
    pub created_at: Option<i64>,
    /// Known only because a child names it.
    pub ghost: bool,
    /// None where nobody counts.
    pub downloads: Option<i64>,
    pub license: Option<&'a str>,
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
    /// Whether the weights contradict it and are sure of another parent.
    pub outweighed: bool,
    /// Whether the weights contradict it and no person decided.
    pub contradicted: bool,
    /// Whether it leads to the first model of the child's recipe.
    pub leading: bool,
    /// How surely it is known: a recipe made the child here, a person says so, or neither.
    pub standing: Standing,
}

/// How surely an edge is known; in a cycle the least sure go first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Standing {
    /// Metadata claim it, or weights propose it.
    #[default]
    Claimed,
    /// A person says so.
    Stated,
    /// A recipe made the child here.
    Made,
}

impl Edge {
    /// An edge that is declared and of which nothing else is said.
    pub(super) const fn declared(id: i64, relation: Relation) -> Self {
        Self {
            id,
            relation,
            proposed: false,
            outweighed: false,
            contradicted: false,
            leading: false,
            standing: Standing::Claimed,
        }
    }
}

/// All models and the accepted edges between them; edges run from parent to child and close no cycle. Cheap to clone.
#[derive(Clone)]
pub struct Forest {
    pub(super) graph: Arc<Graph>,
    /// The edge to the parent that each model hangs under; [`EdgeIndex::end`] for none.
    primary: Arc<Vec<EdgeIndex>>,
    /// Models below each by first parents, itself among them.
    pub(super) below: Arc<Vec<u32>>,
    pub(super) preorder: Arc<Preorder>,
    families: Arc<Vec<Family>>,
    rejected: Arc<Vec<i64>>,
    circling: Arc<Vec<i64>>,
    restated: Arc<Vec<(i64, EdgeStatus)>>,
    /// What models that are shown as somebody else are called, by number.
    veiled: HashMap<i64, String>,
}

/// Takes models, then edges, and makes the forest; the result does not depend on the order of the edges.
#[derive(Default)]
pub struct ForestBuilder {
    models: Models,
    edges: Edges,
    /// Edges stored as closing a cycle.
    doubted: HashSet<i64>,
    outweighed: HashSet<i64>,
    contradicted: HashSet<i64>,
    leading: HashSet<i64>,
    standing: HashMap<i64, Standing>,
}

impl ForestBuilder {
    /// Names edges to the first models of recipes: before any is added. Where weights and declarations leave it open, a model
    /// hangs under that one.
    pub fn lead(&mut self, edges: impl IntoIterator<Item = i64>) {
        self.leading.extend(edges);
    }

    /// Names edges that are more than claimed: before any is added. In a cycle they go last.
    pub fn found(&mut self, edges: impl IntoIterator<Item = (i64, Standing)>) {
        self.standing.extend(edges);
    }

    /// Names edges that the weights contradict while they are sure of another parent: before any is added. A model hangs
    /// under such a parent only where it has no other.
    pub fn outweigh(&mut self, edges: impl IntoIterator<Item = i64>) {
        self.outweighed.extend(edges);
    }

    /// Names edges that the weights contradict: before any is added. They show in trees, and no common descent is
    /// concluded from them.
    pub fn contradict(&mut self, edges: impl IntoIterator<Item = i64>) {
        self.contradicted.extend(edges);
    }

    /// Adds a model; its number is above those of all before, or it is left out.
    pub fn add(&mut self, model: Shown<'_>) {
        if self.models.ids.last().is_none_or(|last| last < model.id) {
            self.models.push(model);
        }
    }

    /// Adds an edge between models that were added. Edges to others and self-references are left out.
    pub fn connect(&mut self, edge: ForestEdge) {
        let ForestEdge { id, relation, status, .. } = edge;
        if status == EdgeStatus::RejectedCycle {
            self.doubted.insert(id);
        }
        let barred = matches!(status, EdgeStatus::RejectedSelf | EdgeStatus::RejectedPerson);
        let ends = self.models.ids.get(edge.parent).zip(self.models.ids.get(edge.child));
        if let Some(ends) = ends.filter(|(parent, child)| parent != child && !barred) {
            let edge = Edge {
                proposed: status == EdgeStatus::Proposed,
                outweighed: self.outweighed.contains(&id),
                contradicted: self.contradicted.contains(&id),
                leading: self.leading.contains(&id),
                standing: self.standing.get(&id).copied().unwrap_or_default(),
                ..Edge::declared(id, relation)
            };
            self.edges.push(ends, edge);
        }
    }

    /// Builds the forest. Of repeated pairs the first edge counts.
    ///
    /// Of the edges in cycles that have a later parent (by creation, then name; undated models last, by number) no more are
    /// rejected than it takes, those with the latest parents, and of what a recipe made or a person said none while any other
    /// edge of the cycle is left; before that, what only the weights propose in a cycle is left out.
    pub fn finish(mut self) -> Forest {
        self.models.shrink();
        let mut graph = Graph::of(self.models, self.edges);
        leave_out_proposals(&mut graph);
        let Broken { rejected, circling } = break_cycles(&mut graph);
        let restated = restate(&rejected, &self.doubted);
        let primary: Vec<EdgeIndex> = graph
            .node_indices()
            .map(|node| first_parent(&graph, node).unwrap_or_else(EdgeIndex::end))
            .collect();
        graph.rank(|edge| primary[edge.target().index()] == edge.id());
        let mut forest = Forest {
            graph: Arc::new(graph),
            primary: Arc::new(primary),
            below: Arc::default(),
            preorder: Arc::default(),
            families: Arc::default(),
            rejected: Arc::new(rejected),
            circling: Arc::new(circling),
            restated: Arc::new(restated),
            veiled: HashMap::new(),
        };
        forest.plant();
        forest
    }
}

/// Edges between models of which nothing but the names is known.
pub struct NamedEdges {
    names: Words,
    edges: Edges,
    /// The number of the next edge.
    next: i64,
}

impl Default for NamedEdges {
    fn default() -> Self {
        Self { names: Words::bare(), edges: Edges::default(), next: 0 }
    }
}

impl NamedEdges {
    /// Adds edges, `[parent, child]`; some hundred at a time take a third less time than one by one.
    pub fn add(&mut self, edges: &[[&str; 2]]) {
        let mut numbers = self.names.intern_all(edges.as_flattened());
        while let (Some(parent), Some(child)) = (numbers.next(), numbers.next()) {
            if parent != child {
                let ends = (NodeIndex::new(parent as usize), NodeIndex::new(child as usize));
                self.edges.push(ends, Edge::declared(self.next, Relation::Finetune));
            }
            self.next += 1;
        }
    }

    /// Builds their forest: models and edges are numbered from 0 on as they were first named.
    pub fn forest(self) -> Forest {
        let Self { names, edges, .. } = self;
        let models = Models::of_names(names.into_lines());
        ForestBuilder { models, edges, ..ForestBuilder::default() }.finish()
    }
}

impl Forest {
    /// Builds the forest of models and edges in any order, as [`ForestBuilder`] does of models that come in order.
    pub fn build(nodes: impl Iterator<Item = Node>, edges: impl Iterator<Item = ForestEdge>) -> Self {
        let mut nodes: Vec<Node> = nodes.collect();
        nodes.sort_unstable_by_key(|node| node.id);
        let mut builder = ForestBuilder::default();
        nodes.iter().for_each(|node| builder.add(node.shown()));
        drop(nodes);
        edges.for_each(|edge| builder.connect(edge));
        builder.finish()
    }

    /// The same forest with `hidden` models as ghosts of which nothing but their place is told.
    #[must_use]
    pub fn veiled(&self, hidden: impl IntoIterator<Item = i64>) -> Self {
        let veiled = hidden.into_iter().map(|id| (id, format!("private model {id}"))).collect();
        Self { veiled, ..self.clone() }
    }

    /// Models of which nothing but their place is told.
    pub(super) fn veiled_ids(&self) -> impl Iterator<Item = i64> {
        self.veiled.keys().copied()
    }

    /// Whether every model is shown as itself.
    pub(super) fn veils_nothing(&self) -> bool {
        self.veiled.is_empty()
    }

    /// The place of a model in the graph.
    pub(crate) fn place(&self, id: i64) -> Option<NodeIndex> {
        self.graph.models.ids.get(id)
    }

    /// The number of the model at a place.
    pub(crate) fn id_at(&self, place: usize) -> i64 {
        self.graph.models.ids.at(place)
    }

    /// A model of the graph as it is shown.
    pub(super) fn shown(&self, node: NodeIndex) -> Shown<'_> {
        let id = self.graph.id(node);
        match self.veiled.get(&id) {
            Some(name) => Shown { id, name, ghost: true, ..Shown::default() },
            None => self.graph.node(node),
        }
    }

    /// The edge to the parent that a model hangs under.
    pub(super) fn primary_edge(&self, node: NodeIndex) -> Option<EdgeIndex> {
        Some(self.primary[node.index()]).filter(|edge| *edge != EdgeIndex::end())
    }

    /// Whether a child hangs under its parent by this edge.
    pub(super) fn is_primary(&self, edge: EdgeIndex, child: NodeIndex) -> bool {
        self.primary[child.index()] == edge
    }

    /// Ids of edges left out because they close a cycle, ascending.
    pub fn rejected_cycle_edges(&self) -> &[i64] {
        &self.rejected
    }

    /// Whether a model descends from itself by all that is claimed, before cycles are broken.
    pub fn circles(&self, id: i64) -> bool {
        self.circling.binary_search(&id).is_ok()
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
    pub fn node(&self, id: i64) -> Option<Shown<'_>> {
        self.place(id).map(|at| self.shown(at))
    }

    /// Families of two or more models, largest first.
    pub fn families(&self) -> &[Family] {
        &self.families
    }

    /// Finds every model's root and the families, walking children before parents and then the other way.
    fn plant(&mut self) {
        // Without cycles a topological order always exists.
        let order = in_order(&self.graph);
        let mut below = vec![1_u32; order.len()];
        let mut depth = vec![0_u32; order.len()];
        for &node in order.iter().rev() {
            if let Some(parent) = self.primary_of(node) {
                below[parent.index()] += below[node.index()];
                depth[parent.index()] = depth[parent.index()].max(depth[node.index()] + 1);
            }
        }
        let root = |node: &NodeIndex| below[node.index()] > 1 && self.primary_edge(*node).is_none();
        let mut families: Vec<(Family, &str)> = self
            .graph
            .node_indices()
            .filter(root)
            .map(|root| {
                let (size, depth) = (below[root.index()] as usize, depth[root.index()] as usize);
                (Family { root: self.graph.id(root), size, depth }, self.graph.name(root))
            })
            .collect();
        families.sort_unstable_by(|a, b| b.0.size.cmp(&a.0.size).then_with(|| a.1.cmp(b.1)));
        self.families = Arc::new(families.into_iter().map(|(family, _)| family).collect());
        drop(depth);
        drop(order);
        self.below = Arc::new(below);
        self.preorder = Arc::new(Preorder::of(self));
    }

    pub(super) fn primary_of(&self, node: NodeIndex) -> Option<NodeIndex> {
        let edge = self.primary_edge(node)?;
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

/// The edge to the parent a model hangs under: one that the weights outweigh last, a declared one before a proposed one,
/// then the first of the child's
/// recipe, then the most downloaded known one, ties by name.
fn first_parent(graph: &Graph, node: NodeIndex) -> Option<EdgeIndex> {
    let mut edges = graph.edges_directed(node, Direction::Incoming);
    let first = edges.next()?;
    let rank = |edge: &EdgeRef| {
        let parent = graph.node(edge.source());
        let Edge { proposed, outweighed, leading, .. } = edge.weight();
        (
            outweighed,
            proposed,
            !leading,
            Reverse(parent.downloads.unwrap_or_default()),
            parent.name,
            parent.id,
        )
    };
    let least = edges.map(|edge| (rank(&edge), edge)).min_by(|a, b| a.0.cmp(&b.0));
    // Most models have one parent, which is not looked at.
    let first = least.map_or(first, |(other, edge)| if rank(&first) <= other { first } else { edge });
    Some(first.id())
}
