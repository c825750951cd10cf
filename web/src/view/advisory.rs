//! Advisories: what is wrong with a model, and whom that reaches.

use super::{Name, Way};

/// Kinds with their labels.
pub const KINDS: [(&str, &str); 4] = [
    ("defect", "Defect"),
    ("recall", "Recall"),
    ("licence_change", "Licence change"),
    ("dataset_takedown", "Dataset taken down"),
];

/// Severities, the mildest first.
pub const SEVERITIES: [&str; 4] = ["low", "moderate", "high", "critical"];

/// One advisory in a list.
#[derive(Debug, Clone, Default)]
pub struct AdvisoryRow {
    pub id: String,
    /// The model it is about.
    pub model: Option<Name>,
    /// Or a digest.
    pub digest: Option<String>,
    pub kind: String,
    pub severity: String,
    pub summary: String,
    /// Unix seconds.
    pub filed_at: i64,
    pub withdrawn: bool,
}

impl AdvisoryRow {
    pub(crate) fn href(&self) -> String {
        format!("/advisories/{}", super::encoded(&self.id))
    }

    pub(crate) fn kind_label(&self) -> &str {
        KINDS.iter().find(|(word, _)| *word == self.kind).map_or(self.kind.as_str(), |(_, label)| label)
    }
}

/// A model that an advisory reaches.
#[derive(Debug, Clone, Default)]
pub struct AffectedRow {
    /// From the model that it is about down to this one.
    pub path: Way,
    /// Nobody but the weights speaks for an edge of the path.
    pub by_weights: bool,
}

/// One advisory with a page of those that it reaches.
#[derive(Debug, Clone, Default)]
pub struct AdvisoryPage {
    pub row: AdvisoryRow,
    pub details: String,
    /// http:// or https://.
    pub link: Option<String>,
    pub person: String,
    /// Unix seconds, who and why.
    pub withdrawn: Option<(i64, String, String)>,
    pub affected: Vec<AffectedRow>,
    /// Models reached in all.
    pub total: u64,
    /// Cursor of the next page.
    pub next: Option<String>,
}

impl AdvisoryPage {
    /// Who filed it, as part of a sentence.
    pub(crate) fn by(&self) -> String {
        if self.person == domain::ANYBODY {
            ", without sign-in".to_owned()
        } else {
            format!(" by {}", self.person)
        }
    }

    pub(crate) fn reached(&self) -> String {
        super::plural(self.total, "model", "models")
    }
}

/// An advisory that reaches a model.
#[derive(Debug, Clone, Default)]
pub struct AdvisoryNotice {
    pub row: AdvisoryRow,
    /// From the model that it is about down to the one shown; only that where it is its own.
    pub path: Way,
    /// Nobody but the weights speaks for an edge of the path.
    pub by_weights: bool,
}

impl AdvisoryNotice {
    /// The ancestor it comes through.
    pub(crate) fn through(&self) -> Option<&Name> {
        self.path.first().filter(|_| self.path.len() > 1)
    }
}

/// The form that files one.
#[derive(Debug, Clone, Default)]
pub struct AdvisoryForm {
    pub model: String,
    pub digest: String,
    pub kind: String,
    pub severity: String,
    pub summary: String,
    pub details: String,
    pub link: String,
}
