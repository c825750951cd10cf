//! Consensus task arithmetic (arXiv 2405.07813): of the summed deltas, the elements that several models need (TALL
//! masks).

use super::prelude::*;

pub struct ConsensusTa;

const SPEC: MethodSpec = MethodSpec {
    id: "consensus_ta",
    name: "Consensus TA",
    summary: "Adds of the summed deltas those elements that matter to several of the models.",
    formula: "b + λ·Σ δᵢ where |δᵢ| > λₘ·|Σ_{j≠i} δⱼ| for k models or more, else b, with δᵢ = xᵢ − b and λₘ = `mask_lambda`",
    reference: "https://arxiv.org/abs/2405.07813",
    base: BaseNeed::Delta,
    models: ModelCount::from(2),
    parameters: &[
        ParamSpec::number(
            "mask_lambda",
            "An element matters to a model when its delta exceeds this share of what the others add.",
        )
        .per_model()
        .or(0.2)
        .usually(0.2, 0.6),
        ParamSpec::number("k", "To how many models an element must matter.").or(2.0).usually(1.0, 8.0),
        ParamSpec::number("lambda", "Factor of the combined delta.").or(0.4).usually(0.0, 2.0),
    ],
    laws: &[Law::Identity, Law::Symmetry],
};

impl Method for ConsensusTa {
    fn spec(&self) -> &'static MethodSpec {
        &SPEC
    }

    fn faults(&self, params: &Params) -> Vec<Refusal> {
        Refusal::below_zero(params, &["k"])
    }

    fn prepare(&self, operands: &Operands) -> Result<Arc<dyn Combine>, weights::Error> {
        let shares = operands.params.each("mask_lambda");
        let (least, lambda) = (operands.params.number("k"), operands.params.number("lambda"));
        Ok(Arc::new(Factored(move |_: u64, deltas: &Deltas<'_>, factors: &mut [f64]| {
            let mut sum = vec![0.0; deltas.len()];
            for delta in deltas.each() {
                sum.iter_mut().zip(delta).for_each(|(sum, delta)| *sum += delta);
            }
            let mut needed = vec![0.0; deltas.len()];
            for (delta, share) in deltas.each().zip(&shares) {
                for ((needed, delta), sum) in needed.iter_mut().zip(delta).zip(&sum) {
                    *needed += f64::from(u8::from(delta.abs() > share * (sum - delta).abs()));
                }
            }
            for factors in factors.chunks_mut(deltas.len().max(1)) {
                for (factor, needed) in factors.iter_mut().zip(&needed) {
                    *factor = if *needed >= least { lambda } else { 0.0 };
                }
            }
        })))
    }
}
