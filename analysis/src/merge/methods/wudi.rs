//! WUDI (arXiv 2503.08099): the delta that interferes least with the inputs each model's delta stands for.
//!
//! The paper descends on `Σ ‖(D − δ_i)·δ_iᵀ‖²/‖δ_i‖²`, which is quadratic: its minimum solves
//! `D·ΣP_i = Σ δ_i·P_i` with `P_i = δ_iᵀδ_i/‖δ_i‖²`. The paper starts at `Σ δ_i` and stops early; here a ridge pulls
//! `D` to that sum, without which directions that hardly matter to any model grow without bound.

use faer::Accum;

use super::prelude::*;
use crate::merge::matrix::{add_square, mirror, solve};

pub struct Wudi;

const SPEC: MethodSpec = MethodSpec {
    id: "wudi",
    name: "WUDI",
    summary: "Solves for the delta of every matrix that interferes least between the models. Takes minutes for a large matrix.",
    formula: "b + λ·D with D the solution of D·(Σ Pᵢ + ρ·1) = Σ δᵢ·Pᵢ + ρ·Σ δᵢ, Pᵢ = δᵢᵀ·δᵢ/‖δᵢ‖², δᵢ = xᵢ − b, ρ = ridge·k/columns; anything but a matrix b + λ·mean δᵢ",
    reference: "https://arxiv.org/abs/2503.08099",
    base: BaseNeed::Delta,
    models: ModelCount::from(2),
    parameters: &[
        LAMBDA,
        ParamSpec::number("ridge", "How strongly the solution is pulled to the sum of the deltas.")
            .or(0.1)
            .usually(0.001, 1.0),
    ],
    laws: &[Law::Identity, Law::Symmetry],
};

impl Method for Wudi {
    fn spec(&self) -> &'static MethodSpec {
        &SPEC
    }

    fn faults(&self, params: &Params) -> Vec<Refusal> {
        let ridge = params.number("ridge");
        let message = format!("`ridge` is {ridge}; it makes the system solvable and must be more than 0");
        if ridge > 0.0 { Vec::new() } else { vec![Refusal::of("ridge", message)] }
    }

    fn scratch(&self, operands: &Operands) -> u64 {
        if !is_matrix(operands) {
            return 0;
        }
        // A delta, the right side, in which the result takes its place, the system, and one projection.
        let (rows, columns) = sides(operands);
        let (system, projection) = (area(columns, columns), area(rows.min(columns), rows.min(columns)));
        operands.elements.saturating_mul(2).saturating_add(system).saturating_add(projection)
    }

    fn prepare(&self, operands: &Operands) -> Result<Arc<dyn Combine>, weights::Error> {
        let (lambda, ridge) = (operands.params.number("lambda"), operands.params.number("ridge"));
        if !is_matrix(operands) {
            return Ok(mean(operands, lambda));
        }
        let scratch = operands.scratch.for_all(8 * self.scratch(operands));
        let (rows, columns) = sides(operands);
        let norms = norms(operands)?;
        let live = norms.iter().filter(|norm| **norm > 0.0).count();
        // The trace of every projection is 1.
        let pull = ridge * live as f64 / columns as f64;
        let mut right = Matrix::zeros(&scratch, (rows, columns))?;
        if live == 0 {
            return Ok(Dense::of(right, lambda));
        }
        let mut system = Matrix::zeros(&scratch, (columns, columns))?;
        let mut delta = Matrix::zeros(&scratch, (rows, columns))?;
        let mut projection = Matrix::zeros(&scratch, (rows.min(columns), rows.min(columns)))?;
        for (at, norm) in norms.into_iter().enumerate().filter(|(_, norm)| *norm > 0.0) {
            read_delta(operands, at, &mut delta)?;
            add_right_side((&mut right, &mut projection), &delta, (norm, pull));
            operands.go_on()?;
            add_square(system.view_mut().transpose_mut(), delta.view().transpose(), 1.0 / norm);
        }
        drop((delta, projection));
        let mut system = system.view_mut().transpose_mut();
        for at in 0..columns {
            system[(at, at)] += pull;
        }
        operands.go_on()?;
        solve(&scratch, system, right.view_mut().transpose_mut())?.then_some(()).ok_or_else(|| {
            refused(format!("tensor `{}` has no solution; choose a larger `ridge`", operands.name))
        })?;
        Ok(Dense::of(right, lambda))
    }
}

/// `‖δ‖²` of every model.
fn norms(operands: &Operands) -> Result<Vec<f64>, weights::Error> {
    let count = operands.models.len();
    let square = |delta: &[f64]| delta.iter().map(|value| value * value).sum::<f64>();
    let blocks = operands.each_block(|block| block.deltas().into_iter().map(square).collect::<Vec<_>>())?;
    Ok((0..count).map(|at| blocks.iter().map(|block| block[at]).sum()).collect())
}

/// Adds `δ·P + pull·δ`; where there are fewer rows than columns as `(δδᵀ/‖δ‖² + pull)·δ`, of which the product is smaller.
fn add_right_side((right, square): (&mut Matrix, &mut Matrix), delta: &Matrix, (norm, pull): (f64, f64)) {
    let delta = delta.view();
    let wide = delta.nrows() < delta.ncols();
    let factor = if wide { delta } else { delta.transpose() };
    square.values_mut().fill(0.0);
    add_square(square.view_mut().transpose_mut(), factor, 1.0 / norm);
    let mut lower = square.view_mut();
    for row in 0..lower.nrows() {
        lower[(row, row)] += pull;
    }
    mirror(square);
    let pair = if wide { (square.view(), delta) } else { (delta, square.view()) };
    multiply(right.view_mut(), Accum::Add, pair, 1.0);
}
