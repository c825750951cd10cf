//! How answers can be written.

use analysis::export::Format;
use clap::{Args, ValueEnum};
use jobs::Subject;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TreeFormat {
    Text,
    Json,
    /// Every model and edge with its evidence, as JSON.
    Graph,
    /// One line an edge.
    Csv,
    /// One JSON object a line, one line an edge.
    Jsonl,
    Dot,
    Graphml,
    Newick,
    /// W3C PROV-O as JSON-LD.
    Prov,
    /// CycloneDX ML-BOM 1.6.
    Cyclonedx,
    /// SPDX 3.0.1 with the AI profile.
    Spdx,
}

impl TreeFormat {
    /// Whether it is one JSON document, or becomes one where that is asked for.
    pub const fn is_json(self) -> bool {
        matches!(self, Self::Text | Self::Json | Self::Graph | Self::Prov | Self::Cyclonedx | Self::Spdx)
    }

    /// The export it asks for; none for our own two.
    pub const fn export(self) -> Option<Format> {
        Some(match self {
            Self::Text | Self::Json => return None,
            Self::Graph => Format::Graph,
            Self::Csv => Format::Csv,
            Self::Jsonl => Format::Jsonl,
            Self::Dot => Format::Dot,
            Self::Graphml => Format::GraphMl,
            Self::Newick => Format::Newick,
            Self::Prov => Format::Prov,
            Self::Cyclonedx => Format::CycloneDx,
            Self::Spdx => Format::Spdx,
        })
    }
}

/// What of a tree is shown below the model; what leads to a model that is shown stays.
#[derive(Debug, Clone, Args)]
pub struct TreeFilter {
    /// Only finetune, adapter, quantized, merge, transfer, conversion or distil; several with commas.
    #[arg(long, default_value = "", hide_default_value = true)]
    pub relation: String,
    /// Only these licences, or permissive, share-alike, non-commercial, custom or unknown; several with commas.
    #[arg(long, default_value = "", hide_default_value = true)]
    pub licence: String,
    /// Only under-100m, 100m-1b, 1b-4b, 4b-10b, 10b-40b or over-40b; several with commas.
    #[arg(long, default_value = "", hide_default_value = true)]
    pub size: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    Text,
    Json,
    Csv,
}

/// What a report is about.
pub fn subject(text: &str) -> Result<Subject, String> {
    Subject::of(text).ok_or_else(|| format!("there are {}", Subject::ALL.map(Subject::label).join(", ")))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LineageFormat {
    Text,
    Dot,
}
