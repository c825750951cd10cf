//! Weighted average of whole models, "model soup" (arXiv 2203.05482): `Σ w·x`, over `Σ w` when normalised.

use super::prelude::*;

pub struct Linear;

const SPEC: MethodSpec = MethodSpec {
    id: "linear",
    name: "Linear",
    summary: "Weighted average of whole models (model soup).",
    formula: "Σ wᵢ·xᵢ / Σ wᵢ; without `normalize` Σ wᵢ·xᵢ",
    reference: "https://arxiv.org/abs/2203.05482",
    base: BaseNeed::Unused,
    models: ModelCount::from(1),
    parameters: &[
        ParamSpec::number("weight", "Share of this model.").per_model().usually(0.0, 1.0),
        ParamSpec::flag("normalize", "Divide by the sum of the weights.").on(),
    ],
    laws: &[Law::Identity, Law::Symmetry, Law::FirstWeight],
};

impl Method for Linear {
    fn spec(&self) -> &'static MethodSpec {
        &SPEC
    }

    fn faults(&self, params: &Params) -> Vec<Refusal> {
        no_divisor(params, "normalize")
    }

    fn caution(&self, params: &Params) -> Option<Caution> {
        let weights = params.each("weight");
        let total: f64 = if params.flag("normalize") { weights.iter().sum() } else { return None };
        Caution::of_shares(&weights.iter().map(|weight| weight / total).collect::<Vec<_>>())
    }

    fn prepare(&self, operands: &Operands) -> Result<Arc<dyn Combine>, weights::Error> {
        let weights = operands.params.each("weight");
        let total: f64 = weights.iter().sum();
        if !operands.params.flag("normalize") {
            return Ok(Arc::new(Blend::new(operands, Vectors::Whole, weights, Common::Blended)));
        }
        // A single live weight is exactly one after normalising.
        let shares = weights.into_iter().map(|weight| weight / total).collect();
        Ok(Arc::new(Blend::new(operands, Vectors::Whole, shares, Common::Kept)))
    }
}
