//! DARE (arXiv 2311.03099): each element of a delta is kept with probability `density`, and the rest rescaled.

use super::prelude::*;

pub static DARE_LINEAR: TaskVectors =
    TaskVectors { spec: &SPEC, sparsifier: Sparsifier::Random, consensus: Consensus::None };

const SPEC: MethodSpec = MethodSpec {
    id: "dare_linear",
    name: "DARE linear",
    summary: "Drops elements of each delta at random, rescales the rest and adds them.",
    formula: "b + λ·Σ wᵢ·cᵢ·mᵢ·δᵢ with δᵢ = xᵢ − b, mᵢ = 1 with probability `density` and else 0; with `rescale` cᵢ = ‖δᵢ‖/‖mᵢ·δᵢ‖, or 1/density with `rescale_mode: inverse_p`, else 1",
    reference: "https://arxiv.org/abs/2311.03099",
    base: BaseNeed::Delta,
    models: ModelCount::from(1),
    parameters: &[WEIGHT, DENSITY, NORMALIZE, RESCALE.on(), RESCALE_MODE, RESCALE_NORM, LAMBDA],
    laws: &[Law::Identity, Law::Symmetry, Law::FirstWeight],
};
