//! Which nodes of a tree are drawn, and what stands below each, group by group.

use std::collections::VecDeque;

use crate::view::{LineageNode, Rest};

/// Nodes drawn at most; the rest is counted.
pub const MOST_NODES: usize = 300;

/// What stands below a node.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Item {
    Child(usize),
    /// Children that are only counted.
    Rest(Rest),
}

/// Which nodes are drawn, and what stands below them in order.
pub(super) struct Shape {
    pub roots: Vec<usize>,
    /// Further parents of the focus that the tree does not pass.
    pub beside: Vec<usize>,
    pub parent: Vec<Option<usize>>,
    pub items: Vec<Vec<Item>>,
    drawn: Vec<bool>,
}

impl Shape {
    pub fn of(nodes: &[LineageNode], focus: usize) -> Self {
        let parent: Vec<Option<usize>> =
            nodes.iter().enumerate().map(|(at, node)| node.parent.filter(|&parent| parent < at)).collect();
        let mut all = vec![Vec::new(); nodes.len()];
        let (mut roots, mut beside) = (Vec::new(), Vec::new());
        for (at, parent) in parent.iter().enumerate() {
            match (parent, nodes[at].beside) {
                (Some(parent), _) => all[*parent].push(at),
                (None, Some(_)) => beside.push(at),
                (None, None) => roots.push(at),
            }
        }
        let opened = (0..nodes.len()).filter(|&at| nodes[at].opened);
        let first: Vec<usize> =
            Some(focus).filter(|&at| at < nodes.len()).into_iter().chain(opened).collect();
        let drawn = choose(&parent, &all, (&roots, &beside), &first);
        let items =
            all.iter().enumerate().map(|(at, children)| items(nodes, at, (children, &drawn))).collect();
        roots.retain(|&root| drawn[root]);
        beside.retain(|&node| drawn[node]);
        Self { roots, beside, parent, items, drawn }
    }

    /// The children of a node that are drawn.
    pub fn children(&self, at: usize) -> impl Iterator<Item = usize> {
        self.items[at].iter().filter_map(|item| match item {
            Item::Child(child) => Some(*child),
            Item::Rest(_) => None,
        })
    }

    pub fn is_drawn(&self, at: usize) -> bool {
        self.drawn.get(at).copied().unwrap_or(false)
    }

    /// Generations between a node and the topmost of its line.
    pub fn depth(&self, at: usize) -> usize {
        let mut at = self.parent.get(at).copied().flatten();
        let mut depth = 0;
        while let Some(node) = at {
            depth += 1;
            at = self.parent[node];
        }
        depth
    }
}

/// The drawn children of a node, each group followed by what of it is only counted.
fn items(nodes: &[LineageNode], at: usize, (children, drawn): (&[usize], &[bool])) -> Vec<Item> {
    let mut rest = nodes[at].hidden.clone();
    for &child in children.iter().filter(|&&child| !drawn[child]) {
        let relation = nodes[child].relation;
        match rest.iter_mut().find(|group| group.relation == relation) {
            Some(group) => group.count = group.count.saturating_add(1),
            None => rest.push(Rest { relation, count: 1 }),
        }
    }
    rest.retain(|group| group.count > 0);
    let shown: Vec<usize> = children.iter().copied().filter(|&child| drawn[child]).collect();
    let mut items = Vec::with_capacity(shown.len() + rest.len());
    for (place, &child) in shown.iter().enumerate() {
        items.push(Item::Child(child));
        let relation = nodes[child].relation;
        if shown[place + 1..].iter().all(|&later| nodes[later].relation != relation)
            && let Some(group) = rest.iter().position(|group| group.relation == relation)
        {
            items.push(Item::Rest(rest.remove(group)));
        }
    }
    items.extend(rest.into_iter().map(Item::Rest));
    items
}

/// The ways down to those that come first, then what stands beside, then generation by generation.
fn choose(
    parent: &[Option<usize>],
    children: &[Vec<usize>],
    (roots, beside): (&[usize], &[usize]),
    first: &[usize],
) -> Vec<bool> {
    let mut drawn = vec![false; parent.len()];
    let mut left = MOST_NODES;
    for &node in first {
        let mut way = Vec::new();
        let mut at = Some(node);
        while let Some(node) = at.filter(|&node| !drawn[node]) {
            way.push(node);
            at = parent[node];
        }
        // From the root: a child must never be drawn without its parent.
        for &node in way.iter().rev().take(left) {
            drawn[node] = true;
        }
        left -= way.len().min(left);
    }
    for &node in beside.iter().take(left) {
        drawn[node] = true;
    }
    left -= beside.len().min(left);
    let mut queue: VecDeque<usize> = roots.iter().copied().collect();
    while let Some(node) = queue.pop_front() {
        if !drawn[node] {
            if left == 0 {
                continue;
            }
            drawn[node] = true;
            left -= 1;
        }
        queue.extend(&children[node]);
    }
    drawn
}
