//! Kinship from stored sketches: no weights are read, and every value carries its standard error.

use std::collections::BTreeMap;

use kernels::Gram;
use weights::BLOCK_ROWS;

use super::{
    Coverage, Matrix, Module, Report, Skipped,
    depth::Depths,
    overlap::Overlap,
    pairing::only,
    report::{Tally, TensorSums},
};
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
    /// Sums of the blocks of 1,024 rows that have cells of their own; none for a tensor that is not divided.
    pub block_sums: Vec<f64>,
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
    let mut tally = Tally::new(count, base.map(|base| base.label.as_str()));
    let mut skipped = Vec::new();
    let mut depths = Depths::new(names(reference), models.iter().map(names));
    for (name, tensor) in &reference.tensors {
        if depths.cut(name) {
            continue;
        }
        match row(models, reference, name, tensor) {
            Err(reason) => {
                let left_out = Skipped { tensor: tensor.name.clone(), reason };
                tally.leave_out(&left_out);
                skipped.push(left_out);
            }
            Ok(Common { overlap, square, beyond }) => {
                let mut spread = vec![0.0; count * count];
                let gram = deltas(&overlap, &mut spread);
                tally.add(&tensor.name, &TensorSums { gram: &gram, base: square, spread: &spread });
                skipped.extend(beyond.map(|reason| Skipped { tensor: tensor.name.clone(), reason }));
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
    let extra: Vec<_> = extra.into_iter().map(|(name, label)| only(name, label, &reference.label)).collect();
    extra.iter().chain(depths.tensors()).for_each(|left_out| tally.leave_out(left_out));
    skipped.extend(extra);
    skipped.splice(0..0, depths.skipped());
    let all: u64 = reference.tensors.values().map(SketchedTensor::elements).sum();
    let share = tally.gram.elements() as f64 / all.max(1) as f64;
    if tally.compared == 0 || share < LEAST_COVERAGE {
        let first = skipped.first().map(|s| format!("`{}`: {}", s.tensor, s.reason));
        let hint = first.unwrap_or_else(|| "nothing is sketched".to_owned());
        return Err(match tally.compared {
            0 => Error::NothingInCommon { hint },
            _ => Error::TooLittleInCommon { share, needed: LEAST_COVERAGE, hint },
        });
    }
    let coverage = Coverage { depth: depths.table(), ..Coverage::new((tally.compared, share), skipped) };
    let labels = models.iter().map(|model| model.label.clone()).collect();
    let (gram, spread) = (tally.gram.clone(), tally.spread.clone());
    let report = tally.report((labels, base.map(|base| base.label.clone())), coverage);
    Ok(Report { exact: false, standard_errors: errors(&gram, &spread, &report.matrices), ..report })
}

fn names(model: &Sketched) -> (&str, impl Iterator<Item = &str>) {
    (&model.label, model.tensors.keys().map(String::as_str))
}

/// What a tensor has in common in all models; the base is the first of the overlap.
struct Common {
    overlap: Overlap,
    /// Squared norm of the base's part.
    square: f64,
    /// What of it is left out.
    beyond: Option<String>,
}

/// The same tensor in every model, or why it cannot be compared.
fn row(
    models: &[Sketched],
    reference: &Sketched,
    name: &str,
    tensor: &SketchedTensor,
) -> Result<Common, String> {
    if is_buffer(&tensor.name) {
        return Err("a buffer, not a trained weight".into());
    }
    let not_finite = |label: &str| format!("NaN or infinity in `{label}`");
    if tensor.nonfinite > 0 {
        return Err(not_finite(&reference.label));
    }
    let twin = |model| {
        let model: &Sketched = model;
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
        let shapes = || {
            let [ours, theirs] = [(tensor, reference), (other, model)];
            format!(
                "shape {:?} in `{}`, {:?} in `{}`",
                ours.0.shape, ours.1.label, theirs.0.shape, theirs.1.label
            )
        };
        match other.shape == tensor.shape || Module::is_vocabulary(name) && other.shape.len() == 2 {
            true => Ok((other, shapes())),
            false => Err(shapes()),
        }
    };
    let twins = models.iter().map(twin).collect::<Result<Vec<_>, _>>()?;
    let tensors: Vec<&SketchedTensor> =
        [tensor].into_iter().chain(twins.iter().map(|(other, _)| *other)).collect();
    let differing = || twins.iter().find(|(other, _)| other.shape != tensor.shape).map(|(_, shapes)| shapes);
    let overlap = Overlap::of(&tensors).ok_or_else(|| match differing() {
        Some(shapes) => format!("{shapes}; they have no {BLOCK_ROWS} rows in common"),
        None => "the sketches are laid out differently; import one of the models again".to_owned(),
    })?;
    let mut square = 0.0;
    overlap.each((0, 0), |cells, _| square += dot(cells, cells));
    let beyond = differing().map(|shapes| {
        let (compared, all) = (overlap.elements, tensor.elements());
        match compared < all {
            true => {
                format!("{shapes}; {} of its {all} values are left out: sketches end there", all - compared)
            }
            false => format!("{shapes}; the rows beyond the base's are left out"),
        }
    });
    Ok(Common { overlap, square, beyond })
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Inner products of the deltas of one tensor.
fn deltas(overlap: &Overlap, spread: &mut [f64]) -> Gram {
    let (Some((base, cells)), Some((base_sum, sums))) =
        (overlap.cells.split_first(), overlap.sums.split_first())
    else {
        return Gram::new(0);
    };
    let minus = |cells: &Vec<f64>| cells.iter().zip(base).map(|(a, b)| a - b).collect();
    let deltas: Vec<Vec<f64>> = cells.iter().map(minus).collect();
    let count = deltas.len();
    let mut dots = vec![0.0; count * count];
    for from in (0..base.len()).step_by(overlap.share.max(1)) {
        let part = |delta: usize| {
            let cells: &[f64] = &deltas[delta];
            &cells[from..cells.len().min(from + overlap.share)]
        };
        let squares: Vec<f64> = (0..count).map(|at| dot(part(at), part(at))).collect();
        for i in 0..count {
            for j in i..count {
                dots[i * count + j] += if i == j { squares[i] } else { dot(part(i), part(j)) };
            }
            for j in (0..count).filter(|_| !overlap.exact) {
                spread[i * count + j] += squares[i] * squares[j] / overlap.share as f64;
            }
        }
    }
    Gram::from_sums(overlap.elements, dots, sums.iter().map(|sum| sum - base_sum).collect())
}

/// Standard errors: `(1 − ρ²)/√k` of the angles, `d/√(2k)` of a distance, where `k` is the number of cells that
/// one sketch of the whole model with the same scatter would have.
pub(super) fn errors(
    gram: &Gram,
    spread: &[f64],
    matrices: &BTreeMap<String, Matrix>,
) -> BTreeMap<String, Matrix> {
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
