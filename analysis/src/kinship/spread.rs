//! How far what sketches tell of two vectors scatters about what is true of the vectors.
//!
//! Neighbours that share a hash lie in lanes of their own, and a column of a matrix often stays in one. So each lane of
//! each sketch estimates its part alone, and the error also holds where few tensors or few columns have most of a vector.
//! What is `Σ N·G` of inner products `G` that were estimated in a lane of r rows has the variance `2·tr((N·G)²) / r`.

use std::ops::AddAssign;

use kernels::SKETCH_LANES as LANES;

/// Share of its terms below which their sum is rounding.
const ROUNDING: f64 = 1e-12;

/// An inner product of two sketches, lane by lane.
pub(super) type Lanes = [f64; LANES];

pub(super) fn lanes(a: &[f64], b: &[f64]) -> Lanes {
    let mut lanes = [0.0; LANES];
    for (a, b) in a.chunks(LANES).zip(b.chunks(LANES)) {
        for ((lane, a), b) in lanes.iter_mut().zip(a).zip(b) {
            *lane += a * b;
        }
    }
    lanes
}

/// Of two vectors a and b, sums over the lanes of their sketches: products of two inner products, over the rows.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Spread {
    aa_aa: f64,
    bb_bb: f64,
    aa_bb: f64,
    aa_ab: f64,
    bb_ab: f64,
    ab_ab: f64,
    /// Of ‖a − b‖²: a sum of its own, which the others tell badly of near copies.
    apart: f64,
}

impl Spread {
    /// Adds ⟨a, a⟩, ⟨b, b⟩, ⟨a, b⟩ and ‖a − b‖² of sketches of so many `cells`.
    pub(super) fn add(&mut self, [aa, bb, ab, apart]: [&Lanes; 4], cells: usize) {
        // Squares of estimates are too large by about one over the rows.
        let rows = (cells / LANES) as f64 + 1.0;
        let sum = |one: &Lanes, other: &Lanes| {
            one.iter().zip(other).map(|(one, other)| one * other).sum::<f64>() / rows
        };
        *self += &Self {
            aa_aa: sum(aa, aa),
            bb_bb: sum(bb, bb),
            aa_bb: sum(aa, bb),
            aa_ab: sum(aa, ab),
            bb_ab: sum(bb, ab),
            ab_ab: sum(ab, ab),
            apart: sum(apart, apart),
        };
    }

    /// Standard error of `cosine`, where a and b have these squared norms.
    pub(super) fn of_cosine(&self, (aa, bb): (f64, f64), cosine: f64) -> f64 {
        let (norms, room) = ((aa * bb).sqrt(), (1.0 - cosine * cosine).max(0.0));
        let own = self.aa_aa / (aa * aa) + self.bb_bb / (bb * bb);
        let crossed = (self.aa_ab / aa + self.bb_ab / bb) / norms;
        let joint = (self.aa_bb + (1.0 + cosine * cosine) * self.ab_ab) / (aa * bb);
        let variance = joint + cosine * cosine * own / 2.0 - 2.0 * cosine * crossed;
        // What is left beside ±1 is rounding; then as if all parts were alike.
        let even = room * room * self.aa_bb / (aa * bb);
        if variance > ROUNDING * joint { variance.sqrt() } else { even.sqrt() }
    }

    /// Standard error of `distance`, ‖a − b‖.
    pub(super) fn of_distance(&self, distance: f64) -> f64 {
        if distance > 0.0 { (self.apart / 2.0).sqrt() / distance } else { 0.0 }
    }

    /// Standard error of `distance`, ‖a − b‖ / ‖a‖, where a has this squared norm.
    pub(super) fn of_relative_distance(&self, aa: f64, distance: f64) -> f64 {
        let squared = distance * distance;
        // Σ ⟨a, a − b⟩².
        let leaning = self.aa_aa - 2.0 * self.aa_ab + self.ab_ab;
        let spread = self.apart + squared * (squared * self.aa_aa - 2.0 * leaning);
        if distance > 0.0 { (spread.max(0.0) / 2.0).sqrt() / (aa * distance) } else { 0.0 }
    }
}

impl AddAssign<&Self> for Spread {
    fn add_assign(&mut self, other: &Self) {
        self.aa_aa += other.aa_aa;
        self.bb_bb += other.bb_bb;
        self.aa_bb += other.aa_bb;
        self.aa_ab += other.aa_ab;
        self.bb_ab += other.bb_ab;
        self.ab_ab += other.ab_ab;
        self.apart += other.apart;
    }
}
