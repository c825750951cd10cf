//! Many short texts in one: a list of them, and a set that numbers each distinct one.

use std::hash::BuildHasher as _;

use foldhash::fast::RandomState;

/// Texts by position.
#[derive(Default)]
pub(crate) struct Lines {
    text: String,
    ends: Vec<u32>,
}

impl Lines {
    /// Adds a text; once 4 GiB are full, an empty one.
    pub fn push(&mut self, text: &str) {
        let end = u32::try_from(self.text.len() + text.len());
        if end.is_ok() {
            self.text.push_str(text);
        }
        self.ends.push(end.unwrap_or_else(|_| self.ends.last().copied().unwrap_or_default()));
    }

    pub fn get(&self, at: usize) -> &str {
        let start = at.checked_sub(1).and_then(|before| self.ends.get(before)).map_or(0, |end| *end as usize);
        let end = self.ends.get(at).map_or(start, |end| *end as usize);
        self.text.get(start..end).unwrap_or_default()
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn shrink(&mut self) {
        self.text.shrink_to_fit();
        self.ends.shrink_to_fit();
    }

    pub fn bytes(&self) -> usize {
        self.text.capacity() + self.ends.capacity() * 4
    }
}

/// Distinct words by number; number 0 is the empty word, which stands for "unknown".
pub(crate) struct Words {
    lines: Lines,
    table: Vec<Slot>,
    hasher: RandomState,
}

/// A word of the table: where it hashes to, or the next free place after a clash. With the hash beside it other words are
/// passed over without a look at them.
#[derive(Clone, Copy, Default)]
struct Slot {
    hash: u32,
    /// One more than the number of the word; 0 where none is.
    number: u32,
}

impl Default for Words {
    fn default() -> Self {
        let mut words = Self::bare();
        words.intern("");
        words
    }
}

impl Words {
    /// No words yet, not even the empty one.
    pub fn bare() -> Self {
        Self { lines: Lines::default(), table: vec![Slot::default(); 16], hasher: RandomState::default() }
    }

    /// The number of a word, a new one when it is not known yet.
    pub fn intern(&mut self, word: &str) -> u32 {
        self.make_room(1);
        self.entered((word, self.hash(word)))
    }

    /// The numbers of some words. A large table lies in no cache; it is asked for all of them first, so that its answers
    /// come side by side and not one after the other.
    pub fn intern_all<'w, 'n>(&'n mut self, words: &'w [&str]) -> impl Iterator<Item = u32> + use<'w, 'n> {
        self.make_room(words.len());
        let mask = self.table.len() - 1;
        let hashes: Vec<u32> = words.iter().map(|word| self.hash(word)).collect();
        let slots: Vec<Slot> = hashes.iter().map(|hash| self.table[*hash as usize & mask]).collect();
        let ends: Vec<u32> = slots
            .iter()
            .map(|slot| {
                self.lines.ends.get((slot.number as usize).wrapping_sub(2)).copied().unwrap_or_default()
            })
            .collect();
        let text = self.lines.text.as_bytes();
        let touched =
            ends.iter().fold(0, |all, end| all ^ text.get(*end as usize).copied().unwrap_or_default());
        std::hint::black_box(touched);
        words.iter().zip(hashes).map(|(word, hash)| self.entered((word, hash)))
    }

    fn entered(&mut self, (word, hash): (&str, u32)) -> u32 {
        let place = self.place((word, hash));
        if self.table[place].number == 0 {
            self.lines.push(word);
            self.table[place] = Slot { hash, number: u32::try_from(self.lines.len()).unwrap_or(1) };
        }
        self.table[place].number - 1
    }

    /// The number of a known word.
    pub fn find(&self, word: &str) -> Option<u32> {
        self.table[self.place((word, self.hash(word)))].number.checked_sub(1)
    }

    pub fn word(&self, number: u32) -> &str {
        self.lines.get(number as usize)
    }

    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// The words alone, by number.
    pub fn into_lines(self) -> Lines {
        self.lines
    }

    pub fn shrink(&mut self) {
        self.lines.shrink();
    }

    pub fn bytes(&self) -> usize {
        self.lines.bytes() + self.table.capacity() * size_of::<Slot>()
    }

    fn hash(&self, word: &str) -> u32 {
        (self.hasher.hash_one(word) >> 32) as u32
    }

    /// Where the word stands in the table, or would.
    fn place(&self, (word, hash): (&str, u32)) -> usize {
        let mask = self.table.len() - 1;
        let mut place = hash as usize & mask;
        loop {
            let slot = self.table[place];
            if slot.number == 0 || (slot.hash == hash && self.word(slot.number - 1) == word) {
                return place;
            }
            place = (place + 1) & mask;
        }
    }

    /// Makes room for so many words more.
    fn make_room(&mut self, more: usize) {
        while (self.lines.len() + more) * 4 > self.table.len() * 3 {
            self.grow();
        }
    }

    fn grow(&mut self) {
        let size = self.table.len() * 2;
        let words = std::mem::replace(&mut self.table, vec![Slot::default(); size]);
        for slot in words.into_iter().filter(|slot| slot.number > 0) {
            let mut place = slot.hash as usize & (size - 1);
            while self.table[place].number > 0 {
                place = (place + 1) & (size - 1);
            }
            self.table[place] = slot;
        }
    }
}
