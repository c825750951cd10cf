//! What is known of a model besides its weights, whatever door it came through.

use serde::{Deserialize, Serialize};

use crate::{Gating, Relation, RepoId, Source};

/// A parent as some source names it, before normalisation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeclaredParent {
    pub raw: String,
    /// The relation when the source states one.
    pub relation: Option<Relation>,
    pub source: Source,
    /// What it is in a merge recipe, e.g. `model 2 · weight 0.5`; see [`crate::Evidence::part`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<String>,
}

/// Something odd about a model's metadata that a reader should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// Stable code, e.g. `self_reference`, `duplicate_parent`, `not_an_id`.
    pub code: String,
    pub detail: String,
}

/// Normalised model metadata: the union of a Hub API row, a card and a config.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metadata {
    pub id: RepoId,
    pub author: Option<String>,
    /// The Hub's commit id, when the source has one.
    pub sha: Option<String>,
    /// Unix seconds.
    pub created_at: Option<i64>,
    /// Unix seconds.
    pub last_modified: Option<i64>,
    pub downloads: Option<i64>,
    pub likes: Option<i64>,
    /// Whether the source shows it to its own people alone.
    pub private: bool,
    /// How the source lets people at its files, where it asks first.
    pub gated: Option<Gating>,
    /// The id of a licence as the source states it.
    pub license: Option<String>,
    /// The name of the licence where its id is `other`.
    pub license_name: Option<String>,
    pub pipeline_tag: Option<String>,
    pub library: Option<String>,
    /// `model_type` of config.json, e.g. `llama`.
    pub model_type: Option<String>,
    /// First entry of `architectures`, e.g. `LlamaForCausalLM`.
    pub architecture: Option<String>,
    /// Number format of most weights, as safetensors has it, e.g. `BF16`.
    pub dtype: Option<String>,
    /// Number of weights.
    pub parameters: Option<i64>,
    pub languages: Vec<String>,
    pub datasets: Vec<String>,
    pub tags: Vec<String>,
    /// Id of a successor, from `new_version`.
    pub new_version: Option<String>,
    /// Card body as Markdown, without front matter.
    pub card: Option<String>,
    /// The config.json document.
    pub config: Option<serde_json::Value>,
    pub parents: Vec<DeclaredParent>,
    /// Sources that had a word on parents, also where they name none: what they said in an earlier record of the model
    /// no longer holds.
    pub sources: Vec<Source>,
    /// `base_model_relation` of the card.
    pub declared_relation: Option<Relation>,
    /// File names, when the source lists them; they decide the inferred relation.
    pub files: Vec<String>,
    /// Faults met while reading.
    pub notes: Vec<Note>,
}

impl Metadata {
    /// Metadata that knows only the name.
    pub fn named(id: RepoId) -> Self {
        Self {
            author: id.org().map(str::to_owned),
            id,
            sha: None,
            created_at: None,
            last_modified: None,
            downloads: None,
            likes: None,
            private: false,
            gated: None,
            license: None,
            license_name: None,
            pipeline_tag: None,
            library: None,
            model_type: None,
            architecture: None,
            dtype: None,
            parameters: None,
            languages: Vec::new(),
            datasets: Vec::new(),
            tags: Vec::new(),
            new_version: None,
            card: None,
            config: None,
            parents: Vec::new(),
            sources: Vec::new(),
            declared_relation: None,
            files: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// The licence to show: its name where its id is `other`, else the id.
    pub fn licence(&self) -> Option<&str> {
        shown_licence(self.license.as_deref(), self.license_name.as_deref())
    }
}

/// The licence to show of an id and of the name that stands beside `other`.
pub fn shown_licence<'a>(id: Option<&'a str>, name: Option<&'a str>) -> Option<&'a str> {
    let named = name.filter(|_| id.is_some_and(|id| id.trim().eq_ignore_ascii_case("other")));
    named.or(id)
}
