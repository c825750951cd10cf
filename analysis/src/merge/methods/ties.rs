//! TIES (arXiv 2306.01708): trim each delta to its largest elements, elect a sign per element, add what agrees.

use super::prelude::*;

pub static TIES: TaskVectors =
    TaskVectors { spec: &SPEC, sparsifier: Sparsifier::Magnitude, consensus: Consensus::Elected };

const SPEC: MethodSpec = MethodSpec {
    id: "ties",
    name: "TIES",
    summary: "Keeps the largest elements of each delta, elects a sign per element and adds those that agree.",
    formula: "b + λ·Σ_A wᵢ·δ̃ᵢ / Σ_A wᵢ with δ̃ᵢ the `density` largest elements of δᵢ = xᵢ − b, s = sign(Σ wᵢ·δ̃ᵢ) and A the models where wᵢ·δ̃ᵢ has the sign s; without `normalize` not divided",
    reference: "https://arxiv.org/abs/2306.01708",
    base: BaseNeed::Delta,
    models: ModelCount::from(1),
    parameters: &[
        WEIGHT,
        DENSITY,
        NORMALIZE.on(),
        RESCALE,
        RESCALE_NORM,
        LAMBDA,
        TRIM_SCOPE,
        ZERO_SIGN,
        DIVISOR,
        ELECTION,
    ],
    laws: &[Law::Identity, Law::Symmetry, Law::FirstWeight],
};
