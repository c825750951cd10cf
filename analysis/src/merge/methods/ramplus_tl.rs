//! RAM+ (arXiv 2601.13572): RAM, with what a model alone has changed enlarged the more it shares with others, tensor
//! by tensor.

use super::{
    prelude::*,
    ram::{NO_CHANGE, active, shared},
};

pub struct RamPlus;

const SPEC: MethodSpec = MethodSpec {
    id: "ramplus_tl",
    name: "RAM+ (tensor-local)",
    summary: "RAM, with what one model alone has changed enlarged to make up for what is averaged away.",
    formula: "b + Σ_A δᵢ / |A| with δᵢ = xᵢ − b and A the models where |δᵢ| > ε; where A is one model alone b + (1 + r·min(α, ρᵢ))·δᵢ, ρᵢ the ratio of the elements it shares to those it has alone",
    reference: "https://arxiv.org/abs/2601.13572",
    base: BaseNeed::Delta,
    models: ModelCount::from(1),
    parameters: &[
        NO_CHANGE,
        ParamSpec::number("r", "How much of the ratio of shared to own changes is made up for.")
            .or(0.1)
            .usually(0.0, 1.0),
        ParamSpec::number("alpha", "The largest ratio that counts.").or(0.2).usually(0.0, 1.0),
    ],
    laws: &[Law::Identity, Law::Symmetry],
};

impl Method for RamPlus {
    fn spec(&self) -> &'static MethodSpec {
        &SPEC
    }

    fn faults(&self, params: &Params) -> Vec<Refusal> {
        Refusal::below_zero(params, &["epsilon", "alpha"])
    }

    fn prepare(&self, operands: &Operands) -> Result<Arc<dyn Combine>, weights::Error> {
        let params = &operands.params;
        let [epsilon, r, alpha] = ["epsilon", "r", "alpha"].map(|name| params.number(name));
        let counted = operands.each_block(|block| counts(block, epsilon))?;
        let mut total = vec![(0u64, 0u64); operands.models.len()];
        for part in counted {
            for (total, part) in total.iter_mut().zip(part) {
                *total = (total.0 + part.0, total.1 + part.1);
            }
        }
        let alone = |(own, with_others): (u64, u64)| {
            1.0 + r * (with_others as f64 / (own as f64).max(epsilon)).clamp(0.0, alpha)
        };
        Ok(Arc::new(shared(epsilon, total.into_iter().map(alone).collect())))
    }
}

/// Elements that each model alone has changed, and those it has changed with others.
fn counts(block: &Block, epsilon: f64) -> Vec<(u64, u64)> {
    let deltas = block.deltas();
    let counts = active(deltas.iter().copied(), epsilon, block.len());
    let model = |delta: &&[f64]| {
        let changed = delta.iter().zip(&counts).filter(|(delta, _)| delta.abs() > epsilon);
        let (own, with_others): (Vec<_>, Vec<_>) = changed.partition(|(_, count)| **count == 1.0);
        (own.len() as u64, with_others.len() as u64)
    };
    deltas.iter().map(model).collect()
}
