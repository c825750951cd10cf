//! `stemma transfer`: a fine-tune carried over to another base, or a look at whether that is likely to work.

use std::{collections::BTreeMap, path::Path};

use analysis::transfer::{Options, Report};
use domain::RepoId;
use jobs::{Access, Pin, Registry, StoredPayload, TransferPayload};

use super::{
    Context,
    derive::{Job, applied, foretell, id_beside, write},
    watched::watched,
};
use crate::{
    cli::{Target, TransferArgs, TransferOptions},
    exit::Failure,
    wiring,
};

/// Transfers a fine-tune or a stored difference, or says whether that is likely to work.
pub async fn run(context: Context, args: TransferArgs) -> Result<(), Failure> {
    let TransferArgs { from_base, from_tuned, diff, to_base, options, writing } = args;
    let (context, target) = (context.sharded(writing.max_shard_size), writing.target);
    let registry = wiring::open(&context.config).await?;
    let at = (&context, &registry);
    if let Some(diff) = diff {
        return stored(at, [to_base, diff], options, &target).await;
    }
    let wanted = Wanted { from_base, from_tuned: from_tuned.unwrap_or_default(), to_base, options };
    match target.folder() {
        Some(out) => write_folder(at, wanted, (&target, out)).await,
        None => check(at, wanted, &target).await,
    }
}

/// The operands of a transfer, and what of the diff is carried over.
struct Wanted {
    /// None for what the lineage of the fine-tune says.
    from_base: Option<String>,
    from_tuned: String,
    to_base: String,
    options: TransferOptions,
}

impl Wanted {
    async fn payload(self, registry: &Registry, output: &RepoId) -> Result<TransferPayload, jobs::Error> {
        let source_base = match self.from_base {
            Some(base) => base,
            None => jobs::tuned_from(registry, &self.from_tuned).await?,
        };
        Ok(TransferPayload {
            target_base: self.to_base,
            source_base,
            source_tuned: self.from_tuned,
            options: options(self.options),
            output: output.clone(),
            pins: BTreeMap::new(),
        })
    }
}

fn options(asked: TransferOptions) -> Options {
    let TransferOptions { preset, lambda, include, exclude, missing, sparsify } = asked;
    Options { preset, lambda, include, exclude, missing, sparsify }
}

/// Adds a stored difference to another base.
async fn stored(
    (context, registry): (&Context, &Registry),
    [target_base, diff]: [String; 2],
    asked: TransferOptions,
    target: &Target,
) -> Result<(), Failure> {
    let plan = async |output: &RepoId| {
        let (options, output, pins) = (options(asked), output.clone(), BTreeMap::new());
        let payload = StoredPayload { target_base, diff, options, output, pins };
        jobs::plan_stored_transfer(registry, &payload, &Access::Folders(Pin::Content)).await
    };
    let (_, plan) = id_beside(target, plan).await?;
    let forecast = plan.forecast();
    applied((context, registry), target, (plan.derived, plan.source, forecast)).await
}

async fn write_folder(
    (context, registry): (&Context, &Registry),
    wanted: Wanted,
    (target, out): (&Target, &Path),
) -> Result<(), Failure> {
    let plan = async |id: &RepoId| {
        let payload = wanted.payload(registry, id).await?;
        jobs::plan_transfer(registry, &payload, &Access::Folders(Pin::Content)).await
    };
    let (id, plan) = id_beside(target, plan).await?;
    let summary = format!(
        "`{} + {} × ({} − {})` by `{}`, computed without training.",
        plan.target.label, plan.options.lambda, plan.tuned.label, plan.base.label, plan.options.preset
    );
    let derived = plan.derived(id, summary);
    let job = Job { derived, source: plan.source, out, register: target.register.is_some() };
    write(context, registry, job).await
}

async fn check(
    (context, registry): (&Context, &Registry),
    wanted: Wanted,
    target: &Target,
) -> Result<(), Failure> {
    let look = async |registry: &Registry| {
        let look = async |id: &RepoId| {
            let payload = wanted.payload(registry, id).await?;
            let plan = jobs::plan_transfer(registry, &payload, &Access::Folders(Pin::Nothing)).await?;
            jobs::check_transfer(registry, &plan).await
        };
        id_beside(target, look).await
    };
    let (_, report) = watched((context, registry), "comparing", look).await?;
    foretell(context, &report, lines);
    Ok(())
}

fn lines(report: &Report) -> Vec<String> {
    let covered = report.coverage;
    let fits = format!(
        "fits {} of {} tensors, {:.1} % of the weights",
        covered.tensors,
        covered.of_tensors,
        100.0 * covered.share
    );
    let mut lines =
        vec![fits, format!("{} (heuristic: only a run of the models can tell)", report.verdict.label())];
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
    if !report.interpolation.is_empty() {
        let count = report.interpolation.len();
        lines.push(format!("{count} recipes of the models between the bases: `interpolation` with --json"));
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
