//! Names that hold a word but for one slip: a letter too many, too few, another one, or two that changed places. The
//! bit-parallel matching of Wu and Manber (1992), with swaps.

/// Shorter words are somebody's by chance with one letter changed.
const SHORTEST: usize = 4;

/// A word that is looked for in names.
pub(super) struct Loose<'a> {
    word: &'a str,
    /// Of each byte the places where the word has it, a bit each; none where slips are not looked for.
    places: Option<Box<[u64; 256]>>,
}

impl<'a> Loose<'a> {
    /// A word in lower case; one of fewer than four or more than 64 letters allows no slip.
    pub(super) fn of(word: &'a str) -> Self {
        let fits = (SHORTEST..=64).contains(&word.len()) && word.is_ascii();
        let places = fits.then(|| {
            let mut places = Box::new([0_u64; 256]);
            word.bytes().enumerate().for_each(|(at, byte)| places[usize::from(byte)] |= 1 << at);
            places
        });
        Self { word, places }
    }

    /// Whether a name holds the word, or something one slip away from it.
    pub(super) fn is_in(&self, name: &str) -> bool {
        let Some(places) = &self.places else { return name.contains(self.word) };
        let done = 1_u64 << (self.word.len() - 1);
        // Bit i: the last letters read are the first i + 1 of the word, exactly or with one slip.
        let (mut exact, mut slipped, mut before, mut last) = (0_u64, 1_u64, 0_u64, 0_u64);
        for byte in name.bytes() {
            let here = places[usize::from(byte)];
            let next = (exact << 1 | 1) & here;
            // The letter before is the one that comes later in the word.
            let swapped = ((before << 1 | 1) & here & last >> 1) << 1;
            slipped = (slipped << 1 | 1) & here | exact | exact << 1 | 1 | next << 1 | swapped;
            (before, exact, last) = (exact, next, here);
            if (exact | slipped) & done != 0 {
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_with_one_slip_is_found_and_one_with_two_is_not() {
        let found = |word: &str, name: &str| Loose::of(word).is_in(name);

        for typed in
            ["scribe", "scirbe", "csribe", "scrieb", "scrbe", "scribbe", "scrabe", "cribe", "xscribe"]
        {
            assert!(found(typed, "mandoc/scribe-v1"), "{typed}");
        }
        for typed in ["sicrbe", "scaabe", "scribeexx", "ebircs"] {
            assert!(!found(typed, "mandoc/scribe-v1"), "{typed}");
        }
        assert!(found("v1", "mandoc/scribe-v1") && !found("v2", "mandoc/scribe-v1"), "too short for a slip");
        let long = "a".repeat(64);
        assert!(found(&long, &"a".repeat(63)) && !found(&long, &"a".repeat(62)));
    }
}
