//! Parent-child relations, and the evidence each edge carries.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// How a child was derived from a parent; the Hub's four terms and ours for what it has no word for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Relation {
    Finetune,
    Adapter,
    Quantized,
    Merge,
    /// A change was carried over from another pair of models.
    Transfer,
    /// The same weights in another file format, not quantised.
    Conversion,
    /// Trained to answer as the parent does.
    Distil,
}

impl Relation {
    /// Every relation, in display order.
    pub const ALL: [Self; 7] = [
        Self::Finetune,
        Self::Adapter,
        Self::Quantized,
        Self::Merge,
        Self::Transfer,
        Self::Conversion,
        Self::Distil,
    ];

    /// Every word that is read as one, the Hub's own first.
    pub const WORDS: [&str; 23] = [
        "finetune",
        "adapter",
        "quantized",
        "merge",
        "transfer",
        "conversion",
        "distil",
        "finetuned",
        "fine-tune",
        "peft",
        "lora",
        "quantised",
        "qtz",
        "quantization",
        "merged",
        "convert",
        "converted",
        "cast",
        "distill",
        "distilled",
        "distillation",
        "distillate",
        "transferred",
    ];

    /// The word for it, the Hub's own where it has one.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Finetune => "finetune",
            Self::Adapter => "adapter",
            Self::Quantized => "quantized",
            Self::Merge => "merge",
            Self::Transfer => "transfer",
            Self::Conversion => "conversion",
            Self::Distil => "distil",
        }
    }

    /// The one of the Hub's four that comes nearest.
    pub const fn hub(self) -> Self {
        match self {
            Self::Transfer | Self::Distil => Self::Finetune,
            Self::Conversion => Self::Quantized,
            other => other,
        }
    }
}

impl Relation {
    /// Whether it is the one asked for, or one that the Hub has no other word for.
    pub fn is_meant_by(self, asked: Self) -> bool {
        self == asked || self.hub() == asked
    }
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Relation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text.trim().to_ascii_lowercase().as_str() {
            "finetune" | "finetuned" | "fine-tune" => Self::Finetune,
            "adapter" | "peft" | "lora" => Self::Adapter,
            "quantized" | "quantised" | "qtz" | "quantization" => Self::Quantized,
            "merge" | "merged" => Self::Merge,
            "transfer" | "transferred" => Self::Transfer,
            "conversion" | "convert" | "converted" | "cast" => Self::Conversion,
            "distil" | "distill" | "distilled" | "distillation" | "distillate" => Self::Distil,
            other => {
                return Err(format!(
                    "`{other}` is not a relation; expected finetune, adapter, quantized, merge, transfer, conversion or distil"
                ));
            }
        })
    }
}

/// Where a piece of evidence comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// The Hub's resolved `baseModels` field.
    Api,
    /// A typed or untyped `base_model:` tag.
    Tag,
    /// `base_model` in the card's front matter.
    Card,
    /// `base_model_name_or_path` of an adapter_config.json.
    AdapterConfig,
    /// A recipe of mergekit in the card or beside it.
    MergeConfig,
    /// An external table of edges.
    Table,
    /// A recipe executed by this registry.
    Recipe,
    /// Deduced from files, tags or config.
    Inferred,
    /// Computed from the weights.
    Weights,
    /// A person's correction.
    Person,
}

impl Source {
    /// The stored word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Tag => "tag",
            Self::Card => "card",
            Self::AdapterConfig => "adapter_config",
            Self::MergeConfig => "merge_config",
            Self::Table => "table",
            Self::Recipe => "recipe",
            Self::Inferred => "inferred",
            Self::Weights => "weights",
            Self::Person => "person",
        }
    }

    /// A phrase for people: "declared in the card".
    pub const fn phrase(self) -> &'static str {
        match self {
            Self::Api => "resolved by the Hub",
            Self::Tag => "declared in a tag",
            Self::Card => "declared in the card",
            Self::AdapterConfig => "named in adapter_config.json",
            Self::MergeConfig => "named in its merge recipe",
            Self::Table => "listed in an imported table",
            Self::Recipe => "made here from a recipe",
            Self::Inferred => "inferred from files and tags",
            Self::Weights => "measured on the weights",
            Self::Person => "stated by a person",
        }
    }
}

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [
            Self::Api,
            Self::Tag,
            Self::Card,
            Self::AdapterConfig,
            Self::MergeConfig,
            Self::Table,
            Self::Recipe,
            Self::Inferred,
            Self::Weights,
            Self::Person,
        ]
        .into_iter()
        .find(|source| source.as_str() == text)
        .ok_or_else(|| format!("`{text}` is not an evidence source"))
    }
}

/// One reason to believe an edge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    pub source: Source,
    /// What exactly was seen, e.g. the id as written.
    pub detail: String,
    /// 0..=1.
    pub confidence: f64,
}

const BASE: &str = "base";
const TOKENIZER: &str = "tokenizer";
const BY: &str = "by ";

/// What a parent is in the recipe of its child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// What the others are added to or measured from.
    Base,
    /// One of the models that the recipe lists, counted from 1.
    Nth(usize),
    /// It gives its tokenizer and none of its weights.
    Tokenizer,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Base => f.write_str(BASE),
            Self::Nth(place) => write!(f, "model {place}"),
            Self::Tokenizer => f.write_str(TOKENIZER),
        }
    }
}

impl Evidence {
    /// Stands between what was seen and what the parent is in the recipe that was read.
    pub const BETWEEN: &str = " · ";

    /// How a detail tells the merge method of a recipe.
    pub fn by(method: &str) -> String {
        format!("{BY}{method}")
    }

    /// The merge method of the recipe that names the parent, e.g. `slerp`, where its last step does.
    pub fn method(&self) -> Option<&str> {
        self.part().filter(|_| self.source == Source::MergeConfig)?;
        self.detail.rsplit(Self::BETWEEN).next()?.strip_prefix(BY)
    }

    /// What was seen of a parent, and what it is in the recipe, e.g. `org/a · model 2 · weight 0.5 · by linear`.
    pub fn detail_of(seen: &str, part: impl fmt::Display) -> String {
        format!("{seen}{}{part}", Self::BETWEEN)
    }

    /// What was seen, without the part in a recipe.
    pub fn seen(&self) -> &str {
        self.detail.split_once(Self::BETWEEN).map_or(&self.detail, |(seen, _)| seen)
    }

    /// What the parent is in the recipe that the evidence was read from; none where it says nothing of that.
    pub fn part(&self) -> Option<Part> {
        if !matches!(self.source, Source::Recipe | Source::MergeConfig) {
            return None;
        }
        match self.detail.split(Self::BETWEEN).nth(1)? {
            BASE => Some(Part::Base),
            TOKENIZER => Some(Part::Tokenizer),
            other => other.strip_prefix("model ")?.parse().ok().map(Part::Nth),
        }
    }

    /// What a table of edges says of a parent: each of its rows stands for itself, and no later one takes it back.
    pub fn listed() -> Self {
        Self {
            source: Source::Table,
            detail: "listed in an imported table of edges".to_owned(),
            confidence: 0.9,
        }
    }

    /// Whether a row of a table of edges said it.
    pub fn is_listed(&self) -> bool {
        *self == Self::listed()
    }
}

/// Whether an edge takes part in family trees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EdgeStatus {
    Accepted,
    /// Nobody but the weights says so; it takes part where that closes no cycle.
    Proposed,
    /// The model names itself.
    RejectedSelf,
    /// The edge would close a cycle.
    RejectedCycle,
    /// A person said that it is wrong.
    RejectedPerson,
}

impl EdgeStatus {
    /// Every status.
    pub const ALL: [Self; 5] =
        [Self::Accepted, Self::Proposed, Self::RejectedSelf, Self::RejectedCycle, Self::RejectedPerson];

    /// Whether the edge takes part in family trees.
    pub const fn stands(self) -> bool {
        matches!(self, Self::Accepted | Self::Proposed)
    }

    /// The stored word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Proposed => "proposed",
            Self::RejectedSelf => "rejected_self",
            Self::RejectedCycle => "rejected_cycle",
            Self::RejectedPerson => "rejected_person",
        }
    }

    /// Reads the stored word; anything unknown counts as accepted.
    pub fn from_stored(text: &str) -> Self {
        Self::ALL.into_iter().find(|status| status.as_str() == text).unwrap_or(Self::Accepted)
    }
}

/// "This model descends from that one", with its evidence; not yet checked against the forest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Claim {
    pub parent: crate::RepoId,
    /// The parent exactly as the source wrote it.
    pub as_written: String,
    pub relation: Relation,
    pub status: EdgeStatus,
    pub evidence: Vec<Evidence>,
}
