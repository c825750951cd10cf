//! A piece of a family tree, flat so that its depth cannot hurt.

use domain::Relation;

use super::{ChildGroup, LicenceClass, Name, Narrowing, ParentLink};

/// How much of the tree to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineageQuery {
    /// Generations above; `None` means up to the root.
    pub up: Option<u32>,
    /// Generations below.
    pub down: u32,
    /// What is shown below the model.
    pub narrowing: Narrowing,
}

impl Default for LineageQuery {
    fn default() -> Self {
        Self { up: None, down: 1, narrowing: Narrowing::default() }
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
    pub license: Option<String>,
    /// Children that exist but are not in the list.
    pub hidden: u64,
}

impl LineageNode {
    pub(crate) fn licence_class(&self) -> LicenceClass {
        LicenceClass::of(self.license.as_deref())
    }
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
    /// Ancestors that are not drawn, since the tree follows first parents alone, nearest first.
    pub ancestors: Vec<AncestorRow>,
    /// Those of them that are not in the list.
    pub ancestors_hidden: u64,
    pub rejected: Vec<RejectedEdge>,
    /// Models in the generations shown that the narrowing holds back.
    pub held_back: u64,
    /// The model's children by relation, drawn or not.
    pub groups: Vec<ChildGroup>,
}

impl LineagePage {
    pub(crate) fn children(&self) -> u64 {
        self.groups.iter().map(|group| group.count).sum()
    }

    /// Ancestors that are not drawn.
    pub(crate) fn off_the_line(&self) -> u64 {
        self.ancestors.len() as u64 + self.ancestors_hidden
    }
}
