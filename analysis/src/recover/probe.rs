//! Whether two layers are of one origin, by a permutation test with an exact null.
//!
//! Networks trained from independent random starts do not know each other's order of hidden units: had one been
//! permuted, nothing would be less likely (Zhu, Ahmed, Kuditipudi and Liang, arXiv 2502.12292). Under that null the
//! statistic φ = Σᵢ⟨aᵢ, bᵢ⟩ over units has the mean and variance of a random permutation, which are known in closed
//! form, and is normal by Hoeffding's combinatorial limit theorem.

use weights::TensorSource;

use super::facts::Tensor;

/// Units and features of each that are looked at.
const UNITS: usize = 1_024;
const FEATURES: usize = 256;

/// Some units of a layer, each with some of its weights, less the units' mean.
#[derive(Debug, Clone)]
pub(super) struct Probe {
    /// Units and features of the whole matrix; probes of other sizes do not compare.
    size: (u64, u64),
    features: usize,
    /// Row-major, one row a unit.
    values: Vec<f32>,
    /// Σ over units of the products of features, `features × features`.
    moments: Vec<f32>,
}

impl Probe {
    /// Hidden units of an MLP matrix: along the axis that is not the width of the residual stream.
    pub(super) fn units(
        source: &dyn TensorSource,
        tensor: &Tensor,
        width: Option<u64>,
    ) -> Result<Self, weights::Error> {
        let [rows, columns] = [tensor.shape[0], tensor.shape[1]];
        let along_columns = width.map_or(columns > rows, |width| rows == width && columns != width);
        Self::read(source, tensor, if along_columns { Axis::Columns } else { Axis::Rows })
    }

    /// Columns of an embedding, over its first tokens, whatever the size of the vocabulary.
    pub(super) fn columns(source: &dyn TensorSource, tensor: &Tensor) -> Result<Self, weights::Error> {
        let rows = tensor.shape[0].min(FEATURES as u64);
        let probe = Self::read(
            source,
            &Tensor { shape: vec![rows, tensor.shape[1]], ..tensor.clone() },
            Axis::Columns,
        );
        probe.map(|probe| Self { size: (tensor.shape[1], 0), ..probe })
    }

    fn read(source: &dyn TensorSource, tensor: &Tensor, axis: Axis) -> Result<Self, weights::Error> {
        let [rows, columns] = [tensor.shape[0] as usize, tensor.shape[1] as usize];
        let (most_rows, most_columns) = match axis {
            Axis::Rows => (UNITS, FEATURES),
            Axis::Columns => (FEATURES, UNITS),
        };
        let (rows_read, columns_read) = (rows.min(most_rows), columns.min(most_columns));
        let mut row = vec![0.0f32; columns];
        let mut picked = vec![0.0f32; rows_read * columns_read];
        for (at, out) in picked.chunks_exact_mut(columns_read).enumerate() {
            source.read_f32(tensor.index, ((at * rows / rows_read) * columns) as u64, &mut row)?;
            for (j, out) in out.iter_mut().enumerate() {
                let value = row[j * columns / columns_read];
                *out = if value.is_finite() { value } else { 0.0 };
            }
        }
        let (units, features, values, size) = match axis {
            Axis::Rows => (rows_read, columns_read, picked, (rows, columns)),
            Axis::Columns => {
                let turned =
                    (0..picked.len()).map(|at| picked[(at % rows_read) * columns_read + at / rows_read]);
                (columns_read, rows_read, turned.collect(), (columns, rows))
            }
        };
        Ok(Self::centred(units, features, values).sized((size.0 as u64, size.1 as u64)))
    }

    fn sized(self, size: (u64, u64)) -> Self {
        Self { size, ..self }
    }

    fn centred(units: usize, features: usize, mut values: Vec<f32>) -> Self {
        let mut mean = vec![0.0f64; features];
        for row in values.chunks_exact(features) {
            mean.iter_mut().zip(row).for_each(|(sum, value)| *sum += f64::from(*value));
        }
        for row in values.chunks_exact_mut(features) {
            row.iter_mut().zip(&mean).for_each(|(value, sum)| *value -= (sum / units as f64) as f32);
        }
        let matrix = faer::MatRef::from_row_major_slice(&values, units, features);
        let product = matrix.transpose() * matrix;
        let moments = (0..features * features).map(|at| product[(at / features, at % features)]).collect();
        Self { size: (0, 0), features, values, moments }
    }

    /// Of the same places of a matrix of the same size.
    pub(super) fn compares(&self, other: &Self) -> bool {
        self.size == other.size && self.values.len() == other.values.len() && self.features == other.features
    }

    /// Inner product of the values, each unit's own mean taken off: of the columns of an embedding, what tells one token from
    /// another and not what all have in common. None where the probes do not compare.
    pub(super) fn beside_means(&self, other: &Self) -> Option<f64> {
        let product = |(a, b): (&[f32], &[f32])| {
            let (mut inner, mut first, mut second) = (0.0, 0.0, 0.0);
            for (a, b) in a.iter().zip(b) {
                let (a, b) = (f64::from(*a), f64::from(*b));
                (inner, first, second) = (inner + a * b, first + a, second + b);
            }
            inner - first * second / a.len() as f64
        };
        let rows = || self.values.chunks_exact(self.features).zip(other.values.chunks_exact(other.features));
        self.compares(other).then(|| rows().map(product).sum())
    }

    /// Standard deviations by which φ exceeds its mean over random permutations of the units; none where the probes
    /// do not compare or one is constant.
    pub(super) fn score(&self, other: &Self) -> Option<f64> {
        if !self.compares(other) {
            return None;
        }
        let dot =
            |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
        let units = self.values.len() / self.features.max(1);
        let spread = dot(&self.moments, &other.moments) / (units.max(2) - 1) as f64;
        Some(dot(&self.values, &other.values) / spread.sqrt()).filter(|score| score.is_finite())
    }
}

#[derive(Clone, Copy)]
enum Axis {
    Rows,
    Columns,
}

/// log₁₀ of the chance that a normal number exceeds `z`.
pub(super) fn log10_tail(z: f64) -> f64 {
    if z < 5.0 {
        // Abramowitz and Stegun 7.1.26, exact to 1e-7 where that matters.
        let x = z.abs() / std::f64::consts::SQRT_2;
        let t = 1.0 / (1.0 + 0.327_591_1 * x);
        let series = [0.254_829_592, -0.284_496_736, 1.421_413_741, -1.453_152_027, 1.061_405_429];
        let erfc = series.iter().rev().fold(0.0, |sum, c| (sum + c) * t) * (-x * x).exp();
        let tail = if z >= 0.0 { erfc / 2.0 } else { 1.0 - erfc / 2.0 };
        return tail.max(1e-300).log10();
    }
    (-z * z / 2.0 - (z * std::f64::consts::TAU.sqrt()).ln()) / std::f64::consts::LN_10
}

/// A chance in words, by its log₁₀; of the tail of a normal law nobody knows the digits so far out.
pub(super) fn chance(log10_p: f64) -> String {
    if log10_p < -300.0 { "p < 10^-300".to_owned() } else { format!("p = 10^{log10_p:.0}") }
}

/// The mean of some numbers in standard errors.
pub(super) fn score(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    if n < 2.0 {
        return 0.0;
    }
    let mean = values.iter().sum::<f64>() / n;
    let spread = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0);
    if spread > 0.0 { mean / (spread / n).sqrt() } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::noise;

    fn probe(values: &[f64]) -> Probe {
        Probe::centred(200, 50, values.iter().map(|value| *value as f32).collect())
    }

    #[test]
    fn independent_matrices_score_like_a_standard_normal() {
        let scores: Vec<f64> = (0..60)
            .map(|seed| probe(&noise(seed, 10_000)).score(&probe(&noise(seed + 500, 10_000))).unwrap())
            .collect();

        let mean = scores.iter().sum::<f64>() / 60.0;
        let variance = scores.iter().map(|z| (z - mean).powi(2)).sum::<f64>() / 59.0;

        assert!(mean.abs() < 0.5 && (0.5..1.7).contains(&variance), "{mean} {variance}");
    }

    #[test]
    fn a_common_mean_of_all_units_does_not_relate() {
        let shift = |seed| {
            noise(seed, 10_000).iter().enumerate().map(|(at, x)| x + (at % 50) as f64).collect::<Vec<_>>()
        };

        let score = probe(&shift(1)).score(&probe(&shift(2))).unwrap();

        assert!(score.abs() < 4.0, "{score}");
    }

    #[test]
    fn a_noised_copy_is_far_out() {
        let original = noise(1, 10_000);
        let copy: Vec<f64> = original.iter().zip(noise(2, 10_000)).map(|(a, b)| a + b).collect();

        assert!(probe(&original).score(&probe(&copy)).unwrap() > 20.0);
        assert!((log10_tail(3.0) - 0.001_349_9f64.log10()).abs() < 1e-3);
        assert!((log10_tail(6.0) - 9.866e-10f64.log10()).abs() < 0.02);
    }

    #[test]
    fn a_chance_too_small_to_be_known_is_told_by_a_bound() {
        assert_eq!([-27.4, -300.0, -27_369.0].map(chance), ["p = 10^-27", "p = 10^-300", "p < 10^-300"]);
    }

    #[test]
    fn a_score_is_the_mean_over_its_standard_error() {
        assert_eq!(score(&[1.0, 3.0]), 2.0);
        assert_eq!(score(&[1.0]), 0.0);
        assert_eq!(score(&[2.0, 2.0]), 0.0);
    }
}
