//! Arcee Fusion: takes over the elements of another model that are both far from the base and in rows whose softmax
//! differs from the base's.

use super::prelude::*;

/// Added to every probability, so that none is zero.
const FLOOR: f64 = 1e-8;

pub struct ArceeFusion;

const SPEC: MethodSpec = MethodSpec {
    id: "arcee_fusion",
    name: "Arcee Fusion",
    summary: "Takes over another model's elements where the change is unusually important.",
    formula: "x where s ≥ q₅₀ + 1.5·(q₇₅ − q₂₅), else b, with s = |x − b|·KL(softmax(x) ‖ softmax(b)) by row and q its quantiles",
    reference: "https://arcee.ai/blog/meet-mergekit-v0-1-arcee-fusion-expanded-model-support-multi-gpu-acceleration",
    base: BaseNeed::Delta,
    models: ModelCount::exactly(1),
    parameters: &[],
    laws: &[Law::Identity],
};

impl Method for ArceeFusion {
    fn spec(&self) -> &'static MethodSpec {
        &SPEC
    }

    fn held(&self, operands: &Operands) -> u64 {
        // A row of both models with its probabilities, and the divergence of every row.
        4 * operands.columns() + operands.elements / operands.columns()
    }

    fn prepare(&self, operands: &Operands) -> Result<Arc<dyn Combine>, weights::Error> {
        let columns = operands.columns();
        let divergences = |block: &Block| -> Vec<f64> {
            let rows = block.models[0].chunks(columns as usize).zip(block.base.chunks(columns as usize));
            rows.map(|(model, base)| divergence(model, base)).collect()
        };
        let divergences = operands.each_rows(divergences)?.concat();
        let importance = move |index: u64, delta: f64| {
            (delta.abs() * divergences.get((index / columns) as usize).copied().unwrap_or_default()) as f32
        };
        let ranked = |block: &Block, found: &mut Vec<f32>| {
            found.clear();
            found.extend((block.start..).zip(block.delta(0)).map(|(at, delta)| importance(at, *delta)));
        };
        // Ranks count from the largest, the places of quartiles from the smallest.
        let last = operands.elements.saturating_sub(1);
        let quartiles = [0.25, 0.5, 0.75].map(|q| operands.elements - (q * last as f64).floor() as u64);
        let wanted: Vec<_> = quartiles.iter().map(|keep| wanted([*keep])[0]).collect();
        let found = Ranked { tensors: &[(0, operands)], by: By::Of(&ranked) }.thresholds(&wanted)?;
        let quartiles: Vec<f64> = found.iter().map(|at| at.map_or(0.0, |at| f64::from(at.value()))).collect();
        let threshold = quartiles[1] + 1.5 * (quartiles[2] - quartiles[0]);
        Ok(Arc::new(Factored(move |start: u64, deltas: &Deltas<'_>, factors: &mut [f64]| {
            for ((index, factor), delta) in (start..).zip(factors).zip(deltas.each().flatten()) {
                *factor = f64::from(u8::from(f64::from(importance(index, *delta)) >= threshold));
            }
        })))
    }
}

/// Kullback-Leibler divergence of the softmax of a row from that of the base's.
fn divergence(model: &[f64], base: &[f64]) -> f64 {
    let (p, q) = (softmax(model), softmax(base));
    p.iter().zip(q).map(|(p, q)| (p + FLOOR) * ((p + FLOOR) / (q + FLOOR)).ln()).sum()
}

fn softmax(row: &[f64]) -> Vec<f64> {
    let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = row.iter().map(|value| (value - largest).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}
