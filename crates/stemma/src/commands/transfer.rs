//! `stemma transfer`: a fine-tune carried over to another base, or a look at whether that is likely to work.

use std::{collections::BTreeMap, path::Path};

use analysis::transfer::{Options, Report};
use domain::{Relation, RepoId};
use jobs::{Access, Derived, Extras, Pin, Registry, StoredPayload, TransferPayload};

use super::{
    Context,
    derive::{Job, id_beside, id_for, write},
};
use crate::{cli::TransferOptions, exit::Failure, output, wiring};

/// The operands of a transfer, and what of the diff is carried over.
pub struct Transfer {
    /// None for what the lineage of the fine-tune says.
    pub from_base: Option<String>,
    pub from_tuned: String,
    pub to_base: String,
    pub options: TransferOptions,
}

impl Transfer {
    async fn payload(self, registry: &Registry, output: RepoId) -> Result<TransferPayload, jobs::Error> {
        let source_base = match self.from_base {
            Some(base) => base,
            None => jobs::tuned_from(registry, &self.from_tuned).await?,
        };
        Ok(TransferPayload {
            target_base: self.to_base,
            source_base,
            source_tuned: self.from_tuned,
            options: options(self.options),
            output,
            pins: BTreeMap::new(),
        })
    }
}

fn options(asked: TransferOptions) -> Options {
    let TransferOptions { preset, lambda, include, exclude } = asked;
    Options { preset, lambda, include, exclude }
}

/// Adds a stored difference to another base.
pub async fn stored(
    context: Context,
    [target_base, diff]: [String; 2],
    asked: TransferOptions,
    (out, register): (&Path, Option<String>),
) -> Result<(), Failure> {
    let registry = wiring::open(&context.config).await?;
    let plan = async |output: &RepoId| {
        let (options, output, pins) = (options(asked), output.clone(), BTreeMap::new());
        let payload = StoredPayload { target_base, diff, options, output, pins };
        jobs::plan_stored_transfer(&registry, &payload, &Access::Folders(Pin::Content)).await
    };
    let (_, plan) = id_beside(register.as_deref(), out, plan).await?;
    let job = Job { derived: plan.derived, source: plan.source, out, register: register.is_some() };
    write(&context, &registry, job).await
}

/// Transfers a fine-tune.
pub async fn run(
    context: Context,
    wanted: Transfer,
    out: &Path,
    register: Option<String>,
) -> Result<(), Failure> {
    let registry = wiring::open(&context.config).await?;
    let plan = async |id: &RepoId| {
        let payload = wanted.payload(&registry, id.clone()).await?;
        jobs::plan_transfer(&registry, &payload, &Access::Folders(Pin::Content)).await
    };
    let (id, plan) = id_beside(register.as_deref(), out, plan).await?;
    let derived = Derived {
        id,
        relation: Relation::Transfer,
        parents: vec![plan.target.clone(), plan.tuned.clone()],
        inputs: vec![plan.target.clone(), plan.tuned.clone(), plan.base.clone()],
        heir: plan.heir(),
        recipe: plan.recipe.clone(),
        extras: Extras::default(),
        recipe_file: None,
        summary: format!(
            "`{} + {} × ({} − {})` by `{}`, computed without training.",
            plan.target.label, plan.options.lambda, plan.tuned.label, plan.base.label, plan.options.preset
        ),
        dtype: None,
        adapter: None,
        warnings: Vec::new(),
        policies: Vec::new(),
    };
    write(&context, &registry, Job { derived, source: plan.source, out, register: register.is_some() }).await
}

/// Says whether a transfer is likely to work.
pub async fn check(context: Context, wanted: Transfer) -> Result<(), Failure> {
    let registry = wiring::open(&context.config).await?;
    let payload = wanted.payload(&registry, id_for(None, Path::new("model"))?).await?;
    let report = jobs::check_transfer(&registry, &payload, &Access::Folders(Pin::Nothing)).await?;
    if context.json {
        output::json(&report);
    } else {
        lines(&report).into_iter().for_each(output::line);
    }
    Ok(())
}

fn lines(report: &Report) -> Vec<String> {
    let mut lines =
        vec![format!("{} (heuristic: only a run of the models can tell)", report.verdict.label())];
    let reasons =
        report.reasons.iter().map(|reason| format!("  {}: {}", reason.verdict.label(), reason.message));
    lines.extend(reasons);
    let numbers = [
        ("relative gap of the bases", report.model.relative_gap),
        ("relative size of the diff", report.model.relative_delta),
        ("gap ratio", report.model.gap_ratio),
        ("cosine of diff and gap", report.model.cosine),
        ("norm of the diff / norm of the gap", report.model.delta_to_gap),
        ("same signs in the largest tenth", report.model.sign_agreement),
        ("neurons in place", report.neurons.share),
    ];
    for (name, number) in numbers {
        let number = number.map_or_else(|| "undefined".to_owned(), |number| format!("{number:.4}"));
        lines.push(format!("{name:<36}{number}"));
    }
    for rows in &report.rows {
        lines.push(format!(
            "{}: {} rows, {} of them in the target base, {} in the source base",
            rows.tensor, rows.rows, rows.in_target_base, rows.in_source_base
        ));
    }
    if !report.skipped.is_empty() {
        lines.push(format!("{} tensors not measured", report.skipped.len()));
    }
    lines
}
