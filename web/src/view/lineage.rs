//! A piece of a family tree, flat so that its depth cannot hurt.

use domain::{Known, Relation, Source, Told};

use super::{ChildGroup, Count, LicenceClass, Name, Narrowing, ParentLink, evidence, plural};

/// How much of the tree to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineageQuery {
    /// Generations above; `None` means up to the root.
    pub up: Option<u32>,
    /// Generations below.
    pub down: u32,
    /// What is shown below the model.
    pub narrowing: Narrowing,
    /// Groups that are opened: children of a model that descend from it in one way.
    pub open: Vec<(Relation, Name)>,
}

impl Default for LineageQuery {
    fn default() -> Self {
        Self { up: None, down: 1, narrowing: Narrowing::default(), open: Vec::new() }
    }
}

/// Children of a model that are not in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rest {
    /// How they descend from it; none where that is not told apart.
    pub relation: Option<Relation>,
    pub count: u64,
}

/// An edge from a parent beyond the first that is in the list.
#[derive(Debug, Clone)]
pub struct FurtherParent {
    /// Its position in the list.
    pub node: usize,
    pub relation: Relation,
    /// Nobody but the weights speaks for it.
    pub inferred: bool,
    /// The weights contradict it.
    pub contradicted: bool,
}

impl FurtherParent {
    /// The edge in words.
    pub(crate) fn told(&self) -> String {
        let known = match self {
            Self { contradicted: true, .. } => ", contradicted by the weights",
            Self { inferred: true, .. } => ", known by its weights alone",
            _ => "",
        };
        format!("{}{known}", self.relation)
    }
}

/// One node; a parent always stands before its children.
#[derive(Debug, Clone, Default)]
pub struct LineageNode {
    pub name: Name,
    /// Position of the primary parent in the list; `None` for the topmost node.
    pub parent: Option<usize>,
    /// How it descends from that parent.
    pub relation: Option<Relation>,
    /// Only known by name.
    pub ghost: bool,
    /// Nobody but the weights speaks for the edge.
    pub inferred: bool,
    /// The weights contradict the edge.
    pub contradicted: bool,
    /// The weights agree with the edge.
    pub verified: bool,
    /// What speaks for the edge.
    pub evidence: Vec<Source>,
    pub license: Option<String>,
    /// None where nobody counts.
    pub downloads: Option<u64>,
    /// An advisory is in force about the model itself.
    pub advised: bool,
    /// What was measured of the edge, in clauses.
    pub measured: Vec<String>,
    /// Days from the parent's creation to its own.
    pub later: Option<i64>,
    /// Children that exist but are not in the list, group by group.
    pub hidden: Vec<Rest>,
    /// Belongs to a group that was opened.
    pub opened: bool,
    /// The model in the list that it is a further parent of, and stands beside the first parent of.
    pub beside: Option<usize>,
    /// Edges from parents beyond the first that are in the list.
    pub further: Vec<FurtherParent>,
}

impl LineageNode {
    pub(crate) fn licence_class(&self) -> LicenceClass {
        LicenceClass::of(self.license.as_deref())
    }

    /// How the edge to the parent is known; none without an edge, or where nothing is told of it.
    pub(crate) fn known(&self) -> Option<Known> {
        self.relation?;
        Known::of(Told {
            evidence: &self.evidence,
            proposed: self.inferred,
            verified: self.verified,
            contradicted: self.contradicted,
            days: self.later,
        })
    }

    /// How the edge to the parent is known, in words; empty where nothing is told of it.
    pub(crate) fn grounds(&self) -> String {
        let mut phrases: Vec<&str> = Vec::new();
        // That the weights agree is said once.
        let told = self.evidence.iter().filter(|source| !self.verified || **source != Source::Weights);
        for phrase in told.map(|source| source.phrase()) {
            if !phrases.contains(&phrase) {
                phrases.push(phrase);
            }
        }
        match self.known() {
            Some(Known::ByWeights) => phrases = vec!["known by its weights alone"],
            Some(Known::Contradicted) => phrases.push("contradicted by the weights"),
            Some(_) if self.verified => phrases.push("the weights agree"),
            _ => {}
        }
        let mut clauses = vec![phrases.join(", ")];
        clauses.extend(self.measured.iter().cloned());
        clauses.extend(self.later.map(evidence::later));
        clauses.retain(|clause| !clause.is_empty());
        clauses.join("; ")
    }
}

/// The class of what is written on an edge that is known so.
pub(crate) fn known_class(known: &Known) -> &'static str {
    match known {
        Known::Made | Known::Verified => "known good",
        Known::Contradicted | Known::Doubted => "known bad",
        _ => "known",
    }
}

/// How the lines of edges that are known so are drawn, where that is not as others are.
pub(crate) fn known_line(known: &Known) -> &'static str {
    match known {
        Known::ByWeights => " (dashed line)",
        Known::Contradicted => " (dotted line)",
        _ => "",
    }
}

/// A child that hangs under another parent in trees.
#[derive(Debug, Clone, Default)]
pub struct ChildLink {
    pub name: Name,
    pub ghost: bool,
    /// How it descends from the model.
    pub relation: Option<Relation>,
    /// Nobody but the weights says so.
    pub inferred: bool,
    /// The weights contradict it.
    pub contradicted: bool,
    /// The parent that it hangs under.
    pub under: Option<Name>,
}

/// An ancestor that is not drawn.
#[derive(Debug, Clone, Default)]
pub struct AncestorRow {
    pub name: Name,
    /// Generations above the model, by the fewest steps.
    pub generations: u64,
    /// The model on the way that it is a parent of.
    pub child: Name,
}

/// An edge kept out of the tree.
#[derive(Debug, Clone)]
pub struct RejectedEdge {
    pub child: Name,
    pub parent: Name,
    pub relation: Relation,
    pub reason: String,
}

/// The lineage of one model.
#[derive(Debug, Clone, Default)]
pub struct LineagePage {
    pub name: Name,
    /// The tree, a parent before its children.
    pub nodes: Vec<LineageNode>,
    /// Position of the model itself.
    pub focus: usize,
    /// The first of the model's parents beyond the primary one.
    pub other_parents: Vec<ParentLink>,
    /// Parents that are not in the list.
    pub other_parents_hidden: u64,
    /// The first of the model's children that hang under another parent, among those that pass the narrowing.
    pub other_children: Vec<ChildLink>,
    /// Such children that are not in the list.
    pub other_children_hidden: u64,
    /// Models in the family of the tree's first node that pass the narrowing, drawn or not.
    pub below: u64,
    /// Ancestors that are not drawn, since the tree follows first parents alone, nearest first.
    pub ancestors: Vec<AncestorRow>,
    /// Those of them that are not in the list.
    pub ancestors_hidden: u64,
    pub rejected: Vec<RejectedEdge>,
    pub rejected_hidden: u64,
    /// Models in the generations shown that the narrowing holds back.
    pub held_back: u64,
    /// The model's children by relation, drawn or not.
    pub groups: Vec<ChildGroup>,
    /// The model's children by the month of their creation.
    pub growth: Growth,
}

/// Children by month.
#[derive(Debug, Clone, Default)]
pub struct Growth {
    /// `2024-05` with the number of children, from the first month with one to the last without a gap.
    pub months: Vec<(String, u64)>,
    /// Children created in other months.
    pub outside: u64,
    /// Children without a date.
    pub undated: u64,
}

impl Growth {
    /// What the picture shows, in a sentence or two; empty where no child has a date.
    pub(crate) fn told(&self) -> String {
        let (Some((first, _)), Some((last, _))) = (self.months.first(), self.months.last()) else {
            return String::new();
        };
        let all = plural(self.months.iter().map(|(_, count)| count).sum(), "child", "children");
        let best = self.months.iter().rev().max_by_key(|(_, count)| *count);
        let best = best.filter(|_| first != last);
        let best = best.map(|(month, count)| format!(", most in {month}: {}", Count(*count)));
        let span = if first == last { format!("in {first}") } else { format!("from {first} to {last}") };
        let mut told = format!("{all} {span}{}.", best.unwrap_or_default());
        for (count, what) in [(self.outside, "created in other months"), (self.undated, "without a date")] {
            if count > 0 {
                told.push_str(&format!(" {} more {what}.", Count(count)));
            }
        }
        told
    }
}

impl LineagePage {
    pub(crate) fn children(&self) -> u64 {
        self.groups.iter().map(|group| group.count).sum()
    }

    /// Its children under another parent, as part of a sentence; empty without any.
    pub(crate) fn elsewhere(&self) -> String {
        let count = self.other_children.len() as u64 + self.other_children_hidden;
        match count {
            0 => String::new(),
            count => format!(
                " {} of its {} {} under another parent.",
                Count(count),
                plural(self.children(), "child", "children"),
                if count == 1 { "hangs" } else { "hang" }
            ),
        }
    }

    /// Ancestors that are not drawn.
    pub(crate) fn off_the_line(&self) -> u64 {
        self.ancestors.len() as u64 + self.ancestors_hidden
    }
}
