//! WUDI (arXiv 2503.08099): the delta that interferes least with the inputs each model's delta stands for.
//!
//! The paper descends on `Σ ‖(D − δ_i)·δ_iᵀ‖²/‖δ_i‖²`, which is quadratic: its minimum solves
//! `D·ΣP_i = Σ δ_i·P_i` with `P_i = δ_iᵀδ_i/‖δ_i‖²`. The paper starts at `Σ δ_i` and stops early; here a ridge pulls
//! `D` to that sum, without which directions that hardly matter to any model grow without bound.

use faer::{Mat, Side, prelude::Solve};

use super::prelude::*;
use crate::merge::spectral::sides;

pub struct Wudi;

const SPEC: MethodSpec = MethodSpec {
    id: "wudi",
    name: "WUDI",
    summary: "Solves for the delta of every matrix that interferes least between the models. Takes minutes for a large matrix.",
    reference: "https://arxiv.org/abs/2503.08099",
    base: BaseNeed::Delta,
    models: ModelCount::from(2),
    parameters: &[
        LAMBDA,
        ParamSpec::number("ridge", "How strongly the solution is pulled to the sum of the deltas.")
            .or(0.1)
            .usually(0.001, 1.0),
    ],
    ignored: &["weight", "density", "normalize"],
    laws: &[Law::Identity, Law::Symmetry],
};

impl Method for Wudi {
    fn spec(&self) -> &'static MethodSpec {
        &SPEC
    }

    fn fault(&self, params: &Params) -> Option<String> {
        (params.number("ridge") <= 0.0)
            .then(|| "`ridge` makes the system solvable; choose more than 0".to_owned())
    }

    fn held(&self, operands: &Operands) -> u64 {
        // A delta, their sum, both sides of the system and its factor, and the result.
        if is_matrix(operands) { 5 * operands.elements + 3 * operands.columns().pow(2) } else { 0 }
    }

    fn prepare(&self, operands: &Operands) -> Result<Arc<dyn Combine>, weights::Error> {
        let (lambda, ridge) = (operands.params.number("lambda"), operands.params.number("ridge"));
        if !is_matrix(operands) {
            return Ok(mean(operands, lambda));
        }
        let (rows, columns) = sides(operands);
        let (mut sum, mut right) = (Mat::<f64>::zeros(rows, columns), Mat::<f64>::zeros(rows, columns));
        let mut system = Mat::<f64>::zeros(columns, columns);
        let mut live = 0.0;
        for at in 0..operands.models.len() {
            let delta = matrix(operands, at)?;
            let norm = delta.squared_norm_l2();
            if norm > 0.0 {
                live += 1.0;
                let projection = delta.transpose() * &delta * faer::Scale(1.0 / norm);
                right += &delta * &projection;
                system += projection;
                sum += delta;
            }
        }
        if live == 0.0 {
            return Ok(Arc::new(Dense::new(&sum, lambda)));
        }
        // The trace of every projection is 1.
        let pull = ridge * live / columns as f64;
        right += sum * faer::Scale(pull);
        for at in 0..columns {
            system[(at, at)] += pull;
        }
        let factor = system.llt(Side::Lower).map_err(|_| {
            refused(format!("tensor `{}` has no solution; choose a larger `ridge`", operands.name))
        })?;
        let solved = factor.solve(right.transpose());
        Ok(Arc::new(Dense::new(&solved.transpose().to_owned(), lambda)))
    }
}
