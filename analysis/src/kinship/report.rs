//! The answer to a kinship question, from the accumulated sums.

use std::collections::BTreeMap;

use kernels::Gram;
use serde::Serialize;

use super::{LISTED, Layer, MEASURES, Measure};

/// A symmetric matrix in model order; `null` where a measure is undefined.
pub type Matrix = Vec<Vec<Option<f64>>>;

/// Kinship of N models.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    pub models: Vec<String>,
    pub base: Option<String>,
    /// Whether weights were read; an estimate from sketches otherwise.
    pub exact: bool,
    /// Elements compared.
    pub elements: u64,
    pub coverage: Coverage,
    /// `‖δi‖ / ‖base‖` over the compared tensors, in model order; empty without a base, `null` for one that
    /// is zero.
    pub relative_norms: Vec<Option<f64>>,
    /// By measure id.
    pub matrices: BTreeMap<String, Matrix>,
    /// Mean over all pairs, by measure id; `null` when no pair is defined.
    pub mean: BTreeMap<String, Option<f64>>,
    /// Standard errors of `matrices`, by measure id; empty when exact.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub standard_errors: BTreeMap<String, Matrix>,
    pub layers: Vec<LayerReport>,
}

/// What was compared and what was not.
#[derive(Debug, Clone, Serialize)]
pub struct Coverage {
    /// Tensors compared.
    pub compared: usize,
    /// Share of the elements of all tensors that was compared, 0 to 1.
    pub share: f64,
    pub skipped: Vec<Skipped>,
    /// Tensors left out beyond those listed in `skipped`.
    pub skipped_more: usize,
}

impl Coverage {
    pub(super) fn new((compared, share): (usize, f64), mut skipped: Vec<Skipped>) -> Self {
        let skipped_more = skipped.len().saturating_sub(LISTED);
        skipped.truncate(LISTED);
        Self { compared, share, skipped, skipped_more }
    }
}

/// A tensor left out.
#[derive(Debug, Clone, Serialize)]
pub struct Skipped {
    pub tensor: String,
    pub reason: String,
}

/// Kinship within one layer.
#[derive(Debug, Clone, Serialize)]
pub struct LayerReport {
    /// `embed`, `0`, `1`, …, `norm`, `head`, `other`.
    pub layer: String,
    pub elements: u64,
    pub matrices: BTreeMap<String, Matrix>,
}

/// Cells of all per-layer matrices together.
const LAYER_CELLS: usize = 1 << 20;

/// Inner products by layer. Tensor names decide how many layers there are and each costs a matrix, so beyond a
/// bound they are counted as `other`.
pub(super) struct Layers {
    models: usize,
    grams: BTreeMap<Layer, Gram>,
}

impl Layers {
    pub(super) fn new(models: usize) -> Self {
        Self { models, grams: BTreeMap::new() }
    }

    /// Adds the inner products of one tensor.
    pub(super) fn add(&mut self, tensor: &str, gram: &Gram) {
        let most = (LAYER_CELLS / (self.models * self.models).max(1)).max(8);
        let mut layer = Layer::of(tensor);
        if !self.grams.contains_key(&layer) && self.grams.len() >= most {
            layer = Layer::Other;
        }
        self.grams.entry(layer).or_insert_with(|| Gram::new(self.models)).merge(gram);
    }

    pub(super) fn reports(&self, has_base: bool) -> Vec<LayerReport> {
        let report = |(layer, gram): (&Layer, &Gram)| LayerReport {
            layer: layer.label(),
            elements: gram.elements(),
            matrices: matrices(gram, self.models, has_base),
        };
        self.grams.iter().map(report).collect()
    }
}

fn cell(measure: &Measure, gram: &Gram, i: usize, j: usize) -> Option<f64> {
    let same = i == j;
    match (measure.of)(&gram.pair(i, j)) {
        Some(_) if same && measure.needs_base => Some(1.0),
        Some(_) if same => Some(0.0),
        value => value.filter(|v| v.is_finite()),
    }
}

/// One matrix a measure; all `null` for a delta measure without a base.
pub(super) fn matrices(gram: &Gram, models: usize, has_base: bool) -> BTreeMap<String, Matrix> {
    let of = |measure: &Measure| -> Matrix {
        let defined = has_base || !measure.needs_base;
        let row = |i| (0..models).map(|j| cell(measure, gram, i, j).filter(|_| defined)).collect();
        (0..models).map(row).collect()
    };
    MEASURES.iter().map(|measure| (measure.id.to_owned(), of(measure))).collect()
}

/// Mean over the pairs i < j that are defined.
pub(super) fn means(matrices: &BTreeMap<String, Matrix>) -> BTreeMap<String, Option<f64>> {
    let mean = |matrix: &Matrix| {
        let pairs = matrix.iter().enumerate().flat_map(|(i, row)| row[i + 1..].iter().flatten());
        let (sum, count) = pairs.fold((0.0, 0u32), |(sum, count), value| (sum + value, count + 1));
        (count > 0).then(|| sum / f64::from(count))
    };
    matrices.iter().map(|(id, matrix)| (id.clone(), mean(matrix))).collect()
}
