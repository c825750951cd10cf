//! RegMean (arXiv 2212.09849): the matrix whose answers are nearest to those of all models on their own inputs.
//!
//! With `Ĝ_i` the Gram matrix of the inputs of model i, its off-diagonal elements scaled, `Y = Σ W_i·Ĝ_i·(Σ Ĝ_i)⁻¹`.
//! It is solved around the mean `M`, as `M + Σ (W_i − M)·Ĝ_i·(Σ Ĝ_i)⁺`: the same where the sum is well conditioned, and
//! the mean along directions that no input has.

use std::sync::atomic::{AtomicBool, Ordering};

use faer::Accum;

use super::prelude::*;
use crate::{
    computed::{blocks, read_f64},
    merge::matrix::{eigen, eigen_numbers},
};

/// Share of the largest eigenvalue below which a direction has no inputs.
const LEAST: f64 = 1e-8;

pub struct RegMean;

const SPEC: MethodSpec = MethodSpec {
    id: "regmean",
    name: "RegMean",
    summary: "Solves for the matrices that answer most like every model on its own inputs; averages the rest.",
    formula: "M + Σ (Wᵢ − M)·Ĝᵢ·(Σ Ĝᵢ)⁺ with M the mean of the matrices Wᵢ and Ĝᵢ the Gram matrix of the inputs of model i, its off-diagonal elements times `off_diagonal`; anything else averaged",
    reference: "https://arxiv.org/abs/2212.09849",
    base: BaseNeed::Unused,
    models: ModelCount::from(1),
    parameters: &[
        ParamSpec::file("gram", "Folder or file of Gram matrices of inputs, under the names of the weights."),
        ParamSpec::number("off_diagonal", "Factor of the off-diagonal elements of the Gram matrices.")
            .or(0.9)
            .usually(0.0, 1.0),
    ],
    laws: &[Law::Identity, Law::Symmetry],
};

impl Method for RegMean {
    fn spec(&self) -> &'static MethodSpec {
        &SPEC
    }

    fn beside(&self) -> Beside {
        Beside::Gram
    }

    fn scratch(&self, operands: &Operands) -> u64 {
        if operands.grams.is_empty() {
            return 0;
        }
        // The mean, in which the result takes its place, a model and the right side; the sum, a Gram matrix and then
        // the eigenvectors, and what finding these takes.
        let (_, columns) = sides(operands);
        let square = area(columns, columns).saturating_mul(2).saturating_add(eigen_numbers(columns));
        operands.elements.saturating_mul(3).saturating_add(square)
    }

    fn prepare(&self, operands: &Operands) -> Result<Arc<dyn Combine>, weights::Error> {
        let count = operands.models.len();
        if operands.grams.is_empty() || operands.elements == 0 {
            let shares = vec![1.0 / count as f64; count];
            return Ok(Arc::new(Blend::new(operands, Vectors::Whole, shares, Common::Kept)));
        }
        let scratch = operands.scratch.for_all(8 * self.scratch(operands));
        let ((rows, columns), differ) = (sides(operands), AtomicBool::new(false));
        let mut mean = Matrix::zeros(&scratch, (rows, columns))?;
        mean.fill(operands, |block, out| {
            out.copy_from_slice(&block.models[0]);
            for model in &block.models[1..] {
                if model[..] != block.models[0][..] {
                    differ.store(true, Ordering::Relaxed);
                }
                out.iter_mut().zip(&model[..]).for_each(|(sum, value)| *sum += value);
            }
            out.iter_mut().for_each(|sum| *sum *= 1.0 / count as f64);
        })?;
        // Equal elements of matrices that differ do not stay as they are: every column of the result has a part of all.
        if !differ.into_inner() {
            read_delta(operands, 0, &mut mean)?;
            return Ok(Arc::new(Whole(mean)));
        }
        let mut right = Matrix::zeros(&scratch, (rows, columns))?;
        let mut apart = Matrix::zeros(&scratch, (rows, columns))?;
        let mut sum = Matrix::zeros(&scratch, (columns, columns))?;
        let mut square = Matrix::zeros(&scratch, (columns, columns))?;
        for at in 0..count {
            read_gram(operands, at, &mut square)?;
            read_delta(operands, at, &mut apart)?;
            apart.values_mut().iter_mut().zip(mean.values()).for_each(|(value, mean)| *value -= mean);
            multiply(right.view_mut(), Accum::Add, (apart.view(), square.view()), 1.0);
            sum.values_mut().iter_mut().zip(square.values()).for_each(|(sum, gram)| *sum += gram);
        }
        operands.go_on()?;
        let values =
            eigen(&scratch, sum.view().transpose(), square.view_mut().transpose_mut())?.ok_or_else(|| {
                refused(format!("the Gram matrices of tensor `{}` have no eigenvalues", operands.name))
            })?;
        operands.go_on()?;
        let least = LEAST * values.iter().copied().fold(0.0, f64::max);
        // The rows are eigenvectors.
        let vectors = square.view();
        multiply(apart.view_mut(), Accum::Replace, (right.view(), vectors.transpose()), 1.0);
        for row in apart.values_mut().chunks_exact_mut(columns) {
            for (entry, value) in row.iter_mut().zip(&values) {
                *entry *= if *value > least { 1.0 / value } else { 0.0 };
            }
        }
        multiply(mean.view_mut(), Accum::Add, (apart.view(), vectors), 1.0);
        Ok(Arc::new(Whole(mean)))
    }
}

/// Reads the Gram matrix of model `at`, its off-diagonal elements scaled.
fn read_gram(operands: &Operands, at: usize, gram: &mut Matrix) -> Result<(), weights::Error> {
    let file = &operands.grams[at];
    let (side, scale) = (operands.columns() as usize, operands.params.number("off_diagonal"));
    let wrong = |what: String| {
        refused(format!("`{}` holds no Gram matrix for tensor `{}`: {what}", file.label, operands.name))
    };
    for (start, len) in blocks((side * side) as u64) {
        let values = &mut gram.values_mut()[start as usize..][..len];
        read_f64(&*file.source, file.index, start, values)?;
        for (index, value) in (start as usize..).zip(values) {
            let (row, column) = (index / side, index % side);
            if !value.is_finite() || row == column && *value < 0.0 {
                return Err(wrong(format!("{value} at [{row}, {column}]; sums of squares are needed")));
            }
        }
    }
    let mut gram = gram.view_mut();
    for row in 0..side {
        for column in 0..row {
            let (lower, upper) = (gram[(row, column)], gram[(column, row)]);
            if (lower - upper).abs() > 1e-2 * (gram[(row, row)] * gram[(column, column)]).sqrt() {
                return Err(wrong(format!(
                    "{lower} at [{row}, {column}] and {upper} across; it must be symmetric"
                )));
            }
            let value = scale * (lower + upper) / 2.0;
            (gram[(row, column)], gram[(column, row)]) = (value, value);
        }
    }
    Ok(())
}
