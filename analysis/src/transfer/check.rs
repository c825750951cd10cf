//! A look at three models before a transfer, by their weights alone: how far the bases are apart and how the diff lies
//! to that.

use serde::Serialize;
use serde_json::{Value, json};
use weights::{TensorInfo, TensorSource};

use super::{
    AlignedRows, Configs, Difference, Interpolation, Neurons, Operands, Options, Reason, Severity,
    TransferSource, Verdict, config, interpolated, neurons,
    sums::{Sums, each_tensor},
    verdict,
};
use crate::{
    Error, Progress,
    kinship::{self, Shared, Skipped, tokens_moved},
};

/// Tensors left out that are listed.
const LISTED: usize = 1_000;

/// Numbers of the version gap `g = target_base − source_base` and the diff `Δ = source_tuned − source_base`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Measures {
    pub elements: u64,
    /// ‖g‖.
    pub gap_norm: f64,
    /// ‖Δ‖.
    pub delta_norm: f64,
    /// ‖g‖ / ‖source_base‖; about √2 for independently trained models.
    pub relative_gap: Option<f64>,
    /// ‖Δ‖ / ‖source_base‖; about √2 where the tuned model was not tuned from that base.
    pub relative_delta: Option<f64>,
    /// Σ|g| / (Σ|source_base| + Σ|target_base|), the σ of arXiv 2505.12716.
    pub gap_ratio: Option<f64>,
    /// Cosine of Δ and g.
    pub cosine: Option<f64>,
    /// ‖Δ‖ / ‖g‖.
    pub delta_to_gap: Option<f64>,
    /// Of the largest tenth of |Δ| among up to 65,536 evenly spread elements of each tensor: the share with the sign of
    /// g, where g is not zero.
    pub sign_agreement: Option<f64>,
}

/// The numbers of one tensor.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TensorMeasures {
    pub tensor: String,
    #[serde(flatten)]
    pub measures: Measures,
}

/// How much of the result the diff is added to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Coverage {
    /// Tensors that the diff fits, and all of the result.
    pub tensors: usize,
    pub of_tensors: usize,
    /// The same of their weights.
    pub elements: u64,
    pub of_elements: u64,
    /// Share of the weights that it fits, 0 to 1.
    pub share: f64,
}

/// What a check finds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    pub verdict: Verdict,
    /// The verdict is a rule of thumb: only a run of the models can tell.
    pub heuristic: bool,
    pub reasons: Vec<Reason>,
    pub coverage: Coverage,
    /// Over all tensors that the diff is added to; with λ = 0 everywhere over all that are selected.
    pub model: Measures,
    pub tensors: Vec<TensorMeasures>,
    pub neurons: Neurons,
    /// Fields of the configurations that differ.
    pub config: Vec<Difference>,
    /// Embeddings and heads whose rows are matched by token.
    pub rows: Vec<AlignedRows>,
    /// Tensors that were not measured, at most 1,000.
    pub skipped: Vec<Skipped>,
    /// The models between the two bases, as merge recipes.
    pub interpolation: Vec<Interpolation>,
}

/// Checks a transfer that is possible by its layouts.
///
/// # Errors
/// As [`TransferSource::new`]; nothing in common, a read that fails, or `progress` asking to stop.
pub fn check(
    operands: &Operands,
    options: &Options,
    configs: Configs<'_>,
    progress: Progress<'_>,
) -> Result<Report, Error> {
    let operands = &operands.clone().aligned();
    let source = TransferSource::new(operands.clone(), options)?;
    let rows = source.aligned().to_vec();
    let rule = options.rule(operands.target_base.source.tensors())?;
    let models = [operands.target_base.clone(), operands.source_tuned.clone()];
    let mut paired = kinship::pair(&models, &operands.source_base);
    let mut skipped = std::mem::take(&mut paired.skipped);
    let mut shared = paired.shared();
    shared.retain(|tensor| rule.of(tensor.info).is_some());
    // With λ = 0 everywhere the models are measured all the same.
    let idle = shared.iter().all(|tensor| rule.of(tensor.info) == Some(0.0));
    shared.retain(|tensor| idle || rule.of(tensor.info) != Some(0.0));
    let (mut tensors, mut total, mut told) = (Vec::new(), Sums::default(), Vec::new());
    if idle && !shared.is_empty() {
        let message = "λ is 0 for every tensor: the result has the target base's weights".to_owned();
        told.push(Reason { verdict: Verdict::Uncertain, message });
    }
    let mut beyond: Option<Reason> = None;
    each_tensor((&paired.reference, &paired.models), &shared, progress, |tensor: &Shared<'_>, sums| {
        let name = tensor.info.name.clone();
        if sums.is_finite() {
            let target = &operands.target_base.source;
            let dtype = target.position(&name).map(|at| target.tensors()[at].dtype);
            let lambda = rule.of(tensor.info).unwrap_or_default();
            let reason = dtype.and_then(|dtype| verdict::beyond(&name, dtype, (lambda, sums.largest)));
            beyond = beyond.take().or(reason);
            total.merge(&sums);
            tensors.push(TensorMeasures { tensor: name, measures: measures(&sums) });
        } else {
            skipped.push(Skipped { tensor: name, reason: "NaN or infinity".to_owned() });
        }
    })?;
    if tensors.is_empty() {
        let hint = skipped.first().map(|s| format!("`{}`: {}", s.tensor, s.reason));
        return Err(Error::NothingInCommon {
            hint: hint.unwrap_or_else(|| "the diff is added nowhere".into()),
        });
    }
    skipped.truncate(LISTED);
    let neurons = neurons::compare((&paired.reference, &paired.models[0]), &shared)?;
    let mut config = config::differences(configs);
    config.extend(tokenizers(operands, options));
    let model = measures(&total);
    told.extend(beyond);
    let (verdict, reasons) = verdict::judge(&model, &neurons, (&config, told));
    let coverage = coverage(&source, (tensors.len(), model.elements));
    let interpolation = interpolated::between(operands);
    Ok(Report {
        verdict,
        heuristic: true,
        reasons,
        coverage,
        model,
        tensors,
        neurons,
        config,
        rows,
        skipped,
        interpolation,
    })
}

fn coverage(source: &dyn TensorSource, (tensors, elements): (usize, u64)) -> Coverage {
    let of_elements: u64 = source.tensors().iter().map(TensorInfo::elements).sum();
    let share = if of_elements == 0 { 0.0 } else { elements as f64 / of_elements as f64 };
    Coverage { tensors, of_tensors: source.tensors().len(), elements, of_elements, share }
}

fn measures(sums: &Sums) -> Measures {
    let over = |a: f64, b: f64| (b > 0.0).then(|| a / b);
    let (gap, delta) = (sums.gram.dot(0, 0).sqrt(), sums.gram.dot(1, 1).sqrt());
    let (same, signs) = sums.signs;
    Measures {
        elements: sums.gram.elements(),
        gap_norm: gap,
        delta_norm: delta,
        relative_gap: over(gap, sums.gram.base_square().sqrt()),
        relative_delta: over(delta, sums.gram.base_square().sqrt()),
        gap_ratio: over(sums.gap, sums.size),
        cosine: over(sums.gram.dot(0, 1), gap * delta).map(|cosine| cosine.clamp(-1.0, 1.0)),
        delta_to_gap: over(delta, gap),
        sign_agreement: over(same as f64, signs as f64),
    }
}

/// A warning where a base gives the tuned model's tokens other rows.
fn tokenizers(operands: &Operands, options: &Options) -> Option<Difference> {
    let Operands { target_base, source_base, source_tuned } = operands;
    let tuned = source_tuned.tokens.as_deref()?;
    let compared = |base: &kinship::Named| match base.tokens.as_deref() {
        Some(tokens) if tokens_moved(tuned, tokens) => json!("other rows"),
        Some(_) => json!("the same rows"),
        None => json!("unknown"),
    };
    let (target, base) = (compared(target_base), compared(source_base));
    let other = json!("other rows");
    let differ = options.preset.takes_tokenizer() && (target == other || base == other);
    differ.then(|| Difference {
        field: "tokenizer".to_owned(),
        severity: Severity::Warning,
        target_base: target,
        source_base: base,
        source_tuned: Value::from("the result's"),
    })
}
