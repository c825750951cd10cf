//! How closely models are related, estimated from sketches or measured on the weights.

use super::Name;

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
    /// Whether the rows stay as they are named; otherwise relatives stand beside each other.
    pub as_given: bool,
}

/// Two groups of models that come together.
#[derive(Debug, Clone, Default)]
pub struct Join {
    /// A model by its place in the matrix, or the number of models plus the place of an earlier join.
    pub parts: [usize; 2],
    /// From 0, the nearest, to 1.
    pub height: f64,
    /// Their mean kinship, as written.
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
    /// What computed it, and why, where weights were read.
    pub device: Option<String>,
    /// Row by row, in the order of `models`.
    pub matrix: Vec<Vec<Cell>>,
    /// How the models come together, the nearest first; none where they stand as they were named.
    pub joins: Vec<Join>,
    /// Weights compared per pair.
    pub elements: u64,
    /// Tensors compared.
    pub tensors: u64,
    pub skipped: Vec<Skipped>,
}
