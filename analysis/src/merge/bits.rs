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
        assert_eq!(joined.count(), whole.iter().filter(|kept| **kept).count() as u64);
    }
}
