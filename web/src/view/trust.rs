//! What weights and people say of edges.

use super::Name;

/// A claim that the weights contradict.
#[derive(Debug, Clone, Default)]
pub struct ContradictionRow {
    pub model: Name,
    /// The claimed parent.
    pub base: Name,
    /// The model that the weights descend from.
    pub instead: Option<Name>,
    /// What the weights say.
    pub sentence: String,
}

/// One page of such claims, and the cursor of the next.
pub type Contradictions = (Vec<ContradictionRow>, Option<String>);

/// What a person says of an edge, as the form has it.
#[derive(Debug, Clone, Default)]
pub struct EdgeForm {
    pub model: String,
    pub parent: String,
    /// confirm, reject or add.
    pub decision: String,
    /// Empty for what the edge says already.
    pub relation: String,
    pub reason: String,
}
