//! Deltas of whole matrices, for methods that decompose them. What is held whole is counted by `Method::scratch`.

use std::sync::Arc;

use faer::{
    MatRef, Par,
    diag::DiagMut,
    dyn_stack::MemStack,
    linalg::svd::{ComputeSvdVectors, svd, svd_scratch},
};
use weights::Scratch;

use super::{
    Combine, Operands,
    matrix::{Matrix, area},
    sphere::{Blend, Common, Vectors},
    vocabulary::is_table,
};
use crate::computed::refused;

/// Whether a tensor is a linear map: tables of the vocabulary have rows of their own each, and are averaged like
/// vectors.
pub fn is_matrix(operands: &Operands) -> bool {
    operands.shape.len() == 2 && operands.elements > 0 && !is_table(&operands.name)
}

/// Rows and columns.
pub fn sides(operands: &Operands) -> (usize, usize) {
    let columns = operands.columns();
    ((operands.elements / columns) as usize, columns as usize)
}

/// Only model `at` of the operands, with the base.
pub fn only(operands: &Operands, at: usize) -> Operands {
    Operands { models: vec![operands.models[at].clone()], base: operands.base.clone(), ..operands.clone() }
}

/// Writes the delta of model `at` into a matrix of the tensor's shape.
///
/// # Errors
/// When an input cannot be read.
pub fn read_delta(operands: &Operands, at: usize, into: &mut Matrix) -> Result<(), weights::Error> {
    into.fill(&only(operands, at), |block, out| out.copy_from_slice(block.delta(0)))
}

/// `b + λ·mean(δ)`.
pub fn mean(operands: &Operands, lambda: f64) -> Arc<dyn Combine> {
    let count = operands.models.len();
    let factors = vec![lambda / count as f64; count];
    Arc::new(Blend::new(operands, Vectors::Whole, factors, Common::Blended))
}

/// `U·S·Vᵀ`, the values from the largest; the rows of `left` and of `right` are the singular vectors, and those past the
/// values mean nothing.
pub struct Spectrum {
    pub left: Matrix,
    pub values: Vec<f64>,
    pub right: Matrix,
}

impl Spectrum {
    /// `U` and `V` without the vectors that mean nothing.
    pub fn vectors(&self) -> (MatRef<'_, f64>, MatRef<'_, f64>) {
        let rank = self.values.len();
        (self.left.view().transpose().subcols(0, rank), self.right.view().transpose().subcols(0, rank))
    }
}

/// Singular value decomposition without the directions that are only rounding.
///
/// # Errors
/// When it does not converge, or there is no room for it.
pub fn decompose(scratch: &Scratch, matrix: MatRef<'_, f64>) -> Result<Spectrum, weights::Error> {
    let (rows, columns) = matrix.shape();
    let size = rows.min(columns);
    let (mut left, mut right) =
        (Matrix::zeros(scratch, (size, rows))?, Matrix::zeros(scratch, (size, columns))?);
    let mut values = vec![0.0; size];
    let mut workspace = scratch.workspace(svd_bytes(rows, columns))?;
    svd(
        matrix,
        DiagMut::from_slice_mut(&mut values),
        Some(left.view_mut().transpose_mut()),
        Some(right.view_mut().transpose_mut()),
        Par::Seq,
        MemStack::new(workspace.bytes()),
        Default::default(),
    )
    .map_err(|_| refused("a singular value decomposition did not converge".into()))?;
    let least = values.first().copied().unwrap_or_default() * f64::EPSILON * rows.max(columns) as f64;
    let rank = values.iter().take_while(|value| **value > least).count();
    values.truncate(rank);
    Ok(Spectrum { left, values, right })
}

fn svd_bytes(rows: usize, columns: usize) -> usize {
    let (thin, params) = (ComputeSvdVectors::Thin, Default::default());
    svd_scratch::<f64>(rows, columns, thin, thin, Par::Seq, params).unaligned_bytes_required()
}

/// Numbers that [`decompose`] holds beside the matrix.
pub fn decomposed(rows: usize, columns: usize) -> u64 {
    let vectors = area(rows.min(columns), rows.saturating_add(columns));
    vectors.saturating_add(svd_bytes(rows, columns).div_ceil(8) as u64)
}
