//! Average weighted by the importance of every element, e.g. Fisher merging (arXiv 2111.09832):
//! `Σ w_i·F_i·x_i / Σ w_i·F_i`.

use super::prelude::*;
use crate::{
    computed::{blocks, read_f64},
    merge::blend::keep_common,
};

/// Share of the mean importance of a tensor below which an element still counts, so that what no model needs is averaged.
/// Fisher information of real models is far below any fixed floor.
const FLOOR: f64 = 1e-6;

pub struct ImportanceWeighted;

const SPEC: MethodSpec = MethodSpec {
    id: "importance_weighted",
    name: "Importance-weighted",
    summary: "Averages every element by how much it matters to each model, e.g. its Fisher information.",
    formula: "Σ wᵢ·Fᵢ·xᵢ / Σ wᵢ·Fᵢ with Fᵢ the importance of the element",
    reference: "https://arxiv.org/abs/2111.09832",
    base: BaseNeed::Unused,
    models: ModelCount::from(1),
    parameters: &[
        ParamSpec::number("weight", "Share of this model beside its importances.")
            .per_model()
            .or(1.0)
            .usually(0.0, 1.0),
        ParamSpec::file(
            "importance",
            "Folder or file of importances, 0 or more, under the model's tensor names.",
        ),
    ],
    laws: &[Law::Identity, Law::Symmetry, Law::FirstWeight],
};

impl Method for ImportanceWeighted {
    fn spec(&self) -> &'static MethodSpec {
        &SPEC
    }

    fn faults(&self, params: &Params) -> Vec<Refusal> {
        let weights = params.each("weight");
        if weights.iter().all(|weight| *weight == 0.0) {
            return vec![Refusal::of_all("every `weight` is 0; one must be above it")];
        }
        let below = |(at, weight): (usize, &f64)| {
            let message = || format!("`weight` is {weight}; it must be 0 or more");
            (*weight < 0.0).then(|| Refusal::of_model(at, "weight", message()))
        };
        weights.iter().enumerate().filter_map(below).collect()
    }

    fn beside(&self) -> Beside {
        Beside::Alike
    }

    fn prepare(&self, operands: &Operands) -> Result<Arc<dyn Combine>, weights::Error> {
        let weights = operands.params.each("weight");
        let mut total = 0.0;
        for file in &operands.models[weights.len()..] {
            for (start, len) in blocks(operands.elements) {
                let mut values = vec![0.0; len];
                read_f64(&*file.source, file.index, start, &mut values)?;
                if let Some(at) = values.iter().position(|value| !(value.is_finite() && *value >= 0.0)) {
                    return Err(refused(format!(
                        "`{}` holds {} for tensor `{}` at element {}; an importance is a finite number, 0 or more",
                        file.label,
                        values[at],
                        operands.name,
                        start + at as u64
                    )));
                }
                total += values.iter().sum::<f64>();
            }
        }
        let mean = total / (operands.elements.max(1) as f64 * weights.len().max(1) as f64);
        // Where no element is of importance, all are of the same.
        let floor = if mean > 0.0 { FLOOR * mean } else { 1.0 };
        Ok(Arc::new(Ready { weights, floor }))
    }
}

struct Ready {
    weights: Vec<f64>,
    /// The least importance of an element.
    floor: f64,
}

impl Combine for Ready {
    fn combine(&self, _: u64, models: &[&[f64]], _: &[f64], out: &mut [f64]) {
        let (models, importances) = models.split_at(self.weights.len());
        let mut totals = vec![0.0; out.len()];
        for (weight, importance) in self.weights.iter().zip(importances) {
            totals
                .iter_mut()
                .zip(*importance)
                .for_each(|(total, own)| *total += weight * own.max(self.floor));
        }
        out.fill(crate::merge::blend::NOTHING);
        let live =
            self.weights.iter().zip(models.iter().zip(importances)).filter(|(weight, _)| **weight > 0.0);
        for (weight, (model, importance)) in live {
            for (((out, value), own), total) in out.iter_mut().zip(*model).zip(*importance).zip(&totals) {
                // A model that counts alone has a share of exactly one.
                *out += weight * own.max(self.floor) / total * value;
            }
        }
        if let Some((first, others)) = models.split_first() {
            keep_common(first, others.iter().copied(), out);
        }
    }
}
