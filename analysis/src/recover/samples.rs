//! Some elements of every model of a family: what sums, squares and bits do not tell.

use rayon::prelude::*;

use super::{
    measured::{self, Measured},
    probe::score,
};

/// Spacings that a rounding moves a number at most, and a little for the weights, which are fitted.
pub(super) const ROUNDING: f64 = 0.6;
/// Spacings by which numbers are clearly apart, and those that two roundings on the way and fitted weights leave.
const CLEARLY: f32 = 2.0;
const TWICE: f64 = 1.6;
/// Fewest numbers that a share is taken of.
const ENOUGH: usize = 200;
/// Some elements of every matrix.
pub(super) struct Samples {
    /// By member.
    pub(super) values: Vec<Vec<f32>>,
    /// Where each matrix ends.
    pub(super) ends: Vec<usize>,
    /// Spacing of the numbers above one, by member.
    spacings: Vec<f32>,
    /// Logarithm of the kurtosis of each matrix's elements, by member.
    tails: Vec<Vec<f64>>,
}

impl Samples {
    /// `precision` are the bits after the leading one, by member.
    pub(super) fn of(measured: &Measured, precision: Vec<u32>) -> Self {
        let mut values = vec![Vec::new(); measured.members.len()];
        let mut ends = Vec::new();
        for part in measured.matrices().filter(|part| !part.samples.is_empty()) {
            for (all, sample) in values.iter_mut().zip(&part.samples) {
                all.extend_from_slice(sample);
            }
            ends.push(values[0].len());
        }
        let spacings = precision.into_iter().map(|bits| 2f32.powi(-(bits as i32))).collect();
        let tails = values.par_iter().map(|values| {
            let starts = std::iter::once(&0).chain(&ends);
            starts.zip(&ends).map(|(&start, &end)| tail(&values[start..end])).collect()
        });
        let tails = tails.collect();
        Self { values, ends, spacings, tails }
    }

    /// The share of the elements of `child` that are the rounded weighted sum, less the largest share of one of the parents that is
    /// the rounded sum of the rest; and the standard error of that. None without elements, or where a weight is none.
    pub(super) fn rounded(&self, child: usize, terms: &[(usize, f64)]) -> Option<(f64, f64)> {
        let share = |of: usize, terms: &[(usize, f64)]| {
            let values = &self.values[of];
            let equal = (0..values.len()).filter(|&at| {
                let sum: f64 =
                    terms.iter().map(|(model, weight)| weight * f64::from(self.values[*model][at])).sum();
                (sum - f64::from(values[at])).abs() <= ROUNDING * f64::from(self.spacing(of, values[at]))
            });
            equal.count() as f64 / values.len() as f64
        };
        if self.values[child].is_empty() || terms.iter().any(|(_, weight)| *weight == 0.0) {
            return None;
        }
        let turned = terms.iter().map(|&(model, weight)| {
            let others = terms.iter().filter(|(other, _)| *other != model);
            let rest =
                others.map(|&(other, theirs)| (other, -theirs / weight)).chain([(child, 1.0 / weight)]);
            share(model, &rest.collect::<Vec<_>>())
        });
        let (own, best) = (share(child, terms), turned.fold(0.0, f64::max));
        let spread = own * (1.0 - own) + best * (1.0 - best);
        Some((own - best, (spread / self.values[child].len() as f64).sqrt()))
    }

    /// The share of those elements of `child` that are clearly not `near`'s which are the weighted sum, with weights by matrix. None
    /// where hardly any are.
    pub(super) fn follows(&self, (child, near): (usize, usize), sum: &[Vec<(usize, f64)>]) -> Option<f64> {
        let (mut apart, mut summed, mut start) = (0usize, 0usize, 0);
        for (terms, &end) in sum.iter().zip(&self.ends) {
            for at in start..end {
                let (own, beside) = (self.values[child][at], self.values[near][at]);
                let spacing = self.spacing(child, own);
                if measured::spacings_apart(own, beside, spacing) >= CLEARLY {
                    let exact: f64 =
                        terms.iter().map(|(model, weight)| weight * f64::from(self.values[*model][at])).sum();
                    apart += 1;
                    summed += usize::from((exact - f64::from(own)).abs() <= TWICE * f64::from(spacing));
                }
            }
            start = end;
        }
        (apart >= ENOUGH).then(|| summed as f64 / apart as f64)
    }

    /// How much shorter the tails of `b` are than those of `a`: the change of the logarithms of their matrices' kurtosis, in
    /// standard errors over the matrices; 0 where it cannot be told.
    pub(super) fn shorter(&self, (a, b): (usize, usize)) -> f64 {
        let changes = self.tails[a].iter().zip(&self.tails[b]).map(|(a, b)| a - b);
        score(&changes.filter(|change| change.is_finite() && *change != 0.0).collect::<Vec<_>>())
    }

    /// Whether there are any: of sketches there are none.
    pub(super) fn any(&self) -> bool {
        !self.ends.is_empty()
    }

    /// Distance from 1 to the next number that the member's precision has.
    pub(super) fn unit(&self, member: usize) -> f32 {
        self.spacings[member]
    }

    /// Distance to the next number that the member's precision has.
    pub(super) fn spacing(&self, member: usize, value: f32) -> f32 {
        measured::spacing(value, self.spacings[member])
    }
}

/// Logarithm of the kurtosis.
fn tail(values: &[f32]) -> f64 {
    let count = values.len() as f64;
    let mean = values.iter().map(|value| f64::from(*value)).sum::<f64>() / count;
    let moment =
        |power| values.iter().map(|value| (f64::from(*value) - mean).powi(power)).sum::<f64>() / count;
    (moment(4) / moment(2).powi(2)).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tails_are_those_of_the_distribution_and_not_of_its_scale() {
        let uniform: Vec<f32> = (0..10_000).map(|at| at as f32 / 1e4).collect();
        let cubes: Vec<f32> = uniform.iter().map(|value| (value - 0.5).powi(3)).collect();
        let scaled: Vec<f32> = cubes.iter().map(|value| 7.0 + 100.0 * value).collect();

        assert!((tail(&uniform) - 1.8f64.ln()).abs() < 0.01, "{}", tail(&uniform));
        assert!(tail(&cubes) > tail(&uniform) + 0.5);
        assert!((tail(&scaled) - tail(&cubes)).abs() < 1e-3);
    }
}
