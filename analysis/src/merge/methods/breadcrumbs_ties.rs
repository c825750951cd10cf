//! Model Breadcrumbs (arXiv 2312.06795) with the sign election of TIES.

use super::prelude::*;

pub static BREADCRUMBS_TIES: TaskVectors =
    TaskVectors { spec: &SPEC, sparsifier: Sparsifier::Middle, consensus: Consensus::Elected };

const SPEC: MethodSpec = MethodSpec {
    id: "breadcrumbs_ties",
    name: "Breadcrumbs TIES",
    summary: "Breadcrumbs, with a sign elected per element.",
    formula: "b + λ·Σ_A wᵢ·δ̃ᵢ with δ̃ᵢ as for `breadcrumbs` and A the models where wᵢ·δ̃ᵢ has the sign of Σ wᵢ·δ̃ᵢ; with `normalize` divided by Σ_A wᵢ",
    reference: "https://arxiv.org/abs/2312.06795",
    base: BaseNeed::Delta,
    models: ModelCount::from(1),
    parameters: &[
        WEIGHT,
        DENSITY,
        GAMMA,
        NORMALIZE,
        RESCALE,
        RESCALE_NORM,
        LAMBDA,
        SCOPE,
        ZERO_SIGN,
        DIVISOR,
        ELECTION,
    ],
    laws: &[Law::Identity, Law::Symmetry, Law::FirstWeight],
};
