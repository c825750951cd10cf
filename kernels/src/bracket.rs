//! The exact k-th largest magnitude in one pass, when a sample says about where it lies.

use multiversion::multiversion;

use crate::kth::{Threshold, magnitude};

/// Different magnitudes that a bracket counts one by one at most: 1 MiB of counters.
const WIDEST: u32 = 1 << 18;

/// Elements looked at together.
const LANES: usize = 16;

/// A range of magnitudes, and the one in it that is probably asked for. Magnitudes are f32 without a sign, whose bits
/// order like their values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    low: u32,
    guess: u32,
    high: u32,
}

/// Counts magnitudes within a range one by one, and those above it together.
#[derive(Debug, Clone)]
pub struct Bracket {
    range: Range,
    above: u64,
    counts: Vec<u32>,
}

impl Range {
    /// `low..=high` around `guess`, or as much of it as can be counted.
    pub fn new(low: u32, guess: u32, high: u32) -> Self {
        let low = low.min(guess).max(guess.saturating_sub(WIDEST / 2));
        let high = high.max(guess).min(guess.saturating_add(WIDEST / 2 - 1));
        Self { low, guess, high }
    }

    /// Bits of the probable magnitude.
    pub fn guess(&self) -> u32 {
        self.guess
    }
}

impl Bracket {
    /// Nothing counted yet.
    pub fn new(range: Range) -> Self {
        Self { range, above: 0, counts: vec![0; (range.high - range.low + 1) as usize] }
    }

    /// Counts the next magnitudes, fewer than 2³² in all; gives how many of them are exactly the probable one.
    pub fn add_block(&mut self, magnitudes: &[f32]) -> u64 {
        let found = count(self.range, magnitudes, &mut self.counts);
        self.above += found.0;
        found.1
    }

    /// How many magnitudes of these bits, which lie within the range, were counted.
    pub fn count_of(&self, bits: u32) -> u64 {
        let slot = bits.checked_sub(self.range.low).map(|slot| slot as usize);
        slot.and_then(|slot| self.counts.get(slot)).map_or(0, |count| u64::from(*count))
    }

    /// The k-th largest of all that these brackets of one range have counted, k from 1, and how many equal it; `None`
    /// when it lies outside the range.
    pub fn threshold(parts: &[&Self], k: u64) -> Option<(Threshold, u64)> {
        let first = parts.first()?;
        let mut above: u64 = parts.iter().map(|part| part.above).sum();
        if k <= above {
            return None;
        }
        for slot in (0..first.counts.len()).rev() {
            let count: u64 = parts.iter().map(|part| u64::from(part.counts[slot])).sum();
            if above + count >= k {
                return Some((Threshold { value_bits: first.range.low + slot as u32, above }, count));
            }
            above += count;
        }
        None
    }
}

/// How many magnitudes lie above the range and at its guess; those within it are counted one by one.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2", "aarch64+neon"))]
fn count(Range { low, guess, high }: Range, magnitudes: &[f32], counts: &mut [u32]) -> (u64, u64) {
    let (chunks, rest) = magnitudes.as_chunks::<LANES>();
    let (mut above, mut equal) = ([0u32; LANES], [0u32; LANES]);
    let mut tally = |bits: u32| {
        if let Some(count) = bits.checked_sub(low).and_then(|slot| counts.get_mut(slot as usize)) {
            *count += 1;
        }
    };
    for chunk in chunks {
        let mut within = 0;
        for lane in 0..LANES {
            let bits = magnitude(chunk[lane]);
            above[lane] += u32::from(bits > high);
            equal[lane] += u32::from(bits == guess);
            // Where numbers are coarse many equal the guess; those were counted just now.
            within |= u32::from(bits >= low) & u32::from(bits <= high) & u32::from(bits != guess);
        }
        if within != 0 {
            chunk.iter().map(|value| magnitude(*value)).filter(|bits| *bits != guess).for_each(&mut tally);
        }
    }
    for value in rest {
        let bits = magnitude(*value);
        above[0] += u32::from(bits > high);
        if bits == guess {
            equal[0] += 1;
        } else {
            tally(bits);
        }
    }
    let sum = |lanes: [u32; LANES]| lanes.into_iter().map(u64::from).sum::<u64>();
    let equal = sum(equal);
    if let Some(count) = guess.checked_sub(low).and_then(|slot| counts.get_mut(slot as usize)) {
        *count += equal as u32;
    }
    (sum(above), equal)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
            let equal = left.add_block(&values[..middle]) + right.add_block(&values[middle..]);
            let found = Bracket::threshold(&[&left, &right], k as u64);

            let wanted = sorted[k - 1];
            let above = sorted.iter().filter(|bits| **bits > wanted).count() as u64;
            let ties = sorted.iter().filter(|bits| **bits == wanted).count() as u64;
            let inside = (range.low..=range.high).contains(&wanted);
            let expected = inside.then_some((Threshold { value_bits: wanted, above }, ties));
            prop_assert_eq!(found, expected);
            if inside {
                prop_assert_eq!(left.count_of(wanted) + right.count_of(wanted), ties);
            }
            prop_assert_eq!(equal, sorted.iter().filter(|bits| **bits == guess).count() as u64);
        }
    }
}
