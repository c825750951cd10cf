//! `stemma adapter`: LoRA adapters out of fine-tunes, and baked into a base.

use std::collections::BTreeMap;

use analysis::lowrank::Shaping;
use domain::RepoId;
use jobs::{Access, Adapter, BakePayload, ExtractForecast, ExtractPayload, Pin, Pulse};

use super::{
    Context,
    derive::{self, Job, applied, caution, foretell, id_beside},
};
use crate::{
    cli::{AdapterCommand, BakeArgs, ExtractArgs, Writing},
    exit::Failure,
    output, wiring,
};

/// Runs the command.
pub async fn run(context: Context, command: AdapterCommand) -> Result<(), Failure> {
    match command {
        AdapterCommand::Extract(args) => extract(context, args).await,
        AdapterCommand::Bake(args) => bake(context, args).await,
    }
}

async fn extract(context: Context, args: ExtractArgs) -> Result<(), Failure> {
    let ExtractArgs { base, tuned, rank, include, exclude, dtype, target, .. } = args;
    let (sv_epsilon, embed_lora) = (args.sv_epsilon, args.embed_lora);
    let shaping = Shaping { sv_epsilon, embed_lora, distribute_scale: !args.no_distribute_scale };
    let registry = wiring::open(&context.config).await?;
    if let Some(out) = target.folder()
        && fs_err::read_dir(out).is_ok_and(|mut files| files.next().is_some())
    {
        return Err(jobs::Error::OutputExists(out.display().to_string()).into());
    }
    let plan = async |output: &RepoId| {
        let (rank, energy, output, pins) = (rank.rank, rank.energy, output.clone(), BTreeMap::new());
        let payload =
            ExtractPayload { base, tuned, rank, energy, include, exclude, dtype, shaping, output, pins };
        jobs::plan_extract(&registry, &payload, &Access::Folders(Pin::Content)).await
    };
    let (output, plan) = id_beside(&target, plan).await?;
    let Some(out) = target.folder() else {
        foretell(&context, &plan.forecast(), lines);
        return Ok(());
    };
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
    let job = Job { derived, source, out, register: target.register.is_some() };
    derive::write_reported(&context, &registry, job, report).await
}

fn lines(forecast: &ExtractForecast) -> Vec<String> {
    let ExtractForecast { recipe_digest, parents, warnings } = forecast;
    let told = format!("{recipe_digest}, descends from {}", parents.join(", "));
    [told].into_iter().chain(warnings.iter().map(caution)).collect()
}

async fn bake(context: Context, args: BakeArgs) -> Result<(), Failure> {
    let BakeArgs { base, adapter, scale, writing: Writing { target, max_shard_size } } = args;
    let context = context.sharded(max_shard_size);
    let registry = wiring::open(&context.config).await?;
    let plan = async |output: &RepoId| {
        let payload = BakePayload { base, adapter, scale, output: output.clone(), pins: BTreeMap::new() };
        jobs::plan_bake(&registry, &payload, &Access::Folders(Pin::Content)).await
    };
    let (_, plan) = id_beside(&target, plan).await?;
    let forecast = plan.forecast();
    applied((&context, &registry), &target, (plan.derived, plan.source, forecast)).await
}
