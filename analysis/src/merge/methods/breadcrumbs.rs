//! Model Breadcrumbs (arXiv 2312.06795): a delta without its smallest elements and its outliers.

use super::prelude::*;

pub static BREADCRUMBS: TaskVectors =
    TaskVectors { spec: &SPEC, sparsifier: Sparsifier::Middle, consensus: Consensus::None };

const SPEC: MethodSpec = MethodSpec {
    id: "breadcrumbs",
    name: "Breadcrumbs",
    summary: "Drops the smallest and the very largest elements of each delta and adds the rest.",
    formula: "b + λ·Σ wᵢ·δ̃ᵢ with δ̃ᵢ what is left of δᵢ = xᵢ − b without its `gamma` largest elements: the `density` largest of these; with `normalize` divided by Σ wᵢ",
    reference: "https://arxiv.org/abs/2312.06795",
    base: BaseNeed::Delta,
    models: ModelCount::from(1),
    parameters: &[WEIGHT, DENSITY, GAMMA, NORMALIZE, RESCALE, RESCALE_NORM, LAMBDA, SCOPE],
    laws: &[Law::Identity, Law::Symmetry, Law::FirstWeight],
};
