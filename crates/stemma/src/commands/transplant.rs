//! `stemma transplant`: a model with another model's tokenizer.

use analysis::transplant::{Options, Report};
use domain::RepoId;
use jobs::{Access, Pin, TransplantPayload};
use serde_json::{Map, json};

use super::{
    Context,
    derive::{Job, caution, foretell, id_beside, shown, write_reported},
};
use crate::{
    cli::{TransplantArgs, TransplantOptions, Writing},
    exit::Failure,
    wiring,
};

/// Transplants a tokenizer, or says what that would give.
pub async fn run(context: Context, args: TransplantArgs) -> Result<(), Failure> {
    let TransplantArgs { recipient, donor, options, writing: Writing { target, max_shard_size } } = args;
    let context = context.sharded(max_shard_size);
    let registry = wiring::open(&context.config).await?;
    let TransplantOptions { fill, k, candidates } = options;
    let plan = async |output: &RepoId| {
        let payload = TransplantPayload {
            recipient,
            donor,
            options: Options { fill, k, candidates },
            output: output.clone(),
            pins: std::collections::BTreeMap::new(),
        };
        jobs::plan_transplant(&registry, &payload, &Access::Folders(Pin::Content)).await
    };
    let (_, plan) = id_beside(&target, plan).await?;
    let report = plan.report();
    let Some(out) = target.folder() else {
        foretell(&context, &report, lines);
        return Ok(());
    };
    let (derived, source) =
        shown(&context, "putting tokens together", async |pulse| jobs::solve_transplant(plan, pulse).await)
            .await?;
    let told = [("rows", json!(report.rows)), ("shared", json!(report.shared)), ("new", json!(report.new))];
    let told: Map<_, _> = told.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let job = Job { derived, source, out, register: target.register.is_some() };
    write_reported(&context, &registry, job, told).await
}

fn lines(report: &Report) -> Vec<String> {
    let Report { rows, shared, new, tables, warnings } = report;
    let tables = tables.join(", ");
    let told = format!("{rows} rows: {shared} tokens keep theirs, {new} are new; in {tables}");
    [told].into_iter().chain(warnings.iter().map(caution)).collect()
}
