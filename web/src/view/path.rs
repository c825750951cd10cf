//! How two models are related: the path from one to the other over edges of descent.

use super::{LineageNode, Name};

/// A model on the path.
#[derive(Debug, Clone, Default)]
pub struct PathLine {
    pub name: Name,
    /// Only known by name.
    pub ghost: bool,
    /// What joins it to the model before; none for the first.
    pub edge: Option<PathLink>,
}

/// What joins two neighbours.
#[derive(Debug, Clone, Default)]
pub struct PathLink {
    /// `is a fine-tune of` or `was fine-tuned to`, read from the model before.
    pub phrase: &'static str,
    /// Where it is known from, in words; may be empty.
    pub sources: String,
    /// Nobody but the weights speaks for it.
    pub inferred: bool,
    /// The weights contradict it.
    pub contradicted: bool,
}

/// The path between two models.
#[derive(Debug, Clone, Default)]
pub struct PathPage {
    pub from: Name,
    pub to: Name,
    /// How they are related, in one sentence.
    pub sentence: String,
    /// The ancestor that both descend from, which may be one of the two.
    pub ancestor: Option<Name>,
    /// From the first model to the second; empty where no path is known.
    pub lines: Vec<PathLine>,
    /// Models between that are not listed.
    pub hidden: u64,
    /// The two lines of descent as a tree; empty where they meet in a descendant.
    pub nodes: Vec<LineageNode>,
    /// Positions of the two models in the tree.
    pub ends: [usize; 2],
}
