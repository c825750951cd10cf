//! `stemma transplant`: a model with another model's tokenizer.

use std::path::Path;

use analysis::transplant::Options;
use domain::RepoId;
use jobs::{Access, Pin, TransplantPayload};
use serde_json::{Map, json};

use super::{
    Context,
    derive::{Job, id_beside, shown, write_reported},
};
use crate::{cli::TransplantOptions, exit::Failure, wiring};

/// The two models and how rows are made.
pub struct Asked {
    pub recipient: String,
    pub donor: String,
    pub options: TransplantOptions,
}

/// Transplants a tokenizer.
pub async fn run(
    context: Context,
    asked: Asked,
    out: &Path,
    register: Option<String>,
) -> Result<(), Failure> {
    let registry = wiring::open(&context.config).await?;
    let TransplantOptions { fill, k, candidates } = asked.options;
    let plan = async |output: &RepoId| {
        let payload = TransplantPayload {
            recipient: asked.recipient,
            donor: asked.donor,
            options: Options { fill, k, candidates },
            output: output.clone(),
            pins: std::collections::BTreeMap::new(),
        };
        jobs::plan_transplant(&registry, &payload, &Access::Folders(Pin::Content)).await
    };
    let (_, plan) = id_beside(register.as_deref(), out, plan).await?;
    let report = plan.report();
    let (derived, source) =
        shown(&context, "putting tokens together", async |pulse| jobs::solve_transplant(plan, pulse).await)
            .await?;
    let told = [("rows", json!(report.rows)), ("shared", json!(report.shared)), ("new", json!(report.new))];
    let told: Map<_, _> = told.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let job = Job { derived, source, out, register: register.is_some() };
    write_reported(&context, &registry, job, told).await
}
