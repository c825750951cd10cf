//! The exact k-th largest magnitude in one pass, when a sample says about where it lies.

use multiversion::multiversion;

use crate::kth::{Threshold, magnitude};

/// Magnitudes that a bracket lists at most: 4 MiB of them.
const LISTED: usize = 1 << 20;

/// Elements looked at together.
pub(crate) const LANES: usize = 16;

/// A range of magnitudes, and the one in it that is probably asked for. Magnitudes are f32 without a sign, whose bits
/// order like their values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    pub(crate) low: u32,
    pub(crate) guess: u32,
    pub(crate) high: u32,
}

/// Lists the magnitudes within a range, and counts those above it. Where numbers are coarse many equal the probable one:
/// they are counted too.
#[derive(Debug, Clone)]
pub struct Bracket {
    range: Range,
    above: u64,
    /// Those within the range but the probable one.
    listed: Vec<u32>,
    /// Of each block how many are the probable one, and where its list ends.
    blocks: Vec<(u64, usize)>,
    /// Whether there were more than are listed.
    full: bool,
}

/// The magnitude of a rank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    pub threshold: Threshold,
    /// Elements of exactly that magnitude in each block, in the order in which they were added.
    pub ties: Vec<u64>,
}

impl Range {
    /// `low..=high` and `guess`.
    pub fn new(low: u32, guess: u32, high: u32) -> Self {
        Self { low: low.min(guess), guess, high: high.max(guess) }
    }

    fn lists(&self, bits: u32) -> bool {
        (self.low..=self.high).contains(&bits) && bits != self.guess
    }
}

impl Bracket {
    /// Nothing counted yet.
    pub fn new(range: Range) -> Self {
        Self { range, above: 0, listed: Vec::new(), blocks: Vec::new(), full: false }
    }

    /// Counts the magnitudes of the next block, fewer than 2³².
    pub fn add_block(&mut self, magnitudes: &[f32]) {
        // Once a list is full nothing of it is asked for any more.
        self.full |= self.listed.len() > LISTED;
        if self.full {
            return;
        }
        let (above, equal) = count(self.range, magnitudes, &mut self.listed);
        self.above += above;
        self.blocks.push((equal, self.listed.len()));
    }

    /// How many of each block have these bits, which lie within the range.
    fn ties(&self, bits: u32) -> impl Iterator<Item = u64> {
        let mut begin = 0;
        self.blocks.iter().map(move |(equal, end)| {
            let own = &self.listed[begin..*end];
            begin = *end;
            if bits == self.range.guess {
                *equal
            } else {
                own.iter().filter(|own| **own == bits).count() as u64
            }
        })
    }

    /// The k-th largest of all that these brackets of one range were given, k from 1; `None` when it lies outside the
    /// range, or when more lie within it than are listed.
    pub fn threshold(parts: &[&Self], k: u64) -> Option<Located> {
        let range = parts.first()?.range;
        if parts.iter().any(|part| part.full) {
            return None;
        }
        let higher: u64 = parts.iter().map(|part| part.above).sum();
        let equal: u64 = parts.iter().flat_map(|part| &part.blocks).map(|(equal, _)| equal).sum();
        let mut listed: Vec<u32> = parts.iter().flat_map(|part| &part.listed).copied().collect();
        let rank = k.checked_sub(higher + 1)?;
        let larger = listed.iter().filter(|bits| **bits > range.guess).count() as u64;
        let mut nth = |rank: u64| {
            let rank = usize::try_from(rank).ok().filter(|rank| *rank < listed.len())?;
            Some(*listed.select_nth_unstable_by(rank, |a, b| b.cmp(a)).1)
        };
        let value_bits = match rank {
            rank if rank < larger => nth(rank)?,
            rank if rank < larger + equal => range.guess,
            rank => nth(rank - equal)?,
        };
        let within = listed.iter().filter(|bits| **bits > value_bits).count() as u64;
        let guesses = if range.guess > value_bits { equal } else { 0 };
        let ties = parts.iter().flat_map(|part| part.ties(value_bits)).collect();
        Some(Located { threshold: Threshold { value_bits, above: higher + within + guesses }, ties })
    }
}

/// How many magnitudes lie above the range and at its guess; the others within it are put on the list.
fn count(range: Range, magnitudes: &[f32], listed: &mut Vec<u32>) -> (u64, u64) {
    let (groups, rest) = magnitudes.as_chunks::<LANES>();
    let whole = crate::direct::between(range, groups, listed);
    let (above, equal) = whole.unwrap_or_else(|| count_groups(range, groups, listed));
    let rest = rest.iter().map(|value| magnitude(*value));
    listed.extend(rest.clone().filter(|bits| range.lists(*bits)));
    let count = |of: &dyn Fn(u32) -> bool| rest.clone().filter(|bits| of(*bits)).count() as u64;
    (above + count(&|bits| bits > range.high), equal + count(&|bits| bits == range.guess))
}

#[multiversion(targets("x86_64+avx2", "aarch64+neon"))]
fn count_groups(range: Range, groups: &[[f32; LANES]], listed: &mut Vec<u32>) -> (u64, u64) {
    let Range { low, guess, high } = range;
    let (mut above, mut equal) = ([0u32; LANES], [0u32; LANES]);
    for group in groups {
        let mut within = 0;
        for lane in 0..LANES {
            let bits = magnitude(group[lane]);
            above[lane] += u32::from(bits > high);
            equal[lane] += u32::from(bits == guess);
            within |= u32::from(bits >= low) & u32::from(bits <= high) & u32::from(bits != guess);
        }
        if within != 0 {
            // All are written, and only those within the range stay.
            let (mut found, mut count) = ([0; LANES], 0);
            for bits in group.map(magnitude) {
                found[count % LANES] = bits;
                count += usize::from(range.lists(bits));
            }
            listed.extend_from_slice(&found[..count]);
        }
    }
    let sum = |lanes: [u32; LANES]| lanes.into_iter().map(u64::from).sum::<u64>();
    (sum(above), sum(equal))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn more_magnitudes_than_are_listed_have_no_threshold() {
        let mut bracket = Bracket::new(Range::new(0, 0, u32::MAX >> 1));
        let block: Vec<f32> = (1..=4_096u16).map(f32::from).collect();
        (0..=LISTED / block.len() + 1).for_each(|_| bracket.add_block(&block));

        assert_eq!(Bracket::threshold(&[&bracket], 1), None);
        assert!(bracket.listed.len() <= LISTED + block.len());
    }

    #[test]
    fn groups_are_counted_alike_with_and_without_what_the_processor_has() {
        let values: Vec<f32> =
            (0..4_000u32).map(|at| (at.wrapping_mul(0x9E37_79B9) >> 20) as f32 - 2_048.0).collect();
        let groups = values.as_chunks::<LANES>().0;
        for [low, guess, high] in [[100.0f32, 150.0, 1_000.0], [0.0, 0.0, 5_000.0], [1.0, 7.0, 7.0]] {
            let range = Range::new(low.to_bits(), guess.to_bits(), high.to_bits());
            let (mut plain, mut listed) = (Vec::new(), Vec::new());

            let counted = count_groups(range, groups, &mut plain);

            let sizes = || groups.as_flattened().iter().map(|value| value.abs());
            assert_eq!(counted.0, sizes().filter(|size| *size > high).count() as u64);
            assert_eq!(
                plain.len(),
                sizes().filter(|size| *size >= low && *size <= high && *size != guess).count()
            );
            if let Some(other) = crate::direct::between(range, groups, &mut listed) {
                assert_eq!((other, listed), (counted, plain));
            }
        }
    }

    proptest! {
        #[test]
        fn the_threshold_is_the_one_of_the_sorted_magnitudes(
            values in prop::collection::vec(prop_oneof![0.0f32..4.0, Just(1.0), Just(1.5)], 1..400),
            cut in 0.0f64..1.0,
            share in 0.0f64..1.0,
            wide in prop_oneof![Just(0u32), Just(1 << 10), Just(1 << 22)],
        ) {
            let mut sorted: Vec<u32> = values.iter().map(|value| value.to_bits()).collect();
            sorted.sort_unstable_by(|a, b| b.cmp(a));
            let k = 1 + (share * (values.len() - 1) as f64) as usize;
            let guess = sorted[(cut * (values.len() - 1) as f64) as usize];
            let range = Range::new(guess.saturating_sub(wide), guess, guess.saturating_add(wide));
            let middle = values.len() / 2;

            let (mut left, mut right) = (Bracket::new(range), Bracket::new(range));
            let blocks = [&values[..middle / 2], &values[middle / 2..middle], &values[middle..]];
            left.add_block(blocks[0]);
            left.add_block(blocks[1]);
            right.add_block(blocks[2]);
            let found = Bracket::threshold(&[&left, &right], k as u64);

            let wanted = sorted[k - 1];
            let above = sorted.iter().filter(|bits| **bits > wanted).count() as u64;
            let ties = |block: &[f32]| block.iter().filter(|value| value.to_bits() == wanted).count() as u64;
            let expected = (range.low..=range.high).contains(&wanted).then(|| Located {
                threshold: Threshold { value_bits: wanted, above },
                ties: blocks.map(ties).to_vec(),
            });
            prop_assert_eq!(found, expected);
        }
    }
}
