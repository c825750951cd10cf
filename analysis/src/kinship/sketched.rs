//! Kinship from stored sketches: no weights are read, and every value carries its standard error.

use std::collections::BTreeMap;

use kernels::Gram;

use super::{Coverage, Matrix, Module, Report, Skipped, depth::Depths, pairing::only, report::Tally};
use crate::{Error, computed::is_buffer};

/// Least share of the elements that must be comparable; below it an estimate says little about the models.
const LEAST_COVERAGE: f64 = 0.9;

/// A tensor known by its sketch.
#[derive(Debug, Clone)]
pub struct SketchedTensor {
    pub name: String,
    pub shape: Vec<u64>,
    /// Sum of its values.
    pub sum: f64,
    /// Values that are NaN or infinite.
    pub nonfinite: u64,
    /// Whether the sketch holds every value.
    pub exact: bool,
    pub cells: Vec<f32>,
}

impl SketchedTensor {
    pub(crate) fn elements(&self) -> u64 {
        self.shape.iter().product()
    }

    /// Squared norm, estimated.
    pub(crate) fn square(&self) -> f64 {
        self.cells.iter().map(|cell| f64::from(*cell) * f64::from(*cell)).sum()
    }
}

/// A model known by the sketches of its tensors, by canonical name.
#[derive(Debug, Clone)]
pub struct Sketched {
    pub label: String,
    pub tensors: BTreeMap<String, SketchedTensor>,
    /// Whether its tokenizer gives tokens other rows than the base's, so that embeddings and heads do not compare.
    pub moved_tokens: bool,
}

/// Estimates kinship as [`super::kinship`] computes it.
///
/// # Errors
/// Fewer than two models, or less than 90 % of the elements comparable.
pub fn estimate(models: &[Sketched], base: Option<&Sketched>) -> Result<Report, Error> {
    let reference = match (models, base) {
        ([_, _, ..], Some(base)) => base,
        ([first, _, ..], None) => first,
        _ => return Err(Error::TooFewModels { needed: 2, given: models.len() }),
    };
    let count = models.len();
    // Σ (‖aₜ‖‖bₜ‖)² / kₜ of each pair over the tensors that are not exact, row-major.
    let mut spread = vec![0.0; count * count];
    let mut tally = Tally::new(count, base.map(|base| base.label.as_str()));
    let mut skipped = Vec::new();
    let mut depths = Depths::new(names(reference), models.iter().map(names));
    for (name, tensor) in &reference.tensors {
        if depths.cut(name) {
            continue;
        }
        match row(models, reference, name, tensor) {
            Err(reason) => skipped.push(Skipped { tensor: tensor.name.clone(), reason }),
            Ok(twins) => {
                let gram = deltas(tensor, &twins, &mut spread);
                tally.add(&tensor.name, &gram, tensor.square());
            }
        }
    }
    let mut extra: BTreeMap<&str, &str> = BTreeMap::new();
    for (at, model) in models.iter().enumerate() {
        for (name, tensor) in &model.tensors {
            if !reference.tensors.contains_key(name) && !depths.beyond(at, name) {
                extra.entry(&tensor.name).or_insert(&model.label);
            }
        }
    }
    skipped.extend(extra.into_iter().map(|(name, label)| only(name, label, &reference.label)));
    skipped.splice(0..0, depths.skipped());
    let all: u64 = reference.tensors.values().map(SketchedTensor::elements).sum();
    let share = tally.gram.elements() as f64 / all.max(1) as f64;
    if tally.compared == 0 || share < LEAST_COVERAGE {
        let first = skipped.first().map(|s| format!("`{}`: {}", s.tensor, s.reason));
        let hint = format!(
            "{:.0}\u{a0}% of the weights can be compared, {:.0}\u{a0}% are needed; {}",
            share * 100.0,
            LEAST_COVERAGE * 100.0,
            first.unwrap_or_else(|| "nothing is sketched".to_owned())
        );
        return Err(Error::NothingInCommon { hint });
    }
    let coverage = Coverage { depth: depths.table(), ..Coverage::new((tally.compared, share), skipped) };
    let labels = models.iter().map(|model| model.label.clone()).collect();
    let gram = tally.gram.clone();
    let report = tally.report((labels, base.map(|base| base.label.clone())), coverage);
    Ok(Report { exact: false, standard_errors: errors(&gram, &spread, &report.matrices), ..report })
}

fn names(model: &Sketched) -> (&str, impl Iterator<Item = &str>) {
    (&model.label, model.tensors.keys().map(String::as_str))
}

/// The same tensor in every model, or why it cannot be compared.
fn row<'m>(
    models: &'m [Sketched],
    reference: &Sketched,
    name: &str,
    tensor: &SketchedTensor,
) -> Result<Vec<&'m SketchedTensor>, String> {
    if is_buffer(&tensor.name) {
        return Err("a buffer, not a trained weight".into());
    }
    let not_finite = |label: &str| format!("NaN or infinity in `{label}`");
    if tensor.nonfinite > 0 {
        return Err(not_finite(&reference.label));
    }
    let twin = |model: &'m Sketched| {
        let other = model.tensors.get(name).ok_or_else(|| format!("`{}` lacks it", model.label))?;
        if other.nonfinite > 0 {
            return Err(not_finite(&model.label));
        }
        if model.moved_tokens && Module::is_vocabulary(name) {
            return Err(format!(
                "the tokenizers of `{}` and `{}` give tokens other rows; reading the weights matches them",
                reference.label, model.label
            ));
        }
        if other.cells.len() != tensor.cells.len() && other.shape == tensor.shape {
            let (ours, theirs) = (tensor.cells.len(), other.cells.len());
            return Err(format!(
                "{ours} cells in the sketch of `{}`, {theirs} in that of `{}`; import one of them again",
                reference.label, model.label
            ));
        }
        if other.shape != tensor.shape {
            return Err(format!(
                "shape {:?} in `{}`, {:?} in `{}`",
                tensor.shape, reference.label, other.shape, model.label
            ));
        }
        Ok(other)
    };
    models.iter().map(twin).collect()
}

/// Inner products of the deltas of one tensor.
fn deltas(base: &SketchedTensor, twins: &[&SketchedTensor], spread: &mut [f64]) -> Gram {
    let deltas: Vec<Vec<f64>> = twins
        .iter()
        .map(|twin| twin.cells.iter().zip(&base.cells).map(|(a, b)| f64::from(*a) - f64::from(*b)).collect())
        .collect();
    let count = twins.len();
    let mut dots = vec![0.0; count * count];
    for i in 0..count {
        for j in i..count {
            dots[i * count + j] = deltas[i].iter().zip(&deltas[j]).map(|(a, b)| a * b).sum();
        }
    }
    if !base.exact {
        for i in 0..count {
            for j in 0..count {
                spread[i * count + j] += dots[i * count + i] * dots[j * count + j] / base.cells.len() as f64;
            }
        }
    }
    let sums = twins.iter().map(|twin| twin.sum - base.sum).collect();
    Gram::from_sums(base.elements(), dots, sums)
}

/// Standard errors: `(1 − ρ²)/√k` of the angles, `d/√(2k)` of a distance, where `k` is the number of cells that
/// one sketch of the whole model with the same scatter would have.
fn errors(gram: &Gram, spread: &[f64], matrices: &BTreeMap<String, Matrix>) -> BTreeMap<String, Matrix> {
    let count = gram.models();
    let one_over_k = |i: usize, j: usize| {
        let energy = gram.dot(i, i) * gram.dot(j, j);
        if energy > 0.0 { spread[i * count + j] / energy } else { 0.0 }
    };
    let error = |id: &str, i: usize, j: usize, value: f64| {
        let scatter = match id {
            "euclidean" => one_over_k(i, i).max(one_over_k(j, j)),
            _ => one_over_k(i, j),
        };
        match id {
            _ if i == j => 0.0,
            "euclidean" => value * (scatter / 2.0).sqrt(),
            _ => (1.0 - value * value).max(0.0) * scatter.sqrt(),
        }
    };
    let of = |(id, matrix): (&String, &Matrix)| {
        let row = |(i, row): (usize, &Vec<Option<f64>>)| {
            row.iter().enumerate().map(|(j, value)| value.map(|value| error(id, i, j, value))).collect()
        };
        (id.clone(), matrix.iter().enumerate().map(row).collect())
    };
    matrices.iter().map(of).collect()
}
