//! DARE (arXiv 2311.03099): each element of a delta is kept with probability `density`, and the rest rescaled.

use super::prelude::*;

pub static DARE_LINEAR: TaskVectors =
    TaskVectors { spec: &SPEC, sparsifier: Sparsifier::Random, consensus: Consensus::None };

const SPEC: MethodSpec = MethodSpec {
    id: "dare_linear",
    name: "DARE linear",
    summary: "Drops elements of each delta at random, rescales the rest and adds them.",
    reference: "https://arxiv.org/abs/2311.03099",
    base: BaseNeed::Delta,
    models: ModelCount::from(1),
    parameters: &[WEIGHT, DENSITY, NORMALIZE, RESCALE.on(), RESCALE_MODE, RESCALE_NORM, LAMBDA],
    ignored: &[],
    laws: &[Law::Identity, Law::Symmetry, Law::FirstWeight],
};
