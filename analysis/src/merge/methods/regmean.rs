//! RegMean (arXiv 2212.09849): the matrix whose answers are nearest to those of all models on their own inputs.
//!
//! With `Ĝ_i` the Gram matrix of the inputs of model i, its off-diagonal elements scaled, `Y = Σ W_i·Ĝ_i·(Σ Ĝ_i)⁻¹`.
//! It is solved around the mean `M`, as `M + Σ (W_i − M)·Ĝ_i·(Σ Ĝ_i)⁺`: the same where the sum is well conditioned, and
//! the mean along directions that no input has.

use faer::{Mat, Side};

use super::prelude::*;
use crate::computed::{blocks, read_f64};

/// Share of the largest eigenvalue below which a direction has no inputs.
const LEAST: f64 = 1e-8;

pub struct RegMean;

const SPEC: MethodSpec = MethodSpec {
    id: "regmean",
    name: "RegMean",
    summary: "Solves for the matrices that answer most like every model on its own inputs; averages the rest.",
    reference: "https://arxiv.org/abs/2212.09849",
    base: BaseNeed::Unused,
    models: ModelCount::from(1),
    parameters: &[
        ParamSpec::file("gram", "Folder or file of Gram matrices of inputs, under the names of the weights."),
        ParamSpec::number("off_diagonal", "Factor of the off-diagonal elements of the Gram matrices.")
            .or(0.9)
            .usually(0.0, 1.0),
    ],
    ignored: &["weight", "normalize", "density"],
    laws: &[Law::Identity, Law::Symmetry],
};

impl Method for RegMean {
    fn spec(&self) -> &'static MethodSpec {
        &SPEC
    }

    fn beside(&self) -> Beside {
        Beside::Gram
    }

    fn held(&self, operands: &Operands) -> u64 {
        // The mean, two models or the right side and the result; the sum, a Gram matrix, eigenvectors and their scratch.
        if operands.grams.is_empty() { 0 } else { 4 * operands.elements + 4 * operands.columns().pow(2) }
    }

    fn prepare(&self, operands: &Operands) -> Result<Arc<dyn Combine>, weights::Error> {
        let count = operands.models.len();
        if operands.grams.is_empty() || operands.elements == 0 {
            let shares = vec![1.0 / count as f64; count];
            return Ok(Arc::new(Blend::new(operands, Vectors::Whole, shares, Common::Kept)));
        }
        let first = matrix(operands, 0)?;
        let (mut mean, mut alike) = (first.clone(), true);
        for at in 1..count {
            let other = matrix(operands, at)?;
            alike &= other == first;
            mean += other;
        }
        // Equal elements of matrices that differ do not stay as they are: every column of the result has a part of all.
        if alike {
            return Ok(Arc::new(Whole { values: row_major(&first) }));
        }
        drop(first);
        let mut mean = mean * faer::Scale(1.0 / count as f64);
        let side = mean.ncols();
        let (mut right, mut sum) = (Mat::<f64>::zeros(mean.nrows(), side), Mat::<f64>::zeros(side, side));
        for at in 0..count {
            let gram = gram(operands, at)?;
            right += (matrix(operands, at)? - &mean) * &gram;
            sum += gram;
        }
        let found = sum.self_adjoint_eigen(Side::Lower).map_err(|_| {
            refused(format!("the Gram matrices of tensor `{}` have no eigenvalues", operands.name))
        })?;
        let values: Vec<f64> = found.S().column_vector().iter().copied().collect();
        let least = LEAST * values.iter().copied().fold(0.0, f64::max);
        let mut turned = right * found.U();
        for (at, value) in values.into_iter().enumerate() {
            let inverse = if value > least { 1.0 / value } else { 0.0 };
            for row in 0..turned.nrows() {
                turned[(row, at)] *= inverse;
            }
        }
        mean += turned * found.U().transpose();
        Ok(Arc::new(Whole { values: row_major(&mean) }))
    }
}

/// The Gram matrix of model `at`, its off-diagonal elements scaled.
fn gram(operands: &Operands, at: usize) -> Result<Mat<f64>, weights::Error> {
    let file = &operands.grams[at];
    let (side, scale) = (operands.columns() as usize, operands.params.number("off_diagonal"));
    let mut gram = Mat::<f64>::zeros(side, side);
    let wrong = |what: String| {
        refused(format!("`{}` holds no Gram matrix for tensor `{}`: {what}", file.label, operands.name))
    };
    for (start, len) in blocks((side * side) as u64) {
        let mut values = vec![0.0; len];
        read_f64(&*file.source, file.index, start, &mut values)?;
        for (index, value) in (start as usize..).zip(values) {
            let (row, column) = (index / side, index % side);
            if !value.is_finite() || row == column && value < 0.0 {
                return Err(wrong(format!("{value} at [{row}, {column}]; sums of squares are needed")));
            }
            gram[(row, column)] = value;
        }
    }
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
    Ok(gram)
}

/// The elements row by row.
fn row_major(matrix: &Mat<f64>) -> Vec<f64> {
    let places = (0..matrix.nrows()).flat_map(|row| (0..matrix.ncols()).map(move |column| (row, column)));
    places.map(|place| matrix[place]).collect()
}

/// A result held whole.
struct Whole {
    values: Vec<f64>,
}

impl Combine for Whole {
    fn combine(&self, start: u64, _: &[&[f64]], _: &[f64], out: &mut [f64]) {
        out.copy_from_slice(&self.values[start as usize..start as usize + out.len()]);
    }
}
