//! Barycentre of several models on the sphere by one step in the tangent space at their mean direction; of their
//! deltas when a base is given.

use super::prelude::*;

pub struct Multislerp;

const SPEC: MethodSpec = MethodSpec {
    id: "multislerp",
    name: "Multi-SLERP",
    summary: "Weighted barycentre of several models on the sphere, or of their deltas when a base is given.",
    formula: "b + r·(cos φ·m + sin φ·v/φ) with uᵢ = δᵢ/‖δᵢ‖, m = Σ wᵢ·uᵢ / ‖Σ wᵢ·uᵢ‖, v = Σ wᵢ·(uᵢ − ⟨uᵢ, m⟩·m), φ = ‖v‖, r = Σ wᵢ·‖δᵢ‖, δᵢ = xᵢ − b (without a base b = 0)",
    reference: "https://goddard.blog/posts/multislerp-wow-what-a-cool-idea",
    base: BaseNeed::Optional,
    models: ModelCount::from(1),
    parameters: &[
        ParamSpec::number("weight", "Share of this model.").per_model().usually(0.0, 1.0),
        ParamSpec::flag("normalize_weights", "Divide the weights by their sum.").on(),
        ParamSpec::number("eps", "Length below which a vector has no direction.").or(1e-8),
    ],
    laws: &[Law::Identity, Law::Symmetry, Law::FirstWeight],
};

impl Method for Multislerp {
    fn spec(&self) -> &'static MethodSpec {
        &SPEC
    }

    fn faults(&self, params: &Params) -> Vec<Refusal> {
        let eps = params.number("eps");
        let message = || format!("`eps` is {eps}; it keeps lengths from being 0 and must be more than 0");
        let mut faults: Vec<Refusal> =
            (eps <= 0.0).then(|| Refusal::of("eps", message())).into_iter().collect();
        if params.models.len() > 1 {
            faults.extend(no_divisor(params, "normalize_weights"));
        }
        faults
    }

    fn caution(&self, params: &Params) -> Option<Caution> {
        let weights = params.each("weight");
        let total: f64 = if params.flag("normalize_weights") { weights.iter().sum() } else { return None };
        Caution::of_shares(&weights.iter().map(|weight| weight / total).collect::<Vec<_>>())
    }

    fn prepare(&self, operands: &Operands) -> Result<Arc<dyn Combine>, weights::Error> {
        let mut weights = operands.params.each("weight");
        let normalize = operands.params.flag("normalize_weights");
        let total: f64 = weights.iter().sum();
        if weights.len() == 1 {
            return Ok(Arc::new(Blend::copy(operands, 0)));
        }
        if normalize {
            weights.iter_mut().for_each(|weight| *weight /= total);
        }
        let live: Vec<usize> = (0..weights.len()).filter(|at| weights[*at] != 0.0).collect();
        if let [only] = live[..]
            && normalize
        {
            return Ok(Arc::new(Blend::copy(operands, only)));
        }
        let found = geometry(operands, Vectors::Whole)?;
        if found.same && normalize {
            return Ok(Arc::new(Blend::copy(operands, 0)));
        }
        let factors = barycentre(&found.products[0], &weights, operands.params.number("eps"))
            .ok_or_else(|| refused(format!(
                "the models point in opposite directions in tensor `{}`; their mean has none, merge it with `linear`",
                operands.name
            )))?;
        Ok(Arc::new(Blend::new(operands, Vectors::Whole, factors, Common::Blended)))
    }
}

/// Factors of the vectors in their barycentre; `None` when three or more cancel out.
fn barycentre(products: &Products, weights: &[f64], eps: f64) -> Option<Vec<f64>> {
    let count = weights.len();
    let norms: Vec<f64> = (0..count).map(|at| products.norm(at)).collect();
    // Everything lies in the span of the unit vectors, so that coefficients over these are enough.
    let unit = |i: usize, j: usize| products.at(i, j) / (norms[i] + eps) / (norms[j] + eps);
    let inner = |a: &[f64], b: &[f64]| -> f64 {
        (0..count).map(|i| (0..count).map(|j| a[i] * b[j] * unit(i, j)).sum::<f64>()).sum()
    };
    let length = inner(weights, weights).max(0.0).sqrt();
    if length < eps {
        return (count == 2).then(|| weights.to_vec());
    }
    let mean: Vec<f64> = weights.iter().map(|weight| weight / length).collect();
    let cosines: Vec<f64> =
        (0..count).map(|i| (0..count).map(|j| unit(i, j) * mean[j]).sum::<f64>()).collect();
    let along: f64 = weights.iter().zip(&cosines).map(|(weight, cosine)| weight * cosine).sum();
    let tangent: Vec<f64> = weights.iter().zip(&mean).map(|(weight, mean)| weight - along * mean).collect();
    let angle = inner(&tangent, &tangent).max(0.0).sqrt() + eps;
    let radius: f64 = weights.iter().zip(&norms).map(|(weight, norm)| weight * norm).sum();
    let factor = |at: usize| {
        // Whatever its factor, nothing is added; a large one would only take digits from the base's.
        if norms[at] == 0.0 {
            return 0.0;
        }
        let direction = mean[at] * angle.cos() + tangent[at] * angle.sin() / angle;
        direction * radius / (norms[at] + eps)
    };
    Some((0..count).map(factor).collect())
}
