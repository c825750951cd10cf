//! The answer: for each model its parents, how each is known, and what its card says otherwise.

use serde::Serialize;

/// Lineage recovered from weights.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    pub models: Vec<Model>,
    /// Ids of models of one origin, the root first.
    pub families: Vec<Vec<String>>,
    /// Pairs of models of one shape that have no common origin.
    pub unrelated: Vec<Unrelated>,
}

/// One model and where it comes from.
#[derive(Debug, Clone, Serialize)]
pub struct Model {
    pub id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Empty for a root.
    pub parents: Vec<Parent>,
    /// Bases that its card or adapter configuration names, as written.
    pub claimed: Vec<String>,
    /// What of that the weights exclude.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contradiction: Option<String>,
}

/// One parent.
#[derive(Debug, Clone, Serialize)]
pub struct Parent {
    pub id: String,
    pub relation: Kind,
    /// Weight in a merge; all of them and the base's are fitted together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
    /// 0 to 1: that the two are joined by one step, and in this direction.
    pub confidence: f64,
    pub direction: Direction,
    pub evidence: Vec<Evidence>,
}

/// Whether it is known which of two models came first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    Known,
    /// The better guess, at odds below four to one.
    Guessed,
}

/// How a child was made of a parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Finetune,
    Adapter,
    Quantized,
    Merge,
    /// The same values in another floating-point format.
    Cast,
    /// The same values.
    Duplicate,
    /// Layers left out, or weights set to zero.
    Pruned,
    /// Layers added or repeated.
    Extended,
    /// Hidden units in another order.
    Permuted,
    /// Normal noise added to every matrix.
    Noised,
}

impl Kind {
    /// The word of the JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Finetune => "finetune",
            Self::Adapter => "adapter",
            Self::Quantized => "quantized",
            Self::Merge => "merge",
            Self::Cast => "cast",
            Self::Duplicate => "duplicate",
            Self::Pruned => "pruned",
            Self::Extended => "extended",
            Self::Permuted => "permuted",
            Self::Noised => "noised",
        }
    }

    /// The nearest of the registry's relations.
    pub const fn relation(self) -> domain::Relation {
        match self {
            Self::Adapter => domain::Relation::Adapter,
            Self::Quantized | Self::Cast => domain::Relation::Quantized,
            Self::Merge => domain::Relation::Merge,
            _ => domain::Relation::Finetune,
        }
    }
}

/// One reason to believe an edge.
#[derive(Debug, Clone, Serialize)]
pub struct Evidence {
    /// A stable word for what was measured.
    pub method: &'static str,
    pub score: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub standard_error: Option<f64>,
    /// log₁₀ of the chance of such a score for unrelated models.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log10_p: Option<f64>,
    /// Tensors covered.
    pub tensors: usize,
    /// Parameters covered.
    pub parameters: u64,
    /// What that says.
    pub sentence: String,
}

/// Two models whose weights have no common origin.
#[derive(Debug, Clone, Serialize)]
pub struct Unrelated {
    pub a: String,
    pub b: String,
    /// Score of the permutation test, standard normal for unrelated models.
    pub score: f64,
    pub log10_p: f64,
}
