//! Spherical interpolation of two models by their weights: whole tensors, rows or columns as vectors, around a base
//! if there is one.

use super::{
    prelude::*,
    slerp::{arc, cosine},
};

/// Sum of weights below which the middle is taken.
const NO_SUM: f64 = 1e-6;
/// Norm below which a vector has no direction.
const ZERO_NORM: f64 = 1e-7;

const AXIS: ParamSpec = ParamSpec::choice(
    "axis",
    &["flatten", "-1", "0"],
    "What one vector is: the whole tensor, everything along the last axis (rows), or along the first (columns).",
);

pub struct Nuslerp;

const SPEC: MethodSpec = MethodSpec {
    id: "nuslerp",
    name: "NuSlerp",
    summary: "Spherical interpolation of two models by their weights, or of their deltas when a base is given.",
    formula: "b + (sin((1 − t)·θ)·δ₁ + sin(t·θ)·δ₂) / sin θ with t = w₂ / (w₁ + w₂), δᵢ = xᵢ − b (without a base b = 0) and θ the angle between them; by row or by column with `axis`",
    reference: "https://dl.acm.org/doi/10.1145/325165.325242",
    base: BaseNeed::Optional,
    models: ModelCount::exactly(2),
    parameters: &[
        ParamSpec::number("weight", "Share of this model.").per_model().usually(0.0, 1.0),
        AXIS,
        ParamSpec::flag("nuslerp_flatten", "mergekit's word for `axis`: off means rows.").on(),
        ParamSpec::flag("nuslerp_row_wise", "mergekit's word for `axis`: with flattening off, columns."),
    ],
    laws: &[Law::Identity, Law::Symmetry, Law::FirstWeight],
};

impl Method for Nuslerp {
    fn spec(&self) -> &'static MethodSpec {
        &SPEC
    }

    fn held(&self, operands: &Operands) -> u64 {
        vectors(&operands.params).held(operands)
    }

    fn caution(&self, params: &Params) -> Option<Caution> {
        Caution::of_shares(&shares(params))
    }

    fn prepare(&self, operands: &Operands) -> Result<Arc<dyn Combine>, weights::Error> {
        let [_, t] = shares(&operands.params);
        if t == 0.0 || t == 1.0 {
            return Ok(Arc::new(Blend::copy(operands, usize::from(t == 1.0))));
        }
        let vectors = vectors(&operands.params);
        let found = geometry(operands, vectors)?;
        if found.same {
            return Ok(Arc::new(Blend::copy(operands, 0)));
        }
        let factors = found.products.iter().flat_map(|pair| arc(t, cosine(pair, ZERO_NORM))).collect();
        Ok(Arc::new(Blend::new(operands, vectors, factors, Common::Blended)))
    }
}

/// How much each model is of the result.
fn shares(params: &Params) -> [f64; 2] {
    let weights = params.each("weight");
    let total: f64 = weights.iter().sum();
    let t = if total.abs() < NO_SUM { 0.5 } else { weights[1] / total };
    [1.0 - t, t]
}

fn vectors(params: &Params) -> Vectors {
    let flat = params.chose(&AXIS, "flatten") && params.flag("nuslerp_flatten");
    let columns = params.chose(&AXIS, "0")
        || params.chose(&AXIS, "flatten") && !flat && params.flag("nuslerp_row_wise");
    match (flat, columns) {
        (true, _) => Vectors::Whole,
        (false, true) => Vectors::Columns,
        (false, false) => Vectors::Rows,
    }
}
