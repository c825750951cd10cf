//! DARE (arXiv 2311.03099) with the sign election of TIES.

use super::prelude::*;

pub static DARE_TIES: TaskVectors =
    TaskVectors { spec: &SPEC, sparsifier: Sparsifier::Random, consensus: Consensus::Elected };

const SPEC: MethodSpec = MethodSpec {
    id: "dare_ties",
    name: "DARE TIES",
    summary: "Drops elements of each delta at random, elects a sign per element and adds those that agree.",
    reference: "https://arxiv.org/abs/2311.03099",
    base: BaseNeed::Delta,
    models: ModelCount::from(1),
    parameters: &[
        WEIGHT,
        DENSITY,
        NORMALIZE,
        RESCALE.on(),
        RESCALE_MODE,
        RESCALE_NORM,
        LAMBDA,
        ZERO_SIGN,
        DIVISOR,
        ELECTION,
    ],
    ignored: &[],
    laws: &[Law::Identity, Law::Symmetry, Law::FirstWeight],
};
