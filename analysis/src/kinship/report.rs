//! The answer to a kinship question, from the accumulated sums.

use std::collections::BTreeMap;

use kernels::Gram;
use serde::Serialize;

use super::{
    LISTED, Layer, MEASURES, Measure, Module, Parity,
    parts::{PartReport, Parts},
    spread::Spread,
};

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
    /// Models that cannot be compared with the others: the last of `models`, with no value in any matrix.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOut>,
    /// `‖δi‖ / ‖base‖` over the compared tensors, in model order; empty without a base, `null` for one that
    /// is zero.
    pub relative_norms: Vec<Option<f64>>,
    /// By measure id.
    pub matrices: BTreeMap<String, Matrix>,
    /// The Euclidean distances in proportion, so that those of models of other sizes compare.
    pub distances: Distances,
    /// Mean over all pairs, by measure id; `null` when no pair is defined.
    pub mean: BTreeMap<String, Option<f64>>,
    /// What a reader of the values should know.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Standard errors of `matrices`, by measure id; empty when exact.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub standard_errors: BTreeMap<String, Matrix>,
    /// What the weights were computed on, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<domain::Used>,
    /// Whose definitions `matrices` follow, where they are not ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parity: Option<Parity>,
    pub layers: Vec<LayerReport>,
    /// By what the tensors do, in reading order.
    pub modules: Vec<ModuleReport>,
    /// In each layer by kind of module, where the models are two; in reading order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<PartReport>,
    pub tensors: Vec<TensorReport>,
    /// Tensors compared beyond those listed in `tensors`.
    pub tensors_more: usize,
    /// Means of the values of the tensors, for [`Parity::ReferenceSplit`].
    #[serde(skip)]
    pub(super) split: BTreeMap<String, Matrix>,
}

/// Euclidean distances in proportion.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Distances {
    /// `‖δa − δb‖ / √D` over D elements: the root mean square of the differences.
    pub per_root_element: Matrix,
    /// `‖δa − δb‖ / ‖base‖`; empty without a base.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub of_base: Matrix,
}

impl Distances {
    fn of(distances: &Matrix, elements: u64, base: Option<f64>) -> Self {
        let over = |unit: f64| -> Matrix {
            let cell = |value: &Option<f64>| value.and_then(|value| relative(value, unit));
            distances.iter().map(|row| row.iter().map(cell).collect()).collect()
        };
        Self { per_root_element: over((elements as f64).sqrt()), of_base: base.map(over).unwrap_or_default() }
    }
}

/// What was compared and what was not.
#[derive(Debug, Clone, Serialize)]
pub struct Coverage {
    /// Tensors compared.
    pub compared: usize,
    /// Elements compared as a share of the parameters of the model that has the most, 0 to 1: what is left out of any of
    /// them is missing. Buffers and the second of a tied pair are no parameters.
    pub share: f64,
    pub skipped: Vec<Skipped>,
    /// Tensors left out beyond those listed in `skipped`.
    pub skipped_more: usize,
    /// Number of layers by model, where they differ.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub depth: BTreeMap<String, u64>,
    /// How the rows of embeddings and heads were matched.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub vocabulary: Vec<VocabularyRows>,
}

impl Coverage {
    pub(super) fn new((compared, share): (usize, f64), mut skipped: Vec<Skipped>) -> Self {
        let skipped_more = skipped.len().saturating_sub(LISTED);
        skipped.truncate(LISTED);
        Self { compared, share, skipped, skipped_more, depth: BTreeMap::new(), vocabulary: Vec::new() }
    }
}

/// A model that cannot be compared with the others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    pub model: String,
    pub reason: String,
}

/// A tensor left out, or the layers that another model does not have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Skipped {
    pub tensor: String,
    pub reason: String,
}

/// The rows of one embedding or head that were compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VocabularyRows {
    pub tensor: String,
    /// Rows compared.
    pub rows: u64,
    /// Rows of the base.
    pub of: u64,
    pub rule: RowRule,
}

/// What makes two rows of a vocabulary the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RowRule {
    /// Their position, and the tokenizers agree that it is the same token.
    SameTokens,
    /// Their position; not every tokenizer is known.
    Position,
    /// Their token; the tokens that all share come first, in one order.
    SharedPrefix,
    /// Their token, wherever it stands.
    Token,
}

/// Kinship within one layer.
#[derive(Debug, Clone, Serialize)]
pub struct LayerReport {
    /// `embed`, `0`, `1`, …, `norm`, `head`, `other`.
    pub layer: String,
    pub elements: u64,
    pub matrices: BTreeMap<String, Matrix>,
}

/// Kinship within all modules of one kind.
#[derive(Debug, Clone, Serialize)]
pub struct ModuleReport {
    /// A label of [`Module`].
    pub module: &'static str,
    pub elements: u64,
    pub matrices: BTreeMap<String, Matrix>,
}

/// Kinship within one tensor.
#[derive(Debug, Clone, Serialize)]
pub struct TensorReport {
    pub tensor: String,
    /// A label of [`Module`].
    pub module: &'static str,
    pub elements: u64,
    pub matrices: BTreeMap<String, Matrix>,
}

/// Least `‖δ‖ / ‖base‖` at which rounding to 16 bits leaves the cosine of two deltas about as it was.
const LIGHT: f64 = 0.005;

impl Report {
    /// The matrices of the whole with their errors, and of all of its parts.
    fn tables(&mut self) -> impl Iterator<Item = &mut BTreeMap<String, Matrix>> {
        let layers = self.layers.iter_mut().map(|layer| &mut layer.matrices);
        let modules = self.modules.iter_mut().map(|module| &mut module.matrices);
        let tensors = self.tensors.iter_mut().map(|tensor| &mut tensor.matrices);
        layers.chain(modules).chain(tensors).chain([&mut self.matrices, &mut self.standard_errors])
    }

    /// The same with models that could not be compared behind the others: their values are `null` in every matrix.
    #[must_use]
    pub fn beside(mut self, left_out: Vec<LeftOut>) -> Self {
        let count = self.models.len() + left_out.len();
        let widen = |matrix: &mut Matrix| {
            // One without a base, or of a measure that has no errors, stays empty.
            if !matrix.is_empty() {
                matrix.iter_mut().for_each(|row| row.resize(count, None));
                matrix.resize(count, vec![None; count]);
            }
        };
        self.tables().flat_map(BTreeMap::values_mut).for_each(widen);
        self.split.values_mut().for_each(widen);
        [&mut self.distances.per_root_element, &mut self.distances.of_base].into_iter().for_each(widen);
        if !self.relative_norms.is_empty() {
            self.relative_norms.resize(count, None);
        }
        self.models.extend(left_out.iter().map(|out| out.model.clone()));
        self.left_out = left_out;
        self
    }

    /// Only these measures.
    #[must_use]
    pub fn only(mut self, ids: &[&str]) -> Self {
        fn keep<T>(held: &mut BTreeMap<String, T>, ids: &[&str]) {
            held.retain(|id, _| ids.contains(&id.as_str()));
        }
        self.tables().for_each(|matrices| keep(matrices, ids));
        keep(&mut self.mean, ids);
        for part in &mut self.parts {
            keep(&mut part.values, ids);
            keep(&mut part.standard_errors, ids);
        }
        self
    }

    /// Says of these models that their values are coarse.
    pub fn warn_of_codes(&mut self, models: &[String]) {
        self.warnings.extend(models.iter().map(|model| {
            format!(
                "`{model}` is stored in eight bits or fewer: what rounding changed in it counts as a change, and is often \
                 larger than that of a fine-tune"
            )
        }));
    }

    /// The same sums told as `parity` defines the measures.
    #[must_use]
    pub fn in_parity(mut self, parity: Parity) -> Self {
        self.parity = Some(parity);
        if parity == Parity::ReferenceSplit {
            self.matrices = std::mem::take(&mut self.split);
            self.standard_errors.clear();
        }
        let layers = self.layers.iter_mut().map(|layer| &mut layer.matrices);
        let modules = self.modules.iter_mut().map(|module| &mut module.matrices);
        let tensors = self.tensors.iter_mut().map(|tensor| &mut tensor.matrices);
        for matrices in layers.chain(modules).chain(tensors).chain([&mut self.matrices]) {
            let cosines = matrices.get_mut("cosine").into_iter().flatten().flatten().flatten();
            cosines.for_each(|value| *value = value.abs());
        }
        let parts = self.parts.iter_mut().filter_map(|part| part.values.get_mut("cosine")?.as_mut());
        parts.for_each(|value| *value = value.abs());
        self.mean = means(&self.matrices);
        self
    }
}

/// Cells of all matrices of one kind of part together.
const PART_CELLS: usize = 1 << 20;
/// Tensors whose values are kept.
const TENSORS: usize = 10_000;

/// What was summed over one tensor.
pub(super) struct TensorSums<'a> {
    pub(super) gram: &'a Gram,
    /// Squared norm of the base's.
    pub(super) base: f64,
    /// Of each pair i < j, row-major; empty when exact.
    pub(super) spread: &'a [Spread],
}

/// What is gathered of the compared tensors: inner products in total and by part. Tensor names decide how many
/// parts there are and each costs a matrix, so they are bounded: further layers count as `other`, further
/// tensors are only counted.
pub(super) struct Tally {
    pub(super) gram: Gram,
    /// Squared norm of the base.
    pub(super) base: f64,
    /// Of an estimate, as [`TensorSums`] has it.
    pub(super) spread: Vec<Spread>,
    pub(super) compared: usize,
    has_base: bool,
    layers: BTreeMap<Layer, Gram>,
    modules: BTreeMap<Module, Gram>,
    parts: Option<Parts>,
    tensors: Vec<(String, Gram)>,
    /// By measure and pair: Σ elements · value and Σ elements over the tensors where the value is defined.
    split: Vec<Vec<(f64, f64)>>,
}

impl Tally {
    pub(super) fn new(models: usize, base: Option<&str>) -> Self {
        Self {
            gram: Gram::new(models),
            base: 0.0,
            spread: Vec::new(),
            compared: 0,
            has_base: base.is_some(),
            layers: BTreeMap::new(),
            modules: BTreeMap::new(),
            parts: Parts::of(models),
            tensors: Vec::new(),
            split: vec![vec![(0.0, 0.0); models * models]; MEASURES.len()],
        }
    }

    /// Adds what was summed over one tensor.
    pub(super) fn add(&mut self, tensor: &str, sums: &TensorSums<'_>) {
        let TensorSums { gram, base, spread } = sums;
        let models = self.gram.models();
        let most = PART_CELLS / (models * models).max(1);
        self.compared += 1;
        self.gram.merge(gram);
        self.base += base;
        self.spread.resize(spread.len(), Spread::default());
        self.spread.iter_mut().zip(*spread).for_each(|(mine, theirs)| *mine += theirs);
        if let Some(parts) = &mut self.parts {
            parts.add(tensor, sums);
        }
        let mut layer = Layer::of(tensor);
        if !self.layers.contains_key(&layer) && self.layers.len() >= most.max(8) {
            layer = Layer::Other;
        }
        self.layers.entry(layer).or_insert_with(|| Gram::new(models)).merge(gram);
        self.modules.entry(Module::of(tensor)).or_insert_with(|| Gram::new(models)).merge(gram);
        if self.tensors.len() < most.clamp(8, TENSORS) {
            self.tensors.push((tensor.to_owned(), (*gram).clone()));
        }
        let weight = gram.elements() as f64;
        for (measure, sums) in MEASURES.iter().zip(&mut self.split) {
            for (at, sum) in sums.iter_mut().enumerate() {
                let (i, j) = (at / models, at % models);
                if let Some(value) = cell(measure, gram, i.min(j), i.max(j)) {
                    let value = if measure.id == "cosine" { value.abs() } else { value };
                    *sum = (sum.0 + weight * value, sum.1 + weight);
                }
            }
        }
    }

    /// Counts a tensor that could not be compared.
    pub(super) fn leave_out(&mut self, skipped: &Skipped) {
        if let Some(parts) = &mut self.parts {
            parts.leave_out(skipped);
        }
    }

    /// The exact answer; an estimate adds its errors.
    pub(super) fn report(self, (models, base): (Vec<String>, Option<String>), coverage: Coverage) -> Report {
        let (count, has_base) = (models.len(), self.has_base);
        let defined = |measure: &Measure| has_base || !measure.needs_base;
        let told = |gram: &Gram| (gram.elements(), matrices(gram, count, defined));
        let all = matrices(&self.gram, count, defined);
        let norm = |i| relative(self.gram.dot(i, i).sqrt(), self.base.sqrt());
        let layer = |(layer, gram): (&Layer, &Gram)| {
            let (elements, matrices) = told(gram);
            LayerReport { layer: layer.label(), elements, matrices }
        };
        let module = |(module, gram): (&Module, &Gram)| {
            let (elements, matrices) = told(gram);
            ModuleReport { module: module.label(), elements, matrices }
        };
        let tensor = |(name, gram): &(String, Gram)| {
            let (elements, matrices) = told(gram);
            TensorReport { tensor: name.clone(), module: Module::of(name).label(), elements, matrices }
        };
        let relative_norms: Vec<Option<f64>> =
            if has_base { (0..count).map(norm).collect() } else { Vec::new() };
        let light = models.iter().zip(&relative_norms).filter_map(|(model, norm)| {
            let norm = norm.filter(|norm| *norm > 0.0 && *norm < LIGHT)?;
            Some(format!(
                "`{model}` moved by {:.2}\u{a0}% of the norm of its base: where so little is stored in 16 bits, rounding \
                 hides part of a likeness, so that its cosine is a lower bound",
                norm * 100.0
            ))
        });
        let euclidean = all.get("euclidean").cloned().unwrap_or_default();
        let base_norm = has_base.then(|| self.base.sqrt());
        let mean = |(sum, weight): &(f64, f64)| (*weight > 0.0).then(|| sum / weight);
        let split = |(measure, sums): (&Measure, &Vec<(f64, f64)>)| {
            let row =
                |row: &[(f64, f64)]| row.iter().map(|cell| mean(cell).filter(|_| defined(measure))).collect();
            (measure.id.to_owned(), sums.chunks(count).map(row).collect())
        };
        Report {
            exact: true,
            elements: self.gram.elements(),
            coverage,
            left_out: Vec::new(),
            distances: Distances::of(&euclidean, self.gram.elements(), base_norm),
            warnings: light.collect(),
            relative_norms,
            mean: means(&all),
            matrices: all,
            standard_errors: BTreeMap::new(),
            device: None,
            parity: None,
            layers: self.layers.iter().map(layer).collect(),
            modules: self.modules.iter().map(module).collect(),
            parts: self.parts.map(|parts| parts.report(&models, base.as_deref())).unwrap_or_default(),
            tensors_more: self.compared - self.tensors.len(),
            tensors: self.tensors.iter().map(tensor).collect(),
            split: MEASURES.iter().zip(&self.split).map(split).collect(),
            models,
            base,
        }
    }
}

pub(super) fn relative(delta: f64, base: f64) -> Option<f64> {
    let share = if delta == 0.0 { 0.0 } else { delta / base };
    share.is_finite().then_some(share)
}

fn cell(measure: &Measure, gram: &Gram, i: usize, j: usize) -> Option<f64> {
    let same = i == j;
    match (measure.of)(&gram.pair(i, j)) {
        Some(_) if same && measure.needs_base => Some(1.0),
        Some(_) if same => Some(0.0),
        value => value.filter(|v| v.is_finite()),
    }
}

/// One matrix a measure; all `null` for one that is not `defined`.
pub(super) fn matrices(
    gram: &Gram,
    models: usize,
    defined: impl Fn(&Measure) -> bool,
) -> BTreeMap<String, Matrix> {
    let of = |measure: &Measure| -> Matrix {
        let defined = defined(measure);
        let row = |i| (0..models).map(|j| cell(measure, gram, i, j).filter(|_| defined)).collect();
        (0..models).map(row).collect()
    };
    MEASURES.iter().map(|measure| (measure.id.to_owned(), of(measure))).collect()
}

/// Mean over the pairs i < j that are defined.
fn means(matrices: &BTreeMap<String, Matrix>) -> BTreeMap<String, Option<f64>> {
    let mean = |matrix: &Matrix| {
        let pairs = matrix.iter().enumerate().flat_map(|(i, row)| row[i + 1..].iter().flatten());
        let (sum, count) = pairs.fold((0.0, 0u32), |(sum, count), value| (sum + value, count + 1));
        (count > 0).then(|| sum / f64::from(count))
    };
    matrices.iter().map(|(id, matrix)| (id.clone(), mean(matrix))).collect()
}
