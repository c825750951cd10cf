//! Task arithmetic (arXiv 2212.04089): `b + λ·Σ w·(x − b)`, the sum over `Σ w` when normalised.

use std::sync::Arc;

use crate::merge::{
    BaseNeed, Combine, Kind, Method, MethodSpec, ModelCount, Operands, ParamSpec, blend::around,
};

/// Sum of weights below which it is not divided by.
pub(super) const NO_DIVISOR: f64 = 1e-8;

pub(super) const WEIGHT: ParamSpec = ParamSpec {
    name: "weight",
    kind: Kind::Number,
    per_model: true,
    default: None,
    range: Some((0.0, 1.0)),
    help: "Factor of this model's delta.",
};

pub(super) const LAMBDA: ParamSpec = ParamSpec {
    name: "lambda",
    kind: Kind::Number,
    per_model: false,
    default: Some(1.0),
    range: Some((0.0, 2.0)),
    help: "Factor of the combined delta.",
};

/// The `normalize` flag with a method's own default.
pub(super) const fn normalize(default: f64) -> ParamSpec {
    ParamSpec {
        name: "normalize",
        kind: Kind::Flag,
        per_model: false,
        default: Some(default),
        range: None,
        help: "Divide the combined delta by the sum of the weights.",
    }
}

pub struct TaskArithmetic;

const SPEC: MethodSpec = MethodSpec {
    id: "task_arithmetic",
    name: "Task arithmetic",
    summary: "Adds the weighted deltas of several fine-tunes to their base.",
    reference: "https://arxiv.org/abs/2212.04089",
    base: BaseNeed::Delta,
    models: ModelCount { min: 1, max: None },
    parameters: &[WEIGHT, normalize(0.0), LAMBDA],
    ignored: &["density"],
};

impl Method for TaskArithmetic {
    fn spec(&self) -> &'static MethodSpec {
        &SPEC
    }

    fn prepare(&self, operands: &Operands) -> Result<Arc<dyn Combine>, weights::Error> {
        let params = &operands.params;
        let weights = params.each("weight");
        let total: f64 = weights.iter().sum();
        let divisor = if params.flag("normalize") && total.abs() >= NO_DIVISOR { total } else { 1.0 };
        let lambda = params.number("lambda");
        Ok(Arc::new(Added { factors: weights.into_iter().map(|w| lambda * (w / divisor)).collect() }))
    }
}

struct Added {
    factors: Vec<f64>,
}

impl Combine for Added {
    fn combine(&self, _: u64, models: &[&[f64]], base: &[f64], out: &mut [f64]) {
        for (at, (out, base)) in out.iter_mut().zip(base).enumerate() {
            *out = around(*base, self.factors.iter().copied().zip(models.iter().map(|model| model[at])));
        }
    }
}
