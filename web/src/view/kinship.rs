//! How closely models are related, estimated from sketches or measured on the weights.

use super::{Fraction, Name};

/// One way of measuring.
#[derive(Debug, Clone, Default)]
pub struct MeasureCard {
    pub id: String,
    pub name: String,
    pub formula: String,
    pub reference: String,
}

/// What to measure.
#[derive(Debug, Clone, Default)]
pub struct KinshipQuery {
    pub names: Vec<String>,
    pub base: Option<String>,
    pub measure: String,
    /// Whether to read the weights; stored sketches answer first otherwise.
    pub exact: bool,
    /// Whether models are compared of which less than 90 % of the weights can be.
    pub partial: bool,
    /// Whether the rows stay as they are named; otherwise relatives stand beside each other.
    pub as_given: bool,
    /// The two whose layers are shown.
    pub pair: Option<[String; 2]>,
}

/// Two groups of models that come together.
#[derive(Debug, Clone, Default)]
pub struct Join {
    /// A model by its place in the matrix, or the number of models plus the place of an earlier join.
    pub parts: [usize; 2],
    /// From 0, the nearest, to 1.
    pub height: f64,
    /// Their mean kinship.
    pub value: f64,
    /// The same in words.
    pub text: String,
}

/// One pair.
#[derive(Debug, Clone, Default)]
pub struct Cell {
    pub value: Option<f64>,
    /// Standard error of an estimate.
    pub error: Option<f64>,
    /// Why there is no value.
    pub reason: Option<String>,
}

/// A tensor left out of the measurement.
#[derive(Debug, Clone, Default)]
pub struct Skipped {
    pub tensor: String,
    pub reason: String,
}

/// The matrix of all pairs.
#[derive(Debug, Clone, Default)]
pub struct KinshipPage {
    pub models: Vec<Name>,
    pub base: Option<Name>,
    pub measure: String,
    /// Whether weights were read.
    pub exact: bool,
    /// How much of the weights was compared, where it is not all.
    pub share: Option<String>,
    /// What stands beside the values, a sentence each.
    pub notes: Vec<String>,
    /// What computed it, and why, where weights were read.
    pub device: Option<String>,
    /// Models that cannot be compared with the others, and why; they stand last.
    pub left_out: Vec<(Name, String)>,
    /// Row by row, in the order of `models`.
    pub matrix: Vec<Vec<Cell>>,
    /// The question with the digest of what is compared behind each name: the models as they were named, and the base; none where a
    /// digest is not known.
    pub pinned: Option<(Vec<String>, Option<String>)>,
    /// Whether the measure asks for a base and none was given: nothing is measured then.
    pub baseless: bool,
    /// The nearest model from which all descend, where a base is needed.
    pub common: Option<Name>,
    /// The layers of a pair.
    pub strip: Option<Strip>,
    /// How the models come together, the nearest first; none where they stand as they were named.
    pub joins: Vec<Join>,
    /// Weights compared per pair.
    pub elements: u64,
    /// Tensors compared.
    pub tensors: u64,
    pub skipped: Vec<Skipped>,
}

impl KinshipPage {
    /// The models that are compared, in their order.
    pub(crate) fn compared(&self) -> &[Name] {
        &self.models[..self.models.len().saturating_sub(self.left_out.len())]
    }
}

/// The tensors of one kind in one layer of two models.
#[derive(Debug, Clone, Default)]
pub struct StripCell {
    /// The kind of module, as `q` or `norm`, and its place among the kinds.
    pub module: String,
    pub module_rank: u8,
    /// The number of the layer or the part, as `embed`, and its place in reading order.
    pub layer: String,
    pub layer_rank: i64,
    /// Tensors compared and left out.
    pub tensors: u64,
    pub left_out: u64,
    pub value: Option<f64>,
    /// Standard error of an estimate; none where nothing was lost.
    pub error: Option<f64>,
    /// Norm of what the first and the second changed, as a share of the base's.
    pub changes: [Option<f64>; 2],
    /// Why there is no value, or why tensors were left out.
    pub reason: Option<String>,
}

impl StripCell {
    /// The value as text.
    pub(crate) fn text(&self) -> String {
        self.value.map_or_else(|| "n/a".to_owned(), told)
    }

    /// `± …` of an estimate.
    pub(crate) fn error_text(&self) -> String {
        self.error.map(|error| format!("± {}", told(error))).unwrap_or_default()
    }

    pub(crate) fn changes_text(&self) -> [String; 2] {
        self.changes.map(|change| change.map_or_else(|| "–".to_owned(), |value| Fraction(value).to_string()))
    }
}

/// The layers of two models by kind of module.
#[derive(Debug, Clone, Default)]
pub struct Strip {
    pub pair: [Name; 2],
    pub base: Option<Name>,
    /// Whether weights were read.
    pub exact: bool,
    pub cells: Vec<StripCell>,
}

/// A kinship as cells write it.
pub(crate) fn told(value: f64) -> String {
    match value.abs() {
        size if size < 0.0005 => "0.000".to_owned(),
        size if size < 1000.0 => format!("{value:.3}"),
        _ => Fraction(value).to_string(),
    }
}
