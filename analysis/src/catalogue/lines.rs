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
    /// One more than the number of the word that hashes here, with the next free place after a clash; 0 where none is.
    table: Vec<u32>,
    hasher: RandomState,
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
        Self { lines: Lines::default(), table: vec![0; 16], hasher: RandomState::default() }
    }

    /// The number of a word, a new one when it is not known yet.
    pub fn intern(&mut self, word: &str) -> u32 {
        if (self.lines.len() + 1) * 4 > self.table.len() * 3 {
            self.grow();
        }
        let place = self.place(word);
        if self.table[place] == 0 {
            self.lines.push(word);
            self.table[place] = u32::try_from(self.lines.len()).unwrap_or(1);
        }
        self.table[place] - 1
    }

    /// The number of a known word.
    pub fn find(&self, word: &str) -> Option<u32> {
        self.table[self.place(word)].checked_sub(1)
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
        self.lines.bytes() + self.table.capacity() * 4
    }

    /// Where the word stands in the table, or would.
    fn place(&self, word: &str) -> usize {
        let mask = self.table.len() - 1;
        #[allow(clippy::cast_possible_truncation)]
        let mut place = self.hasher.hash_one(word) as usize & mask;
        while self.table[place].checked_sub(1).is_some_and(|number| self.word(number) != word) {
            place = (place + 1) & mask;
        }
        place
    }

    fn grow(&mut self) {
        let size = self.table.len() * 2;
        self.table = vec![0; size];
        for number in 0..self.lines.len() {
            let place = self.place(self.lines.get(number));
            self.table[place] = u32::try_from(number + 1).unwrap_or(1);
        }
    }
}
