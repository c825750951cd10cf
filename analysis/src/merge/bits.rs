//! One bit an element, for masks that cannot be computed from the element alone.

/// A growing list of bits.
#[derive(Debug, Clone, Default)]
pub struct Bits {
    words: Vec<u64>,
    len: u64,
}

impl Bits {
    /// The bits of `kept`.
    pub fn of(kept: &[bool]) -> Self {
        Self { words: kernels::task::packed(kept), len: kept.len() as u64 }
    }

    /// The first `len` bits of `words`; those past the end are 0.
    pub fn packed(words: Vec<u64>, len: u64) -> Self {
        Self { words, len }
    }

    /// All parts, one after the other.
    pub fn join(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut all = Self::default();
        for part in parts {
            all.append(&part);
        }
        all
    }

    fn append(&mut self, other: &Self) {
        let shift = self.len % 64;
        if shift == 0 {
            self.words.extend(&other.words);
        } else {
            for word in &other.words {
                if let Some(last) = self.words.last_mut() {
                    *last |= word << shift;
                }
                self.words.push(word >> (64 - shift));
            }
        }
        self.len += other.len;
        self.words.truncate(self.len.div_ceil(64) as usize);
    }

    /// How many bits are set.
    pub fn count(&self) -> u64 {
        self.words.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    /// Puts the bits from `start` on into `words`, the lowest of a word first; bits past the end are 0.
    pub fn copy(&self, start: u64, words: &mut [u64]) {
        let (first, shift) = ((start / 64) as usize, start % 64);
        let word = |at: usize| self.words.get(at).copied().unwrap_or_default();
        for (at, out) in (first..).zip(words) {
            // The upper part of a word, then the lower part of the next; a shift by 64 in two steps.
            *out = word(at) >> shift | word(at + 1) << 1 << (63 - shift);
        }
    }

    /// Zeroes the factors of the elements `start..` whose bit is not set.
    pub fn mask(&self, start: u64, factors: &mut [f64]) {
        kernels::task::keep_listed(&self.words, start, factors);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joined_parts_of_any_length_hold_the_bits_of_the_whole() {
        let whole: Vec<bool> = (0..500u64).map(|at| at.wrapping_mul(0x9E37_79B9) >> 7 & 3 == 0).collect();
        let mut rest = &whole[..];
        let mut parts = Vec::new();
        for len in [1, 63, 64, 65, 0, 130, 3, 174] {
            let (part, after) = rest.split_at(len);
            parts.push(Bits::of(part));
            rest = after;
        }

        let joined = Bits::join(parts);

        let mut factors = vec![1.0; 500];
        joined.mask(0, &mut factors);
        let got: Vec<bool> = factors.iter().map(|factor| *factor == 1.0).collect();
        assert!(rest.is_empty() && got == whole);
        let mut words = [0; 3];
        joined.copy(77, &mut words);
        assert!((0..192).all(|at| (words[at / 64] >> (at % 64) & 1 == 1) == whole[77 + at]));
        assert_eq!(joined.count(), whole.iter().filter(|kept| **kept).count() as u64);
    }
}
