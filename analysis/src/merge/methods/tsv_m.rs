//! TSV-Merge (arXiv 2412.00081): the largest singular directions of each model's delta, made orthogonal to those of
//! the others before they are added.

use faer::Accum;
use weights::Scratch;

use super::prelude::*;
use crate::merge::spectral::{decompose, decomposed};

pub struct TsvM;

const SPEC: MethodSpec = MethodSpec {
    id: "tsv_m",
    name: "TSV-Merge",
    summary: "Adds the largest singular directions of every delta, made orthogonal first. Takes minutes for a large matrix.",
    formula: "b + λ·U·S·Vᵀ with U, S and V the largest singular directions of every δᵢ = xᵢ − b side by side, a share 1/k of each, U and V made orthogonal together; anything but a matrix b + λ·mean δᵢ",
    reference: "https://arxiv.org/abs/2412.00081",
    base: BaseNeed::Delta,
    models: ModelCount::from(2),
    parameters: &[LAMBDA],
    laws: &[Law::Identity, Law::Symmetry],
};

impl Method for TsvM {
    fn spec(&self) -> &'static MethodSpec {
        &SPEC
    }

    fn scratch(&self, operands: &Operands) -> u64 {
        if !is_matrix(operands) {
            return 0;
        }
        let (rows, columns) = sides(operands);
        let most = share(operands) * operands.models.len();
        // The directions kept of all, and beside them in turn a delta with its decomposition, those directions
        // decomposed, and the result.
        let all = [decomposed(rows, most), decomposed(columns, most)];
        let of_one = operands.elements.saturating_add(decomposed(rows, columns));
        let beside = all.into_iter().chain([of_one]).max().unwrap_or_default();
        area(most, rows.saturating_add(columns)).saturating_add(beside)
    }

    fn prepare(&self, operands: &Operands) -> Result<Arc<dyn Combine>, weights::Error> {
        let lambda = operands.params.number("lambda");
        if !is_matrix(operands) {
            return Ok(mean(operands, lambda));
        }
        let scratch = operands.scratch.for_all(8 * self.scratch(operands));
        let ((rows, columns), share) = (sides(operands), share(operands));
        let most = share * operands.models.len();
        // The rows of both are singular vectors.
        let mut left = Matrix::zeros(&scratch, (most, rows))?;
        let mut right = Matrix::zeros(&scratch, (most, columns))?;
        let mut values: Vec<f64> = Vec::new();
        for at in 0..operands.models.len() {
            let mut delta = Matrix::zeros(&scratch, (rows, columns))?;
            read_delta(operands, at, &mut delta)?;
            let found = decompose(&scratch, delta.view())?;
            let (kept, from) = (found.values.len().min(share), values.len());
            for (all, own, side) in [(&mut left, &found.left, rows), (&mut right, &found.right, columns)] {
                all.values_mut()[from * side..][..kept * side].copy_from_slice(&own.values()[..kept * side]);
            }
            values.extend(&found.values[..kept]);
        }
        if !values.is_empty() {
            orthogonalise(&scratch, (&mut left, values.len()))?;
            operands.go_on()?;
            orthogonalise(&scratch, (&mut right, values.len()))?;
            for (vector, value) in left.values_mut().chunks_exact_mut(rows).zip(&values) {
                vector.iter_mut().for_each(|entry| *entry *= value);
            }
        }
        let mut delta = Matrix::zeros(&scratch, (rows, columns))?;
        let (left, right) = (left.view().subrows(0, values.len()), right.view().subrows(0, values.len()));
        multiply(delta.view_mut(), Accum::Replace, (left.transpose(), right), 1.0);
        Ok(Dense::of(delta, lambda))
    }
}

/// Directions kept of one model.
fn share(operands: &Operands) -> usize {
    let (rows, columns) = sides(operands);
    (rows.min(columns) / operands.models.len()).max(1)
}

/// Makes the first `count` rows of a matrix the nearest orthogonal ones.
fn orthogonalise(scratch: &Scratch, (matrix, count): (&mut Matrix, usize)) -> Result<(), weights::Error> {
    let found = decompose(scratch, matrix.view().subrows(0, count).transpose())?;
    let (left, right) = found.vectors();
    multiply(matrix.view_mut().subrows_mut(0, count), Accum::Replace, (right, left.transpose()), 1.0);
    Ok(())
}
