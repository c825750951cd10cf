//! The kinship measures (arXiv 2410.12613). All follow from one set of sums; add one here to add a measure.

use kernels::PairSums;

/// One way to compare two weight deltas.
#[derive(Debug, Clone, Copy)]
pub struct Measure {
    pub id: &'static str,
    pub name: &'static str,
    pub formula: &'static str,
    pub reference: &'static str,
    /// Whether it compares deltas, so that it means nothing without a base.
    pub needs_base: bool,
    /// `None` when undefined, e.g. the angle to a model that did not change.
    pub of: fn(&PairSums) -> Option<f64>,
}

const PAPER: &str = "https://arxiv.org/abs/2410.12613";

/// Every measure.
pub const MEASURES: &[Measure] = &[
    Measure {
        id: "cosine",
        name: "Cosine",
        formula: "⟨δa,δb⟩ / (‖δa‖·‖δb‖)",
        reference: PAPER,
        needs_base: true,
        of: |sums| sums.cosine(),
    },
    Measure {
        id: "pearson",
        name: "Pearson",
        formula: "cosine of δa − mean(δa) and δb − mean(δb)",
        reference: PAPER,
        needs_base: true,
        of: |sums| sums.pearson(),
    },
    Measure {
        id: "euclidean",
        name: "Euclidean distance",
        formula: "‖δa − δb‖",
        reference: PAPER,
        needs_base: false,
        of: |sums| Some(sums.euclidean()),
    },
];
