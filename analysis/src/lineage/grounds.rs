//! What speaks for the edges of a tree, and the tree as text with it.

use std::{collections::HashMap, fmt::Write as _};

use domain::{Known, Relation, Source, Told, days_between};
use serde::Serialize;

use super::{
    forest::Forest,
    tree::{Relative, Tree},
};

/// Further children that the text of a tree lists.
const FURTHER: usize = 20;

/// What speaks for an edge, and against it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Grounds {
    /// Where what speaks for it comes from, each source once.
    pub evidence: Vec<Source>,
    /// Of the strongest evidence, 0 to 1.
    pub confidence: Option<f64>,
    /// Whether the weights agree with the claim.
    pub verified: bool,
    /// Whether the weights contradict it.
    pub contradicted: bool,
    /// All of it, and the dates, in one word.
    pub known: Option<Known>,
}

impl Tree {
    /// Marks the edges, each a child and its parent, with what is told of them.
    pub fn mark(&mut self, forest: &Forest, told: &HashMap<(i64, i64), Grounds>) {
        let created = |id| forest.node(id).and_then(|node| node.created_at);
        let of = |(child, parent): (i64, i64), proposed: bool| {
            let mut grounds = told.get(&(child, parent)).cloned().unwrap_or_default();
            grounds.known = Known::of(Told {
                evidence: &grounds.evidence,
                proposed,
                verified: grounds.verified,
                contradicted: grounds.contradicted,
                days: created(parent).zip(created(child)).map(|(parent, child)| days_between(parent, child)),
            });
            grounds
        };
        let focus = self.nodes.get(self.focus).map(|node| node.id);
        for node in &mut self.nodes {
            if let Some(parent) = forest.primary_parent(node.id) {
                node.grounds = of((node.id, parent), node.proposed);
            }
            for parent in &mut node.other_parents {
                parent.grounds = of((node.id, parent.id), parent.proposed);
            }
        }
        for (child, focus) in self.other_children.iter_mut().zip(focus.into_iter().cycle()) {
            child.grounds = of((child.id, focus), child.proposed);
        }
    }

    /// One line a node, indented by generation; `*` marks the model asked for, a sign behind the relation how it is known.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        let mut signs: Vec<Known> = Vec::new();
        let mut tell = |relation: Relation, grounds: &Grounds| {
            let Some(known) = grounds.known else { return format!("[{relation}]") };
            if !signs.contains(&known) {
                signs.push(known);
            }
            format!("[{relation} {}{}]", known.sign(), aloud(known))
        };
        for (at, node) in self.nodes.iter().enumerate() {
            // Deep lines stay readable: indentation stops growing after 40 generations.
            let indent = "  ".repeat(node.depth.min(40));
            let mark = if at == self.focus { " *" } else { "" };
            let relation = node.relation.map(|relation| format!("  {}", tell(relation, &node.grounds)));
            let ghost = if node.ghost { "  (not here)" } else { "" };
            let more = if node.hidden > 0 { format!("  +{} more", node.hidden) } else { String::new() };
            let mut named =
                |parent: &Relative| format!("{} {}", parent.name, tell(parent.relation, &parent.grounds));
            let others: Vec<String> = node.other_parents.iter().take(3).map(&mut named).collect();
            let others = match node.other_parents.len() {
                0 => String::new(),
                n if n > others.len() => {
                    format!("  also from {} and {}", others.join(", "), n - others.len())
                }
                _ => format!("  also from {}", others.join(", ")),
            };
            let relation = relation.unwrap_or_default();
            let _ = writeln!(text, "{indent}{}{mark}{relation}{others}{ghost}{more}", node.name);
        }
        if let Some(focus) = self.nodes.get(self.focus).filter(|_| !self.other_children.is_empty()) {
            let _ = writeln!(text, "also name {} as a parent:", focus.name);
            for child in self.other_children.iter().take(FURTHER) {
                let under = child.under.as_ref().map(|under| format!(", under {under}")).unwrap_or_default();
                let _ = writeln!(text, "  {}  {}{under}", child.name, tell(child.relation, &child.grounds));
            }
            if let Some(more) = self.other_children.len().checked_sub(FURTHER + 1) {
                let _ = writeln!(text, "  and {} more", more + 1);
            }
        }
        if self.truncated {
            text.push_str("(cut at the limit)\n");
        }
        if self.sifted > 0 {
            let _ = writeln!(text, "({} hidden by the filter)", self.sifted);
        }
        let legend = Known::ALL.into_iter().filter(|known| signs.contains(known));
        let legend: Vec<String> =
            legend.map(|known| format!("{} {}", known.sign(), known.meaning())).collect();
        if !legend.is_empty() {
            let _ = writeln!(text, "({})", legend.join("; "));
        }
        text
    }
}

/// What a reader must not overlook, in words behind the sign.
const fn aloud(known: Known) -> &'static str {
    match known {
        Known::Contradicted => " contradicted by the weights",
        Known::Doubted => " the parent is dated later",
        Known::ByWeights => " by its weights",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use domain::EdgeStatus;

    use super::*;
    use crate::lineage::{ForestEdge, Node, SubtreeOptions};

    fn node(id: i64) -> Node {
        let name = format!("org/m{id}");
        Node { id, name, created_at: Some(id), ghost: false, downloads: None, license: None, size: None }
    }

    fn edge(child: i64, parent: i64) -> ForestEdge {
        let (relation, status) = (Relation::Finetune, EdgeStatus::Accepted);
        ForestEdge { id: child * 100 + parent, child, parent, relation, status }
    }

    #[test]
    fn a_tree_marks_how_its_edges_are_known() {
        let edges = [(3, 1), (3, 2), (4, 3), (5, 1), (5, 3)].map(|(child, parent)| edge(child, parent));
        let forest = Forest::build((1..=5).map(node), edges.into_iter());
        let mut tree = forest.subtree(3, &SubtreeOptions::default());
        let claimed = Grounds { evidence: vec![Source::Card], confidence: Some(0.8), ..Grounds::default() };
        let agreed = Grounds { verified: true, ..claimed.clone() };
        let against = Grounds { contradicted: true, ..claimed.clone() };

        tree.mark(
            &forest,
            &[((3, 1), agreed), ((3, 2), claimed), ((4, 3), against.clone()), ((5, 3), against)].into(),
        );

        let told = tree.to_text();
        assert!(told.contains("org/m3 *  [finetune ✓]  also from org/m2 [finetune “]"), "{told}");
        assert!(told.contains("org/m4  [finetune ✗ contradicted by the weights]"), "{told}");
        let further = "also name org/m3 as a parent:\n  org/m5  [finetune ✗ contradicted by the weights], under org/m1\n";
        assert!(told.contains(further), "{told}");
        assert!(
            told.contains("(✓ claimed, and the weights agree; “ claimed, not checked on weights; ✗"),
            "{told}"
        );
        assert_eq!(tree.nodes[1].grounds.confidence, Some(0.8));
    }

    #[test]
    fn an_edge_to_a_parent_that_is_dated_later_is_doubted() {
        let dated = |id: i64, day: i64| Node { created_at: Some(day * 86_400), ..node(id) };
        let forest = Forest::build(
            [dated(1, 9), dated(2, 7), dated(3, 9)].into_iter(),
            [edge(2, 1), edge(3, 1)].into_iter(),
        );
        let mut tree = forest.subtree(1, &SubtreeOptions::default());
        let claimed = Grounds { evidence: vec![Source::Tag], ..Grounds::default() };

        tree.mark(&forest, &[((2, 1), claimed.clone()), ((3, 1), claimed)].into());

        let told = tree.to_text();
        assert!(told.contains("org/m2  [finetune ? the parent is dated later]"), "{told}");
        assert!(told.contains("org/m3  [finetune “]"), "{told}");
    }
}
