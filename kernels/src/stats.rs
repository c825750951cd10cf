//! What one tensor looks like: mean, spread, range, and what in it is not a number.

use crate::reduce::{STRIP, all_finite, dot, sum};

/// Running statistics. Sums and range cover the finite values only; the others are counted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stats {
    /// Elements seen, finite or not.
    pub n: u64,
    pub sum: f64,
    pub sum_sq: f64,
    /// Smallest finite value; +∞ when there is none (see [`Stats::range`]).
    pub min: f64,
    /// Largest finite value; −∞ when there is none.
    pub max: f64,
    pub zeros: u64,
    pub nans: u64,
    pub infs: u64,
}

impl Default for Stats {
    fn default() -> Self {
        let (min, max) = (f64::INFINITY, f64::NEG_INFINITY);
        Self { n: 0, sum: 0.0, sum_sq: 0.0, min, max, zeros: 0, nans: 0, infs: 0 }
    }
}

impl Stats {
    /// Adds the next elements.
    pub fn add_block(&mut self, values: &[f32]) {
        for strip in values.chunks(STRIP) {
            self.n += strip.len() as u64;
            if all_finite(strip) {
                self.add_finite(strip);
            } else {
                self.nans += strip.iter().filter(|x| x.is_nan()).count() as u64;
                self.infs += strip.iter().filter(|x| x.is_infinite()).count() as u64;
                let finite: Vec<f32> = strip.iter().copied().filter(|x| x.is_finite()).collect();
                self.add_finite(&finite);
            }
        }
    }

    fn add_finite(&mut self, strip: &[f32]) {
        self.sum += sum(strip);
        self.sum_sq += dot(strip, strip);
        self.zeros += strip.iter().map(|&x| u64::from(x == 0.0)).sum::<u64>();
        let low = strip.iter().fold(f32::INFINITY, |m, &x| if x < m { x } else { m });
        let high = strip.iter().fold(f32::NEG_INFINITY, |m, &x| if x > m { x } else { m });
        self.min = self.min.min(f64::from(low));
        self.max = self.max.max(f64::from(high));
    }

    /// Adds what another gathered over further elements.
    pub fn merge(&mut self, other: &Self) {
        self.n += other.n;
        self.sum += other.sum;
        self.sum_sq += other.sum_sq;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.zeros += other.zeros;
        self.nans += other.nans;
        self.infs += other.infs;
    }

    fn counted(&self) -> f64 {
        (self.n - self.nans - self.infs) as f64
    }

    /// Mean of the finite values; 0 when there is none.
    pub fn mean(&self) -> f64 {
        if self.counted() == 0.0 { 0.0 } else { self.sum / self.counted() }
    }

    /// Population standard deviation of the finite values; 0 when there is none.
    pub fn std(&self) -> f64 {
        if self.counted() == 0.0 {
            return 0.0;
        }
        let mean = self.mean();
        (self.sum_sq / self.counted() - mean * mean).max(0.0).sqrt()
    }

    /// L2 norm of the finite values.
    pub fn l2(&self) -> f64 {
        self.sum_sq.sqrt()
    }

    /// Smallest and largest finite value, when there is one.
    pub fn range(&self) -> Option<(f64, f64)> {
        (self.min <= self.max).then_some((self.min, self.max))
    }

    /// Whether no value was NaN or infinite.
    pub fn finite(&self) -> bool {
        self.nans + self.infs == 0
    }
}
