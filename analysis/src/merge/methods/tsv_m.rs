//! TSV-Merge (arXiv 2412.00081): the largest singular directions of each model's delta, made orthogonal to those of
//! the others before they are added.

use faer::Mat;

use super::prelude::*;
use crate::merge::spectral::{Spectrum, decompose, sides};

pub struct TsvM;

const SPEC: MethodSpec = MethodSpec {
    id: "tsv_m",
    name: "TSV-Merge",
    summary: "Adds the largest singular directions of every delta, made orthogonal first. Takes minutes for a large matrix.",
    reference: "https://arxiv.org/abs/2412.00081",
    base: BaseNeed::Delta,
    models: ModelCount::from(2),
    parameters: &[LAMBDA],
    ignored: &["weight", "density", "normalize"],
    laws: &[Law::Identity, Law::Symmetry],
};

impl Method for TsvM {
    fn spec(&self) -> &'static MethodSpec {
        &SPEC
    }

    fn held(&self, operands: &Operands) -> u64 {
        // A delta and its singular vectors, those kept of all, and the result.
        if is_matrix(operands) { 6 * operands.elements } else { 0 }
    }

    fn prepare(&self, operands: &Operands) -> Result<Arc<dyn Combine>, weights::Error> {
        let lambda = operands.params.number("lambda");
        if !is_matrix(operands) {
            return Ok(mean(operands, lambda));
        }
        let (rows, columns) = sides(operands);
        let share = (rows.min(columns) / operands.models.len()).max(1);
        let mut kept: Vec<(Vec<f64>, f64, Vec<f64>)> = Vec::new();
        for at in 0..operands.models.len() {
            let Spectrum { left, values, right } = decompose(&matrix(operands, at)?)?;
            let column = |of: &Mat<f64>, at: usize| of.col(at).iter().copied().collect();
            kept.extend(
                (0..values.len().min(share)).map(|at| (column(&left, at), values[at], column(&right, at))),
            );
        }
        if kept.is_empty() {
            return Ok(Arc::new(Dense::new(&Mat::zeros(rows, columns), lambda)));
        }
        let left = Mat::from_fn(rows, kept.len(), |row, at| kept[at].0[row]);
        let right = Mat::from_fn(columns, kept.len(), |row, at| kept[at].2[row]);
        let mut left = orthogonal(&left)?;
        for (at, (_, value, _)) in kept.iter().enumerate() {
            left.col_mut(at).iter_mut().for_each(|entry| *entry *= value);
        }
        Ok(Arc::new(Dense::new(&(&left * orthogonal(&right)?.transpose()), lambda)))
    }
}

/// The nearest matrix with orthogonal columns.
fn orthogonal(matrix: &Mat<f64>) -> Result<Mat<f64>, weights::Error> {
    let found = decompose(matrix)?;
    Ok(&found.left * found.right.transpose())
}
