//! `stemma adapter`: LoRA adapters out of fine-tunes, and baked into a base.

use std::collections::BTreeMap;

use jobs::{Access, Adapter, BakePayload, ExtractPayload, Pin, Pulse};

use super::{
    Context,
    derive::{self, Job, id_for},
};
use crate::{cli::AdapterCommand, exit::Failure, output, wiring};

/// Runs the command.
pub async fn run(context: Context, command: AdapterCommand) -> Result<(), Failure> {
    let registry = wiring::open(&context.config).await?;
    match command {
        AdapterCommand::Extract { base, tuned, rank, include, exclude, dtype, out, register } => {
            let output = id_for(register.as_deref(), &out)?;
            if out.exists() && fs_err::read_dir(&out).is_ok_and(|mut files| files.next().is_some()) {
                return Err(jobs::Error::OutputExists(out.display().to_string()).into());
            }
            let (rank, energy, pins) = (rank.rank, rank.energy, BTreeMap::new());
            let payload = ExtractPayload { base, tuned, rank, energy, include, exclude, dtype, output, pins };
            let plan = jobs::plan_extract(&registry, &payload, &Access::Folders(Pin::Content)).await?;
            let made = derive::shown(&context, "decomposing", async |pulse: &Pulse| {
                jobs::extract(&registry, plan, payload.output, pulse).await
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
            let output = id_for(register.as_deref(), &out)?;
            let payload = BakePayload { base, adapter, scale, output, pins: BTreeMap::new() };
            let plan = jobs::plan_bake(&registry, &payload, &Access::Folders(Pin::Content)).await?;
            let job =
                Job { derived: plan.derived, source: plan.source, out: &out, register: register.is_some() };
            derive::write(&context, &registry, job).await
        }
    }
}
