//! Models and the edges between them, column by column: the edges of a model stand one after the other, in either direction.

use std::cmp::Reverse;

use domain::Relation;
use petgraph::{
    Direction,
    graph::{EdgeIndex, NodeIndex},
};
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};

use super::{
    forest::{Edge, Shown, Standing},
    numbers::Numbers,
    places::Places,
};
use crate::catalogue::{Lines, Words};

/// Marks an edge that nobody but the weights speaks for.
const PROPOSED: u16 = 1 << 15;
/// Marks an edge that the weights contradict in favour of another.
const OUTWEIGHED: u16 = 1 << 14;
/// Marks an edge that the weights contradict.
const CONTRADICTED: u16 = 1 << 13;
/// Marks an edge to the first model of a recipe.
const LEADING: u16 = 1 << 12;
/// The bits of the relation and of how sure it is, as a number each.
const RELATION: u16 = (1 << 12) - 1;
const STANDINGS: [Standing; 3] = [Standing::Claimed, Standing::Stated, Standing::Made];

/// All models by place, in the order of their numbers.
#[derive(Default)]
pub(super) struct Models {
    pub ids: Places,
    pub names: Lines,
    created: Numbers,
    downloads: Numbers,
    licences: Words,
    licence: Numbers,
    sizes: Numbers,
    ghosts: Vec<bool>,
}

impl Models {
    /// Adds a model whose number is above all that are there.
    pub fn push(&mut self, model: Shown<'_>) {
        let at = self.ids.len();
        self.ids.push(model.id);
        self.names.push(model.name);
        self.created.set(at, model.created_at);
        self.downloads.set(at, model.downloads);
        let licence = model.license.map(|licence| self.licences.intern(licence));
        self.licence.set(at, licence.map(i64::from));
        self.sizes.set(at, model.size.map(i64::from));
        if model.ghost {
            self.ghosts.resize(at, false);
            self.ghosts.push(true);
        }
    }

    /// Models of which nothing but the names is known, numbered by place.
    pub fn of_names(names: Lines) -> Self {
        let mut ids = Places::default();
        (0..).take(names.len()).for_each(|id| ids.push(id));
        Self { ids, names, ..Self::default() }
    }

    pub fn shrink(&mut self) {
        self.ids.shrink();
        self.names.shrink();
        [&mut self.created, &mut self.downloads, &mut self.licence, &mut self.sizes]
            .into_iter()
            .for_each(Numbers::shrink);
        self.ghosts.shrink_to_fit();
    }

    fn downloads(&self, at: usize) -> i64 {
        self.downloads.get(at).unwrap_or_default()
    }
}

/// Edges by place: at first as they were stated, then by child.
#[derive(Default)]
pub(super) struct Edges {
    pub parents: Vec<u32>,
    pub children: Vec<u32>,
    ids: Numbers,
    kinds: Vec<u16>,
}

impl Edges {
    /// Adds an edge between two places.
    pub fn push(&mut self, (parent, child): (NodeIndex, NodeIndex), edge: Edge) {
        let kind = Relation::ALL.iter().position(|known| *known == edge.relation).unwrap_or_default();
        let kind = kind + Relation::ALL.len() * edge.standing as usize;
        self.ids.set(self.parents.len(), Some(edge.id));
        self.parents.push(place(parent));
        self.children.push(place(child));
        let proposed = if edge.proposed { PROPOSED } else { 0 };
        let outweighed = if edge.outweighed { OUTWEIGHED } else { 0 };
        let contradicted = if edge.contradicted { CONTRADICTED } else { 0 };
        let leading = if edge.leading { LEADING } else { 0 };
        let marks = proposed | outweighed | contradicted | leading;
        self.kinds.push(u16::try_from(kind).unwrap_or_default() | marks);
    }

    pub fn id(&self, at: usize) -> i64 {
        self.ids.get(at).unwrap_or_default()
    }

    fn get(&self, at: usize) -> Edge {
        let kind = self.kinds[at];
        let (relation, relations) = (usize::from(kind & RELATION), Relation::ALL.len());
        let standing = STANDINGS.get(relation / relations).copied().unwrap_or_default();
        let relation = Relation::ALL[relation % relations];
        let [proposed, outweighed, contradicted, leading] =
            [PROPOSED, OUTWEIGHED, CONTRADICTED, LEADING].map(|mark| kind & mark != 0);
        Edge { id: self.id(at), relation, proposed, outweighed, contradicted, leading, standing }
    }

    /// The edges at these places, in this order.
    fn gathered(self, order: &[u32]) -> Self {
        // One column after the other, so that no more than one is there twice.
        fn of<T: Copy>(column: Vec<T>, order: &[u32]) -> Vec<T> {
            order.iter().map(|at| column[*at as usize]).collect()
        }
        let parents = of(self.parents, order);
        let children = of(self.children, order);
        let kinds = of(self.kinds, order);
        Self { parents, children, ids: self.ids.gathered(order), kinds }
    }

    /// The places of the edges by child, those of one child by number; of every pair of models only the first.
    fn by_child(&self, models: usize) -> Vec<u32> {
        let (starts, mut order) = grouped(&self.children, models);
        let mut twins = Vec::new();
        for ends in starts.windows(2).filter(|ends| ends[1] - ends[0] > 1) {
            let group = &mut order[ends[0] as usize..ends[1] as usize];
            let parent = |at: &u32| (self.parents[*at as usize], self.id(*at as usize), *at);
            group.sort_unstable_by_key(parent);
            twins.extend(
                group.windows(2).filter(|two| parent(&two[0]).0 == parent(&two[1]).0).map(|two| two[1]),
            );
            group.sort_unstable_by_key(|at| (self.id(*at as usize), *at));
        }
        if !twins.is_empty() {
            twins.sort_unstable();
            order.retain(|at| twins.binary_search(at).is_err());
        }
        order
    }
}

/// An edge with its ends.
#[derive(Clone, Copy)]
pub(super) struct EdgeRef {
    id: EdgeIndex,
    parent: NodeIndex,
    child: NodeIndex,
    weight: Edge,
}

impl EdgeRef {
    pub const fn id(&self) -> EdgeIndex {
        self.id
    }

    /// The parent.
    pub const fn source(&self) -> NodeIndex {
        self.parent
    }

    /// The child.
    pub const fn target(&self) -> NodeIndex {
        self.child
    }

    pub const fn weight(&self) -> Edge {
        self.weight
    }
}

/// Models and edges; an edge runs from parent to child.
#[derive(Default)]
pub(super) struct Graph {
    pub models: Models,
    edges: Edges,
    /// Where the edges to the parents of each model begin.
    above: Vec<u32>,
    /// Where the edges to the children of each model begin in `down`.
    below: Vec<u32>,
    down: Vec<EdgeIndex>,
}

fn place(node: NodeIndex) -> u32 {
    u32::try_from(node.index()).unwrap_or(u32::MAX)
}

/// Where each group begins, and the places of its members, ascending.
fn grouped(groups: &[u32], count: usize) -> (Vec<u32>, Vec<u32>) {
    let starts = starts(groups, count);
    let (mut next, mut order) = (starts.clone(), vec![0; groups.len()]);
    for (at, group) in (0_u32..).zip(groups) {
        let free = &mut next[*group as usize];
        order[*free as usize] = at;
        *free += 1;
    }
    (starts, order)
}

fn starts(groups: &[u32], count: usize) -> Vec<u32> {
    let mut starts = vec![0_u32; count + 1];
    groups.iter().for_each(|group| starts[*group as usize + 1] += 1);
    for at in 0..count {
        starts[at + 1] += starts[at];
    }
    starts
}

impl Graph {
    /// Of edges as they were stated; of a pair of models that is stated twice the edge with the lower number.
    pub fn of(models: Models, edges: Edges) -> Self {
        let order = edges.by_child(models.ids.len());
        let mut graph = Self { models, edges: edges.gathered(&order), ..Self::default() };
        graph.join();
        graph
    }

    /// Finds the edges of each model again.
    fn join(&mut self) {
        let models = self.node_count();
        self.above = starts(&self.edges.children, models);
        let (below, down) = grouped(&self.edges.parents, models);
        self.below = below;
        self.down = down.into_iter().map(|at| EdgeIndex::new(at as usize)).collect();
    }

    /// Leaves out the edges at these places, ascending.
    pub fn leave_out(&mut self, gone: &[EdgeIndex]) {
        if gone.is_empty() {
            return;
        }
        let stays = |at: &u32| gone.binary_search(&EdgeIndex::new(*at as usize)).is_err();
        let order: Vec<u32> = (0..).take(self.edge_count()).filter(stays).collect();
        self.edges = std::mem::take(&mut self.edges).gathered(&order);
        self.join();
    }

    /// Ranks the children of every model: those that hang under it before the others, the most downloaded first, then by
    /// name. On all processors; the order does not depend on how many there are.
    pub fn rank(&mut self, hangs: impl Fn(&EdgeRef) -> bool + Sync) {
        let mut down = std::mem::take(&mut self.down);
        let (mut rest, mut lists) = (down.as_mut_slice(), Vec::new());
        for ends in self.below.windows(2) {
            let (list, after) = std::mem::take(&mut rest).split_at_mut((ends[1] - ends[0]) as usize);
            rest = after;
            if list.len() > 1 {
                lists.push(list);
            }
        }
        let this = &*self;
        lists.into_par_iter().for_each(|list| {
            list.sort_by_cached_key(|edge| {
                let edge = this.edge_ref(*edge);
                let child = edge.child.index();
                let downloads = this.models.downloads(child);
                (!hangs(&edge), Reverse(downloads), this.models.names.get(child), child)
            });
        });
        self.down = down;
    }

    pub fn node_count(&self) -> usize {
        self.models.ids.len()
    }

    pub fn edge_count(&self) -> usize {
        self.edges.parents.len()
    }

    pub fn node_indices(&self) -> impl ExactSizeIterator<Item = NodeIndex> + use<> {
        (0..self.node_count()).map(NodeIndex::new)
    }

    /// The number of a model.
    pub fn id(&self, node: NodeIndex) -> i64 {
        self.models.ids.at(node.index())
    }

    pub fn name(&self, node: NodeIndex) -> &str {
        self.models.names.get(node.index())
    }

    pub fn node(&self, node: NodeIndex) -> Shown<'_> {
        let (at, models) = (node.index(), &self.models);
        let licence = models.licence.get(at).and_then(|number| u32::try_from(number).ok());
        Shown {
            id: self.id(node),
            name: self.name(node),
            created_at: models.created.get(at),
            ghost: models.ghosts.get(at).copied().unwrap_or_default(),
            downloads: models.downloads.get(at),
            license: licence.map(|number| models.licences.word(number)),
            size: models.sizes.get(at).and_then(|size| u8::try_from(size).ok()),
        }
    }

    pub fn edge(&self, edge: EdgeIndex) -> Edge {
        self.edges.get(edge.index())
    }

    /// Parent and child.
    pub fn edge_endpoints(&self, edge: EdgeIndex) -> Option<(NodeIndex, NodeIndex)> {
        let ends = (self.edges.parents.get(edge.index())?, self.edges.children.get(edge.index())?);
        Some((NodeIndex::new(*ends.0 as usize), NodeIndex::new(*ends.1 as usize)))
    }

    fn edge_ref(&self, id: EdgeIndex) -> EdgeRef {
        let [parent, child] =
            [&self.edges.parents, &self.edges.children].map(|ends| NodeIndex::new(ends[id.index()] as usize));
        EdgeRef { id, parent, child, weight: self.edge(id) }
    }

    /// Every edge, by child.
    pub fn edge_references(&self) -> impl Iterator<Item = EdgeRef> + '_ {
        (0..self.edge_count()).map(|at| self.edge_ref(EdgeIndex::new(at)))
    }

    /// The edges to the children of a model, ranked once [`Self::rank`] was called.
    pub fn down(&self, node: NodeIndex) -> &[EdgeIndex] {
        &self.down[self.below[node.index()] as usize..self.below[node.index() + 1] as usize]
    }

    fn places(&self, node: NodeIndex, direction: Direction) -> impl Iterator<Item = EdgeIndex> + '_ {
        let begin = if direction == Direction::Incoming { &self.above } else { &self.below };
        let places = begin[node.index()] as usize..begin[node.index() + 1] as usize;
        places
            .map(move |at| if direction == Direction::Incoming { EdgeIndex::new(at) } else { self.down[at] })
    }

    /// One of the edges to the parents of a model, or to its children, by how many stand before it.
    pub fn nth_edge(&self, node: NodeIndex, direction: Direction, nth: usize) -> Option<EdgeIndex> {
        let incoming = direction == Direction::Incoming;
        let begin = if incoming { &self.above } else { &self.below };
        let (from, to) = (*begin.get(node.index())? as usize, *begin.get(node.index() + 1)? as usize);
        let at = from.checked_add(nth).filter(|at| *at < to)?;
        Some(if incoming { EdgeIndex::new(at) } else { self.down[at] })
    }

    /// The edges to the parents of a model, or to its children.
    pub fn edges_directed(
        &self,
        node: NodeIndex,
        direction: Direction,
    ) -> impl Iterator<Item = EdgeRef> + '_ {
        self.places(node, direction).map(|edge| self.edge_ref(edge))
    }

    /// The parents of a model, or its children.
    pub fn neighbors_directed(
        &self,
        node: NodeIndex,
        direction: Direction,
    ) -> impl Iterator<Item = NodeIndex> + '_ {
        let ends = if direction == Direction::Incoming { &self.edges.parents } else { &self.edges.children };
        self.places(node, direction).map(|edge| NodeIndex::new(ends[edge.index()] as usize))
    }
}
