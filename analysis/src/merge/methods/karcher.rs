//! Karcher (Fréchet) mean of several models on the sphere, with the mean of their lengths (arXiv 2603.04972).

use std::f64::consts::FRAC_PI_2;

use super::prelude::*;

/// Sine of an angle to the mean below which a far vector is its opposite.
const OPPOSITE: f64 = 1e-6;

pub struct Karcher;

const SPEC: MethodSpec = MethodSpec {
    id: "karcher",
    name: "Karcher mean",
    summary: "The mean of several models on the sphere, found by iteration; all count the same.",
    formula: "s·m with s the mean of ‖xᵢ‖ and m the point of the sphere that minimises Σ θ(m, xᵢ/‖xᵢ‖)², reached by steps m ← cos ‖v‖·m + sin ‖v‖·v/‖v‖, v = (1/k)·Σ θᵢ/sin θᵢ·(uᵢ − cos θᵢ·m)",
    reference: "https://arxiv.org/abs/2603.04972",
    base: BaseNeed::Unused,
    models: ModelCount::from(1),
    parameters: &[
        ParamSpec::number("max_iter", "Most steps of the iteration.").or(10.0).usually(1.0, 50.0),
        ParamSpec::number("tol", "Length of a step that ends the iteration.").or(1e-5),
    ],
    laws: &[Law::Identity, Law::Symmetry],
};

impl Method for Karcher {
    fn spec(&self) -> &'static MethodSpec {
        &SPEC
    }

    fn faults(&self, params: &Params) -> Vec<Refusal> {
        let mut faults = Refusal::below_zero(params, &["max_iter", "tol"]);
        let steps = params.number("max_iter");
        if steps.fract() != 0.0 && steps >= 0.0 {
            let message = format!("`max_iter` is {steps}; a number of steps is whole");
            faults.push(Refusal::of("max_iter", message));
        }
        faults
    }

    fn prepare(&self, operands: &Operands) -> Result<Arc<dyn Combine>, weights::Error> {
        let found = geometry(operands, Vectors::Whole)?;
        if found.same {
            return Ok(Arc::new(Blend::copy(operands, 0)));
        }
        let params = &operands.params;
        let steps = params.number("max_iter").clamp(0.0, 10_000.0) as usize;
        let factors = mean(&found.products[0], steps, params.number("tol")).ok_or_else(|| {
            refused(format!(
                "a model points away from the mean of the others in tensor `{}`; merge it with `linear`",
                operands.name
            ))
        })?;
        Ok(Arc::new(Blend::new(operands, Vectors::Whole, factors, Common::Blended)))
    }
}

/// Factors of the vectors in their mean; `None` when one is opposite to it.
fn mean(products: &Products, steps: usize, tol: f64) -> Option<Vec<f64>> {
    let norms: Vec<f64> = (0..products.count()).map(|at| products.norm(at)).collect();
    let scale = norms.iter().sum::<f64>() / norms.len() as f64;
    // Vectors without a direction count for the length only.
    let live: Vec<usize> = (0..norms.len()).filter(|at| norms[*at] > tol).collect();
    let share = 1.0 / live.len().max(1) as f64;
    let unit = |i: usize, j: usize| products.at(live[i], live[j]) / norms[live[i]] / norms[live[j]];
    let length = |c: &[f64]| -> f64 {
        let sum: f64 =
            (0..c.len()).map(|i| (0..c.len()).map(|j| c[i] * c[j] * unit(i, j)).sum::<f64>()).sum();
        sum.max(0.0).sqrt()
    };
    // The mean stays in the span of the unit vectors: these are its coefficients.
    let mut at = vec![share; live.len()];
    let start = length(&at);
    if start <= tol {
        at.fill(0.0);
        at.iter_mut().take(1).for_each(|first| *first = 1.0);
    } else {
        at.iter_mut().for_each(|c| *c /= start);
    }
    for _ in 0..steps {
        let mut tangent = vec![0.0; live.len()];
        for i in 0..live.len() {
            let cosine = (0..live.len()).map(|k| at[k] * unit(k, i)).sum::<f64>().clamp(-1.0, 1.0);
            let angle = cosine.acos();
            if angle < tol || angle == 0.0 {
                continue;
            }
            if angle > FRAC_PI_2 && angle.sin() < OPPOSITE {
                return None;
            }
            let pull = share * angle / angle.sin();
            tangent[i] += pull;
            tangent.iter_mut().zip(&at).for_each(|(tangent, at)| *tangent -= pull * cosine * at);
        }
        let step = length(&tangent);
        if step <= tol {
            break;
        }
        at.iter_mut().zip(&tangent).for_each(|(at, t)| *at = step.cos() * *at + step.sin() * t / step);
        let norm = length(&at);
        at.iter_mut().for_each(|c| *c /= norm);
    }
    let mut factors = vec![0.0; norms.len()];
    for (place, coefficient) in live.iter().zip(at) {
        factors[*place] = coefficient * scale / norms[*place];
    }
    Some(factors)
}
