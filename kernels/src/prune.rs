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
}

/// Room for one row.
#[derive(Debug, Clone, Default)]
pub struct Row {
    magnitudes: Vec<u64>,
    /// Elements of each class.
    counts: Vec<u32>,
    /// Whether a class has several magnitudes, and the last seen of it.
    mixed: Vec<bool>,
    seen: Vec<u64>,
    /// Smallest rank in a class; of one with a single magnitude that of its next element.
    next: Vec<u32>,
    draws: Vec<f64>,
    /// Of each rank in rows of one length.
    probabilities: Vec<f64>,
    slope: Option<Slope>,
}

impl Row {
    /// Says in `kept`, which has its length, whether each element of a row is kept. Its ranks are those of a sort by
    /// magnitude, equal ones by place; the numbers drawn are those at `start..` of the stream `key`.
    pub fn prune(&mut self, row: &[f64], slope: Slope, (key, start): (u64, u64), kept: &mut [bool]) {
        let len = row.len();
        if self.slope != Some(slope) || self.probabilities.len() != len {
            self.probabilities.clear();
            self.probabilities.extend((0..len).map(|rank| slope.probability(rank, len)));
            self.slope = Some(slope);
        }
        self.magnitudes.resize(len, 0);
        let top = sizes(row, &mut self.magnitudes) >> BELOW;
        let floor = top.saturating_sub(CLASSES as u64 - 1);
        self.counts.clear();
        self.counts.resize(CLASSES, 0);
        self.mixed.clear();
        self.mixed.resize(CLASSES, false);
        self.seen.resize(CLASSES, 0);
        for bits in &self.magnitudes {
            let at = class(*bits, floor);
            self.mixed[at] |= (self.counts[at] > 0) & (self.seen[at] != *bits);
            self.seen[at] = *bits;
            self.counts[at] += 1;
        }
        let mut smaller = 0;
        self.next.clear();
        self.next.extend(self.counts.iter().map(|count| {
            let first = smaller;
            smaller += count;
            first
        }));
        self.draws.resize(len, 0.0);
        draw((key, start), &mut self.draws);
        let elements = self.magnitudes.iter().zip(&self.draws).zip(kept).enumerate();
        for (place, ((bits, draw), kept)) in elements {
            let at = class(*bits, floor);
            let rank = self.next[at] as usize;
            *kept = if self.mixed[at] {
                let last = rank + self.counts[at] as usize - 1;
                let [a, b] = [self.probabilities[rank], self.probabilities[last]];
                let depends = (*draw >= a.min(b)) & (*draw < a.max(b));
                match depends {
                    true => *draw < self.probabilities[self::rank(&self.magnitudes, place)],
                    false => *draw < a.min(b),
                }
            } else {
                self.next[at] += 1;
                *draw < self.probabilities[rank]
            };
        }
    }
}

#[inline(always)]
fn class(bits: u64, floor: u64) -> usize {
    (bits >> BELOW).saturating_sub(floor) as usize & (CLASSES - 1)
}

/// The bits of magnitudes, which order like them; gives the largest.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2", "aarch64+neon"))]
fn sizes(row: &[f64], magnitudes: &mut [u64]) -> u64 {
    let mut largest = 0;
    for (bits, value) in magnitudes.iter_mut().zip(row) {
        *bits = value.abs().to_bits();
        largest = largest.max(*bits);
    }
    largest
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
            row in prop::collection::vec(prop_oneof![-1.0f64..1.0, Just(0.25), Just(-0.75), Just(0.0), -1e-9f64..1e-9], 0..300),
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
            let (mut kept, mut room) = (vec![false; row.len()], Row::default());
            // What was pruned before leaves nothing behind.
            room.prune(&row, Slope { density: 0.5, epsilon: 0.1 }, (1, 0), &mut kept);

            room.prune(&row, slope, (key, 7), &mut kept);

            prop_assert_eq!(kept, expected);
        }
    }
}
