//! Postings of letter triples: which names hold three letters in a row, as differences in few bytes.

use super::lines::Lines;

/// Letters told apart: a to z, digits, `-`, `_`, `.`, `/`, and everything else as one.
const LETTERS: usize = 41;
const TRIPLES: usize = LETTERS * LETTERS * LETTERS;

pub(super) struct Grams {
    /// Where the postings of each triple begin in `bytes`.
    starts: Vec<u32>,
    bytes: Vec<u8>,
}

const fn letter(byte: u8) -> usize {
    match byte {
        b'a'..=b'z' => 1 + (byte - b'a') as usize,
        b'0'..=b'9' => 27 + (byte - b'0') as usize,
        b'-' => 37,
        b'_' => 38,
        b'.' => 39,
        b'/' => 40,
        _ => 0,
    }
}

fn triples(text: &str) -> impl Iterator<Item = usize> + '_ {
    text.as_bytes()
        .windows(3)
        .map(|three| three.iter().fold(0, |triple, &byte| triple * LETTERS + letter(byte)))
}

/// The bytes that a difference takes, seven bits in each.
const fn width(difference: u32) -> u32 {
    let bits = 32 - difference.leading_zeros();
    if bits == 0 { 1 } else { bits.div_ceil(7) }
}

impl Grams {
    /// The triples of all names, in two passes: sizes first, then the postings themselves.
    pub fn of(names: &Lines) -> Self {
        let mut sizes = vec![0_u32; TRIPLES + 1];
        each(names, |triple, difference| sizes[triple + 1] += width(difference));
        for at in 0..TRIPLES {
            sizes[at + 1] += sizes[at];
        }
        let mut bytes = vec![0; sizes[TRIPLES] as usize];
        let mut next = sizes.clone();
        each(names, |triple, mut difference| {
            let at = &mut next[triple];
            while difference >= 128 {
                bytes[*at as usize] = (difference & 127) as u8 | 128;
                difference >>= 7;
                *at += 1;
            }
            bytes[*at as usize] = difference as u8;
            *at += 1;
        });
        Self { starts: sizes, bytes }
    }

    /// Names that hold the rarest triple of a word, ascending; none where the word is too short to have one.
    pub fn candidates(&self, word: &str) -> Option<Vec<u32>> {
        let size = |triple: &usize| self.starts[*triple + 1] - self.starts[*triple];
        let rarest = triples(word).min_by_key(size)?;
        let bytes = &self.bytes[self.starts[rarest] as usize..self.starts[rarest + 1] as usize];
        let (mut found, mut at, mut difference, mut shift) = (Vec::new(), 0_u32, 0_u32, 0);
        for byte in bytes {
            difference |= u32::from(byte & 127) << shift;
            shift += 7;
            if byte & 128 == 0 {
                at += difference;
                found.push(at - 1);
                (difference, shift) = (0, 0);
            }
        }
        Some(found)
    }

    pub fn bytes(&self) -> usize {
        self.starts.capacity() * 4 + self.bytes.capacity()
    }
}

/// Calls back with every triple of every name once, and how far the name is from the last one that held it; positions
/// count from 1.
fn each(names: &Lines, mut found: impl FnMut(usize, u32)) {
    let mut last = vec![0_u32; TRIPLES];
    for (at, number) in (0..names.len()).zip(1_u32..) {
        for triple in triples(names.get(at)) {
            if last[triple] != number {
                found(triple, number - last[triple]);
                last[triple] = number;
            }
        }
    }
}
