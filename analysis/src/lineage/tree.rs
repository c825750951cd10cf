//! The piece of a family tree around one model, as a flat list so that its depth cannot hurt.

use std::fmt::Write as _;

use domain::Relation;
use serde::Serialize;

use super::forest::{Forest, Link};

/// How much of a tree to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubtreeOptions {
    /// Generations above, along primary parents.
    pub up: usize,
    /// Generations below.
    pub down: usize,
    /// Most nodes in the answer.
    pub cap: usize,
    /// Only children of these relations; empty means all.
    pub relations: Vec<Relation>,
}

impl Default for SubtreeOptions {
    fn default() -> Self {
        Self { up: usize::MAX, down: 1, cap: 1_000, relations: Vec::new() }
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
}

/// A model in a tree.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TreeNode {
    pub id: i64,
    pub name: String,
    pub ghost: bool,
    pub license: Option<String>,
    pub downloads: i64,
    /// Generations below the tree's first node.
    pub depth: usize,
    /// Position of the primary parent in the list; `None` for the first node.
    pub parent: Option<usize>,
    /// How it descends from its primary parent, shown or not.
    pub relation: Option<Relation>,
    /// Whether nobody but the weights says so.
    pub proposed: bool,
    /// Children under it in the whole forest.
    pub children: usize,
    /// Children under it that are not in the list.
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
    /// Children of the model that hang under another primary parent.
    pub other_children: Vec<Relative>,
}

impl Forest {
    /// The line of primary parents down to a model, and the tree of primary children below it.
    /// Empty for an unknown model.
    pub fn subtree(&self, id: i64, options: &SubtreeOptions) -> Tree {
        let wanted = |link: &Link| options.relations.is_empty() || options.relations.contains(&link.relation);
        let mut tree = Tree { nodes: Vec::new(), focus: 0, truncated: false, other_children: Vec::new() };
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
            let others = self.ranked_links(self.other_children(at), usize::MAX, wanted);
            tree.other_children = others.into_iter().filter_map(|link| self.relative(link)).collect();
        }

        let mut waiting: Vec<(i64, usize, usize)> = Vec::new();
        if !tree.nodes.is_empty() {
            self.queue(&mut waiting, id, (tree.focus, 1), options);
        }
        while let Some((child, parent, generation)) = waiting.pop() {
            if tree.nodes.len() >= options.cap {
                tree.truncated = true;
                break;
            }
            let at = self.push(&mut tree, child, Some(parent));
            self.queue(&mut waiting, child, (at, generation + 1), options);
        }
        tree
    }

    /// Puts the primary children on the stack, the first on top.
    fn queue(
        &self,
        waiting: &mut Vec<(i64, usize, usize)>,
        id: i64,
        at: (usize, usize),
        options: &SubtreeOptions,
    ) {
        let (parent, generation) = at;
        if generation > options.down {
            return;
        }
        let wanted = |link: &Link| options.relations.is_empty() || options.relations.contains(&link.relation);
        let Some(at) = self.place(id) else { return };
        // More than the cap are never taken from here.
        let children = self.ranked_links(self.own_children(at), options.cap, wanted);
        waiting.extend(children.into_iter().rev().map(|link| (link.id, parent, generation)));
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
            children,
            hidden: children,
            other_parents: parents.into_iter().filter_map(|link| self.relative(link)).collect(),
        });
        tree.nodes.len() - 1
    }

    fn relative(&self, link: Link) -> Option<Relative> {
        let node = self.node(link.id)?;
        let Link { id, relation, proposed, .. } = link;
        Some(Relative { id, name: node.name.to_owned(), ghost: node.ghost, relation, proposed })
    }
}

impl Tree {
    /// One line a node, indented by generation; `*` marks the model asked for.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for (at, node) in self.nodes.iter().enumerate() {
            // Deep lines stay readable: indentation stops growing after 40 generations.
            let indent = "  ".repeat(node.depth.min(40));
            let mark = if at == self.focus { " *" } else { "" };
            let guess = if node.proposed { ", by its weights" } else { "" };
            let relation = node.relation.map(|relation| format!("  [{relation}{guess}]")).unwrap_or_default();
            let ghost = if node.ghost { "  (not here)" } else { "" };
            let more = if node.hidden > 0 { format!("  +{} more", node.hidden) } else { String::new() };
            let others: Vec<&str> = node.other_parents.iter().take(3).map(|p| p.name.as_str()).collect();
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
        text
    }
}
