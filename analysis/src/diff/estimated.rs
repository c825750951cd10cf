//! How far two tensors are apart by their stored sketches, without a read of them.

use kernels::{DiffSums, SKETCH_LANES as LANES};
use weights::{TensorInfo, canonical_name};

use super::table::Fact;

/// The sketch of a tensor: linear, so that the difference of two is the sketch of the difference.
#[derive(Debug, Clone, PartialEq)]
pub struct Cells {
    /// Whether every element has a cell of its own.
    pub exact: bool,
    /// Blocks of rows that have cells of their own; 0 for a tensor that is not divided.
    pub blocks: usize,
    pub cells: Vec<f32>,
}

/// Sums over two tensors, and the variance of the estimated `‖a − b‖²`; none where all are exact.
pub(super) struct Estimate {
    pub(super) sums: DiffSums,
    pub(super) variance: Option<f64>,
}

/// What the sketches of two tensors say; none where they do not compare, or elements are NaN or infinite.
pub(super) fn estimate(
    (left, fact): (&TensorInfo, &Fact),
    (right, other): (&TensorInfo, &Fact),
) -> Option<Estimate> {
    let (a, b) = (fact.sketch.as_ref()?, other.sketch.as_ref()?);
    // Sketches are keyed by the name.
    let compare = (a.exact, a.blocks, a.cells.len()) == (b.exact, b.blocks, b.cells.len())
        && canonical_name(&left.name) == canonical_name(&right.name);
    if !compare || fact.nonfinite + other.nonfinite > 0 {
        return None;
    }
    let (n, mut sums) = (left.elements(), DiffSums::default());
    if a.exact {
        let n = usize::try_from(n).ok()?;
        // Both have the same signs.
        sums.add_block(a.cells.get(..n)?, b.cells.get(..n)?);
        return Some(Estimate { sums, variance: None });
    }
    let (a_sq, b_sq) = (fact.l2?.powi(2), other.l2?.powi(2));
    let (diff_sq, variance) = apart(a, b);
    sums = DiffSums { n, diff_sq, a_sq, b_sq, ab: (a_sq + b_sq - diff_sq) / 2.0, ..sums };
    // Cells are kept as F32.
    let rounding = f64::from(f32::EPSILON).powi(2) / 4.0 * (a_sq + b_sq);
    Some(Estimate { sums, variance: Some(variance + rounding * rounding) })
}

/// `‖a − b‖²` and its variance. Neighbours that share a hash lie in lanes of their own, so each lane of each block estimates
/// its part E alone, with the variance `2·E² / rows`.
fn apart(a: &Cells, b: &Cells) -> (f64, f64) {
    let share = (a.cells.len() / a.blocks.max(1)).max(LANES);
    let rows = (share / LANES) as f64;
    let (mut all, mut variance) = (0.0, 0.0);
    for (a, b) in a.cells.chunks(share).zip(b.cells.chunks(share)) {
        let mut lanes = [0.0; LANES];
        for (a, b) in a.chunks(LANES).zip(b.chunks(LANES)) {
            for ((lane, a), b) in lanes.iter_mut().zip(a).zip(b) {
                *lane += (f64::from(*a) - f64::from(*b)).powi(2);
            }
        }
        all += lanes.iter().sum::<f64>();
        variance += lanes.iter().map(|lane| 2.0 * lane * lane / rows).sum::<f64>();
    }
    (all, variance)
}
