//! DELLA (arXiv 2406.11617): random pruning by rank in the row, then the sign election of TIES.

use super::prelude::*;

pub static DELLA: TaskVectors =
    TaskVectors { spec: &SPEC, sparsifier: Sparsifier::MagPrune, consensus: Consensus::Elected };

const SPEC: MethodSpec = MethodSpec {
    id: "della",
    name: "DELLA",
    summary: "Drops elements of each delta at random, small ones more often, and adds those that agree on a sign.",
    formula: "b + λ·Σ_A wᵢ·δ̃ᵢ with δ̃ᵢ = cᵢ·mᵢ·δᵢ as for `della_linear` and A the models where wᵢ·δ̃ᵢ has the sign of Σ wᵢ·δ̃ᵢ; with `normalize` divided by Σ_A wᵢ",
    reference: "https://arxiv.org/abs/2406.11617",
    base: BaseNeed::Delta,
    models: ModelCount::from(1),
    parameters: &[
        WEIGHT,
        DENSITY,
        EPSILON,
        NORMALIZE.on(),
        RESCALE.on(),
        RESCALE_MODE,
        RESCALE_NORM,
        LAMBDA,
        ZERO_SIGN,
        DIVISOR,
        ELECTION,
    ],
    laws: &[Law::Identity, Law::Symmetry, Law::FirstWeight],
};
