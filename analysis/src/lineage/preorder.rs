//! The forest of first parents in preorder: everything below a model is one range, so that even of a family of a
//! million a part is found by one look along a column.

use std::collections::{HashMap, HashSet};

use domain::Relation;
use petgraph::graph::{EdgeIndex, NodeIndex};

use super::{
    forest::{Forest, Link},
    sieve::Sieve,
};

/// Children are looked up one by one where the range below their parent is more than so many times as long.
const SPARSE: usize = 64;

/// Columns by place in the preorder; siblings stand in the order of their ranks.
#[derive(Default)]
pub(super) struct Preorder {
    /// The place of each model.
    place: Vec<u32>,
    node: Vec<NodeIndex>,
    /// Generations below the root.
    depth: Vec<u32>,
    /// Position in `licences`.
    licence: Vec<u32>,
    /// See [`sides`].
    sides: Vec<u8>,
    /// Distinct licences; the first is none.
    licences: Vec<String>,
    /// Places of the models that hang under no other, ascending.
    roots: Vec<u32>,
}

/// Relation and class of size in three bits each, one more than their positions; 0 for none.
fn sides(relation: Option<Relation>, size: Option<u8>) -> u8 {
    let relation = relation.and_then(|relation| Relation::ALL.iter().position(|known| *known == relation));
    let relation = relation.and_then(|at| u8::try_from(at + 1).ok()).unwrap_or_default();
    relation | size.map_or(0, |size| (size + 1) & 7) << 3
}

/// The relation and the class of size of [`sides`].
fn read_sides(sides: u8) -> (Option<Relation>, Option<u8>) {
    let relation = (sides & 7).checked_sub(1).and_then(|at| Relation::ALL.get(usize::from(at)).copied());
    (relation, (sides >> 3 & 7).checked_sub(1))
}

impl Preorder {
    /// Of a forest with its ranks. O(V) in time and memory.
    pub fn of(forest: &Forest) -> Self {
        let count = forest.graph.node_count();
        let mut all = Self {
            place: vec![0; count],
            node: vec![NodeIndex::new(0); count],
            depth: vec![0; count],
            licence: vec![0; count],
            sides: vec![0; count],
            licences: vec![String::new()],
            roots: Vec::new(),
        };
        let (mut free, mut open) = (0, Vec::new());
        for root in forest.graph.node_indices().filter(|node| forest.primary_edge(*node).is_none()) {
            all.place[root.index()] = free;
            all.roots.push(free);
            free += forest.below[root.index()];
            open.push(root);
            while let Some(node) = open.pop() {
                let place = all.place[node.index()];
                let mut next = place + 1;
                let children = forest.own_children(node).iter();
                for (_, child) in children.filter_map(|edge| forest.graph.edge_endpoints(*edge)) {
                    all.place[child.index()] = next;
                    all.depth[next as usize] = all.depth[place as usize] + 1;
                    next += forest.below[child.index()];
                    open.push(child);
                }
            }
        }
        let mut known: HashMap<&str, u32> = HashMap::from([("", 0)]);
        for node in forest.graph.node_indices() {
            let (weight, place) = (forest.graph.node(node), all.place[node.index()] as usize);
            all.node[place] = node;
            all.licence[place] =
                *known.entry(weight.license.unwrap_or_default()).or_insert_with_key(|word| {
                    all.licences.push((*word).to_owned());
                    u32::try_from(all.licences.len() - 1).unwrap_or_default()
                });
            let relation = forest.primary_edge(node).map(|edge| forest.graph.edge(edge).relation);
            all.sides[place] = sides(relation, weight.size);
        }
        all.roots.shrink_to_fit();
        all
    }

    /// The root of the tree that a model stands in.
    pub fn root(&self, node: NodeIndex) -> Option<NodeIndex> {
        let place = self.place.get(node.index())?;
        let root = self.roots.partition_point(|root| root <= place).checked_sub(1)?;
        self.node.get(self.roots[root] as usize).copied()
    }
}

/// The part of a tree that passes a sieve, with everything that leads to it.
pub struct Sifted {
    /// The place of the root.
    first: usize,
    /// How many models before each place, from the root on, stay.
    before: Vec<u32>,
    /// Models that pass and what leads to them, the root among them.
    pub kept: u64,
    /// Models looked at that do not stay.
    pub hidden: u64,
}

impl Forest {
    /// Sifts what is at most `levels` generations below a model; the model itself stays. None for an unknown model.
    pub fn sift(&self, id: i64, levels: usize, sieve: &Sieve) -> Option<Sifted> {
        let root = self.place(id)?;
        let first = self.preorder.place[root.index()] as usize;
        let size = self.below[root.index()] as usize;
        let passing = Passing::of(self, sieve);
        let base = self.preorder.depth[first] as usize;
        let mut stays = vec![false; size];
        stays[0] = true;
        // The last model of each generation seen: those above the present one are its ancestors.
        let (mut line, mut seen) = (vec![0_u32], 1_u64);
        for at in 1..size {
            let depth = self.preorder.depth[first + at] as usize - base;
            if depth > levels {
                continue;
            }
            seen += 1;
            let here = u32::try_from(at).unwrap_or(u32::MAX);
            match line.get_mut(depth) {
                Some(last) => *last = here,
                None => line.push(here),
            }
            if passing.has(&self.preorder, first + at) {
                stays[at] = true;
                for above in line[..depth].iter().rev() {
                    if std::mem::replace(&mut stays[*above as usize], true) {
                        break;
                    }
                }
            }
        }
        let mut before = Vec::with_capacity(size + 1);
        let mut kept = 0;
        for stays in stays {
            before.push(kept);
            kept += u32::from(stays);
        }
        before.push(kept);
        Some(Sifted { first, before, kept: kept.into(), hidden: seen - u64::from(kept) })
    }

    /// Of a part of a tree, how many models stay at and below one.
    pub(super) fn kept_of(&self, sifted: &Sifted, node: NodeIndex) -> u64 {
        let at = (self.preorder.place[node.index()] as usize).wrapping_sub(sifted.first);
        let end = at.saturating_add(self.below[node.index()] as usize);
        match (sifted.before.get(at), sifted.before.get(end)) {
            (Some(before), Some(after)) => (after - before).into(),
            _ => 0,
        }
    }

    /// Places of the children of a model that stay, ranked, and how many models stay at and below each.
    pub(super) fn kept_children(&self, sifted: &Sifted, node: NodeIndex) -> Vec<(u32, u64)> {
        let own = self.own_children(node);
        let size = self.below[node.index()] as usize;
        if own.len() * SPARSE < size {
            let child = |edge: &EdgeIndex| {
                let (_, child) = self.graph.edge_endpoints(*edge)?;
                Some((self.preorder.place[child.index()], self.kept_of(sifted, child)))
            };
            return own.iter().filter_map(child).filter(|(_, kept)| *kept > 0).collect();
        }
        let place = self.preorder.place[node.index()] as usize;
        let depth = self.preorder.depth[place] + 1;
        let mut found = Vec::new();
        // What is below a child ends where its next sibling stands.
        let mut take = |from: usize, to: usize| {
            let before = |at: usize| sifted.before.get(at.wrapping_sub(sifted.first)).copied();
            let kept = before(from).zip(before(to)).map_or(0, |(before, after)| after - before);
            if kept > 0 {
                found.push((u32::try_from(from).unwrap_or(u32::MAX), u64::from(kept)));
            }
        };
        let mut last = None;
        for at in place + 1..place + size {
            if self.preorder.depth[at] == depth
                && let Some(before) = last.replace(at)
            {
                take(before, at);
            }
        }
        if let Some(last) = last {
            take(last, place + size);
        }
        found
    }

    /// The model at a place.
    pub(super) fn at_place(&self, at: u32) -> Option<NodeIndex> {
        self.preorder.node.get(at as usize).copied()
    }

    /// Places of the children under a model that pass, ranked. Only where every model is shown as itself.
    pub(super) fn passing_children(&self, node: NodeIndex, sieve: &Sieve) -> Vec<u32> {
        let passing = Passing::of(self, sieve);
        let place = self.preorder.place[node.index()];
        let depth = self.preorder.depth[place as usize] + 1;
        let below = place + 1..place + self.below[node.index()];
        let passes = |at: &u32| {
            self.preorder.depth[*at as usize] == depth && passing.has(&self.preorder, *at as usize)
        };
        below.filter(passes).collect()
    }

    /// The child's end of the edge to the model at a place from the parent that it hangs under.
    pub(super) fn to_place(&self, at: u32) -> Option<Link> {
        self.to_child(self.primary_edge(self.at_place(at)?)?)
    }
}

/// A sieve in the numbers of a preorder.
struct Passing {
    sides: [bool; 64],
    licences: Vec<bool>,
    /// Places of models of which nothing is told.
    veiled: HashSet<usize>,
}

impl Passing {
    fn of(forest: &Forest, sieve: &Sieve) -> Self {
        let mut passing = [false; 64];
        for (at, passes) in (0..).zip(&mut passing) {
            let (relation, size) = read_sides(at);
            *passes = sieve.passes_sides(relation, size);
        }
        let place = |id: i64| Some(forest.preorder.place[forest.place(id)?.index()] as usize);
        Self {
            sides: passing,
            licences: forest.preorder.licences.iter().map(|word| sieve.passes_licence(word)).collect(),
            veiled: forest.veiled_ids().filter_map(place).collect(),
        }
    }

    fn has(&self, preorder: &Preorder, place: usize) -> bool {
        let (sides, licence) = match self.veiled.is_empty() || !self.veiled.contains(&place) {
            true => (preorder.sides[place], preorder.licence[place]),
            false => (preorder.sides[place] & 7, 0),
        };
        self.sides[usize::from(sides & 63)] && self.licences[licence as usize]
    }
}
