//! What every export is written from: models, the edges between them, and the evidence on each edge.

use domain::{Evidence, Relation};
use serde::Serialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::recover::Verdict;

/// A model in a pedigree.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Model {
    pub name: String,
    /// Known only because a child names it.
    pub ghost: bool,
    pub author: Option<String>,
    /// As the Hub writes it.
    pub licence: Option<String>,
    pub task: Option<String>,
    pub library: Option<String>,
    pub model_type: Option<String>,
    pub architecture: Option<String>,
    /// Number of weights.
    pub parameters: Option<i64>,
    pub downloads: Option<i64>,
    /// Unix seconds.
    pub created_at: Option<i64>,
    /// The Hub's commit, else that of this registry.
    pub commit: Option<String>,
    /// Content digest of the revision here, `sha256:…`.
    pub digest: Option<String>,
    /// What it was trained on, as its card names it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub datasets: Vec<String>,
    /// Its files; known of the model asked for only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<File>,
    /// Results that its card states; known of the model asked for only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<Metric>,
}

/// A file of a model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct File {
    pub path: String,
    /// `sha256:…`.
    pub digest: String,
}

/// A result that a card states.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Metric {
    /// The metric, e.g. `accuracy`.
    pub name: String,
    pub value: String,
    /// The data set, with its configuration and split.
    pub dataset: String,
}

impl Model {
    /// The owner; none for legacy ids such as `gpt2`.
    pub fn org(&self) -> Option<&str> {
        self.name.split_once('/').map(|(org, _)| org)
    }

    /// The revision this is about: the Hub's commit, else the digest of what is stored here.
    pub fn version(&self) -> Option<&str> {
        self.commit.as_deref().or(self.digest.as_deref())
    }
}

/// "Child descends from parent", by positions in the list of models.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Descent {
    pub child: usize,
    pub parent: usize,
    pub relation: Relation,
    /// Whether tree views hang the child under this parent.
    pub primary: bool,
    pub evidence: Vec<Evidence>,
    /// What the weights say of it; none where they say nothing.
    pub verdict: Option<Verdict>,
    /// Cosine of the weights of child and parent, −1 to 1; none where they were not compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cosine: Option<f64>,
}

impl Descent {
    /// Whether the weights contradict it.
    pub(super) fn is_contradicted(&self) -> bool {
        self.verdict == Some(Verdict::Contradicted)
    }

    /// The strongest piece of evidence, 0 to 1; 0 without any.
    pub fn confidence(&self) -> f64 {
        self.evidence.iter().map(|evidence| evidence.confidence).fold(0.0, f64::max)
    }

    /// The sources of the evidence, each once, in order.
    pub fn sources(&self) -> Vec<&'static str> {
        let mut sources: Vec<&str> = Vec::new();
        for evidence in &self.evidence {
            if !sources.contains(&evidence.source.as_str()) {
                sources.push(evidence.source.as_str());
            }
        }
        sources
    }
}

/// A model with its relatives.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Pedigree {
    /// The model asked for, its ancestors nearest first, then its descendants.
    pub models: Vec<Model>,
    /// How many of them are ancestors.
    pub ancestors: usize,
    pub edges: Vec<Descent>,
    /// Whether the cap left models out.
    pub truncated: bool,
    /// When the youngest of these facts was taken in, unix seconds: what an export states as its own time.
    pub as_of: i64,
}

impl Pedigree {
    /// Edges among the first models of the list: the model and its ancestors.
    pub(super) fn upward(&self) -> impl Iterator<Item = &Descent> {
        let known = self.ancestors;
        self.edges.iter().filter(move |edge| edge.child <= known && edge.parent <= known)
    }
}

/// Unix seconds as RFC 3339 in UTC; the epoch for a time outside the calendar.
pub(super) fn moment(seconds: i64) -> String {
    OffsetDateTime::from_unix_timestamp(seconds)
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
        .format(&Rfc3339)
        .unwrap_or_else(|_| "1970-01-01T00:00:00Z".to_owned())
}
