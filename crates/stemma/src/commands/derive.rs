//! `stemma merge`, and what it shares with other makers of models: a folder on disk, and a registered model when asked.

use std::{path::Path, sync::Arc};

use domain::{Class, Fault as _, Item, RepoId};
use indicatif::BinaryBytes;
use jobs::{Access, AppliedForecast, Derived, Forecast, Pin, Pulse, Registry};

use super::Context;
use crate::{
    cli::{MergeArgs, Target, Writing},
    exit::Failure,
    output, wiring,
};

const REGISTER: &str = "--register";

/// The id a result is registered under, or would be.
pub fn id_for(register: Option<&str>, out: &Path) -> Result<RepoId, Failure> {
    let bad = |e: domain::BadRepoId| Failure::new("bad_id", Class::Invalid, e.to_string());
    if let Some(id) = register {
        return RepoId::parse(id).map_err(bad);
    }
    let name: String = out
        .file_name()
        .map(|n| {
            n.to_string_lossy().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect()
        })
        .unwrap_or_else(|| "model".to_owned());
    RepoId::parse(name.trim_matches('-')).or_else(|_| RepoId::parse("model")).map_err(bad)
}

/// The id a result is registered under, with the plan for it; where it is none, what else is wrong is told beside that.
pub async fn id_beside<T>(
    target: &Target,
    plan: impl AsyncFnOnce(&RepoId) -> Result<T, jobs::Error>,
) -> Result<(RepoId, T), Failure> {
    let out = target.out.as_deref().unwrap_or(Path::new("model"));
    let bad = match id_for(target.register.as_deref(), out) {
        Ok(id) => {
            let plan = plan(&id).await?;
            return Ok((id, plan));
        }
        Err(bad) => bad,
    };
    let stand_in = id_for(None, out)?;
    let known = vec![Item { pointer: REGISTER.to_owned(), message: bad.message.clone() }];
    let told = jobs::beside(known, async || plan(&stand_in).await).await;
    Err(if told.items().len() == 1 { bad } else { told.into() })
}

/// Merges as the YAML file says.
pub async fn merge(context: Context, args: MergeArgs) -> Result<(), Failure> {
    let MergeArgs { recipe, writing: Writing { target, max_shard_size }, mergekit } = args;
    let context = context.sharded(max_shard_size.or(mergekit.out_shard_size));
    let yaml =
        fs_err::read_to_string(recipe).map_err(|e| Failure::new("io", Class::NotFound, e.to_string()))?;
    let notes = mergekit.idle.told().into_iter().chain(mergekit.told().map(str::to_owned));
    notes.for_each(|note| context.progress.tell(note));
    let mut registry = wiring::open(&context.config).await?;
    if let Some(out) = &target.out {
        registry = registry.beside(out);
    }
    let (mut stages, faults) = analysis::merge::read_stages(&yaml).map_err(jobs::Error::from)?;
    mergekit.settle(&mut stages);
    let yaml = format!("{}{yaml}", mergekit.comments());
    let plan =
        async |_: &RepoId| jobs::plan_read(&registry, (stages, faults), &Access::Folders(Pin::Content)).await;
    let (id, plan) = id_beside(&target, plan).await?;
    let Some(out) = target.folder() else {
        plan.fits(&registry.scratch)?;
        let mut forecast = plan.forecast(1 + u64::from(target.register.is_some()), &registry.scratch);
        forecast.made = jobs::made_before(&registry, &plan.recipe).await?;
        foretell(&context, &forecast, lines);
        return Ok(());
    };
    // What an attempt that was killed left is part of the result.
    if !jobs::workplace_of(out).exists() {
        plan.fits(&registry.scratch)?;
    }
    let derived = plan.derived(id, yaml, mergekit.extras());
    let job = Job { derived, source: plan.source, out, register: target.register.is_some() };
    write(&context, &registry, job).await
}

/// Prints what a dry run found.
pub fn foretell<T: serde::Serialize>(context: &Context, found: &T, lines: impl FnOnce(&T) -> Vec<String>) {
    match context.json {
        true => output::json(found),
        false => lines(found).into_iter().for_each(output::line),
    }
}

/// A base with something added to it, which comes true unless the run is a dry one.
pub async fn applied(
    (context, registry): (&Context, &Registry),
    target: &Target,
    (derived, source, forecast): (Derived, Arc<dyn analysis::TensorSource>, AppliedForecast),
) -> Result<(), Failure> {
    let Some(out) = target.folder() else {
        foretell(
            context,
            &forecast,
            |AppliedForecast { recipe_digest, parents, tensors, bytes, warnings }| {
                let told = [
                    format!("{tensors} tensors, {}, {recipe_digest}", BinaryBytes(*bytes)),
                    format!("descends from {}", parents.join(", ")),
                ];
                told.into_iter().chain(warnings.iter().map(caution)).collect()
            },
        );
        return Ok(());
    };
    write(context, registry, Job { derived, source, out, register: target.register.is_some() }).await
}

fn lines(forecast: &Forecast) -> Vec<String> {
    let Forecast { method, recipe_address, tensors, bytes, memory_bytes, disk_bytes, vocabulary, .. } =
        forecast;
    let free_disk_bytes = forecast.free_disk_bytes;
    let [bytes, memory, disk] = [bytes, memory_bytes, disk_bytes].map(|bytes| BinaryBytes(*bytes));
    let free = free_disk_bytes.map(|free| format!(", {} are left", BinaryBytes(free))).unwrap_or_default();
    let told = [
        format!("{method}: {tensors} tensors, {bytes}, {recipe_address}"),
        format!("needs {memory} of memory and {disk} of disk at most{free}"),
    ];
    let rows = vocabulary.as_ref().map(|rows| format!("a vocabulary of {rows} rows"));
    let made = forecast.made.as_ref().map(|model| format!("{model} was made by this recipe"));
    told.into_iter().chain(rows).chain(made).chain(forecast.warnings.iter().map(caution)).collect()
}

/// A warning as a line; one without a place has no pointer.
pub fn caution(warning: &Item) -> String {
    match warning.pointer.as_str() {
        "" => format!("warning: {}", warning.message),
        pointer => format!("warning: {pointer}: {}", warning.message),
    }
}

/// A derived model and where it goes.
pub struct Job<'a> {
    pub derived: Derived,
    pub source: Arc<dyn analysis::TensorSource>,
    pub out: &'a Path,
    pub register: bool,
}

/// Runs `work` with a progress bar that follows its pulse.
pub async fn shown<T>(
    context: &Context,
    what: &str,
    work: impl AsyncFnOnce(&Pulse) -> Result<T, jobs::Error>,
) -> Result<T, jobs::Error> {
    let pulse = Pulse::default();
    let bar = output::bar(context.progress, what);
    let ticker = {
        let (pulse, bar) = (pulse.clone(), bar.clone());
        tokio::spawn(async move {
            loop {
                let (_, done, total) = pulse.snapshot();
                bar.set_length(total);
                bar.set_position(done);
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        })
    };
    let done = work(&pulse).await;
    ticker.abort();
    bar.finish_and_clear();
    done
}

/// Writes the folder, and registers it when asked.
pub async fn write(context: &Context, registry: &Registry, job: Job<'_>) -> Result<(), Failure> {
    write_reported(context, registry, job, serde_json::Map::new()).await
}

/// The same, with more to tell in the JSON document.
pub async fn write_reported(
    context: &Context,
    registry: &Registry,
    job: Job<'_>,
    mut report: serde_json::Map<String, serde_json::Value>,
) -> Result<(), Failure> {
    let Job { derived, source, out, register } = job;
    let (id, made) = (derived.id.clone(), derived.made());
    if !context.json {
        derived.cautions(&*source).iter().for_each(|warning| eprintln!("{}", caution(warning)));
    }
    let record = shown(context, "writing", async |pulse: &Pulse| {
        jobs::write_folder(registry, out, (derived, source), pulse).await
    })
    .await?;
    report.insert("warnings".to_owned(), record["warnings"].clone());
    if !context.json && record.get("nonfinite").is_some() {
        // The last one is of what was found in the weights; the others were told before.
        let last = record["warnings"].as_array().and_then(|told| told.last()).unwrap_or(&record);
        let text = |name: &str| last[name].as_str().unwrap_or_default().to_owned();
        eprintln!("{}", caution(&Item { pointer: text("pointer"), message: text("message") }));
    }
    let kept = record["run"]["resumed_bytes"].as_u64().unwrap_or_default();
    let device = registry.devices.told();
    if device.used != "cpu" {
        context.progress.tell(format_args!("computed on {device}"));
    }
    if kept > 0 {
        context.progress.tell(format_args!("went on after {kept} bytes that were there already"));
    }
    let mut digest = None;
    if register {
        let row =
            jobs::ingest_made(registry, out, &id, jobs::Made { provenance: Some(record), ..made }).await?;
        digest = row.digest;
    }
    if context.json {
        let registered = register.then(|| id.to_string());
        let told = [
            ("out", serde_json::json!(out)),
            ("registered", serde_json::json!(registered)),
            ("digest", serde_json::json!(digest)),
            ("resumed_bytes", serde_json::json!(kept)),
            ("device", serde_json::json!(device)),
        ];
        report.extend(told.map(|(name, value)| (name.to_owned(), value)));
        output::json(&report);
    } else {
        output::line(out.display());
    }
    Ok(())
}
