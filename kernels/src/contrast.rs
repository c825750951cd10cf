//! How one vector is told from another element by element: bits, equal elements, and the shape of the difference.

use multiversion::multiversion;

/// Neighbours whose difference is judged together, fewer than any quantisation group holds.
const CHUNK: usize = 32;

/// What was counted over the elements seen.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Contrast {
    pub n: u64,
    /// Elements that are the same number.
    pub equal: u64,
    /// Σ log₂(1 + |a − b| / u), u the spacing of numbers of the given precision: the bits that tell b once a is known.
    pub bits: f64,
    /// Chunks of 32 whose difference is not constant.
    pub chunks: u64,
    /// Σ of the chunks' Σd⁴·n / (Σd²)²: near 1.8 each for a uniform difference, 2.8 for a normal one.
    pub flatness: f64,
}

impl Contrast {
    /// Adds the next elements of two vectors of one length, stored with `precision` bits after the leading one.
    pub fn add(&mut self, a: &[f32], b: &[f32], precision: u32) {
        let sums = sums(a, b, 2f32.powi(precision as i32 + 1));
        self.merge(&sums);
    }

    /// Adds what another counted over further elements.
    pub fn merge(&mut self, other: &Self) {
        self.n += other.n;
        self.equal += other.equal;
        self.bits += other.bits;
        self.chunks += other.chunks;
        self.flatness += other.flatness;
    }
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2", "aarch64+neon"))]
fn sums(a: &[f32], b: &[f32], steps: f32) -> Contrast {
    let mut all = Contrast { n: a.len().min(b.len()) as u64, ..Contrast::default() };
    for (a, b) in a.chunks(CHUNK).zip(b.chunks(CHUNK)) {
        let (mut squares, mut fourths) = (0.0f64, 0.0f64);
        for (a, b) in a.iter().zip(b) {
            let apart = (a - b).abs();
            let size = a.abs() + b.abs();
            if apart == 0.0 || !apart.is_finite() {
                all.equal += u64::from(apart == 0.0);
                continue;
            }
            all.bits += f64::from((1.0 + apart / size * steps).log2());
            let square = f64::from(apart) * f64::from(apart);
            squares += square;
            fourths += square * square;
        }
        let shape = fourths * a.len() as f64 / (squares * squares);
        if a.len() == CHUNK && shape.is_finite() {
            all.chunks += 1;
            all.flatness += shape;
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uniform_difference_is_flatter_than_a_sum_of_many() {
        let noise = |seed, at| crate::splitmix_unit(seed, at) as f32 - 0.5;
        let base: Vec<f32> = (0..32_000).map(|at| noise(1, at)).collect();
        let uniform: Vec<f32> = base.iter().zip(0..).map(|(x, at)| x + 0.01 * noise(2, at)).collect();
        let summed = |at: u64| (0..12).map(|part| noise(3, 12 * at + part)).sum::<f32>();
        let normal: Vec<f32> = base.iter().zip(0..).map(|(x, at)| x + 0.01 * summed(at)).collect();
        let (mut flat, mut round) = (Contrast::default(), Contrast::default());

        flat.add(&base, &uniform, 23);
        round.add(&base, &normal, 23);

        let mean = |of: Contrast| of.flatness / of.chunks as f64;
        assert!((mean(flat) - 1.8).abs() < 0.1, "{}", mean(flat));
        assert!(mean(round) > 2.5, "{}", mean(round));
    }

    #[test]
    fn equal_elements_cost_no_bits() {
        let values = [1.0, -2.0, 0.0, 3.5];
        let mut seen = Contrast::default();

        seen.add(&values, &values, 7);
        seen.add(&[1.0], &[2.0], 7);

        assert_eq!((seen.n, seen.equal), (5, 4));
        assert!((seen.bits - (1.0f64 + 256.0 / 3.0).log2()).abs() < 1e-5);
    }
}
