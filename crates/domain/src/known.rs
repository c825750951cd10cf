//! How an edge of descent is known, in one word and one sign.

use serde::{Deserialize, Serialize};

use crate::Source;

/// Seconds of a day.
const DAY: i64 = 86_400;

/// How an edge of descent is known, by what says most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Known {
    /// Made by a recipe of this registry.
    Made,
    /// Claimed, and the weights agree.
    Verified,
    /// A person stated or confirmed it.
    Stated,
    /// Claimed by a card, a tag, a configuration or a table.
    Declared,
    /// Deduced from files and tags.
    FromFiles,
    /// Nobody but the weights speaks for it.
    ByWeights,
    /// Claimed, but the parent is dated after the child.
    Doubted,
    /// Claimed, and the weights contradict it.
    Contradicted,
}

/// All that is told of an edge.
#[derive(Debug, Clone, Copy, Default)]
pub struct Told<'a> {
    pub evidence: &'a [Source],
    /// Nobody but the weights says so.
    pub proposed: bool,
    /// The weights agree.
    pub verified: bool,
    /// The weights contradict it.
    pub contradicted: bool,
    /// Whole days from the parent's creation to the child's, where both have a date.
    pub days: Option<i64>,
}

impl Known {
    pub const ALL: [Self; 8] = [
        Self::Verified,
        Self::Declared,
        Self::FromFiles,
        Self::Made,
        Self::Stated,
        Self::ByWeights,
        Self::Doubted,
        Self::Contradicted,
    ];

    /// How the edge is known; none where nothing is told of it.
    pub fn of(told: Told<'_>) -> Option<Self> {
        let says = |source: Source| told.evidence.contains(&source);
        Some(match told {
            Told { contradicted: true, .. } => Self::Contradicted,
            Told { proposed: true, .. } => Self::ByWeights,
            _ if says(Source::Recipe) => Self::Made,
            Told { verified: true, .. } => Self::Verified,
            _ if says(Source::Person) => Self::Stated,
            Told { evidence: [], .. } => return None,
            Told { days: Some(..0), .. } => Self::Doubted,
            Told { evidence, .. } if evidence.iter().all(|source| *source == Source::Inferred) => {
                Self::FromFiles
            }
            _ => Self::Declared,
        })
    }

    /// A sign that stands on the edge.
    pub const fn sign(self) -> &'static str {
        match self {
            Self::Made => "=",
            Self::Verified => "✓",
            Self::Stated => "✎",
            Self::Declared => "“",
            Self::FromFiles => "≡",
            Self::ByWeights => "≈",
            Self::Doubted => "?",
            Self::Contradicted => "✗",
        }
    }

    /// What the sign means.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Made => "made here from a recipe",
            Self::Verified => "claimed, and the weights agree",
            Self::Stated => "stated by a person",
            Self::Declared => "claimed, not checked on weights",
            Self::FromFiles => "inferred from files and tags",
            Self::ByWeights => "known by the weights alone",
            Self::Doubted => "claimed, but the parent is dated later",
            Self::Contradicted => "claimed, contradicted by the weights",
        }
    }
}

/// Whole days from one moment to another, both in unix seconds; negative where the second comes first, 0 within a day.
pub const fn days_between(from: i64, to: i64) -> i64 {
    to.saturating_sub(from) / DAY
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_on_a_younger_parent_is_doubted_unless_more_than_a_claim_speaks_for_it() {
        let late = |evidence: &[Source]| Known::of(Told { evidence, days: Some(-1), ..Told::default() });

        assert_eq!(late(&[Source::Api]), Some(Known::Doubted));
        assert_eq!(late(&[Source::Inferred]), Some(Known::Doubted));
        assert_eq!(late(&[Source::Api, Source::Person]), Some(Known::Stated));
        assert_eq!(late(&[Source::Recipe]), Some(Known::Made));
        let agreed = Told { evidence: &[Source::Card], verified: true, days: Some(-9), ..Told::default() };
        assert_eq!(Known::of(agreed), Some(Known::Verified));
        let within_a_day = Told { evidence: &[Source::Card], days: Some(0), ..Told::default() };
        assert_eq!(Known::of(within_a_day), Some(Known::Declared));
        assert_eq!(late(&[]), None);
    }

    #[test]
    fn days_are_whole_in_both_directions() {
        assert_eq!((days_between(0, DAY * 3 - 1), days_between(DAY * 3 - 1, 0)), (2, -2));
        assert_eq!(days_between(10, 0), 0);
    }
}
