//! Standard normal numbers that follow from a seed and their place alone.

use std::f64::consts::TAU;

use domain::Digest;
use kernels::splitmix_unit;

/// `count` numbers for one member of one generation, by Box and Muller's transform.
pub fn draw(seed: u64, (generation, member): (u64, u64), count: usize) -> Vec<f64> {
    let digest = Digest::of(format!("search/v1\0{seed}\0{generation}\0{member}").as_bytes()).hex();
    let key = u64::from_str_radix(&digest[..16], 16).unwrap_or_default();
    let one = |at: u64| {
        // The first draw is kept off zero, whose logarithm is infinite.
        let radius = (-2.0 * (1.0 - splitmix_unit(key, at)).ln()).sqrt();
        radius * (TAU * splitmix_unit(key, at + 1)).cos()
    };
    (0..count as u64).map(|at| one(2 * at)).collect()
}

#[cfg(test)]
mod tests {
    use super::draw;

    #[test]
    fn the_numbers_have_mean_zero_and_variance_one() {
        let numbers: Vec<f64> = (0..200).flat_map(|member| draw(5, (1, member), 100)).collect();

        let mean = numbers.iter().sum::<f64>() / 2e4;
        let square = numbers.iter().map(|x| x * x).sum::<f64>() / 2e4;

        assert!(mean.abs() < 0.03 && (square - 1.0).abs() < 0.04, "{mean} {square}");
    }
}
