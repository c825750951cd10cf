//! Random pruning by rank (MagPrune): small elements of a row are dropped more often, without sorting the row.

use multiversion::multiversion;

use crate::random::splitmix_unit;

/// Classes of magnitudes: the 16 octaves below the largest, 64 to each.
const CLASSES: usize = 1_024;

/// Bits of an f64 below its class.
const BELOW: u32 = 46;

/// The probability of keeping an element: from `density − epsilon` for the smallest of a row to `density + epsilon`
/// for the largest, growing with the rank.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Slope {
    pub density: f64,
    pub epsilon: f64,
}

impl Slope {
    /// Of the element of this rank, from 0 for the smallest, in a row of `len`.
    pub fn probability(self, rank: usize, len: usize) -> f64 {
        let share = if len > 1 { rank as f64 / (len - 1) as f64 } else { 0.5 };
        self.density + self.epsilon * (2.0 * share - 1.0)
    }

    /// The smallest and the largest probability of these ranks.
    fn between(self, (first, last): (usize, usize), len: usize) -> [f64; 2] {
        let (a, b) = (self.probability(first, len), self.probability(last, len));
        [a.min(b), a.max(b)]
    }
}

/// Room for one row.
#[derive(Debug, Clone, Default)]
pub struct Row {
    magnitudes: Vec<u64>,
    /// How many elements have smaller classes.
    smaller: Vec<u32>,
    /// Of each class that has elements: below the first a draw keeps any of them, from the second on none.
    bounds: Vec<[f64; 2]>,
    draws: Vec<f64>,
}

impl Row {
    /// Appends to `kept` whether each element of a row is kept. Its ranks are those of a sort by magnitude, equal ones
    /// by place; the numbers drawn are those at `start..` of the stream `key`.
    pub fn prune(&mut self, row: &[f64], slope: Slope, (key, start): (u64, u64), kept: &mut Vec<bool>) {
        let len = row.len();
        self.magnitudes.clear();
        self.magnitudes.extend(row.iter().map(|value| value.abs().to_bits()));
        let top = largest(&self.magnitudes) >> BELOW;
        let floor = top.saturating_sub(CLASSES as u64 - 1);
        let class = |bits: u64| (bits >> BELOW).saturating_sub(floor) as usize;
        self.smaller.clear();
        self.smaller.resize(CLASSES + 1, 0);
        for bits in &self.magnitudes {
            self.smaller[class(*bits) + 1] += 1;
        }
        for at in 0..CLASSES {
            self.smaller[at + 1] += self.smaller[at];
        }
        self.bounds.clear();
        self.bounds.extend(self.smaller.array_windows().map(|[from, to]| {
            let ranks = (*from as usize, *to as usize);
            if ranks.0 < ranks.1 { slope.between((ranks.0, ranks.1 - 1), len) } else { [0.0; 2] }
        }));
        self.draws.resize(len, 0.0);
        draw((key, start), &mut self.draws);
        for (place, (bits, draw)) in self.magnitudes.iter().zip(&self.draws).enumerate() {
            let [all, none] = self.bounds[class(*bits)];
            let depends = (*draw >= all) & (*draw < none);
            kept.push(match depends {
                true => *draw < slope.probability(rank(&self.magnitudes, place), len),
                false => *draw < all,
            });
        }
    }
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2", "aarch64+neon"))]
fn largest(magnitudes: &[u64]) -> u64 {
    magnitudes.iter().copied().fold(0, u64::max)
}

/// The numbers of a stream from `start` on.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2", "aarch64+neon"))]
fn draw((key, start): (u64, u64), draws: &mut [f64]) {
    for (draw, at) in draws.iter_mut().zip(start..) {
        *draw = splitmix_unit(key, at);
    }
}

/// How many magnitudes come before the one at `place`: smaller ones, and equal ones before it.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2", "aarch64+neon"))]
fn rank(magnitudes: &[u64], place: usize) -> usize {
    let own = magnitudes[place];
    let (before, after) = magnitudes.split_at(place);
    let earlier: u64 = before.iter().map(|bits| u64::from(*bits <= own)).sum();
    let later: u64 = after.iter().map(|bits| u64::from(*bits < own)).sum();
    (earlier + later) as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_kept_is_what_a_sort_of_the_row_says(
            row in prop::collection::vec(prop_oneof![-1.0f64..1.0, Just(0.25), Just(0.0), -1e-9f64..1e-9], 0..300),
            density in 0.2f64..0.8,
            epsilon in -0.2f64..0.2,
            key in any::<u64>(),
        ) {
            let slope = Slope { density, epsilon };
            let mut order: Vec<usize> = (0..row.len()).collect();
            order.sort_by(|a, b| row[*a].abs().total_cmp(&row[*b].abs()));
            let mut expected = vec![false; row.len()];
            for (rank, place) in order.into_iter().enumerate() {
                expected[place] = splitmix_unit(key, 7 + place as u64) < slope.probability(rank, row.len());
            }
            let mut kept = Vec::new();

            Row::default().prune(&row, slope, (key, 7), &mut kept);

            prop_assert_eq!(kept, expected);
        }
    }
}
