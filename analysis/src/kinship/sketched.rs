//! Kinship from stored sketches: no weights are read, and every value carries its standard error.

use std::collections::BTreeMap;

use kernels::Gram;

use super::{Coverage, Matrix, Report, Skipped, is_buffer, relative, report};
use crate::Error;

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
    fn elements(&self) -> u64 {
        self.shape.iter().product()
    }
}

/// A model known by the sketches of its tensors, by canonical name.
#[derive(Debug, Clone)]
pub struct Sketched {
    pub label: String,
    pub tensors: BTreeMap<String, SketchedTensor>,
}

/// Inner products of the deltas, and what decides how far off they may be.
struct Sums {
    gram: Gram,
    /// Σ (‖aₜ‖‖bₜ‖)² / kₜ of each pair over the tensors that are not exact, row-major.
    spread: Vec<f64>,
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
    let mut total = Sums { gram: Gram::new(count), spread: vec![0.0; count * count] };
    let mut layers = report::Layers::new(count);
    let (mut skipped, mut compared, mut base_square) = (Vec::new(), 0, 0.0);
    for (name, tensor) in &reference.tensors {
        match row(models, reference, name, tensor) {
            Err(reason) => skipped.push(Skipped { tensor: tensor.name.clone(), reason }),
            Ok(twins) => {
                let gram = deltas(tensor, &twins, &mut total.spread);
                total.gram.merge(&gram);
                layers.add(&tensor.name, &gram);
                base_square += square(&tensor.cells);
                compared += 1;
            }
        }
    }
    let all: u64 = reference.tensors.values().map(SketchedTensor::elements).sum();
    let elements = total.gram.elements();
    let share = elements as f64 / all.max(1) as f64;
    if compared == 0 || share < LEAST_COVERAGE {
        let first = skipped.first().map(|s| format!("`{}`: {}", s.tensor, s.reason));
        let hint = format!(
            "{:.0}\u{a0}% of the weights can be compared, {:.0}\u{a0}% are needed; {}",
            share * 100.0,
            LEAST_COVERAGE * 100.0,
            first.unwrap_or_else(|| "nothing is sketched".to_owned())
        );
        return Err(Error::NothingInCommon { hint });
    }
    let matrices = report::matrices(&total.gram, count, base.is_some());
    let norm = |i: usize| relative(total.gram.dot(i, i).sqrt(), base_square.sqrt());
    Ok(Report {
        models: models.iter().map(|model| model.label.clone()).collect(),
        base: base.map(|base| base.label.clone()),
        exact: false,
        elements,
        coverage: Coverage::new((compared, share), skipped),
        relative_norms: if base.is_some() { (0..count).map(norm).collect() } else { Vec::new() },
        mean: report::means(&matrices),
        standard_errors: errors(&total, &matrices),
        layers: layers.reports(base.is_some()),
        matrices,
    })
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
fn errors(sums: &Sums, matrices: &BTreeMap<String, Matrix>) -> BTreeMap<String, Matrix> {
    let count = sums.gram.models();
    let one_over_k = |i: usize, j: usize| {
        let energy = sums.gram.dot(i, i) * sums.gram.dot(j, j);
        if energy > 0.0 { sums.spread[i * count + j] / energy } else { 0.0 }
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

fn square(cells: &[f32]) -> f64 {
    cells.iter().map(|cell| f64::from(*cell) * f64::from(*cell)).sum()
}
