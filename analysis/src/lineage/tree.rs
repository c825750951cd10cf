//! The piece of a family tree around one model, as a flat list so that its depth cannot hurt.

use std::{collections::HashSet, fmt::Write as _};

use domain::Relation;
use serde::Serialize;

use super::{
    forest::{Forest, Link},
    preorder::Sifted,
    sieve::Sieve,
};

/// How much of a tree to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubtreeOptions {
    /// Generations above, along primary parents.
    pub up: usize,
    /// Generations below.
    pub down: usize,
    /// Most nodes in the answer.
    pub cap: usize,
    /// What is shown below the model; ancestors of what is shown stay.
    pub sieve: Sieve,
}

impl Default for SubtreeOptions {
    fn default() -> Self {
        Self { up: usize::MAX, down: 1, cap: 1_000, sieve: Sieve::default() }
    }
}

/// A relative that is not in the list of nodes by this edge.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Relative {
    pub id: i64,
    pub name: String,
    pub ghost: bool,
    pub relation: Relation,
    /// Whether nobody but the weights says so.
    pub proposed: bool,
    /// Whether the weights contradict the edge, once [`Tree::mark`] was told.
    pub contradicted: bool,
}

/// A model in a tree.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TreeNode {
    pub id: i64,
    pub name: String,
    pub ghost: bool,
    pub license: Option<String>,
    /// None where nobody counts.
    pub downloads: Option<i64>,
    /// Generations below the tree's first node.
    pub depth: usize,
    /// Position of the primary parent in the list; `None` for the first node.
    pub parent: Option<usize>,
    /// How it descends from its primary parent, shown or not.
    pub relation: Option<Relation>,
    /// Whether nobody but the weights says so.
    pub proposed: bool,
    /// Whether the weights contradict that it descends from its primary parent, once [`Tree::mark`] was told.
    pub contradicted: bool,
    /// Children under it in the whole forest.
    pub children: usize,
    /// Children under it that are not in the list, but for those that the sieve holds back.
    pub hidden: usize,
    /// Parents beyond the primary one.
    pub other_parents: Vec<Relative>,
}

/// Nodes in preorder: a parent stands before its children.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Tree {
    pub nodes: Vec<TreeNode>,
    /// Position of the model asked for.
    pub focus: usize,
    /// Whether the cap cut nodes off.
    pub truncated: bool,
    /// Models in the generations asked for that the sieve holds back.
    pub sifted: u64,
    /// Children of the model that hang under another primary parent.
    pub other_children: Vec<Relative>,
}

impl Forest {
    /// The line of primary parents down to a model, and the tree of primary children below it.
    /// Empty for an unknown model.
    pub fn subtree(&self, id: i64, options: &SubtreeOptions) -> Tree {
        let sifted = match options.sieve.is_empty() {
            true => None,
            false => self.sift(id, options.down, &options.sieve),
        };
        let (sifted, sieve) = (sifted.as_ref(), &options.sieve);
        let hidden = sifted.map_or(0, |sifted| sifted.hidden);
        let mut tree = Tree {
            nodes: Vec::new(),
            focus: 0,
            truncated: false,
            sifted: hidden,
            other_children: Vec::new(),
        };
        let passes =
            |link: &Link| self.node(link.id).is_some_and(|node| sieve.passes(node, Some(link.relation)));
        let mut line = self.line(id);
        let above = options.up.min(options.cap.saturating_sub(1));
        tree.truncated = line.len() > above.saturating_add(1) && above < options.up;
        line.truncate(above.saturating_add(1));
        for node in line.into_iter().rev() {
            let parent = tree.nodes.len().checked_sub(1);
            self.push(&mut tree, self.graph.id(node), parent);
        }
        tree.focus = tree.nodes.len().saturating_sub(1);
        if let Some(at) = self.place(id) {
            let others = self.ranked_links(self.other_children(at), usize::MAX, passes);
            tree.other_children = others.into_iter().filter_map(|link| self.relative(link)).collect();
        }

        let mut waiting: Vec<(i64, usize, usize)> = Vec::new();
        if !tree.nodes.is_empty() {
            let children = self.shown_children(id, (sifted, 1), options);
            tree.await_children(&mut waiting, (tree.focus, 1), children);
        }
        while let Some((child, parent, generation)) = waiting.pop() {
            if tree.nodes.len() >= options.cap {
                tree.truncated = true;
                break;
            }
            let at = self.push(&mut tree, child, Some(parent));
            let children = self.shown_children(child, (sifted, generation + 1), options);
            tree.await_children(&mut waiting, (at, generation + 1), children);
        }
        tree
    }

    /// Children under a model that are shown in a generation, the first `cap` of them, and how many there are; none below
    /// the last generation.
    fn shown_children(
        &self,
        id: i64,
        (sifted, generation): (Option<&Sifted>, usize),
        options: &SubtreeOptions,
    ) -> Option<(Vec<Link>, usize)> {
        let at = self.place(id).filter(|_| generation <= options.down)?;
        let Some(sifted) = sifted else {
            let own = self.own_children(at);
            return Some((self.ranked_links(own, options.cap, |_| true), own.len()));
        };
        let kept = self.kept_children(sifted, at);
        let links = match self.veils_nothing() {
            true => kept.iter().take(options.cap).filter_map(|(place, _)| self.to_place(*place)).collect(),
            false => {
                let edge = |(place, _): &(u32, u64)| self.primary_edge(self.at_place(*place)?);
                let edges: Vec<_> = kept.iter().filter_map(edge).collect();
                self.ranked_links(&edges, options.cap, |_| true)
            }
        };
        Some((links, kept.len()))
    }

    fn push(&self, tree: &mut Tree, id: i64, parent: Option<usize>) -> usize {
        let Some(node) = self.node(id) else { return tree.nodes.len() };
        let mut parents = self.parents(id);
        let primary = parents.iter().position(|link| link.primary).map(|at| parents.remove(at));
        let children = self.place(id).map_or(0, |at| self.own_children(at).len());
        let depth = parent.map_or(0, |at| tree.nodes[at].depth + 1);
        if let Some(at) = parent {
            tree.nodes[at].hidden = tree.nodes[at].hidden.saturating_sub(1);
        }
        tree.nodes.push(TreeNode {
            id,
            name: node.name.to_owned(),
            ghost: node.ghost,
            license: node.license.map(str::to_owned),
            downloads: node.downloads,
            depth,
            parent,
            relation: primary.map(|link| link.relation),
            proposed: primary.is_some_and(|link| link.proposed),
            contradicted: false,
            children,
            hidden: children,
            other_parents: parents.into_iter().filter_map(|link| self.relative(link)).collect(),
        });
        tree.nodes.len() - 1
    }

    fn relative(&self, link: Link) -> Option<Relative> {
        let node = self.node(link.id)?;
        let Link { id, relation, proposed, .. } = link;
        let (name, ghost) = (node.name.to_owned(), node.ghost);
        Some(Relative { id, name, ghost, relation, proposed, contradicted: false })
    }
}

impl Tree {
    /// Marks the edges, child and parent, that the weights contradict.
    pub fn mark(&mut self, forest: &Forest, contradicted: &HashSet<(i64, i64)>) {
        let focus = self.nodes.get(self.focus).map(|node| node.id);
        for node in &mut self.nodes {
            let parent = forest.primary_parent(node.id);
            node.contradicted = parent.is_some_and(|parent| contradicted.contains(&(node.id, parent)));
            for parent in &mut node.other_parents {
                parent.contradicted = contradicted.contains(&(node.id, parent.id));
            }
        }
        for child in &mut self.other_children {
            child.contradicted = focus.is_some_and(|focus| contradicted.contains(&(child.id, focus)));
        }
    }

    /// Puts children on the stack, the first on top.
    fn await_children(
        &mut self,
        waiting: &mut Vec<(i64, usize, usize)>,
        (parent, generation): (usize, usize),
        children: Option<(Vec<Link>, usize)>,
    ) {
        let Some((links, count)) = children else { return };
        self.nodes[parent].hidden = count;
        waiting.extend(links.into_iter().rev().map(|link| (link.id, parent, generation)));
    }

    /// One line a node, indented by generation; `*` marks the model asked for.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for (at, node) in self.nodes.iter().enumerate() {
            // Deep lines stay readable: indentation stops growing after 40 generations.
            let indent = "  ".repeat(node.depth.min(40));
            let mark = if at == self.focus { " *" } else { "" };
            let guess = match node {
                TreeNode { contradicted: true, .. } => ", contradicted by the weights",
                TreeNode { proposed: true, .. } => ", by its weights",
                _ => "",
            };
            let relation = node.relation.map(|relation| format!("  [{relation}{guess}]")).unwrap_or_default();
            let ghost = if node.ghost { "  (not here)" } else { "" };
            let more = if node.hidden > 0 { format!("  +{} more", node.hidden) } else { String::new() };
            let named = |parent: &Relative| match parent.contradicted {
                true => format!("{} (contradicted by the weights)", parent.name),
                false => parent.name.clone(),
            };
            let others: Vec<String> = node.other_parents.iter().take(3).map(named).collect();
            let others = match node.other_parents.len() {
                0 => String::new(),
                n if n > others.len() => {
                    format!("  also from {} and {}", others.join(", "), n - others.len())
                }
                _ => format!("  also from {}", others.join(", ")),
            };
            let _ = writeln!(text, "{indent}{}{mark}{relation}{others}{ghost}{more}", node.name);
        }
        if self.truncated {
            text.push_str("(cut at the limit)\n");
        }
        if self.sifted > 0 {
            let _ = writeln!(text, "({} hidden by the filter)", self.sifted);
        }
        text
    }
}
