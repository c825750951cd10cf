//! RAM (arXiv 2601.13572): deltas that one model alone has are added whole, those that several have as their mean.

use super::prelude::*;

pub const NO_CHANGE: ParamSpec =
    ParamSpec::number("epsilon", "Magnitude up to which an element of a delta counts as unchanged.").or(1e-5);

pub struct Ram;

const SPEC: MethodSpec = MethodSpec {
    id: "ram",
    name: "RAM",
    summary: "Adds what one model alone has changed whole, and what several have changed as their mean.",
    formula: "b + Σ_A δᵢ / |A| with δᵢ = xᵢ − b and A the models where |δᵢ| > ε",
    reference: "https://arxiv.org/abs/2601.13572",
    base: BaseNeed::Delta,
    models: ModelCount::from(1),
    parameters: &[NO_CHANGE],
    laws: &[Law::Identity, Law::Symmetry],
};

impl Method for Ram {
    fn spec(&self) -> &'static MethodSpec {
        &SPEC
    }

    fn faults(&self, params: &Params) -> Vec<Refusal> {
        Refusal::below_zero(params, &["epsilon"])
    }

    fn prepare(&self, operands: &Operands) -> Result<Arc<dyn Combine>, weights::Error> {
        Ok(Arc::new(shared(operands.params.number("epsilon"), vec![1.0; operands.models.len()])))
    }
}

/// How many models have changed each element.
pub fn active<'d>(deltas: impl Iterator<Item = &'d [f64]>, epsilon: f64, len: usize) -> Vec<f64> {
    let mut counts = vec![0.0; len];
    for delta in deltas {
        for (count, delta) in counts.iter_mut().zip(delta) {
            *count += f64::from(u8::from(delta.abs() > epsilon));
        }
    }
    counts
}

/// The mean of the models that have changed an element; one alone counts with its factor in `alone`.
pub fn shared(epsilon: f64, alone: Vec<f64>) -> impl Combine {
    Factored(move |_: u64, deltas: &Deltas<'_>, factors: &mut [f64]| {
        let counts = active(deltas.each(), epsilon, deltas.len());
        for ((factors, delta), alone) in
            factors.chunks_mut(deltas.len().max(1)).zip(deltas.each()).zip(&alone)
        {
            for ((factor, delta), count) in factors.iter_mut().zip(delta).zip(&counts) {
                let share = if *count == 1.0 { *alone } else { 1.0 / count };
                *factor = if delta.abs() > epsilon { share } else { 0.0 };
            }
        }
    })
}
