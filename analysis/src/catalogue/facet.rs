//! What search results can be narrowed by, with counts.

use domain::Relation;

/// A side of a model that has few values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Facet {
    /// How it descends from its parents.
    Relation,
    /// `model_type` of the configuration.
    Architecture,
    /// The class of its number of weights.
    Size,
    /// Number format of most weights.
    Dtype,
    Licence,
    /// The Hub's `pipeline_tag`.
    Task,
    Library,
    /// Whether its weights are stored here: `yes` or `no`.
    Weights,
    /// Whether kinship is answered from its sketches: `yes` or `no`.
    Kinship,
}

impl Facet {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 9] = [
        Self::Relation,
        Self::Architecture,
        Self::Size,
        Self::Dtype,
        Self::Licence,
        Self::Task,
        Self::Library,
        Self::Weights,
        Self::Kinship,
    ];

    /// The name of its parameter in addresses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Relation => "relation",
            Self::Architecture => "architecture",
            Self::Size => "size",
            Self::Dtype => "dtype",
            Self::Licence => "license",
            Self::Task => "task",
            Self::Library => "library",
            Self::Weights => "weights",
            Self::Kinship => "kinship",
        }
    }

    /// A value as it is kept and compared.
    pub fn normal(self, value: &str) -> String {
        match self {
            Self::Dtype => value.trim().to_ascii_uppercase(),
            Self::Task | Self::Library => value.trim().to_owned(),
            _ => value.trim().to_lowercase(),
        }
    }
}

/// Classes of size: the word, and the number of weights from which the next class begins.
pub const SIZES: [(&str, i64); 6] = [
    ("under-100m", 100_000_000),
    ("100m-1b", 1_000_000_000),
    ("1b-4b", 4_000_000_000),
    ("4b-10b", 10_000_000_000),
    ("10b-40b", 40_000_000_000),
    ("over-40b", i64::MAX),
];

/// Position in [`SIZES`] of a number of weights.
pub fn size_class(parameters: i64) -> usize {
    SIZES.iter().position(|(_, end)| parameters < *end).unwrap_or(SIZES.len() - 1)
}

/// The word of a value that is no word of its own: one more than a position.
pub(super) fn fixed(facet: Facet, value: usize) -> &'static str {
    let at = value.wrapping_sub(1);
    match facet {
        Facet::Relation => Relation::ALL.get(at).map_or("", |relation| relation.as_str()),
        Facet::Size => SIZES.get(at).map_or("", |(word, _)| *word),
        Facet::Weights | Facet::Kinship => ["no", "yes"].get(at).copied().unwrap_or_default(),
        _ => "",
    }
}

/// The value of such a word.
pub(super) fn fixed_value(facet: Facet, word: &str) -> Option<usize> {
    (1..=SIZES.len()).find(|value| fixed(facet, *value) == word)
}
