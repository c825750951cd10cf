//! Localize-and-Stitch (arXiv 2408.13656) without data: the largest elements of each model's delta over all its
//! tensors, averaged where they overlap.

use super::prelude::*;

pub struct LocalizeStitch;

const SPEC: MethodSpec = MethodSpec {
    id: "localize_stitch",
    name: "Localize-and-Stitch",
    summary: "Adds the largest elements of each delta over the whole model; where several models have one, their mean.",
    formula: "b + Σ_A δᵢ / |A| with δᵢ = xᵢ − b and A the models of whose delta over the whole model the element is one of the `density` largest",
    reference: "https://arxiv.org/abs/2408.13656",
    base: BaseNeed::Delta,
    models: ModelCount::from(1),
    parameters: &[DENSITY.or(0.1)],
    laws: &[Law::Identity, Law::Symmetry],
};

impl Method for LocalizeStitch {
    fn spec(&self) -> &'static MethodSpec {
        &SPEC
    }

    fn surveys(&self, _params: &Params) -> bool {
        true
    }

    fn survey(&self, tensors: &[&Operands]) -> Result<Option<Survey>, weights::Error> {
        model_wide(tensors).map(Some)
    }

    fn prepare(&self, operands: &Operands) -> Result<Arc<dyn Combine>, weights::Error> {
        let trims = match &operands.survey {
            Some(Found::Trims(trims)) => Arc::clone(trims),
            _ => Arc::default(),
        };
        Ok(Arc::new(Factored(move |start: u64, deltas: &Deltas<'_>, factors: &mut [f64]| {
            let mut counts = vec![0.0; deltas.len()];
            for ((factors, delta), trim) in
                factors.chunks_mut(deltas.len().max(1)).zip(deltas.each()).zip(trims.iter())
            {
                for (((index, factor), delta), count) in (start..).zip(factors).zip(delta).zip(&mut counts) {
                    // Where fewer elements changed than are kept, the mask would count those that did not.
                    let kept = *delta != 0.0 && trim.keeps(magnitude(*delta), index);
                    *factor = f64::from(u8::from(kept));
                    *count += *factor;
                }
            }
            for factors in factors.chunks_mut(deltas.len().max(1)) {
                factors.iter_mut().zip(&counts).for_each(|(factor, count)| *factor /= count.max(1.0));
            }
        })))
    }
}
