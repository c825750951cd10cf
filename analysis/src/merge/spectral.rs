//! Deltas of whole matrices, for methods that decompose them. What is held whole is counted by `Method::held`.

use std::sync::Arc;

use faer::Mat;

use super::vocabulary::is_table;
use super::{
    Combine, Operands,
    sphere::{Blend, Common, Vectors},
};
use crate::computed::{blocks, refused};

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

/// Delta of model `at` as a matrix.
pub fn matrix(operands: &Operands, at: usize) -> Result<Mat<f64>, weights::Error> {
    let (rows, columns) = sides(operands);
    let mut delta = Mat::zeros(rows, columns);
    let only = Operands {
        models: vec![operands.models[at].clone()],
        base: operands.base.clone(),
        ..operands.clone()
    };
    for (start, len) in blocks(operands.elements) {
        for (index, value) in (start as usize..).zip(only.read_finite(start, len)?.delta(0)) {
            delta[(index / columns, index % columns)] = *value;
        }
    }
    Ok(delta)
}

/// `b + λ·mean(δ)`.
pub fn mean(operands: &Operands, lambda: f64) -> Arc<dyn Combine> {
    let count = operands.models.len();
    let factors = vec![lambda / count as f64; count];
    Arc::new(Blend::new(operands, Vectors::Whole, factors, Common::Blended))
}

/// `U·S·Vᵀ`, the values from the largest.
pub struct Spectrum {
    pub left: Mat<f64>,
    pub values: Vec<f64>,
    pub right: Mat<f64>,
}

/// Singular value decomposition without the directions that are only rounding.
pub fn decompose(matrix: &Mat<f64>) -> Result<Spectrum, weights::Error> {
    let found =
        matrix.thin_svd().map_err(|_| refused("a singular value decomposition did not converge".into()))?;
    let values: Vec<f64> = found.S().column_vector().iter().copied().collect();
    let least = values.first().copied().unwrap_or_default()
        * f64::EPSILON
        * matrix.nrows().max(matrix.ncols()) as f64;
    let rank = values.iter().take_while(|value| **value > least).count();
    let left = found.U().subcols(0, rank).to_owned();
    let right = found.V().subcols(0, rank).to_owned();
    Ok(Spectrum { left, values: values[..rank].to_vec(), right })
}

/// A combined delta held whole, added to the base.
pub struct Dense {
    values: Vec<f64>,
}

impl Dense {
    /// `λ` times a matrix.
    pub fn new(matrix: &Mat<f64>, lambda: f64) -> Self {
        let rows = 0..matrix.nrows();
        let values = rows
            .flat_map(|row| (0..matrix.ncols()).map(move |column| lambda * matrix[(row, column)]))
            .collect();
        Self { values }
    }
}

impl Combine for Dense {
    fn combine(&self, start: u64, _: &[&[f64]], base: &[f64], out: &mut [f64]) {
        for ((out, base), delta) in out.iter_mut().zip(base).zip(&self.values[start as usize..]) {
            *out = if *delta == 0.0 { *base } else { base + delta };
        }
    }
}
