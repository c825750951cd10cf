//! The seven sums from which every similarity of two vectors follows.

/// Sums over the elements of two vectors `a` and `b`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct PairSums {
    /// Elements seen.
    pub n: u64,
    /// Σ a·b.
    pub ab: f64,
    /// Σ a².
    pub aa: f64,
    /// Σ b².
    pub bb: f64,
    /// Σ a.
    pub sa: f64,
    /// Σ b.
    pub sb: f64,
    /// Σ (a − b)²: a sum of its own, since Σ a² + Σ b² − 2 Σ a·b keeps nothing of it where a and b are near copies.
    pub apart: f64,
}

/// Variance below this share of the mean square is rounding noise, not spread.
const FLAT: f64 = 1e-13;

impl PairSums {
    /// Adds the sums of further elements.
    pub fn add(&mut self, other: &Self) {
        self.n += other.n;
        self.ab += other.ab;
        self.aa += other.aa;
        self.bb += other.bb;
        self.sa += other.sa;
        self.sb += other.sb;
        self.apart += other.apart;
    }

    /// Cosine similarity; `None` when a vector is zero or not finite.
    pub fn cosine(&self) -> Option<f64> {
        ratio(self.ab, self.aa, self.bb)
    }

    /// Pearson correlation; `None` when a vector is constant, empty or not finite.
    pub fn pearson(&self) -> Option<f64> {
        let n = self.n as f64;
        let spread = |squares: f64, total: f64| squares - total * total / n;
        let (a, b) = (spread(self.aa, self.sa), spread(self.bb, self.sb));
        if self.n == 0 || a <= self.aa * FLAT || b <= self.bb * FLAT {
            return None;
        }
        ratio(self.ab - self.sa * self.sb / n, a, b)
    }

    /// Euclidean distance ‖a − b‖.
    pub fn euclidean(&self) -> f64 {
        self.apart.sqrt()
    }
}

fn ratio(product: f64, a: f64, b: f64) -> Option<f64> {
    // The root of the product is exact where a = b; apart only where the product leaves the range.
    let squared = a * b;
    let norms = if squared.is_normal() { squared.sqrt() } else { a.sqrt() * b.sqrt() };
    let value = product / norms;
    (norms > 0.0 && norms.is_finite() && value.is_finite()).then(|| value.clamp(-1.0, 1.0))
}
