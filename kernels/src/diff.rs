//! What separates two tensors of one shape.

use crate::reduce::{STRIP, all_finite, dot};

/// Running sums over pairs of elements. Pairs in which a value is not finite are counted and left out
/// of the sums.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct DiffSums {
    /// Pairs seen, finite or not.
    pub n: u64,
    /// Σ (a − b)².
    pub diff_sq: f64,
    /// Σ a².
    pub a_sq: f64,
    /// Σ b².
    pub b_sq: f64,
    /// Σ a·b.
    pub ab: f64,
    /// Largest |a − b|.
    pub max_abs: f64,
    /// Pairs with the same value or the same bits.
    pub equal: u64,
    /// Pairs with a NaN or an infinity.
    pub nonfinite: u64,
}

impl DiffSums {
    /// Adds the next elements; slices of one length (the shorter decides).
    pub fn add_block(&mut self, a: &[f32], b: &[f32]) {
        debug_assert_eq!(a.len(), b.len(), "DiffSums wants slices of one length");
        let n = a.len().min(b.len());
        self.n += n as u64;
        for (a, b) in a[..n].chunks(STRIP).zip(b[..n].chunks(STRIP)) {
            let same = |(x, y): (&f32, &f32)| u64::from((x == y) | (x.to_bits() == y.to_bits()));
            self.equal += a.iter().zip(b).map(same).sum::<u64>();
            if all_finite(a) && all_finite(b) {
                self.add_finite(a, b);
            } else {
                let finite = |(x, y): &(f32, f32)| x.is_finite() && y.is_finite();
                let pairs = a.iter().copied().zip(b.iter().copied()).filter(finite);
                let (left, right): (Vec<f32>, Vec<f32>) = pairs.unzip();
                self.nonfinite += (a.len() - left.len()) as u64;
                self.add_finite(&left, &right);
            }
        }
    }

    fn add_finite(&mut self, a: &[f32], b: &[f32]) {
        self.a_sq += dot(a, a);
        self.b_sq += dot(b, b);
        self.ab += dot(a, b);
        let mut lanes = [0.0f64; 4];
        let mut largest = [0.0f64; 4];
        let (a_chunks, a_rest) = a.as_chunks::<4>();
        let (b_chunks, b_rest) = b.as_chunks::<4>();
        for (x, y) in a_chunks.iter().zip(b_chunks) {
            for lane in 0..4 {
                let gap = (f64::from(x[lane]) - f64::from(y[lane])).abs();
                lanes[lane] += gap * gap;
                largest[lane] = if gap > largest[lane] { gap } else { largest[lane] };
            }
        }
        self.diff_sq += (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]);
        for (&x, &y) in a_rest.iter().zip(b_rest) {
            let gap = (f64::from(x) - f64::from(y)).abs();
            self.diff_sq += gap * gap;
            self.max_abs = self.max_abs.max(gap);
        }
        self.max_abs = largest.into_iter().fold(self.max_abs, f64::max);
    }

    /// Adds what another gathered over further elements.
    pub fn merge(&mut self, other: &Self) {
        self.n += other.n;
        self.diff_sq += other.diff_sq;
        self.a_sq += other.a_sq;
        self.b_sq += other.b_sq;
        self.ab += other.ab;
        self.max_abs = self.max_abs.max(other.max_abs);
        self.equal += other.equal;
        self.nonfinite += other.nonfinite;
    }
}
