//! `stemma transplant`: a model with another model's tokenizer.

use std::path::{Path, PathBuf};

use analysis::transplant::{Options, Report};
use domain::RepoId;
use jobs::{Access, Pin, TransplantPayload};
use serde_json::{Map, json};

use super::{
    Context,
    derive::{Job, caution, id_beside, shown, write_reported},
};
use crate::{cli::TransplantOptions, exit::Failure, output, wiring};

/// The two models and how rows are made.
pub struct Asked {
    pub recipient: String,
    pub donor: String,
    pub options: TransplantOptions,
    /// None for a look beforehand.
    pub out: Option<PathBuf>,
    pub register: Option<String>,
}

/// Transplants a tokenizer, or says what that would give.
pub async fn run(context: Context, asked: Asked) -> Result<(), Failure> {
    let Asked { recipient, donor, options, out, register } = asked;
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
    let place = out.as_deref().unwrap_or(Path::new("model"));
    let (_, plan) = id_beside(register.as_deref(), place, plan).await?;
    let report = plan.report();
    let Some(out) = out else {
        match context.json {
            true => output::json(&report),
            false => lines(&report).into_iter().for_each(output::line),
        }
        return Ok(());
    };
    let (derived, source) =
        shown(&context, "putting tokens together", async |pulse| jobs::solve_transplant(plan, pulse).await)
            .await?;
    let told = [("rows", json!(report.rows)), ("shared", json!(report.shared)), ("new", json!(report.new))];
    let told: Map<_, _> = told.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let job = Job { derived, source, out: &out, register: register.is_some() };
    write_reported(&context, &registry, job, told).await
}

fn lines(report: &Report) -> Vec<String> {
    let Report { rows, shared, new, tables, warnings } = report;
    let tables = tables.join(", ");
    let told = format!("{rows} rows: {shared} tokens keep theirs, {new} are new; in {tables}");
    [told].into_iter().chain(warnings.iter().map(caution)).collect()
}
