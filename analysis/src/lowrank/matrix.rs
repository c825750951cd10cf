//! A matrix read in row blocks, and its products with a few vectors at a time.

use std::ops::Range;

use faer::{Mat, MatRef, Par, linalg::matmul::matmul};
use rayon::prelude::*;

use crate::{
    Error, Progress,
    computed::{Computed, refused},
};

/// Elements of one row block, unless a single row has more; a product's bits depend on it.
const BLOCK: usize = 1 << 20;

/// A two-dimensional tensor of a computed source. At most one block for each thread is held as f64.
pub(super) struct Matrix<'a> {
    source: &'a dyn Computed,
    index: usize,
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// Rows of a block; of a test, any number.
    pub(super) step: usize,
}

impl<'a> Matrix<'a> {
    /// The matrix at `index`; none for a tensor of another number of dimensions, or without elements.
    pub(super) fn of(source: &'a dyn Computed, index: usize) -> Option<Self> {
        let &[rows, columns] = source.infos().get(index)?.shape.as_slice() else { return None };
        let (rows, columns) = (usize::try_from(rows).ok()?, usize::try_from(columns).ok()?);
        let step = (BLOCK / columns.max(1)).max(1);
        (rows > 0 && columns > 0).then_some(Self { source, index, rows, columns, step })
    }

    /// Name of the tensor.
    pub(super) fn name(&self) -> &'a str {
        &self.source.infos()[self.index].name
    }

    /// Calls `work` with each row block in parallel, and `take` with the outcomes in order.
    fn pass<T: Send>(
        &self,
        progress: Progress<'_>,
        work: impl Fn(Range<usize>, &[f64]) -> Result<T, Error> + Sync,
        mut take: impl FnMut(Range<usize>, T),
    ) -> Result<(), Error> {
        let blocks: Vec<Range<usize>> = (0..self.rows)
            .step_by(self.step)
            .map(|start| start..(start + self.step).min(self.rows))
            .collect();
        for window in blocks.chunks(rayon::current_num_threads().max(1)) {
            let one = |rows: &Range<usize>| {
                progress(0)?;
                let mut block = vec![0.0; rows.len() * self.columns];
                self.source.fill(self.index, (rows.start * self.columns) as u64, &mut block)?;
                work(rows.clone(), &block)
            };
            let done: Vec<Result<T, Error>> = window.par_iter().map(one).collect();
            for (rows, outcome) in window.iter().zip(done) {
                take(rows.clone(), outcome?);
            }
        }
        Ok(())
    }

    /// `‖self‖²_F`.
    ///
    /// # Errors
    /// Read errors, and an element that is NaN or infinite.
    pub(super) fn norm_sq(&self, progress: Progress<'_>) -> Result<f64, Error> {
        let mut total = 0.0;
        let work = |rows: Range<usize>, block: &[f64]| match block.iter().position(|value| !value.is_finite())
        {
            None => Ok(block.iter().map(|value| value * value).sum::<f64>()),
            Some(at) => {
                let (row, column) = (rows.start + at / self.columns, at % self.columns);
                let (name, value) = (self.name(), block[at]);
                Err(refused(format!(
                    "the difference of tensor `{name}` is {value} at row {row}, column {column}; only finite \
                     values can be decomposed"
                ))
                .into())
            }
        };
        self.pass(progress, work, |_, part| total += part)?;
        Ok(total)
    }

    /// `self · right`, of `rows × k` for a `right` of `columns × k`.
    pub(super) fn times(&self, right: MatRef<'_, f64>, progress: Progress<'_>) -> Result<Mat<f64>, Error> {
        let mut product = Mat::zeros(self.rows, right.ncols());
        let work = |rows: Range<usize>, block: &[f64]| {
            let block = MatRef::from_row_major_slice(block, rows.len(), self.columns);
            let mut part = Mat::zeros(rows.len(), right.ncols());
            matmul(&mut part, faer::Accum::Replace, block, right, 1.0, Par::Seq);
            Ok(part)
        };
        self.pass(progress, work, |rows, part| {
            product.as_mut().subrows_mut(rows.start, rows.len()).copy_from(&part);
        })?;
        Ok(product)
    }

    /// `selfᵀ · left`, of `columns × k` for a `left` of `rows × k`.
    pub(super) fn transposed_times(
        &self,
        left: MatRef<'_, f64>,
        progress: Progress<'_>,
    ) -> Result<Mat<f64>, Error> {
        let mut product = Mat::<f64>::zeros(self.columns, left.ncols());
        let work = |rows: Range<usize>, block: &[f64]| {
            let block = MatRef::from_row_major_slice(block, rows.len(), self.columns);
            let mut part = Mat::zeros(self.columns, left.ncols());
            let left = left.subrows(rows.start, rows.len());
            matmul(&mut part, faer::Accum::Replace, block.transpose(), left, 1.0, Par::Seq);
            Ok(part)
        };
        self.pass(progress, work, |_, part| product += &part)?;
        Ok(product)
    }
}
