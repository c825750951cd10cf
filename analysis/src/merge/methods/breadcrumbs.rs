//! Model Breadcrumbs (arXiv 2312.06795): a delta without its smallest elements and its outliers.

use super::prelude::*;

pub static BREADCRUMBS: TaskVectors =
    TaskVectors { spec: &SPEC, sparsifier: Sparsifier::Middle, consensus: Consensus::None };

const SPEC: MethodSpec = MethodSpec {
    id: "breadcrumbs",
    name: "Breadcrumbs",
    summary: "Drops the smallest and the very largest elements of each delta and adds the rest.",
    reference: "https://arxiv.org/abs/2312.06795",
    base: BaseNeed::Delta,
    models: ModelCount::from(1),
    parameters: &[WEIGHT, DENSITY, GAMMA, NORMALIZE, RESCALE, RESCALE_NORM, LAMBDA, SCOPE],
    ignored: &[],
    laws: &[Law::Identity, Law::Symmetry, Law::FirstWeight],
};
