//! Clipped task arithmetic: `b + Σ clamp(x − b, −t, t)`.

use super::prelude::*;

pub struct Clipped;

const SPEC: MethodSpec = MethodSpec {
    id: "clipped",
    name: "Clipped task arithmetic",
    summary: "Adds every delta, no element of it larger than t.",
    formula: "b + Σ clamp(xᵢ − b, −t, t)",
    reference: "https://arxiv.org/abs/2212.04089",
    base: BaseNeed::Delta,
    models: ModelCount::from(1),
    parameters: &[ParamSpec::number("t", "The largest change of an element.").or(0.01).usually(0.0, 0.1)],
    laws: &[Law::Identity, Law::Symmetry],
};

impl Method for Clipped {
    fn spec(&self) -> &'static MethodSpec {
        &SPEC
    }

    fn prepare(&self, operands: &Operands) -> Result<Arc<dyn Combine>, weights::Error> {
        let t = operands.params.number("t");
        Ok(Arc::new(Factored(move |_: u64, deltas: &Deltas<'_>, factors: &mut [f64]| {
            for (factor, delta) in factors.iter_mut().zip(deltas.each().flatten()) {
                *factor = if delta.abs() > t { t / delta.abs() } else { 1.0 };
            }
        })))
    }
}
