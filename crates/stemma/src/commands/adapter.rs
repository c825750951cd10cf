//! `stemma adapter`: LoRA adapters out of fine-tunes, and baked into a base.

use std::collections::BTreeMap;

use domain::RepoId;
use jobs::{Access, Adapter, BakePayload, ExtractPayload, Pin, Pulse};

use super::{
    Context,
    derive::{self, Job, id_beside},
};
use crate::{cli::AdapterCommand, exit::Failure, output, wiring};

/// Runs the command.
pub async fn run(context: Context, command: AdapterCommand) -> Result<(), Failure> {
    let registry = wiring::open(&context.config).await?;
    match command {
        AdapterCommand::Extract { base, tuned, rank, include, exclude, dtype, out, register } => {
            if out.exists() && fs_err::read_dir(&out).is_ok_and(|mut files| files.next().is_some()) {
                return Err(jobs::Error::OutputExists(out.display().to_string()).into());
            }
            let plan = async |output: &RepoId| {
                let (rank, energy, output, pins) = (rank.rank, rank.energy, output.clone(), BTreeMap::new());
                let payload =
                    ExtractPayload { base, tuned, rank, energy, include, exclude, dtype, output, pins };
                jobs::plan_extract(&registry, &payload, &Access::Folders(Pin::Content)).await
            };
            let (output, plan) = id_beside(register.as_deref(), &out, plan).await?;
            let made = derive::shown(&context, "decomposing", async |pulse: &Pulse| {
                jobs::extract(&registry, plan, output, pulse).await
            });
            let Adapter { derived, source, report, .. } = made.await?;
            if !context.json {
                for module in report["modules"].as_array().into_iter().flatten() {
                    output::line(format!(
                        "{}\trank {}\tenergy {:.4}",
                        module["module"].as_str().unwrap_or_default(),
                        module["rank"],
                        module["energy"].as_f64().unwrap_or_default()
                    ));
                }
            }
            let job = Job { derived, source, out: &out, register: register.is_some() };
            derive::write_reported(&context, &registry, job, report).await
        }
        AdapterCommand::Bake { base, adapter, out, scale, register } => {
            let plan = async |output: &RepoId| {
                let (output, pins) = (output.clone(), BTreeMap::new());
                let payload = BakePayload { base, adapter, scale, output, pins };
                jobs::plan_bake(&registry, &payload, &Access::Folders(Pin::Content)).await
            };
            let (_, plan) = id_beside(register.as_deref(), &out, plan).await?;
            let job =
                Job { derived: plan.derived, source: plan.source, out: &out, register: register.is_some() };
            derive::write(&context, &registry, job).await
        }
    }
}
