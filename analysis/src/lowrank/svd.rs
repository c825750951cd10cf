//! Truncated singular value decomposition by a randomised range finder (Halko, Martinsson and Tropp,
//! arXiv 0909.4061).
//!
//! With k = rank + 10 columns, memory is at most 24·k·(rows + columns) bytes and, for each thread, one row block (8 MiB or a
//! row) with a partial product of 8·k·columns bytes; the matrix itself is read seven times and never held.

use std::f64::consts::TAU;

use domain::Digest;
use faer::Mat;
use kernels::splitmix_unit;
use serde::{Deserialize, Serialize};

use super::matrix::Matrix;
use crate::{
    Error, Progress,
    computed::{Computed, refused},
};

/// Columns beyond the rank that the range finder carries.
const OVERSAMPLING: usize = 10;
/// Times the range is sharpened by the matrix and its transpose.
const POWER_ITERATIONS: usize = 2;
/// The first rank tried when an energy is asked for; doubled until it suffices.
const FIRST_RANK: usize = 16;

/// How many singular values are kept.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rank {
    /// This many, or as many as differ from zero.
    Fixed(usize),
    /// The fewest whose squares are at least the share `energy` of `‖Δ‖²_F`, but at most `most`.
    Energy { energy: f64, most: usize },
}

impl Rank {
    /// # Errors
    /// A rank of zero, an energy outside 0 to 1.
    pub(crate) fn check(self) -> Result<(), Error> {
        match self {
            Self::Fixed(0) | Self::Energy { most: 0, .. } => {
                Err(Error::fault("/rank", "it must be a whole number from 1"))
            }
            Self::Energy { energy, .. } if !(energy > 0.0 && energy <= 1.0) => {
                Err(Error::fault("/energy", "it must be above 0 and at most 1, e.g. 0.9"))
            }
            _ => Ok(()),
        }
    }
}

/// `Δ ≈ up · down`, the singular values shared evenly: `up = U·√S`, `down = √S·Vᵀ`.
#[derive(Debug, Clone, PartialEq)]
pub struct Factors {
    pub rank: usize,
    /// Row-major, `rows × rank`.
    pub up: Vec<f64>,
    /// Row-major, `rank × columns`.
    pub down: Vec<f64>,
    /// The singular values kept, the largest first.
    pub singular: Vec<f64>,
    /// `‖Δ‖²_F`.
    pub norm_sq: f64,
}

impl Factors {
    /// `Σ sᵢ²`, which is `‖Δ‖²_F − ‖Δ − up·down‖²_F`.
    pub fn captured(&self) -> f64 {
        self.singular.iter().map(|s| s * s).sum()
    }

    /// The factors of the transposed matrix.
    pub fn transposed(self) -> Self {
        let flip = |values: &[f64], width: usize| -> Vec<f64> {
            let height = values.len() / width.max(1);
            (0..values.len()).map(|at| values[(at % height) * width + at / height]).collect()
        };
        let columns = self.down.len() / self.rank.max(1);
        Self { up: flip(&self.down, columns), down: flip(&self.up, self.rank), ..self }
    }

    /// Captured share of `‖Δ‖²_F`, 0 to 1; 1 when the matrix is zero.
    pub fn energy(&self) -> f64 {
        share(self.captured(), self.norm_sq)
    }
}

/// `part` of `whole`, at most 1; 1 of nothing.
pub(crate) fn share(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { (part / whole).min(1.0) } else { 1.0 }
}

/// Decomposes the two-dimensional tensor `index`; `None` for any other tensor. The same bits on any number of
/// threads. `progress` is called with zero bytes, often.
///
/// # Errors
/// Read errors, values that are not finite, or `progress` asking to stop.
pub(crate) fn truncate(
    source: &dyn Computed,
    index: usize,
    rank: Rank,
    progress: Progress<'_>,
) -> Result<Option<Factors>, Error> {
    Matrix::of(source, index).map(|matrix| decompose(&matrix, rank, progress)).transpose()
}

/// `⟨Δ, up·down⟩` and `‖up·down‖²_F` of the two-dimensional tensor `index`, for factors near its own.
///
/// # Errors
/// Read errors, a tensor that is no matrix, or `progress` asking to stop.
pub(crate) fn overlap(
    (source, index): (&dyn Computed, usize),
    (rank, down, up): (usize, &[f32], &[f32]),
    progress: Progress<'_>,
) -> Result<[f64; 2], Error> {
    let matrix = Matrix::of(source, index)
        .ok_or_else(|| refused(format!("tensor {index} is no matrix that factors could be compared with")))?;
    let (rows, columns) = (matrix.rows, matrix.columns);
    let right = Mat::from_fn(columns, rank, |column, at| f64::from(down[at * columns + column]));
    let left = Mat::from_fn(rows, rank, |row, at| f64::from(up[row * rank + at]));
    let product = matrix.times(right.as_ref(), progress)?;
    let dot = |a: &Mat<f64>, b: &Mat<f64>| -> f64 {
        let columns = a.col_iter().zip(b.col_iter());
        columns.map(|(a, b)| a.iter().zip(b.iter()).map(|(a, b)| a * b).sum::<f64>()).sum()
    };
    let [inner, outer] = [right.transpose() * &right, left.transpose() * &left];
    Ok([dot(&product, &left), dot(&inner, &outer)])
}

pub(super) fn decompose(matrix: &Matrix<'_>, rank: Rank, progress: Progress<'_>) -> Result<Factors, Error> {
    let norm_sq = matrix.norm_sq(progress)?;
    let full = matrix.rows.min(matrix.columns);
    if norm_sq == 0.0 {
        let (up, down) = (vec![0.0; matrix.rows], vec![0.0; matrix.columns]);
        return Ok(Factors { rank: 1, up, down, singular: vec![0.0], norm_sq });
    }
    match rank {
        Rank::Fixed(rank) => {
            let found = Triplets::find(matrix, rank.clamp(1, full), progress)?;
            let kept = found.nonzero().min(rank.max(1));
            Ok(found.factors(kept, norm_sq))
        }
        Rank::Energy { energy, most } => {
            let most = most.clamp(1, full);
            let mut rank = FIRST_RANK.min(most);
            loop {
                let found = Triplets::find(matrix, rank, progress)?;
                let enough = found.least_rank(energy * norm_sq).filter(|&least| least <= rank);
                if enough.is_some() || rank == most {
                    let kept = enough.unwrap_or(most).min(found.nonzero());
                    return Ok(found.factors(kept, norm_sq));
                }
                rank = (2 * rank).min(most);
            }
        }
    }
}

/// Leading singular triplets, the largest first; more of them than were asked for.
struct Triplets {
    /// `rows × k`.
    left: Mat<f64>,
    singular: Vec<f64>,
    /// `columns × k`.
    right: Mat<f64>,
}

impl Triplets {
    fn find(matrix: &Matrix<'_>, rank: usize, progress: Progress<'_>) -> Result<Self, Error> {
        let width = (rank + OVERSAMPLING).min(matrix.rows).min(matrix.columns);
        let start = gaussian(matrix, width);
        let mut range = orthonormal(matrix.times(start.as_ref(), progress)?);
        for _ in 0..POWER_ITERATIONS {
            let back = orthonormal(matrix.transposed_times(range.as_ref(), progress)?);
            range = orthonormal(matrix.times(back.as_ref(), progress)?);
        }
        let core = matrix.transposed_times(range.as_ref(), progress)?.qr();
        let svd = core.thin_R().thin_svd().map_err(|_| {
            refused(format!("the singular values of tensor `{}` do not converge", matrix.name()))
        })?;
        let singular = (0..width).map(|i| svd.S()[i]).collect();
        let (left, right) = (range * svd.V(), core.compute_thin_Q() * svd.U());
        Ok(Self { left, singular, right })
    }

    /// Singular values that are not only rounding.
    fn nonzero(&self) -> usize {
        let longest = self.left.nrows().max(self.right.nrows()) as f64;
        let least = self.singular.first().copied().unwrap_or(0.0) * longest * f64::EPSILON;
        self.singular.iter().take_while(|s| **s > least).count().max(1)
    }

    /// The fewest triplets with `wanted` of the squared norm; the sum may miss all of it by its rounding.
    fn least_rank(&self, wanted: f64) -> Option<usize> {
        let wanted = wanted * (1.0 - 1e-12);
        let mut sum = 0.0;
        self.singular
            .iter()
            .position(|s| {
                sum += s * s;
                sum >= wanted
            })
            .map(|at| at + 1)
    }

    fn factors(self, rank: usize, norm_sq: f64) -> Factors {
        let Self { left, mut singular, right } = self;
        singular.truncate(rank);
        let scales: Vec<f64> = (0..rank)
            .map(|i| {
                let column = left.col(i);
                let largest =
                    column.iter().fold(0.0, |most: f64, v| if v.abs() > most.abs() { *v } else { most });
                singular[i].sqrt() * if largest < 0.0 { -1.0 } else { 1.0 }
            })
            .collect();
        let (rows, columns) = (left.nrows(), right.nrows());
        let up = (0..rows * rank).map(|at| left[(at / rank, at % rank)] * scales[at % rank]).collect();
        let down = (0..rank * columns).map(|at| right[(at % columns, at / columns)] * scales[at / columns]);
        Factors { rank, up, down: down.collect(), singular, norm_sq }
    }
}

fn orthonormal(columns: Mat<f64>) -> Mat<f64> {
    columns.qr().compute_thin_Q()
}

/// Independent normal numbers from the counter generator, keyed by the tensor's name (Box–Muller).
fn gaussian(matrix: &Matrix<'_>, width: usize) -> Mat<f64> {
    let digest = Digest::of(format!("lowrank/v1\0{}", matrix.name()).as_bytes()).hex();
    let key = u64::from_str_radix(&digest[..16], 16).unwrap_or_default();
    Mat::from_fn(matrix.columns, width, |row, column| {
        let at = 2 * (row * width + column) as u64;
        // The first draw is kept off zero, whose logarithm is infinite.
        let radius = (-2.0 * (1.0 - splitmix_unit(key, at)).ln()).sqrt();
        radius * (TAU * splitmix_unit(key, at + 1)).cos()
    })
}
