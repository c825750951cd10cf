//! Some elements of every model of a family: what sums, squares and bits do not tell.
//!
//! A merge or a quantised copy is rounded, and what was trained from it holds that rounding, which no other model does. It
//! is small beside a step of training, but it is known exactly and there are many elements.

use rayon::prelude::*;

use super::{
    measured::{self, Measured},
    probe::score,
};

/// Spacings of numbers by which models must be apart where a rounding counts: nearer ones fall on the same few numbers.
const CLEAR: f32 = 3.0;
/// Spacings that a rounding moves a number at most, and a little for the weights, which are fitted.
const ROUNDING: f64 = 0.6;
/// Neighbours whose step tells how much an element's is worth.
const CHUNK: usize = 32;
/// Share of the elements that must be apart so far.
const MOST: f64 = 0.6;
/// Standard error from which on 0 and 1 are not told apart.
const UNCERTAIN: f64 = 0.5;
/// Groups of chunks whose scatter tells the error.
const GROUPS: usize = 64;
/// Standard errors by which a model holds another's rounding, of the many pairs that are asked, or does not; and what
/// small steps may shift the share.
const SURE: f64 = 2.5;
const HELD: f64 = 3.5;
const SHIFT: f64 = 0.2;
/// Share below which a rounding is not believed to be held at all.
const HARDLY: f64 = 0.1;

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

/// How much of another's rounding a model holds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Inherited {
    /// 1 of a descendant, 0 of any other model; less of both where many steps are of a few spacings.
    pub(super) share: f64,
    pub(super) error: f64,
    /// Whether so many are that the share is too small.
    partial: bool,
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

    /// How much of what `host` has beside the sum of its parents, with weights by matrix, is in `child`, and the standard
    /// error of that. None where a descendant cannot be told from any other model.
    pub(super) fn inherits<'w>(
        &self,
        (child, host): (usize, usize),
        parents: impl Fn(usize) -> &'w [(usize, f64)],
    ) -> Option<Inherited> {
        let mut groups = [(0.0f64, 0.0f64); GROUPS];
        let (mut seen, mut hardly, mut chunks) = (0, 0, 0);
        let mut start = 0;
        for (matrix, &end) in self.ends.iter().enumerate() {
            let sum = parents(matrix);
            let mut clear: Vec<(f64, f64)> = Vec::with_capacity(end - start);
            for at in start..end {
                let value = self.values[host][at];
                let spacing = self.spacing(host, value);
                let step = self.values[child][at] - value;
                let far = |(one, _): &(usize, f64)| (self.values[*one][at] - value).abs() >= CLEAR * spacing;
                // A number that hardly moved is on the host's wherever both round one value alike.
                let grid = self.spacing(child, value);
                let exact: f64 = sum.iter().map(|(one, w)| w * f64::from(self.values[*one][at])).sum();
                let own = f64::from(value) - exact;
                let alike = own.abs() <= ROUNDING * f64::from(grid);
                if sum.len() == 1 && alike && step.abs() < CLEAR * grid {
                    hardly += u64::from(step == 0.0);
                    continue;
                }
                // The grid of a copy is far coarser than the numbers its models are stored in.
                if sum.len() > 1 && !(step.abs() >= CLEAR * spacing && sum.iter().all(far)) {
                    continue;
                }
                // A merge is off by its rounding and no more, or its weights are another's here.
                if sum.len() == 1 || own.abs() <= ROUNDING * f64::from(spacing) {
                    clear.push((f64::from(step), own));
                }
            }
            seen += clear.len();
            let usual = clear.iter().map(|(_, own)| own * own).sum::<f64>() / clear.len().max(1) as f64;
            for chunk in clear.chunks(CHUNK).filter(|chunk| chunk.len() > 1) {
                let count = chunk.len() as f64;
                let squares: f64 = chunk.iter().map(|(step, own)| step * step + own * own).sum();
                let (common, noise) = &mut groups[chunks % GROUPS];
                chunks += 1;
                for (step, own) in chunk {
                    // An element's own step must not weigh it, or large ones would count against small ones. Where
                    // nothing else moved its worth is that of a rounding, and no more.
                    let weight = count / (squares - step * step).max(count * usual);
                    if weight.is_finite() {
                        *common += weight * step * own;
                        *noise += weight * own * own;
                    }
                }
            }
            start = end;
        }
        let (common, noise) = groups.iter().fold((0.0, 0.0), |sum, group| (sum.0 + group.0, sum.1 + group.1));
        let share = 1.0 + common / noise;
        // Without each group in turn: steps are no white noise, and an error that takes them for it is too small.
        let without: f64 = groups
            .iter()
            .map(|group| (1.0 + (common - group.0) / (noise - group.1) - share).powi(2))
            .filter(|square| square.is_finite())
            .sum();
        let scatter = (without * (GROUPS - 1) as f64 / GROUPS as f64).sqrt();
        let error = scatter.max(1.0 / noise.sqrt());
        let partial = (seen as f64) < MOST * (start as u64 - hardly) as f64;
        (noise > 0.0 && error < UNCERTAIN).then_some(Inherited { share, error, partial })
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

impl Inherited {
    /// Whether nothing speaks for its being held.
    pub(super) fn hardly(self) -> bool {
        self.share < HARDLY && !self.partial
    }

    /// Whether it is rather held than not.
    pub(super) fn likely(self) -> bool {
        let least = self.share - SURE * self.error;
        (SHIFT..1.0 + SHIFT).contains(&least) && !self.partial
    }

    /// Whether the model holds the rounding; none when unsure.
    pub(super) fn held(self) -> Option<bool> {
        let Self { share, error, partial } = self;
        if share + SURE * error < SHIFT {
            return Some(false);
        }
        let held = share - HELD * error > SHIFT && share - HELD * error < 1.0 + SHIFT;
        (held && !partial).then_some(true)
    }
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
