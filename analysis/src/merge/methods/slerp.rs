//! Spherical interpolation of two models, a whole tensor being one vector. Nearly parallel ones are interpolated linearly.

use std::sync::Arc;

use crate::{
    computed::{blocks, read_f64},
    merge::{
        BaseNeed, Combine, Kind, Method, MethodSpec, ModelCount, Operands, ParamSpec,
        blend::{all_same, sum},
    },
};

/// Cosine beyond which the arc is a line.
const PARALLEL: f64 = 0.9995;
/// Norm below which a vector has no direction.
const ZERO_NORM: f64 = 1e-8;

pub struct Slerp;

const SPEC: MethodSpec = MethodSpec {
    id: "slerp",
    name: "Slerp",
    summary: "Spherical interpolation between two models; close relatives are interpolated linearly.",
    reference: "https://dl.acm.org/doi/10.1145/325165.325242",
    base: BaseNeed::Endpoint,
    models: ModelCount { min: 2, max: Some(2) },
    parameters: &[ParamSpec {
        name: "t",
        kind: Kind::Number,
        per_model: false,
        default: None,
        range: Some((0.0, 1.0)),
        help: "0 gives the base model, 1 the other.",
    }],
    ignored: &["weight", "density", "normalize"],
};

impl Method for Slerp {
    fn spec(&self) -> &'static MethodSpec {
        &SPEC
    }

    fn prepare(&self, operands: &Operands) -> Result<Arc<dyn Combine>, weights::Error> {
        let t = operands.params.number("t");
        let ends = [t == 0.0, t == 1.0].contains(&true);
        let cosine = if ends { 1.0 } else { cosine(operands)? };
        if cosine.abs() <= PARALLEL {
            let angle = cosine.acos();
            let share = |part: f64| (part * angle).sin() / angle.sin();
            return Ok(Arc::new(Interpolated { shares: [share(1.0 - t), share(t)], line: false }));
        }
        Ok(Arc::new(Interpolated { shares: [1.0 - t, t], line: true }))
    }
}

/// Cosine of the two tensors; 1 when either has no direction or is not finite.
fn cosine(operands: &Operands) -> Result<f64, weights::Error> {
    let [mut ab, mut aa, mut bb] = [0.0; 3];
    for (start, len) in blocks(operands.elements) {
        let [mut a, mut b] = [vec![0.0; len], vec![0.0; len]];
        for (stored, values) in operands.models.iter().zip([&mut a, &mut b]) {
            read_f64(&*stored.source, stored.index, start, values)?;
        }
        let pairs = || a.iter().zip(&b);
        ab += pairs().map(|(a, b)| a * b).sum::<f64>();
        aa += a.iter().map(|a| a * a).sum::<f64>();
        bb += b.iter().map(|b| b * b).sum::<f64>();
    }
    let (a, b) = (f64::sqrt(aa), f64::sqrt(bb));
    let directed = a > ZERO_NORM && b > ZERO_NORM && (a * b).is_finite();
    Ok(if directed { (ab / a / b).clamp(-1.0, 1.0) } else { 1.0 })
}

/// Two shares, and whether they lie on a line (then equal inputs are their own mean).
struct Interpolated {
    shares: [f64; 2],
    line: bool,
}

impl Combine for Interpolated {
    fn combine(&self, _: u64, models: &[&[f64]], _: &[f64], out: &mut [f64]) {
        for (at, out) in out.iter_mut().enumerate() {
            let values = models.iter().map(|model| model[at]);
            *out = if self.line && all_same(models[0][at], values.clone()) {
                models[0][at]
            } else {
                sum(self.shares.into_iter().zip(values))
            };
        }
    }
}
