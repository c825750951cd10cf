//! MagMax (arXiv 2407.06322): at every element the delta of largest magnitude wins, of equal ones the later model's.

use super::prelude::*;

pub struct MagMax;

const SPEC: MethodSpec = MethodSpec {
    id: "magmax",
    name: "MagMax",
    summary: "Adds at every element the delta of largest magnitude; of equal ones the model listed later wins.",
    formula: "b + λ·δⱼ with δᵢ = xᵢ − b and j the model where |δⱼ| is largest, of equal ones the later",
    reference: "https://arxiv.org/abs/2407.06322",
    base: BaseNeed::Delta,
    models: ModelCount::from(1),
    parameters: &[ParamSpec::number("lambda", "Factor of the combined delta.").or(0.5).usually(0.0, 2.0)],
    laws: &[Law::Identity],
};

impl Method for MagMax {
    fn spec(&self) -> &'static MethodSpec {
        &SPEC
    }

    fn prepare(&self, operands: &Operands) -> Result<Arc<dyn Combine>, weights::Error> {
        let lambda = operands.params.number("lambda");
        Ok(Arc::new(Factored(move |_: u64, deltas: &Deltas<'_>, factors: &mut [f64]| {
            let mut largest = vec![0.0; deltas.len()];
            for delta in deltas.each() {
                for (largest, delta) in largest.iter_mut().zip(delta) {
                    *largest = delta.abs().max(*largest);
                }
            }
            let mut open = vec![lambda; deltas.len()];
            let each: Vec<&[f64]> = deltas.each().collect();
            for (factors, delta) in factors.chunks_mut(deltas.len().max(1)).zip(each).rev() {
                for (((factor, delta), largest), open) in
                    factors.iter_mut().zip(delta).zip(&largest).zip(&mut open)
                {
                    let wins = delta.abs() == *largest;
                    *factor = if wins { *open } else { 0.0 };
                    *open = if wins { 0.0 } else { *open };
                }
            }
        })))
    }
}
