//! Weighted average of whole models, "model soup" (arXiv 2203.05482): `Σ w·x`, over `Σ w` when normalised.

use std::sync::Arc;

use super::task_arithmetic::NO_DIVISOR;
use crate::merge::{
    BaseNeed, Combine, Kind, Method, MethodSpec, ModelCount, Operands, ParamSpec,
    blend::{all_same, sum},
    spec::Params,
};

pub struct Linear;

const SPEC: MethodSpec = MethodSpec {
    id: "linear",
    name: "Linear",
    summary: "Weighted average of whole models (model soup).",
    reference: "https://arxiv.org/abs/2203.05482",
    base: BaseNeed::Unused,
    models: ModelCount { min: 1, max: None },
    parameters: &[
        ParamSpec {
            name: "weight",
            kind: Kind::Number,
            per_model: true,
            default: None,
            range: Some((0.0, 1.0)),
            help: "Share of this model.",
        },
        ParamSpec {
            name: "normalize",
            kind: Kind::Flag,
            per_model: false,
            default: Some(1.0),
            range: None,
            help: "Divide by the sum of the weights.",
        },
    ],
    ignored: &["density"],
};

impl Method for Linear {
    fn spec(&self) -> &'static MethodSpec {
        &SPEC
    }

    fn fault(&self, params: &Params) -> Option<String> {
        let weights = params.each("weight");
        let total: f64 = weights.iter().sum();
        let size: f64 = weights.iter().map(|weight| weight.abs()).sum();
        // Weights such as 0.1, 0.2 and -0.3 cancel only up to rounding.
        (params.flag("normalize") && total.abs() <= NO_DIVISOR * size)
            .then(|| "the weights sum to zero; change one, or set `normalize: false`".to_owned())
    }

    fn prepare(&self, operands: &Operands) -> Result<Arc<dyn Combine>, weights::Error> {
        let weights = operands.params.each("weight");
        let total: f64 = weights.iter().sum();
        let normalize = operands.params.flag("normalize");
        // A single live weight is exactly one after normalising.
        let share = |weight: f64| if normalize { weight / total } else { weight };
        Ok(Arc::new(Average { shares: weights.into_iter().map(share).collect(), normalize }))
    }
}

struct Average {
    shares: Vec<f64>,
    normalize: bool,
}

impl Combine for Average {
    fn combine(&self, _: u64, models: &[&[f64]], _: &[f64], out: &mut [f64]) {
        for (at, out) in out.iter_mut().enumerate() {
            let values = models.iter().map(|model| model[at]);
            *out = if self.normalize && all_same(models[0][at], values.clone()) {
                models[0][at]
            } else {
                sum(self.shares.iter().copied().zip(values))
            };
        }
    }
}
