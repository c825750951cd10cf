//! Spherical interpolation of two models, a whole tensor being one vector. Nearly parallel ones are interpolated linearly.

use super::prelude::*;

/// Cosine beyond which the arc is a line.
const PARALLEL: f64 = 0.9995;
/// Norm below which a vector has no direction.
const ZERO_NORM: f64 = 1e-8;

pub struct Slerp;

const SPEC: MethodSpec = MethodSpec {
    id: "slerp",
    name: "Slerp",
    summary: "Spherical interpolation between two models; close relatives are interpolated linearly.",
    formula: "(sin((1 − t)·θ)·x₀ + sin(t·θ)·x₁) / sin θ, θ the angle between the tensors x₀ (base) and x₁ as vectors; where they are nearly parallel (1 − t)·x₀ + t·x₁",
    reference: "https://dl.acm.org/doi/10.1145/325165.325242",
    base: BaseNeed::Endpoint,
    models: ModelCount::exactly(2),
    parameters: &[ParamSpec::number("t", "0 gives the base model, 1 the other.").usually(0.0, 1.0)],
    laws: &[Law::Identity],
};

impl Method for Slerp {
    fn spec(&self) -> &'static MethodSpec {
        &SPEC
    }

    fn caution(&self, params: &Params) -> Option<Caution> {
        let t = params.number("t");
        Caution::of_shares(&[1.0 - t, t])
    }

    fn prepare(&self, operands: &Operands) -> Result<Arc<dyn Combine>, weights::Error> {
        let t = operands.params.number("t");
        let whole = |shares: [f64; 2], common| Blend::new(operands, Vectors::Whole, shares.to_vec(), common);
        if t == 0.0 || t == 1.0 {
            return Ok(Arc::new(whole([1.0 - t, t], Common::Kept)));
        }
        let found = geometry(operands, Vectors::Whole)?;
        let cosine = cosine(&found.products[0], ZERO_NORM);
        let along = cosine.abs() > PARALLEL;
        let common = if along { Common::Kept } else { Common::Blended };
        let blend = whole(arc(t, if along { 1.0 } else { cosine }), common);
        let branch = if along { "linear" } else { "spherical" };
        Ok(Arc::new(blend.told("branch", branch).told("cosine", cosine)))
    }
}

/// Cosine of the first two vectors; 1 when either has no direction.
pub fn cosine(products: &Products, zero: f64) -> f64 {
    let (a, b) = (products.norm(0), products.norm(1));
    let directed = a > zero && b > zero && (a * b).is_finite();
    if directed { (products.at(0, 1) / a / b).clamp(-1.0, 1.0) } else { 1.0 }
}

/// Shares of the two ends at `t` along the arc between vectors of this cosine.
pub fn arc(t: f64, cosine: f64) -> [f64; 2] {
    // Small angles are lost in the rounding of their cosine. The shares do not miss them: near a line they depend on the
    // square of the angle, so that they are off by no more than the cosine.
    let angle = cosine.acos();
    let sine = angle.sin();
    if sine < 1e-8 {
        return [1.0 - t, t];
    }
    [((1.0 - t) * angle).sin() / sine, (t * angle).sin() / sine]
}
