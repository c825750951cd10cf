//! The piece of a family tree around one model, as a flat list so that its depth cannot hurt.

use std::collections::HashMap;

use domain::Relation;
use petgraph::graph::NodeIndex;
use serde::Serialize;

use super::{
    forest::{Forest, Link},
    grounds::Grounds,
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
    /// How children are grouped; without it the most downloaded come first, whatever their relation.
    pub groups: Option<Groups>,
}

impl Default for SubtreeOptions {
    fn default() -> Self {
        Self { up: usize::MAX, down: 1, cap: 1_000, sieve: Sieve::default(), groups: None }
    }
}

/// The children of a model by relation, the largest group first; in a group those that have children of their own first,
/// then the most downloaded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Groups {
    /// Children shown of a group.
    pub most: usize,
    /// Groups that are opened, a model and a relation each; they are shown below the last generation too.
    pub open: Vec<(i64, Relation)>,
    /// Children shown of an opened group.
    pub opened: usize,
}

impl Groups {
    /// Children of a group that are shown; below the generations asked for only opened ones are.
    fn room(&self, (model, relation): (i64, Relation), generation: Generation) -> usize {
        match (self.open.contains(&(model, relation)), generation) {
            (true, _) => self.opened,
            (false, Generation::Asked) => self.most,
            (false, Generation::Deeper) => 0,
        }
    }
}

/// Whether a generation is among those asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Generation {
    Asked,
    Deeper,
}

/// Children of one model that are shown.
struct Shown {
    links: Vec<Link>,
    /// All that pass the sieve.
    count: usize,
    /// The same by relation, the largest group first; empty where children are not grouped.
    groups: Vec<(Relation, usize)>,
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
    /// The parent that a child hangs under instead.
    pub under: Option<String>,
    /// What speaks for the edge, once [`Tree::mark`] was told.
    pub grounds: Grounds,
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
    /// What speaks for the edge to its primary parent, once [`Tree::mark`] was told.
    pub grounds: Grounds,
    /// Children under it in the whole forest.
    pub children: usize,
    /// Children under it that are not in the list, but for those that the sieve holds back.
    pub hidden: usize,
    /// The same by relation, the largest group first; empty where children are not grouped.
    #[serde(skip)]
    pub rest: Vec<(Relation, usize)>,
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
            let parent = |id| Some(self.node(self.primary_parent(id)?)?.name.to_owned());
            let child = |link: Link| Some(Relative { under: parent(link.id), ..self.relative(link)? });
            tree.other_children = others.into_iter().filter_map(child).collect();
        }

        let mut waiting: Vec<(i64, usize, usize)> = Vec::new();
        let mut groups: HashMap<usize, Vec<(Relation, usize)>> = HashMap::new();
        if !tree.nodes.is_empty() {
            let children = self.shown_children(id, (sifted, 1), options);
            groups.extend(tree.await_children(&mut waiting, (tree.focus, 1), children));
        }
        while let Some((child, parent, generation)) = waiting.pop() {
            if tree.nodes.len() >= options.cap {
                tree.truncated = true;
                break;
            }
            let at = self.push(&mut tree, child, Some(parent));
            let children = self.shown_children(child, (sifted, generation + 1), options);
            groups.extend(tree.await_children(&mut waiting, (at, generation + 1), children));
        }
        if options.groups.is_some() {
            self.count_the_rest(&mut tree, groups);
        }
        tree
    }

    /// Tells of each node how many children of each relation are not in the list; `groups` has the children that pass the
    /// sieve, of other nodes all count.
    fn count_the_rest(&self, tree: &mut Tree, mut groups: HashMap<usize, Vec<(Relation, usize)>>) {
        for at in 0..tree.nodes.len() {
            let all = |id| self.place(id).map_or(&[][..], |place| self.own_children(place));
            let rest = groups.remove(&at);
            tree.nodes[at].rest = rest.unwrap_or_else(|| {
                counted(all(tree.nodes[at].id).iter().map(|edge| self.graph.edge(*edge).relation))
            });
            let (Some(parent), Some(relation)) = (tree.nodes[at].parent, tree.nodes[at].relation) else {
                continue;
            };
            let group = tree.nodes[parent].rest.iter_mut().find(|(known, _)| *known == relation);
            if let Some((_, left)) = group {
                *left = left.saturating_sub(1);
            }
        }
        for node in &mut tree.nodes {
            node.rest.retain(|(_, left)| *left > 0);
        }
    }

    /// Children under a model that are shown in a generation, the first `cap` of them, and how many there are; none below
    /// the last generation but for opened groups.
    fn shown_children(
        &self,
        id: i64,
        (sifted, generation): (Option<&Sifted>, usize),
        options: &SubtreeOptions,
    ) -> Option<Shown> {
        let at = self.place(id)?;
        let Some(groups) = &options.groups else {
            if generation > options.down {
                return None;
            }
            let (links, count) = self.ranked_children(at, sifted, options.cap);
            return Some(Shown { links, count, groups: Vec::new() });
        };
        let (links, generation) = match generation <= options.down {
            true => (self.ranked_children(at, sifted, usize::MAX).0, Generation::Asked),
            false => {
                groups.open.iter().find(|(model, _)| *model == id)?;
                let passes = |link: &Link| {
                    self.node(link.id).is_some_and(|node| options.sieve.passes(node, Some(link.relation)))
                };
                (self.ranked_links(self.own_children(at), usize::MAX, passes), Generation::Deeper)
            }
        };
        let counts = counted(links.iter().map(|link| link.relation));
        let mut shown = Vec::new();
        for (relation, _) in &counts {
            let mut group: Vec<&Link> = links.iter().filter(|link| link.relation == *relation).collect();
            group.sort_by_key(|link| self.family_size(link.id) <= 1);
            let room = groups.room((id, *relation), generation).min(options.cap);
            shown.extend(group.into_iter().take(room).copied());
        }
        Some(Shown { links: shown, count: links.len(), groups: counts })
    }

    /// Children under a model that pass the sieve, the first `most` of them, and how many there are.
    fn ranked_children(&self, at: NodeIndex, sifted: Option<&Sifted>, most: usize) -> (Vec<Link>, usize) {
        let Some(sifted) = sifted else {
            let own = self.own_children(at);
            return (self.ranked_links(own, most, |_| true), own.len());
        };
        let kept = self.kept_children(sifted, at);
        let links = match self.veils_nothing() {
            true => kept.iter().take(most).filter_map(|(place, _)| self.to_place(*place)).collect(),
            false => {
                let edge = |(place, _): &(u32, u64)| self.primary_edge(self.at_place(*place)?);
                let edges: Vec<_> = kept.iter().filter_map(edge).collect();
                self.ranked_links(&edges, most, |_| true)
            }
        };
        (links, kept.len())
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
            grounds: Grounds::default(),
            children,
            hidden: children,
            rest: Vec::new(),
            other_parents: parents.into_iter().filter_map(|link| self.relative(link)).collect(),
        });
        tree.nodes.len() - 1
    }

    fn relative(&self, link: Link) -> Option<Relative> {
        let node = self.node(link.id)?;
        let Link { id, relation, proposed, .. } = link;
        let (name, ghost) = (node.name.to_owned(), node.ghost);
        let (under, grounds) = (None, Grounds::default());
        Some(Relative { id, name, ghost, relation, proposed, under, grounds })
    }
}

/// How often each relation occurs, the most frequent first.
fn counted(relations: impl Iterator<Item = Relation>) -> Vec<(Relation, usize)> {
    let mut counts: Vec<(Relation, usize)> = Vec::new();
    for relation in relations {
        match counts.iter_mut().find(|(known, _)| *known == relation) {
            Some((_, count)) => *count += 1,
            None => counts.push((relation, 1)),
        }
    }
    counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.as_str().cmp(b.0.as_str())));
    counts
}

impl Tree {
    /// Puts children on the stack, the first on top; the groups of the parent's children.
    fn await_children(
        &mut self,
        waiting: &mut Vec<(i64, usize, usize)>,
        (parent, generation): (usize, usize),
        children: Option<Shown>,
    ) -> Option<(usize, Vec<(Relation, usize)>)> {
        let Shown { links, count, groups } = children?;
        self.nodes[parent].hidden = count;
        waiting.extend(links.into_iter().rev().map(|link| (link.id, parent, generation)));
        Some((parent, groups))
    }
}

#[cfg(test)]
mod tests {
    use domain::EdgeStatus;

    use super::*;
    use crate::lineage::{ForestEdge, Node};

    /// A root with 30 fine-tunes, the last with a child of its own, and 3 adapters.
    fn wide() -> Forest {
        let node = |id: i64| Node {
            id,
            name: format!("org/m{id:02}"),
            created_at: Some(id),
            ghost: false,
            downloads: Some(1_000 - id),
            license: None,
            size: None,
        };
        let edge = |child: i64, parent: i64| ForestEdge {
            id: child,
            child,
            parent,
            relation: if (32..=34).contains(&child) { Relation::Adapter } else { Relation::Finetune },
            status: EdgeStatus::Accepted,
        };
        let edges: Vec<ForestEdge> = (2..=34).map(|child| edge(child, 1)).chain([edge(35, 31)]).collect();
        Forest::build((1..=35).map(node), edges.into_iter())
    }

    fn grouped(down: usize, open: &[(i64, Relation)]) -> Tree {
        let groups = Groups { most: 4, open: open.to_vec(), opened: 100 };
        wide().subtree(1, &SubtreeOptions { down, groups: Some(groups), ..SubtreeOptions::default() })
    }

    #[test]
    fn children_are_grouped_and_those_with_children_of_their_own_come_first() {
        let tree = grouped(1, &[]);

        let shown: Vec<i64> = tree.nodes.iter().map(|node| node.id).collect();
        assert_eq!(shown, [1, 31, 2, 3, 4, 32, 33, 34]);
        assert_eq!(tree.nodes[0].rest, [(Relation::Finetune, 26)]);
        assert_eq!((tree.nodes[0].hidden, tree.nodes[1].hidden), (26, 1));
        assert_eq!(tree.nodes[1].rest, [(Relation::Finetune, 1)]);
    }

    #[test]
    fn an_opened_group_shows_what_it_has_below_the_last_generation_too() {
        let tree = grouped(1, &[(1, Relation::Finetune), (31, Relation::Finetune)]);

        assert_eq!(tree.nodes.len(), 35);
        assert!(tree.nodes.iter().all(|node| node.rest.is_empty() && node.hidden == 0));
        let deepest = tree.nodes.iter().find(|node| node.id == 35).unwrap();
        assert_eq!(deepest.depth, 2);
    }
}
