//! The traits of all models, each distinct word stored once so that a million models fit in memory.

use std::collections::HashMap;

use serde::Serialize;

/// A trait that a child can take from its parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Trait {
    Licence,
    /// The Hub's `pipeline_tag`.
    Task,
    Library,
    Language,
    Dataset,
    /// `model_type` of the configuration.
    Architecture,
}

impl Trait {
    /// All of them, in the order of reports.
    pub const ALL: [Self; 6] =
        [Self::Licence, Self::Task, Self::Library, Self::Language, Self::Dataset, Self::Architecture];

    /// The word as JSON and CSV have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Licence => "licence",
            Self::Task => "task",
            Self::Library => "library",
            Self::Language => "language",
            Self::Dataset => "dataset",
            Self::Architecture => "architecture",
        }
    }
}

/// What is known of a model's card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Card {
    /// Characters of its body; 0 without one.
    pub characters: u64,
    /// It says that it was generated.
    pub generated: bool,
}

struct Row {
    traits: [Box<[u32]>; Trait::ALL.len()],
    card: Card,
}

/// The traits of every model that is here itself.
#[derive(Default)]
pub struct TraitTable {
    words: Vec<String>,
    numbers: HashMap<String, u32>,
    rows: HashMap<i64, Row>,
}

impl TraitTable {
    /// Adds a model. Words are compared in lower case; empty ones count as not reported.
    pub fn add<'a>(&mut self, model: i64, card: Card, mut words: impl FnMut(Trait) -> Vec<&'a str>) {
        let traits = Trait::ALL.map(|kind| {
            let mut set: Vec<u32> = words(kind)
                .into_iter()
                .map(str::trim)
                .filter(|word| !word.is_empty())
                .map(|word| self.number(word.to_lowercase()))
                .collect();
            set.sort_unstable();
            set.dedup();
            set.into_boxed_slice()
        });
        self.rows.insert(model, Row { traits, card });
    }

    fn number(&mut self, word: String) -> u32 {
        if let Some(&number) = self.numbers.get(&word) {
            return number;
        }
        let number = u32::try_from(self.words.len()).unwrap_or(u32::MAX);
        self.words.push(word.clone());
        self.numbers.insert(word, number);
        number
    }

    /// Models in the table.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The values of a trait, ascending; none for a model that is not in the table.
    pub(super) fn of(&self, model: i64, kind: Trait) -> Option<&[u32]> {
        self.rows.get(&model).map(|row| &*row.traits[kind as usize])
    }

    pub(super) fn card(&self, model: i64) -> Option<Card> {
        self.rows.get(&model).map(|row| row.card)
    }

    pub(super) fn word(&self, number: u32) -> &str {
        self.words.get(number as usize).map_or("", String::as_str)
    }

    /// How many models report a trait at all.
    pub fn reporting(&self, kind: Trait) -> u64 {
        self.rows.values().filter(|row| !row.traits[kind as usize].is_empty()).count() as u64
    }
}
