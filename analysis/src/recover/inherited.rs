//! Roundings that are inherited: a merge or a quantised copy is rounded, and what was trained from it holds that rounding,
//! which no other model does. It is small beside a step of training, but it is known exactly and there are many elements.

use faer::{Mat, linalg::solvers::Solve as _};

use super::samples::{ROUNDING, Samples};

/// Spacings of numbers by which a number must have moved from a copy where the rounding of both may be one.
const CLEAR: f64 = 3.0;
/// Neighbours whose step tells how much an element's is worth.
const CHUNK: usize = 32;
/// Share of the elements that must be told apart so far.
const MOST: f64 = 0.6;
/// Standard error from which on 0 and 1 are not told apart.
const UNCERTAIN: f64 = 0.5;
/// Groups of elements whose scatter tells the error.
const GROUPS: usize = 64;
/// Standard errors by which a model holds another's rounding, of the many pairs that are asked, or does not; and what
/// small steps may shift the share.
const SURE: f64 = 2.5;
const HELD: f64 = 3.5;
const SHIFT: f64 = 0.2;
/// Standard error up to which a share that is held leaves nothing open.
const PLAIN: f64 = 0.1;
/// Share below which a rounding is not believed to be held at all.
const HARDLY: f64 = 0.1;
/// Added to the squares of what is taken into account, as a share: models that are the same here give no equations.
const RIDGE: f64 = 1e-9;

/// How much of another's rounding a model holds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Inherited {
    /// 1 of a descendant, 0 of any other model; of a copy less of both where many steps are of a few spacings.
    pub(super) share: f64,
    pub(super) error: f64,
    /// Whether so many are that the share is too small.
    partial: bool,
}

/// Elements of one matrix, after each other.
#[derive(Default)]
struct Elements {
    /// From host to child.
    steps: Vec<f64>,
    /// What the host has beside the sum of its parents.
    own: Vec<f64>,
    /// Where an element lies between the parents: their numbers less the sum, and the host's; so many of each.
    beside: Vec<f64>,
    width: usize,
}

impl Samples {
    /// How much of what `host` has beside the sum of its parents, with weights by matrix, is in `child`, and the standard
    /// error of that. None where a descendant cannot be told from any other model.
    ///
    /// A step from a host that the child does not descend from takes the rounding back; one of training does not know it. But
    /// a rounding is no noise where the parents are a few spacings apart: it goes with how they lie, as what is
    /// learnt does. Of both only what does not follow from the numbers of the parents, matrix by matrix, is compared.
    pub(super) fn inherits<'w>(
        &self,
        (child, host): (usize, usize),
        parents: impl Fn(usize) -> &'w [(usize, f64)],
    ) -> Option<Inherited> {
        let mut groups = [(0.0f64, 0.0f64); GROUPS];
        let (mut seen, mut hardly, mut chunks, mut start) = (0, 0, 0, 0);
        for (matrix, &end) in self.ends.iter().enumerate() {
            let (mut elements, same) = self.elements((child, host), parents(matrix), start..end);
            seen += elements.steps.len();
            hardly += same;
            let weights = elements.worth();
            elements.clear_of_parents(&weights);
            for (chunk, weights) in weights.chunks(CHUNK).enumerate() {
                let (common, noise) = &mut groups[chunks % GROUPS];
                chunks += 1;
                for (at, weight) in weights.iter().enumerate() {
                    let (step, own) = (elements.steps[chunk * CHUNK + at], elements.own[chunk * CHUNK + at]);
                    *common += weight * step * own;
                    *noise += weight * own * own;
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

    /// The elements of one matrix that tell, and how many were left out because they are the host's own.
    fn elements(
        &self,
        (child, host): (usize, usize),
        sum: &[(usize, f64)],
        places: std::ops::Range<usize>,
    ) -> (Elements, u64) {
        let copied = sum.len() == 1;
        let mut found = Elements { width: if copied { 0 } else { sum.len() }, ..Elements::default() };
        let mut hardly = 0;
        for at in places {
            let (value, now) = (self.values[host][at], self.values[child][at]);
            let exact: f64 = sum.iter().map(|(one, weight)| weight * f64::from(self.values[*one][at])).sum();
            let (step, own) = (f64::from(now - value), f64::from(value) - exact);
            // A number that hardly moved is on a copy's wherever both round one value alike.
            let grid = f64::from(self.spacing(if copied { child } else { host }, value));
            let rounded = own.abs() <= ROUNDING * grid;
            if copied && rounded && step.abs() < CLEAR * grid {
                hardly += u64::from(step == 0.0);
            } else if copied || rounded {
                found.steps.push(step);
                found.own.push(own);
                if let ([others @ .., _], false) = (sum, copied) {
                    // The last one's place follows from those of the others.
                    let lie = others.iter().map(|(one, _)| f64::from(self.values[*one][at]) - exact);
                    found.beside.extend(lie.chain([f64::from(value)]));
                }
            }
            // Any other merge is off by more than its rounding: its weights are another's here.
        }
        (found, hardly)
    }
}

impl Elements {
    /// What each element counts: the less, the more its neighbours moved.
    fn worth(&self) -> Vec<f64> {
        let usual = self.own.iter().map(|own| own * own).sum::<f64>() / self.own.len().max(1) as f64;
        let of_chunk = |(steps, own): (&[f64], &[f64])| {
            let count = steps.len() as f64;
            let squares: f64 = steps.iter().chain(own).map(|value| value * value).sum();
            // An element's own step must not weigh it, or large ones would count against small ones. Where nothing else
            // moved its worth is that of a rounding, and no more.
            let weight = |step: &f64| count / (squares - step * step).max(count * usual);
            let told = |weight: f64| if weight.is_finite() && count > 1.0 { weight } else { 0.0 };
            steps.iter().map(weight).map(told).collect::<Vec<f64>>()
        };
        self.steps.chunks(CHUNK).zip(self.own.chunks(CHUNK)).flat_map(of_chunk).collect()
    }

    /// Takes out of steps and roundings what follows from where the elements lie between the parents, by weighted least squares.
    fn clear_of_parents(&mut self, weights: &[f64]) {
        let width = self.width;
        if width == 0 || weights.is_empty() {
            return;
        }
        let (mut squares, mut common) = (Mat::<f64>::zeros(width, width), Mat::<f64>::zeros(width, 2));
        for (at, (lies, weight)) in self.beside.chunks(width).zip(weights).enumerate() {
            for (i, one) in lies.iter().enumerate() {
                for (j, other) in lies[..=i].iter().enumerate() {
                    squares[(i, j)] += weight * one * other;
                }
                common[(i, 0)] += weight * one * self.steps[at];
                common[(i, 1)] += weight * one * self.own[at];
            }
        }
        let scale: Vec<f64> = (0..width).map(|i| squares[(i, i)].max(f64::MIN_POSITIVE).sqrt()).collect();
        let system = Mat::from_fn(width, width, |i, j| {
            squares[(i.max(j), i.min(j))] / scale[i] / scale[j] + if i == j { RIDGE } else { 0.0 }
        });
        let target = Mat::from_fn(width, 2, |i, to| common[(i, to)] / scale[i]);
        let solved = system.full_piv_lu().solve(&target);
        for (at, lies) in self.beside.chunks(width).enumerate() {
            for (i, one) in lies.iter().enumerate() {
                self.steps[at] -= solved[(i, 0)] / scale[i] * one;
                self.own[at] -= solved[(i, 1)] / scale[i] * one;
            }
        }
    }
}

impl Inherited {
    /// Whether nothing speaks for its being held.
    pub(super) fn hardly(self) -> bool {
        self.share < HARDLY && !self.partial
    }

    /// Whether it is held beyond doubt.
    pub(super) fn plainly(self) -> bool {
        self.held() == Some(true) && self.error <= PLAIN
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
