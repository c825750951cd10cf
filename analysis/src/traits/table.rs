//! The traits of all models, each distinct set of words stored once so that millions of models fit in memory.

use std::{collections::HashMap, sync::Arc};

use serde::Serialize;

use crate::{catalogue::Words, lineage::Places};

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

/// Distinct sets of words by number.
#[derive(Default)]
struct Sets {
    numbers: HashMap<Arc<[u32]>, u32>,
    sets: Vec<Arc<[u32]>>,
}

impl Sets {
    fn number(&mut self, set: &[u32]) -> u32 {
        if let Some(number) = self.numbers.get(set) {
            return *number;
        }
        let (number, set) = (u32::try_from(self.sets.len()).unwrap_or(u32::MAX), Arc::from(set));
        self.sets.push(Arc::clone(&set));
        self.numbers.insert(set, number);
        number
    }
}

/// The traits of every model that is here itself, column by column; models come in ascending order of their numbers.
#[derive(Default)]
pub struct TraitTable {
    words: Words,
    sets: Sets,
    models: Places,
    /// Numbers of sets.
    traits: [Vec<u32>; Trait::ALL.len()],
    characters: Vec<u32>,
    generated: Vec<bool>,
}

impl TraitTable {
    /// Adds a model. Words are compared in lower case; empty ones count as not reported.
    pub fn add<'a>(&mut self, model: i64, card: Card, mut words: impl FnMut(Trait) -> Vec<&'a str>) {
        self.models.push(model);
        self.characters.push(u32::try_from(card.characters).unwrap_or(u32::MAX));
        self.generated.push(card.generated);
        let mut set = Vec::new();
        for (kind, column) in Trait::ALL.into_iter().zip(&mut self.traits) {
            set.clear();
            let told = words(kind).into_iter().map(str::trim).filter(|word| !word.is_empty());
            set.extend(told.map(|word| self.words.intern(&word.to_lowercase())));
            set.sort_unstable();
            set.dedup();
            column.push(self.sets.number(&set));
        }
    }

    /// Models in the table.
    pub fn len(&self) -> usize {
        self.models.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.models.len() == 0
    }

    /// The values of a trait, ascending; none for a model that is not in the table.
    pub(super) fn of(&self, model: i64, kind: Trait) -> Option<&[u32]> {
        let set = self.traits[kind as usize][self.models.get(model)?.index()];
        self.sets.sets.get(set as usize).map(|set| &**set)
    }

    pub(super) fn card(&self, model: i64) -> Option<Card> {
        let at = self.models.get(model)?.index();
        Some(Card { characters: self.characters[at].into(), generated: self.generated[at] })
    }

    pub(super) fn word(&self, number: u32) -> &str {
        self.words.word(number)
    }

    /// How many models report a trait at all.
    pub fn reporting(&self, kind: Trait) -> u64 {
        let column = &self.traits[kind as usize];
        column
            .iter()
            .filter(|set| self.sets.sets.get(**set as usize).is_some_and(|set| !set.is_empty()))
            .count() as u64
    }
}
