//! CMA-ES, asked for points and told their order: the strategy of <https://arxiv.org/abs/1604.00772> with positive
//! weights, as a state that can be stored between two generations.

use serde::{Deserialize, Serialize};

use super::{bits, eigen::eigen, normal};

/// Longest step; a target that is flat would let it grow without end.
const LONGEST_STEP: f64 = 1e4;

/// All that one generation hands to the next.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cma {
    seed: u64,
    generation: u64,
    #[serde(with = "bits")]
    mean: Vec<f64>,
    /// The step size, one number.
    #[serde(with = "bits")]
    sigma: Vec<f64>,
    /// Row-major.
    #[serde(with = "bits")]
    covariance: Vec<f64>,
    #[serde(with = "bits")]
    path: Vec<f64>,
    #[serde(with = "bits")]
    step_path: Vec<f64>,
}

/// Points of one generation in `values` dimensions: 4 + ⌊3 ln d⌋.
pub fn population(values: usize) -> usize {
    4 + (3.0 * (values.max(1) as f64).ln()).floor() as usize
}

/// The parameters of the strategy, which depend on the dimension alone.
struct Rates {
    weights: Vec<f64>,
    /// Variance effective selection mass.
    mass: f64,
    step: f64,
    damping: f64,
    path: f64,
    rank_one: f64,
    rank_many: f64,
    /// Expected norm of a standard normal vector.
    norm: f64,
}

impl Rates {
    fn of(values: usize) -> Self {
        let n = values as f64;
        let lambda = population(values);
        let raw: Vec<f64> =
            (1..=lambda / 2).map(|rank| ((lambda as f64 + 1.0) / 2.0).ln() - (rank as f64).ln()).collect();
        let sum: f64 = raw.iter().sum();
        let weights: Vec<f64> = raw.iter().map(|weight| weight / sum).collect();
        let mass = 1.0 / weights.iter().map(|weight| weight * weight).sum::<f64>();
        let step = (mass + 2.0) / (n + mass + 5.0);
        let rank_one = 2.0 / ((n + 1.3).powi(2) + mass);
        let rank_many = 2.0 * (mass - 2.0 + 1.0 / mass) / ((n + 2.0).powi(2) + mass);
        Self {
            damping: 1.0 + 2.0 * (((mass - 1.0) / (n + 1.0)).sqrt() - 1.0).max(0.0) + step,
            path: (4.0 + mass / n) / (n + 4.0 + 2.0 * mass / n),
            norm: n.sqrt() * (1.0 - 1.0 / (4.0 * n) + 1.0 / (21.0 * n * n)),
            rank_many: rank_many.clamp(0.0, 1.0 - rank_one),
            weights,
            mass,
            step,
            rank_one,
        }
    }
}

impl Cma {
    /// A search that starts at `mean` with steps of `sigma`.
    pub fn new(mean: Vec<f64>, sigma: f64, seed: u64) -> Self {
        let n = mean.len();
        let mut covariance = vec![0.0; n * n];
        (0..n).for_each(|at| covariance[at * n + at] = 1.0);
        let path = vec![0.0; n];
        Self { seed, generation: 0, sigma: vec![sigma], covariance, step_path: path.clone(), path, mean }
    }

    fn sigma(&self) -> f64 {
        self.sigma.first().copied().unwrap_or_default()
    }

    /// The points of this generation; always the same ones until it is told their order.
    pub fn ask(&self) -> Vec<Vec<f64>> {
        let n = self.mean.len();
        let (squares, axes) = eigen(&self.covariance, n);
        let point = |member: usize| {
            let normals = normal::draw(self.seed, (self.generation, member as u64), n);
            let scaled: Vec<f64> =
                normals.iter().zip(&squares).map(|(draw, square)| draw * square.sqrt()).collect();
            let along = |row: usize| (0..n).map(|axis| axes[row * n + axis] * scaled[axis]).sum::<f64>();
            (0..n).map(|row| self.mean[row] + self.sigma() * along(row)).collect()
        };
        (0..population(n)).map(point).collect()
    }

    /// Moves on, given the points of this generation, best first.
    pub fn tell(&mut self, ranked: &[&[f64]]) {
        let (n, sigma) = (self.mean.len(), self.sigma());
        let rates = Rates::of(n);
        let best: Vec<(f64, Vec<f64>)> = rates
            .weights
            .iter()
            .zip(ranked)
            .map(|(weight, point)| {
                let step = point.iter().zip(&self.mean).map(|(x, mean)| (x - mean) / sigma).collect();
                (*weight, step)
            })
            .collect();
        let moved: Vec<f64> =
            (0..n).map(|at| best.iter().map(|(weight, step)| weight * step[at]).sum()).collect();
        self.mean.iter_mut().zip(&moved).for_each(|(mean, step)| *mean += sigma * step);

        let pull = (rates.step * (2.0 - rates.step) * rates.mass).sqrt();
        let white = self.whitened(&moved);
        self.step_path
            .iter_mut()
            .zip(&white)
            .for_each(|(path, white)| *path = (1.0 - rates.step) * *path + pull * white);
        self.generation += 1;
        let length = self.step_path.iter().map(|x| x * x).sum::<f64>().sqrt();
        let age = i32::try_from(2 * self.generation).unwrap_or(i32::MAX);
        let settled = length / (1.0 - (1.0 - rates.step).powi(age)).sqrt();
        // A path that is long because the steps are too short must not stretch the covariance as well.
        let short = settled < (1.4 + 2.0 / (n as f64 + 1.0)) * rates.norm;
        let pull = if short { (rates.path * (2.0 - rates.path) * rates.mass).sqrt() } else { 0.0 };
        self.path
            .iter_mut()
            .zip(&moved)
            .for_each(|(path, step)| *path = (1.0 - rates.path) * *path + pull * step);

        let made_up = if short { 0.0 } else { rates.path * (2.0 - rates.path) };
        let kept = 1.0 - rates.rank_one - rates.rank_many + rates.rank_one * made_up;
        for row in 0..n {
            for column in 0..n {
                let many: f64 = best.iter().map(|(weight, step)| weight * step[row] * step[column]).sum();
                let cell = &mut self.covariance[row * n + column];
                let one = self.path[row] * self.path[column];
                *cell = kept * *cell + rates.rank_one * one + rates.rank_many * many;
            }
        }
        let growth = (rates.step / rates.damping * (length / rates.norm - 1.0)).exp();
        self.sigma = vec![(sigma * growth).min(LONGEST_STEP)];
    }

    /// The longest step that is likely, one standard deviation along the widest axis.
    pub fn reach(&self) -> f64 {
        let (squares, _) = eigen(&self.covariance, self.mean.len());
        self.sigma() * squares.into_iter().fold(0.0, f64::max).sqrt()
    }

    /// `C^(−½) · step`.
    fn whitened(&self, step: &[f64]) -> Vec<f64> {
        let n = step.len();
        let (squares, axes) = eigen(&self.covariance, n);
        let along = |axis: usize| (0..n).map(|row| axes[row * n + axis] * step[row]).sum::<f64>();
        let scaled: Vec<f64> = (0..n).map(|axis| along(axis) / squares[axis].sqrt()).collect();
        (0..n).map(|row| (0..n).map(|axis| axes[row * n + axis] * scaled[axis]).sum()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Generations until the best value is below `target`, at most `most` of them.
    fn generations(f: impl Fn(&[f64]) -> f64, start: &[f64], (target, most): (f64, usize)) -> Option<usize> {
        let mut cma = Cma::new(start.to_vec(), 0.3, 7);
        (0..most).find(|_| {
            let points = cma.ask();
            let mut ranked: Vec<&[f64]> = points.iter().map(Vec::as_slice).collect();
            ranked.sort_by(|a, b| f(a).total_cmp(&f(b)));
            let best = f(ranked[0]);
            cma.tell(&ranked);
            best < target
        })
    }

    #[test]
    fn an_ill_conditioned_quadratic_is_minimised() {
        let quadratic = |x: &[f64]| {
            x.iter().enumerate().map(|(at, x)| 1e4f64.powf(at as f64 / 5.0) * (x - 0.5).powi(2)).sum()
        };

        let took = generations(quadratic, &[0.0; 6], (1e-9, 400));

        assert!(took.is_some_and(|took| took > 10), "{took:?}");
    }

    #[test]
    fn the_bent_valley_of_rosenbrock_is_followed_to_its_end() {
        let rosenbrock = |x: &[f64]| {
            x.windows(2)
                .map(|pair| 100.0 * (pair[1] - pair[0].powi(2)).powi(2) + (1.0 - pair[0]).powi(2))
                .sum()
        };

        let took = generations(rosenbrock, &[0.0; 4], (1e-9, 700));

        assert!(took.is_some(), "{took:?}");
    }

    #[test]
    fn one_dimension_is_enough() {
        let took = generations(|x| (x[0] - 2.0).abs(), &[0.5], (1e-6, 200));

        assert!(took.is_some());
    }

    #[test]
    fn a_stored_state_goes_on_with_the_same_points() {
        let mut cma = Cma::new(vec![1.0 / 3.0; 5], 1.0 / 6.0, 3);
        for _ in 0..20 {
            let points = cma.ask();
            cma.tell(&points.iter().map(Vec::as_slice).collect::<Vec<_>>());
        }

        let stored = serde_json::to_string(&cma).unwrap();
        let read: Cma = serde_json::from_str(&stored).unwrap();

        assert_eq!(read, cma);
        assert_eq!(read.ask(), cma.ask());
        assert_ne!(Cma { seed: 4, ..read }.ask(), cma.ask());
    }

    #[test]
    fn a_flat_target_does_no_harm() {
        let mut cma = Cma::new(vec![0.0; 3], 1.0, 0);
        for _ in 0..2_000 {
            let points = cma.ask();
            cma.tell(&points.iter().map(Vec::as_slice).collect::<Vec<_>>());
        }

        assert!(cma.ask().iter().flatten().all(|x| x.is_finite()));
    }
}
