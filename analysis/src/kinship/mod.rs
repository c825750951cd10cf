//! Model kinship: how alike the weight deltas of several models are. Exact, one streamed pass over N+1 models.

mod layers;
mod measures;
mod report;
mod sketched;
mod sums;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::Arc};

use kernels::Gram;
use weights::{TensorInfo, TensorSource};

use crate::{
    Error, Progress,
    computed::{is_buffer, vocabulary_hint},
};
use sums::{Operands, Shared, each_tensor};

pub use layers::{Layer, number as layer_number};
pub use measures::{MEASURES, Measure};
pub use report::{Coverage, LayerReport, Matrix, Report, Skipped};
pub use sketched::{Sketched, SketchedTensor, estimate};

/// Tensors left out that are listed; the others are counted.
const LISTED: usize = 1_000;

/// A checkpoint with the name the report gives it.
#[derive(Clone)]
pub struct Named {
    pub label: String,
    pub source: Arc<dyn TensorSource>,
}

/// Kinship of `models`, deltas taken against `base`; without one only the Euclidean distance is defined.
///
/// # Errors
/// Fewer than two models, no tensor in common, a read that fails, or `progress` asking to stop.
pub fn kinship(models: &[Named], base: Option<&Named>, progress: Progress<'_>) -> Result<Report, Error> {
    // Differences between models do not depend on the base, so any model can stand in for a missing one.
    let reference = match (models, base) {
        ([_, _, ..], Some(base)) => base,
        ([first, _, ..], None) => first,
        _ => return Err(Error::TooFewModels { needed: 2, given: models.len() }),
    };
    let (shared, mut skipped) = common(models, reference);
    let mut total = Gram::new(models.len());
    let mut layers = report::Layers::new(models.len());
    let mut compared = 0;
    each_tensor(&Operands { models, reference }, &shared, progress, |tensor, sums| {
        if let Some(reason) = not_finite(models, reference, &sums) {
            skipped.push(Skipped { tensor: tensor.info.name.clone(), reason });
            return;
        }
        compared += 1;
        total.merge(&sums);
        layers.add(&tensor.info.name, &sums);
    })?;
    if compared == 0 {
        let hint = skipped.first().map(|s| format!("`{}`: {}", s.tensor, s.reason));
        return Err(Error::NothingInCommon { hint: hint.unwrap_or_else(|| "a checkpoint is empty".into()) });
    }
    let count = models.len();
    let elements = total.elements();
    let all: u64 = reference.source.tensors().iter().map(TensorInfo::elements).sum();
    let matrices = report::matrices(&total, count, base.is_some());
    let norms = || (0..count).map(|i| relative(total.dot(i, i).sqrt(), total.base_square().sqrt())).collect();
    Ok(Report {
        models: models.iter().map(|m| m.label.clone()).collect(),
        base: base.map(|b| b.label.clone()),
        exact: true,
        elements,
        coverage: Coverage::new((compared, elements as f64 / all.max(1) as f64), skipped),
        relative_norms: if base.is_some() { norms() } else { Vec::new() },
        mean: report::means(&matrices),
        standard_errors: BTreeMap::new(),
        layers: layers.reports(base.is_some()),
        matrices,
    })
}

fn relative(delta: f64, base: f64) -> Option<f64> {
    let share = if delta == 0.0 { 0.0 } else { delta / base };
    share.is_finite().then_some(share)
}

/// Splits the union of all tensor names into those that can be compared and those that cannot.
fn common<'a>(models: &[Named], reference: &'a Named) -> (Vec<Shared<'a>>, Vec<Skipped>) {
    let (mut shared, mut skipped) = (Vec::new(), Vec::new());
    for (base, info) in reference.source.tensors().iter().enumerate() {
        match positions(models, reference, info) {
            Ok(models) => shared.push(Shared { info, base, models }),
            Err(reason) => skipped.push(Skipped { tensor: info.name.clone(), reason }),
        }
    }
    let mut extra: BTreeMap<&str, &str> = BTreeMap::new();
    for model in models {
        for info in model.source.tensors() {
            if reference.source.position(&info.name).is_none() {
                extra.entry(&info.name).or_insert(&model.label);
            }
        }
    }
    let only = |(name, label): (&str, &str)| Skipped {
        tensor: name.to_owned(),
        reason: format!("`{label}` has it, `{}` does not", reference.label),
    };
    skipped.extend(extra.into_iter().map(only));
    (shared, skipped)
}

fn positions(models: &[Named], reference: &Named, info: &TensorInfo) -> Result<Vec<usize>, String> {
    if is_buffer(&info.name) {
        return Err("a buffer, not a trained weight".into());
    }
    if !info.dtype.is_float() {
        return Err(format!("{} is not a float dtype", info.dtype));
    }
    let find = |model: &Named| {
        let at = model.source.position(&info.name).ok_or_else(|| format!("`{}` lacks it", model.label))?;
        let other = &model.source.tensors()[at];
        if other.shape != info.shape {
            let hint = vocabulary_hint(&info.name);
            return Err(format!(
                "shape {:?} in `{}`, {:?} in `{}`{hint}",
                info.shape, reference.label, other.shape, model.label
            ));
        }
        if other.dtype.is_float() { Ok(at) } else { Err(format!("{} in `{}`", other.dtype, model.label)) }
    };
    models.iter().map(find).collect()
}

fn not_finite(models: &[Named], reference: &Named, sums: &Gram) -> Option<String> {
    let say = |label: &str| Some(format!("NaN or infinity in `{label}`"));
    if !sums.base_square().is_finite() {
        return say(&reference.label);
    }
    (0..models.len()).find(|&i| !sums.dot(i, i).is_finite()).and_then(|i| say(&models[i].label))
}
