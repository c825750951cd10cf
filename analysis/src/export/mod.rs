//! Family trees in other tools' formats: graph drawings, phylogenetics, provenance and bills of materials.

mod advisory;
mod arrivals;
mod csv;
mod cyclonedx;
mod dot;
mod graphml;
mod jsonl;
mod newick;
mod pedigree;
mod prov;
mod purl;
mod spdx;
#[cfg(test)]
mod tests;

pub use advisory::{Advisory, Feed, atom, json_feed, osv};
pub use arrivals::{Arrival, arrivals};
pub use csv::cell as csv_cell;
pub use pedigree::{Descent, File, Metric, Model, Pedigree};
pub use purl::{agent_iri, agent_named, model_iri, model_named};

/// Most media types that are read of an `Accept` header.
const RANGES: usize = 50;

/// A format to write a pedigree in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Every model and edge with its evidence, as JSON.
    Graph,
    /// One line an edge.
    Csv,
    /// One JSON object a line, one line an edge.
    Jsonl,
    Dot,
    GraphMl,
    Newick,
    /// W3C PROV-O as JSON-LD.
    Prov,
    /// CycloneDX ML-BOM 1.6 of the model and its ancestors.
    CycloneDx,
    /// SPDX 3.0.1 with the AI profile.
    Spdx,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Graph,
        Self::Csv,
        Self::Jsonl,
        Self::Dot,
        Self::GraphMl,
        Self::Newick,
        Self::Prov,
        Self::CycloneDx,
        Self::Spdx,
    ];

    /// The word that asks for it.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Graph => "graph",
            Self::Csv => "csv",
            Self::Jsonl => "jsonl",
            Self::Dot => "dot",
            Self::GraphMl => "graphml",
            Self::Newick => "newick",
            Self::Prov => "prov",
            Self::CycloneDx => "cyclonedx",
            Self::Spdx => "spdx",
        }
    }

    /// Its media type.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Graph => "application/json",
            Self::Csv => "text/csv; charset=utf-8",
            Self::Jsonl => "application/jsonl",
            Self::Dot => "text/vnd.graphviz; charset=utf-8",
            Self::GraphMl => "application/graphml+xml",
            Self::Newick => "text/x-nh; charset=utf-8",
            Self::Prov => "application/ld+json",
            Self::CycloneDx => "application/vnd.cyclonedx+json; version=1.6",
            Self::Spdx => "application/spdx+json",
        }
    }

    /// The end of a file's name.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Graph => "graph.json",
            Self::Csv => "csv",
            Self::Jsonl => "jsonl",
            Self::Dot => "dot",
            Self::GraphMl => "graphml",
            Self::Newick => "nwk",
            Self::Prov => "prov.jsonld",
            Self::CycloneDx => "cdx.json",
            Self::Spdx => "spdx.json",
        }
    }

    /// The format that the media types of an `Accept` header ask for: the first of those with the highest weight that is one
    /// of ours. None where it would rather have JSON, or anything.
    pub fn accepted(accept: &str) -> Option<Self> {
        let mut best: Option<(f64, Option<Self>)> = None;
        for range in accept.split(',').take(RANGES) {
            let mut parts = range.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default();
            let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(Some(1.0), |q| q.parse().ok());
            let format = Self::ALL.into_iter().filter(|format| *format != Self::Graph).find(|format| {
                let own = format.media_type().split(';').next().unwrap_or_default();
                own.eq_ignore_ascii_case(media)
            });
            let plain =
                media.eq_ignore_ascii_case("application/json") || media == "*/*" || media == "application/*";
            let weight = weight.filter(|weight| *weight > 0.0 && (plain || format.is_some()));
            if let Some(weight) = weight.filter(|weight| best.is_none_or(|(known, _)| *weight > known)) {
                best = Some((weight, format));
            }
        }
        best.and_then(|(_, format)| format)
    }

    /// The format of this word.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.label() == word)
    }
}

/// Writes a pedigree; the same pedigree gives the same bytes.
pub fn write(pedigree: &Pedigree, format: Format) -> String {
    match format {
        Format::Graph => pretty(&serde_json::json!(pedigree)),
        Format::Csv => csv::write(pedigree),
        Format::Jsonl => jsonl::write(pedigree),
        Format::Dot => dot::write(pedigree),
        Format::GraphMl => graphml::write(pedigree),
        Format::Newick => newick::write(pedigree),
        Format::Prov => pretty(&prov::document(pedigree)),
        Format::CycloneDx => pretty(&cyclonedx::document(pedigree)),
        Format::Spdx => pretty(&spdx::document(pedigree)),
    }
}

fn pretty(value: &serde_json::Value) -> String {
    format!("{value:#}\n")
}
