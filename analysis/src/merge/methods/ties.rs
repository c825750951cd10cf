//! TIES (arXiv 2306.01708): trim each delta to its largest elements, elect a sign per element, add what agrees.

use super::prelude::*;

pub static TIES: TaskVectors =
    TaskVectors { spec: &SPEC, sparsifier: Sparsifier::Magnitude, consensus: Consensus::Elected };

const SPEC: MethodSpec = MethodSpec {
    id: "ties",
    name: "TIES",
    summary: "Keeps the largest elements of each delta, elects a sign per element and adds those that agree.",
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
    ignored: &[],
    laws: &[Law::Identity, Law::Symmetry, Law::FirstWeight],
};
