//! One bit an element, for masks that cannot be computed from the element alone.

use std::{
    io,
    sync::{Mutex, PoisonError},
};

use weights::{Scratch, Sheet};

use super::Operands;

/// The bits of one mask.
#[derive(Debug)]
pub struct Bits(Sheet<u64>);

/// Numbers of 8 bytes that the masks of all models hold.
pub fn numbers(operands: &Operands) -> u64 {
    operands.models.len() as u64 * operands.elements.div_ceil(64)
}

/// Masks of several models of `len` elements while they are found, run by run, in any order and by many threads.
pub struct Masks(Vec<Mutex<Bits>>);

impl Masks {
    /// Masks of `models` without a bit set, all of them in one place of `scratch`.
    ///
    /// # Errors
    /// As [`Scratch::sheet`].
    pub fn new((models, len): (usize, u64), scratch: &Scratch) -> io::Result<Self> {
        let words = len.div_ceil(64) as usize;
        let scratch = scratch.for_all(8 * (models * words) as u64);
        let mask = |_| Ok(Mutex::new(Bits(scratch.sheet(words)?)));
        (0..models).map(mask).collect::<io::Result<_>>().map(Self)
    }

    /// Sets those of the first `len` bits of `words`, the lowest of a word first, from bit `start` on in the mask of a model.
    pub fn put(&self, model: usize, (start, len): (u64, usize), words: &[u64]) {
        let mut bits = self.0[model].lock().unwrap_or_else(PoisonError::into_inner);
        let (first, shift) = ((start / 64) as usize, start % 64);
        let past = if len.is_multiple_of(64) { 0 } else { u64::MAX << (len % 64) };
        let last = len.div_ceil(64).saturating_sub(1);
        for (at, word) in words.iter().take(len.div_ceil(64)).enumerate() {
            let word = if at == last { word & !past } else { *word };
            bits.0[first + at] |= word << shift;
            // By two steps, since a shift by all of a word is none.
            let carried = word >> 1 >> (63 - shift);
            if carried != 0 {
                bits.0[first + at + 1] |= carried;
            }
        }
    }

    /// All masks.
    pub fn done(self) -> Vec<Bits> {
        self.0.into_iter().map(|bits| bits.into_inner().unwrap_or_else(PoisonError::into_inner)).collect()
    }
}

impl Bits {
    /// How many bits are set.
    pub fn count(&self) -> u64 {
        self.0.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    /// Puts the bits from `start` on into `words`, the lowest of a word first; bits past the end are 0.
    pub fn copy(&self, start: u64, words: &mut [u64]) {
        let (first, shift) = ((start / 64) as usize, start % 64);
        let word = |at: usize| self.0.get(at).copied().unwrap_or_default();
        for (at, out) in (first..).zip(words) {
            // The upper part of a word, then the lower part of the next; a shift by 64 in two steps.
            *out = word(at) >> shift | word(at + 1) << 1 << (63 - shift);
        }
    }

    /// Zeroes the factors of the elements `start..` whose bit is not set.
    pub fn mask(&self, start: u64, factors: &mut [f64]) {
        kernels::task::keep_listed(&self.0, start, factors);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_any_length_put_in_any_order_hold_the_bits_of_the_whole() {
        let whole: Vec<bool> = (0..500u64).map(|at| at.wrapping_mul(0x9E37_79B9) >> 7 & 3 == 0).collect();
        let folder = tempfile::tempdir().unwrap();
        let mut runs = Vec::new();
        let mut start = 0;
        for len in [1, 63, 64, 65, 0, 130, 3, 174] {
            runs.push((start, len));
            start += len;
        }
        assert_eq!(start, whole.len());

        for scratch in [Scratch::default(), Scratch::in_folder(folder.path()).beyond(0)] {
            let masks = Masks::new((2, 500), &scratch).unwrap();
            for (start, len) in runs.iter().rev() {
                let mut words = kernels::task::packed(&whole[*start..start + len]);
                // What lies past the end of a run is not taken.
                words.iter_mut().skip(len / 64).for_each(|word| *word |= u64::MAX << (len % 64));
                masks.put(1, (*start as u64, *len), &words);
            }
            let [none, joined] = masks.done().try_into().unwrap();

            let mut factors = vec![1.0; 500];
            joined.mask(0, &mut factors);
            let got: Vec<bool> = factors.iter().map(|factor| *factor == 1.0).collect();
            assert_eq!(got, whole);
            let mut words = [0; 3];
            joined.copy(77, &mut words);
            assert!((0..192).all(|at| (words[at / 64] >> (at % 64) & 1 == 1) == whole[77 + at]));
            assert_eq!(joined.count(), whole.iter().filter(|kept| **kept).count() as u64);
            assert_eq!(none.count(), 0);
        }
    }
}
