//! The mean of some numbers in standard errors, and the chance of that: Student's t, for the spread is that of the same few numbers.

use super::probe::score;

/// Steps after which the continued fraction has long converged.
const STEPS: usize = 300;

/// A mean over matrices.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Score {
    /// In standard errors.
    pub(super) t: f64,
    pub(super) matrices: usize,
}

impl Score {
    pub(super) fn of(values: &[f64]) -> Self {
        Self { t: score(values), matrices: values.len() }
    }

    /// log₁₀ of the chance of as high a score where the mean is nothing; that of one half of fewer than two matrices.
    pub(super) fn log10_p(self) -> f64 {
        match self.matrices {
            0 | 1 => 0.5f64.log10(),
            matrices => log10_tail(self.t, (matrices - 1) as f64),
        }
    }
}

/// log₁₀ of the chance that Student's t with so many degrees of freedom exceeds `t`.
fn log10_tail(t: f64, freedom: f64) -> f64 {
    let x = freedom / (freedom + t * t);
    let two_sided = ln_beta_share(x, freedom / 2.0, 0.5);
    match t >= 0.0 {
        true => (two_sided - std::f64::consts::LN_2) / std::f64::consts::LN_10,
        false => (1.0 - two_sided.exp() / 2.0).log10(),
    }
}

/// Logarithm of the regularised incomplete beta function (Abramowitz and Stegun 26.5.8, by Lentz's method).
fn ln_beta_share(x: f64, a: f64, b: f64) -> f64 {
    if x >= 1.0 {
        return 0.0;
    }
    let front = |x: f64, a: f64, b: f64| {
        libm::lgamma(a + b) - libm::lgamma(a) - libm::lgamma(b) + a * x.ln() + b * (-x).ln_1p() - a.ln()
    };
    if x > (a + 1.0) / (a + b + 2.0) {
        let rest = 1.0 - x;
        return (-(front(rest, b, a) + fraction(rest, b, a).ln()).exp()).ln_1p();
    }
    front(x, a, b) + fraction(x, a, b).ln()
}

fn fraction(x: f64, a: f64, b: f64) -> f64 {
    let least = |value: f64| if value.abs() < 1e-300 { 1e-300 } else { value };
    let mut below = 1.0 / least(1.0 - (a + b) * x / (a + 1.0));
    let (mut above, mut found) = (1.0, below);
    for step in 1..STEPS {
        let m = step as f64;
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let mut change = 1.0;
        for term in [even, odd] {
            below = 1.0 / least(1.0 + term * below);
            above = least(1.0 + term / above);
            change = above * below;
            found *= change;
        }
        if (change - 1.0).abs() < 1e-12 {
            break;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chances_are_those_of_the_tables() {
        // The upper tails that tables of Student's t give.
        for (t, freedom, chance) in [
            (0.0, 5.0, 0.5),
            (2.920, 2.0, 0.05),
            (4.604, 4.0, 0.005),
            (2.756, 29.0, 0.005),
            (1.310, 30.0, 0.1),
        ] {
            let found = 10f64.powf(log10_tail(t, freedom));
            assert!((found / chance - 1.0).abs() < 2e-3, "{t} {freedom}: {found}");
        }
        let lower = 10f64.powf(log10_tail(-2.920, 2.0));
        assert!((lower - 0.95).abs() < 1e-4, "{lower}");
    }

    #[test]
    fn with_two_degrees_of_freedom_the_far_tail_is_known_in_full() {
        // 1/2 − t / (2 √(2 + t²)), which is nearly 1 / (2 t²) far out.
        let found = log10_tail(1e6, 2.0);

        assert!((found - (0.5e-12f64).log10()).abs() < 1e-6, "{found}");
    }

    #[test]
    fn a_few_matrices_are_hardly_ever_sure() {
        let few = Score { t: 4.753, matrices: 3 };
        let many = Score { t: 4.753, matrices: 3_000 };

        assert!((10f64.powf(few.log10_p()) - 0.0208).abs() < 5e-4, "{}", few.log10_p());
        assert!(many.log10_p() < -5.9, "{}", many.log10_p());
        assert_eq!(Score::of(&[2.0]).log10_p(), 0.5f64.log10());
    }
}
