//! Sums over pairs of vectors in f64, in a fixed order.

/// Products and sums of two vectors `a` and `b`.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct PairSums {
    pub n: u64,
    pub ab: f64,
    pub aa: f64,
    pub bb: f64,
    pub sa: f64,
    pub sb: f64,
}

impl PairSums {
    /// Adds the sums of further elements.
    pub fn add(&mut self, other: &Self) {
        self.n += other.n;
        self.ab += other.ab;
        self.aa += other.aa;
        self.bb += other.bb;
        self.sa += other.sa;
        self.sb += other.sb;
    }

    /// ⟨a,b⟩/(‖a‖‖b‖); `None` when a vector is zero or a sum is not finite.
    pub fn cosine(&self) -> Option<f64> {
        ratio(self.ab, self.aa, self.bb)
    }

    /// Correlation; `None` when a vector is constant or a sum is not finite.
    #[allow(clippy::cast_precision_loss)]
    pub fn pearson(&self) -> Option<f64> {
        let n = self.n as f64;
        ratio(
            self.ab - self.sa * self.sb / n,
            self.aa - self.sa * self.sa / n,
            self.bb - self.sb * self.sb / n,
        )
    }

    /// ‖a − b‖.
    pub fn euclidean(&self) -> f64 {
        (self.aa + self.bb - 2.0 * self.ab).max(0.0).sqrt()
    }
}

fn ratio(ab: f64, aa: f64, bb: f64) -> Option<f64> {
    let value = ab / (aa.sqrt() * bb.sqrt());
    (aa > 0.0 && bb > 0.0 && value.is_finite()).then(|| value.clamp(-1.0, 1.0))
}

const LANES: usize = 16;

/// Sums of `f(i)` over all elements in sixteen fixed lanes.
fn lanes(n: usize, f: impl Fn(usize) -> f64) -> f64 {
    let mut sums = [0.0; LANES];
    let whole = n / LANES * LANES;
    for start in (0..whole).step_by(LANES) {
        for (lane, sum) in sums.iter_mut().enumerate() {
            *sum += f(start + lane);
        }
    }
    let tail: f64 = (whole..n).map(&f).sum();
    sums.iter().sum::<f64>() + tail
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    let n = a.len().min(b.len());
    let (a, b) = (&a[..n], &b[..n]);
    lanes(n, |i| f64::from(a[i]) * f64::from(b[i]))
}

fn total(a: &[f32]) -> f64 {
    lanes(a.len(), |i| f64::from(a[i]))
}

/// The sums of one block.
pub fn pair_sums(a: &[f32], b: &[f32]) -> PairSums {
    let n = a.len().min(b.len());
    let (a, b) = (&a[..n], &b[..n]);
    PairSums { n: n as u64, ab: dot(a, b), aa: dot(a, a), bb: dot(b, b), sa: total(a), sb: total(b) }
}

/// All products of M vectors, gathered block by block in one pass.
#[derive(Debug, Clone, PartialEq)]
pub struct Gram {
    models: usize,
    elements: u64,
    sums: Vec<f64>,
    /// Upper triangle, row by row.
    dots: Vec<f64>,
}

impl Gram {
    /// Sums of nothing for `models` vectors.
    pub fn new(models: usize) -> Self {
        Self { models, elements: 0, sums: vec![0.0; models], dots: vec![0.0; models * (models + 1) / 2] }
    }

    fn at(&self, i: usize, j: usize) -> usize {
        let (i, j) = (i.min(j), i.max(j));
        i * self.models - i * (i + 1) / 2 + j
    }

    /// Adds one block of every vector; all blocks have one length.
    pub fn add_block(&mut self, deltas: &[&[f32]]) {
        debug_assert_eq!(deltas.len(), self.models);
        self.elements += deltas.first().map_or(0, |d| d.len() as u64);
        for (i, a) in deltas.iter().enumerate() {
            self.sums[i] += total(a);
            for (j, b) in deltas.iter().enumerate().skip(i) {
                let at = self.at(i, j);
                self.dots[at] += dot(a, b);
            }
        }
    }

    /// Adds the sums of further elements.
    pub fn merge(&mut self, other: &Self) {
        self.elements += other.elements;
        self.sums.iter_mut().zip(&other.sums).for_each(|(a, b)| *a += b);
        self.dots.iter_mut().zip(&other.dots).for_each(|(a, b)| *a += b);
    }

    /// ⟨vᵢ, vⱼ⟩.
    pub fn dot(&self, i: usize, j: usize) -> f64 {
        self.dots[self.at(i, j)]
    }

    /// Σ vᵢ.
    pub fn sum(&self, i: usize) -> f64 {
        self.sums[i]
    }

    /// Elements per vector.
    pub const fn elements(&self) -> u64 {
        self.elements
    }

    /// The sums of one pair.
    pub fn pair(&self, i: usize, j: usize) -> PairSums {
        PairSums {
            n: self.elements,
            ab: self.dot(i, j),
            aa: self.dot(i, i),
            bb: self.dot(j, j),
            sa: self.sums[i],
            sb: self.sums[j],
        }
    }
}

/// How two vectors differ.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct DiffSums {
    pub n: u64,
    pub diff_sq: f64,
    pub a_sq: f64,
    pub b_sq: f64,
    pub ab: f64,
    pub max_abs: f64,
    /// Elements with equal values.
    pub equal: u64,
    /// Elements where either side is NaN or infinite; they count in no other sum.
    pub nonfinite: u64,
}

impl DiffSums {
    /// Adds one block.
    pub fn add_block(&mut self, a: &[f32], b: &[f32]) {
        for (x, y) in a.iter().zip(b) {
            self.n += 1;
            if !x.is_finite() || !y.is_finite() {
                self.nonfinite += 1;
                continue;
            }
            let (x, y) = (f64::from(*x), f64::from(*y));
            let d = x - y;
            self.diff_sq += d * d;
            self.a_sq += x * x;
            self.b_sq += y * y;
            self.ab += x * y;
            self.max_abs = self.max_abs.max(d.abs());
            self.equal += u64::from(d == 0.0);
        }
    }

    /// Adds the sums of further elements.
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
