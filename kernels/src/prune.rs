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

    /// Whether the draw is below the probabilities of all these ranks, or of none of them; `None` when it depends.
    fn decides(self, draw: f64, (first, last): (usize, usize), len: usize) -> Option<bool> {
        let (a, b) = (self.probability(first, len), self.probability(last, len));
        if draw < a.min(b) {
            Some(true)
        } else if draw >= a.max(b) {
            Some(false)
        } else {
            None
        }
    }
}

/// Room for one row.
#[derive(Debug, Clone, Default)]
pub struct Row {
    magnitudes: Vec<u64>,
    /// How many elements have smaller classes.
    smaller: Vec<u32>,
}

impl Row {
    /// Appends to `kept` whether each element of a row is kept. Its ranks are those of a sort by magnitude, equal ones
    /// by place; the numbers drawn are those at `start..` of the stream `key`.
    pub fn prune(&mut self, row: &[f64], slope: Slope, (key, start): (u64, u64), kept: &mut Vec<bool>) {
        let len = row.len();
        self.magnitudes.clear();
        self.magnitudes.extend(row.iter().map(|value| value.abs().to_bits()));
        let top = self.magnitudes.iter().copied().max().unwrap_or_default() >> BELOW;
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
        let all = (0, len.saturating_sub(1));
        for (place, bits) in self.magnitudes.iter().enumerate() {
            let draw = splitmix_unit(key, start + place as u64);
            let class = class(*bits);
            let ranks = (self.smaller[class] as usize, self.smaller[class + 1] as usize - 1);
            let known = slope.decides(draw, all, len).or_else(|| slope.decides(draw, ranks, len));
            kept.push(known.unwrap_or_else(|| draw < slope.probability(rank(&self.magnitudes, place), len)));
        }
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
