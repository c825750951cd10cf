//! Task arithmetic (arXiv 2212.04089): `b + λ·Σ w·(x − b)`, the sum over `Σ w` when normalised.

use super::prelude::*;

pub static TASK_ARITHMETIC: TaskVectors =
    TaskVectors { spec: &SPEC, sparsifier: Sparsifier::None, consensus: Consensus::None };

const SPEC: MethodSpec = MethodSpec {
    id: "task_arithmetic",
    name: "Task arithmetic",
    summary: "Adds the weighted deltas of several fine-tunes to their base.",
    formula: "b + λ·Σ wᵢ·δᵢ with δᵢ = xᵢ − b; with `normalize` the sum is divided by Σ wᵢ",
    reference: "https://arxiv.org/abs/2212.04089",
    base: BaseNeed::Delta,
    models: ModelCount::from(1),
    parameters: &[WEIGHT, NORMALIZE, LAMBDA],
    laws: &[Law::Identity, Law::Symmetry, Law::FirstWeight],
};
