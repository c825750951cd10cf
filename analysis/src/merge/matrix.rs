//! Matrices that are held whole in scratch, and what multiplies them.

use std::sync::Arc;

use faer::{
    Accum, MatMut, MatRef, Par,
    diag::DiagMut,
    dyn_stack::MemStack,
    linalg::{
        cholesky::llt::{
            factor::{LltRegularization, cholesky_in_place, cholesky_in_place_scratch},
            solve::solve_in_place,
        },
        evd::{ComputeEigenvectors, self_adjoint_evd, self_adjoint_evd_scratch},
        matmul::matmul,
    },
    prelude::{Reborrow as _, ReborrowMut as _},
};
use rayon::prelude::*;
use weights::{Scratch, Sheet};

use super::{Combine, Operands, operands::Block};
use crate::computed::CHUNK;

/// Columns of a product that one thread computes at a time; the same on any number of them.
const PANEL: usize = 256;

/// Rows and columns of numbers, row by row as a tensor has them.
pub struct Matrix {
    sheet: Sheet,
    rows: usize,
    columns: usize,
}

impl Matrix {
    /// A matrix of zeros.
    ///
    /// # Errors
    /// When there is no room for it.
    pub fn zeros(scratch: &Scratch, (rows, columns): (usize, usize)) -> Result<Self, weights::Error> {
        Ok(Self { sheet: scratch.sheet(rows * columns)?, rows, columns })
    }

    /// As `faer` sees it.
    pub fn view(&self) -> MatRef<'_, f64> {
        MatRef::from_row_major_slice(&self.sheet, self.rows, self.columns)
    }

    /// The same, to be written.
    pub fn view_mut(&mut self) -> MatMut<'_, f64> {
        MatMut::from_row_major_slice_mut(&mut self.sheet, self.rows, self.columns)
    }

    /// All elements, row by row.
    pub fn values(&self) -> &[f64] {
        &self.sheet
    }

    /// The same, to be written.
    pub fn values_mut(&mut self) -> &mut [f64] {
        &mut self.sheet
    }

    /// Fills a matrix of the shape of a tensor with what `of` makes of each block of its inputs.
    ///
    /// # Errors
    /// When an input cannot be read.
    pub fn fill(
        &mut self,
        operands: &Operands,
        of: impl Fn(&Block, &mut [f64]) + Sync,
    ) -> Result<(), weights::Error> {
        self.sheet.par_chunks_mut(CHUNK).enumerate().try_for_each(|(at, out)| {
            of(&operands.read_finite((at * CHUNK) as u64, out.len())?, out);
            Ok(())
        })
    }
}

/// `target = α·a·b`, or with [`Accum::Add`] that much more.
pub fn multiply(
    target: MatMut<'_, f64>,
    accum: Accum,
    (a, b): (MatRef<'_, f64>, MatRef<'_, f64>),
    alpha: f64,
) {
    if target.row_stride() != 1 && target.col_stride() == 1 {
        return multiply(target.transpose_mut(), accum, (b.transpose(), a.transpose()), alpha);
    }
    panels(target).into_par_iter().for_each(|(at, panel)| {
        let columns = panel.ncols();
        matmul(panel, accum, a, b.subcols(at, columns), alpha, Par::Seq);
    });
}

/// Adds `α·a·aᵀ` to the lower triangle of a square target, and something to what is above it.
pub fn add_square(target: MatMut<'_, f64>, a: MatRef<'_, f64>, alpha: f64) {
    panels(target).into_par_iter().for_each(|(at, panel)| {
        let (rows, columns) = (panel.nrows() - at, panel.ncols());
        let below = panel.subrows_mut(at, rows);
        matmul(below, Accum::Add, a.subrows(at, rows), a.subrows(at, columns).transpose(), alpha, Par::Seq);
    });
}

/// Copies the part of a square matrix above its diagonal to below.
pub fn mirror(square: &mut Matrix) {
    let mut square = square.view_mut();
    for row in 0..square.nrows() {
        for column in 0..row {
            square[(row, column)] = square[(column, row)];
        }
    }
}

/// Solves `system·x = target` in place of `target`, of a positive definite system whose lower triangle is read and
/// overwritten; false where it is not definite.
///
/// # Errors
/// When there is no room.
pub fn solve(
    scratch: &Scratch,
    mut system: MatMut<'_, f64>,
    target: MatMut<'_, f64>,
) -> Result<bool, weights::Error> {
    let (side, params) = (system.nrows(), Default::default());
    let bytes = cholesky_in_place_scratch::<f64>(side, Par::Seq, params).unaligned_bytes_required();
    let mut workspace = scratch.workspace(bytes)?;
    let stack = MemStack::new(workspace.bytes());
    if cholesky_in_place(system.rb_mut(), LltRegularization::default(), Par::Seq, stack, params).is_err() {
        return Ok(false);
    }
    let factor = system.rb();
    panels(target).into_par_iter().for_each(|(_, panel)| {
        solve_in_place(factor, panel, Par::Seq, MemStack::new(&mut []));
    });
    Ok(true)
}

/// Eigenvalues of a symmetric matrix whose lower triangle is read, and as columns of `vectors` its eigenvectors; `None`
/// where they are not found.
///
/// # Errors
/// When there is no room.
pub fn eigen(
    scratch: &Scratch,
    matrix: MatRef<'_, f64>,
    vectors: MatMut<'_, f64>,
) -> Result<Option<Vec<f64>>, weights::Error> {
    let mut values = vec![0.0; matrix.nrows()];
    let mut workspace = scratch.workspace(eigen_bytes(matrix.nrows()))?;
    let stack = MemStack::new(workspace.bytes());
    let into = DiagMut::from_slice_mut(&mut values);
    let found = self_adjoint_evd(matrix, into, Some(vectors), Par::Seq, stack, Default::default());
    Ok(found.is_ok().then_some(values))
}

fn eigen_bytes(side: usize) -> usize {
    self_adjoint_evd_scratch::<f64>(side, ComputeEigenvectors::Yes, Par::Seq, Default::default())
        .unaligned_bytes_required()
}

/// Numbers that [`eigen`] holds beside the matrix and the vectors.
pub fn eigen_numbers(side: usize) -> u64 {
    eigen_bytes(side).div_ceil(8) as u64
}

/// The columns of a matrix in runs, each with the place of its first.
pub fn panels(matrix: MatMut<'_, f64>) -> Vec<(usize, MatMut<'_, f64>)> {
    let (mut rest, mut at, mut panels) = (matrix, 0, Vec::new());
    while rest.ncols() > 0 {
        let columns = rest.ncols().min(PANEL);
        let (panel, others) = rest.split_at_col_mut(columns);
        panels.push((at, panel));
        (rest, at) = (others, at + columns);
    }
    panels
}

/// Numbers in a matrix.
pub fn area(rows: usize, columns: usize) -> u64 {
    (rows as u64).saturating_mul(columns as u64)
}

/// A combined delta held whole, `λ` times it added to the base.
pub struct Dense {
    delta: Matrix,
    lambda: f64,
}

impl Dense {
    /// Of the delta of a tensor.
    pub fn of(delta: Matrix, lambda: f64) -> Arc<dyn Combine> {
        Arc::new(Self { delta, lambda })
    }
}

impl Combine for Dense {
    fn combine(&self, start: u64, _: &[&[f64]], base: &[f64], out: &mut [f64]) {
        for ((out, base), delta) in out.iter_mut().zip(base).zip(&self.delta.values()[start as usize..]) {
            let delta = self.lambda * delta;
            *out = if delta == 0.0 { *base } else { base + delta };
        }
    }
}

/// A result held whole.
pub struct Whole(pub Matrix);

impl Combine for Whole {
    fn combine(&self, start: u64, _: &[&[f64]], _: &[f64], out: &mut [f64]) {
        out.copy_from_slice(&self.0.values()[start as usize..start as usize + out.len()]);
    }
}

#[cfg(test)]
mod tests {
    use faer::Mat;

    use super::*;
    use crate::testing::noise;

    fn random(seed: u64, rows: usize, columns: usize) -> Mat<f64> {
        let values = noise(seed, rows * columns);
        Mat::from_fn(rows, columns, |row, column| values[row * columns + column])
    }

    #[test]
    fn a_product_in_panels_is_the_product_whichever_way_the_target_lies() {
        let (a, b) = (random(1, 300, 40), random(2, 40, 600));
        let plain = &a * &b;
        let (mut upright, mut lying) = (Mat::<f64>::zeros(300, 600), Mat::<f64>::zeros(600, 300));

        multiply(upright.as_mut(), Accum::Replace, (a.as_ref(), b.as_ref()), 2.0);
        multiply(lying.as_mut().transpose_mut(), Accum::Add, (a.as_ref(), b.as_ref()), 1.0);

        let near = |one: f64, two: f64| (one - two).abs() < 1e-12 * (1.0 + two.abs());
        let all = (0..300).flat_map(|row| (0..600).map(move |column| (row, column)));
        for (row, column) in all {
            assert!(near(upright[(row, column)], 2.0 * plain[(row, column)]));
            assert!(near(lying[(column, row)], plain[(row, column)]));
        }
    }

    #[test]
    fn a_square_is_added_to_the_lower_triangle() {
        let a = random(3, 600, 20);
        let plain = &a * a.transpose();
        let mut target = Mat::<f64>::identity(600, 600);

        add_square(target.as_mut(), a.as_ref(), 0.5);

        for row in 0..600 {
            for column in 0..=row {
                let expected = 0.5 * plain[(row, column)] + f64::from(u8::from(row == column));
                assert!((target[(row, column)] - expected).abs() < 1e-12 * (1.0 + expected.abs()));
            }
        }
    }
}
