//! Model Breadcrumbs (arXiv 2312.06795) with the sign election of TIES.

use super::prelude::*;

pub static BREADCRUMBS_TIES: TaskVectors =
    TaskVectors { spec: &SPEC, sparsifier: Sparsifier::Middle, consensus: Consensus::Elected };

const SPEC: MethodSpec = MethodSpec {
    id: "breadcrumbs_ties",
    name: "Breadcrumbs TIES",
    summary: "Breadcrumbs, with a sign elected per element.",
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
    ignored: &[],
    laws: &[Law::Identity, Law::Symmetry, Law::FirstWeight],
};
