//! DELLA (arXiv 2406.11617): random pruning by rank in the row, without an election.

use super::prelude::*;

pub static DELLA_LINEAR: TaskVectors =
    TaskVectors { spec: &SPEC, sparsifier: Sparsifier::MagPrune, consensus: Consensus::None };

const SPEC: MethodSpec = MethodSpec {
    id: "della_linear",
    name: "DELLA linear",
    summary: "Drops elements of each delta at random, small ones more often, and adds the rest.",
    reference: "https://arxiv.org/abs/2406.11617",
    base: BaseNeed::Delta,
    models: ModelCount::from(1),
    parameters: &[WEIGHT, DENSITY, EPSILON, NORMALIZE, RESCALE.on(), RESCALE_MODE, RESCALE_NORM, LAMBDA],
    ignored: &[],
    laws: &[Law::Identity, Law::Symmetry, Law::FirstWeight],
};
