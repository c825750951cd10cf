//! DELLA (arXiv 2406.11617): random pruning by rank in the row, without an election.

use super::prelude::*;

pub static DELLA_LINEAR: TaskVectors =
    TaskVectors { spec: &SPEC, sparsifier: Sparsifier::MagPrune, consensus: Consensus::None };

const SPEC: MethodSpec = MethodSpec {
    id: "della_linear",
    name: "DELLA linear",
    summary: "Drops elements of each delta at random, small ones more often, and adds the rest.",
    formula: "b + λ·Σ wᵢ·cᵢ·mᵢ·δᵢ with δᵢ = xᵢ − b and mᵢ = 1 with probability p = density + ε·(2·rank/(n − 1) − 1), rank from 0 for the smallest of the n elements of its row; with `rescale` cᵢ = ‖δᵢ‖/‖mᵢ·δᵢ‖, or 1/p with `rescale_mode: inverse_p`, else 1",
    reference: "https://arxiv.org/abs/2406.11617",
    base: BaseNeed::Delta,
    models: ModelCount::from(1),
    parameters: &[WEIGHT, DENSITY, EPSILON, NORMALIZE, RESCALE.on(), RESCALE_MODE, RESCALE_NORM, LAMBDA],
    laws: &[Law::Identity, Law::Symmetry, Law::FirstWeight],
};
