//! What one tensor looks like: its moments and range, and what in it is not a number.

use multiversion::multiversion;

use crate::reduce::STRIP;

/// Running statistics. Sums and range cover the finite values only; the others are counted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stats {
    /// Elements seen, finite or not.
    pub n: u64,
    pub sum: f64,
    pub sum_sq: f64,
    /// Σ x³.
    pub sum_cubes: f64,
    /// Σ x⁴.
    pub sum_fourths: f64,
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
        Self {
            n: 0,
            sum: 0.0,
            sum_sq: 0.0,
            sum_cubes: 0.0,
            sum_fourths: 0.0,
            min,
            max,
            zeros: 0,
            nans: 0,
            infs: 0,
        }
    }
}

impl Stats {
    /// Adds the next elements.
    pub fn add_block(&mut self, values: &[f32]) {
        for strip in values.chunks(STRIP) {
            self.n += strip.len() as u64;
            match moments(strip) {
                Some(moments) => self.add_moments(&moments),
                None => {
                    self.nans += strip.iter().filter(|x| x.is_nan()).count() as u64;
                    self.infs += strip.iter().filter(|x| x.is_infinite()).count() as u64;
                    let finite: Vec<f32> = strip.iter().copied().filter(|x| x.is_finite()).collect();
                    moments(&finite).iter().for_each(|moments| self.add_moments(moments));
                }
            }
        }
    }

    fn add_moments(&mut self, moments: &Moments) {
        self.sum += moments.sums[0];
        self.sum_sq += moments.sums[1];
        self.sum_cubes += moments.sums[2];
        self.sum_fourths += moments.sums[3];
        self.zeros += moments.zeros;
        self.min = self.min.min(f64::from(moments.min));
        self.max = self.max.max(f64::from(moments.max));
    }

    /// Adds what another gathered over further elements.
    pub fn merge(&mut self, other: &Self) {
        self.n += other.n;
        self.sum += other.sum;
        self.sum_sq += other.sum_sq;
        self.sum_cubes += other.sum_cubes;
        self.sum_fourths += other.sum_fourths;
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

    /// Skewness of the finite values, E(x − μ)³ / σ³; `None` when they do not spread.
    pub fn skewness(&self) -> Option<f64> {
        let (mean, spread) = (self.mean(), self.std());
        let third = self.sum_cubes / self.counted() - 3.0 * mean * spread * spread - mean.powi(3);
        Some(third / spread.powi(3)).filter(|value| value.is_finite())
    }

    /// Excess kurtosis of the finite values, E(x − μ)⁴ / σ⁴ − 3, 0 for a normal distribution; `None` when they do
    /// not spread.
    pub fn kurtosis(&self) -> Option<f64> {
        let (n, mean, spread) = (self.counted(), self.mean(), self.std());
        let fourth = self.sum_fourths / n - 4.0 * mean * self.sum_cubes / n
            + 6.0 * mean * mean * self.sum_sq / n
            - 3.0 * mean.powi(4);
        Some(fourth / spread.powi(4) - 3.0).filter(|value| value.is_finite())
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

/// Sums of powers and the range of one strip of finite values.
struct Moments {
    sums: [f64; 4],
    min: f32,
    max: f32,
    zeros: u64,
}

const LANES: usize = 16;

/// `None` when a value is not finite.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2", "aarch64+neon"))]
fn moments(strip: &[f32]) -> Option<Moments> {
    const EXPONENT: u32 = 0x7F80_0000;
    let mut sums = [[0.0f64; LANES]; 4];
    let (mut low, mut high) = ([f32::INFINITY; LANES], [f32::NEG_INFINITY; LANES]);
    let (mut zeros, mut bad) = ([0u32; LANES], [0u32; LANES]);
    let (chunks, rest) = strip.as_chunks::<LANES>();
    let mut add = |values: &[f32; LANES], count: usize| {
        for lane in 0..count {
            let value = values[lane];
            let x = f64::from(value);
            let square = x * x;
            sums[0][lane] += x;
            sums[1][lane] += square;
            sums[2][lane] += square * x;
            sums[3][lane] += square * square;
            low[lane] = if value < low[lane] { value } else { low[lane] };
            high[lane] = if value > high[lane] { value } else { high[lane] };
            zeros[lane] += u32::from(value == 0.0);
            bad[lane] |= u32::from(value.to_bits() & EXPONENT == EXPONENT);
        }
    };
    chunks.iter().for_each(|values| add(values, LANES));
    let mut last = [0.0; LANES];
    last[..rest.len()].copy_from_slice(rest);
    add(&last, rest.len());
    if bad.iter().any(|bad| *bad != 0) {
        return None;
    }
    Some(Moments {
        sums: sums.map(|lanes| lanes.iter().sum()),
        min: low.into_iter().fold(f32::INFINITY, f32::min),
        max: high.into_iter().fold(f32::NEG_INFINITY, f32::max),
        zeros: zeros.iter().map(|lane| u64::from(*lane)).sum(),
    })
}
