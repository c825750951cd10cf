//! `stemma merge`, and what it shares with other makers of models: a folder on disk, and a registered model when asked.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use analysis::merge::{Explained, ExplainedSource};
use domain::{Class, Fault as _, Item, RepoId};
use indicatif::BinaryBytes;
use jobs::{Access, AppliedForecast, Derived, Forecast, MergePlan, Pin, Pulse, Registry};
use serde_json::Value;

use super::Context;
use crate::{
    cli::{MergeArgs, MergekitOptions, Target, Writing},
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
    let MergeArgs { recipe, writing: Writing { target, max_shard_size }, explain, document, mergekit } = args;
    let context = context.sharded(max_shard_size.or(mergekit.out_shard_size));
    let yaml =
        fs_err::read_to_string(recipe).map_err(|e| Failure::new("io", Class::NotFound, e.to_string()))?;
    let notes = mergekit.idle.told().into_iter().chain(mergekit.told().map(str::to_owned));
    notes.for_each(|note| context.progress.tell(note));
    let wanted = Wanted { yaml, target, explain, mergekit };
    let results = match document {
        Some(name) => return one(&context, wanted.only(&name)?).await,
        None => analysis::merge::results(&wanted.yaml).map_err(jobs::Error::from)?,
    };
    if results.is_empty() {
        return one(&context, wanted).await;
    }
    let each = results.iter().map(|name| wanted.only(name)?.within(name));
    let each = each.collect::<Result<Vec<Wanted>, Failure>>()?;
    // What is wrong with the last is told before the first is written.
    let mut planned = Vec::new();
    for wanted in each {
        planned.push(wanted.planned(&context).await?);
    }
    if let Some(out) = wanted.target.folder() {
        fs_err::create_dir_all(out).map_err(|e| Failure::new("io", Class::Invalid, e.to_string()))?;
    }
    let mut told = Vec::new();
    for (name, planned) in results.into_iter().zip(planned) {
        told.push((name, planned.done(&context).await?));
    }
    Told::all(&context, told);
    Ok(())
}

/// Makes the only result that is asked for, or tells of it.
async fn one(context: &Context, wanted: Wanted) -> Result<(), Failure> {
    let Told { document, lines } = wanted.planned(context).await?.done(context).await?;
    foretell(context, &document, |_| lines);
    Ok(())
}

/// A result of a recipe that is asked for.
#[derive(Clone)]
struct Wanted {
    yaml: String,
    target: Target,
    explain: Option<Option<String>>,
    mergekit: MergekitOptions,
}

impl Wanted {
    /// The result of the document called `name`.
    fn only(&self, name: &str) -> Result<Self, Failure> {
        let yaml = analysis::merge::only(&self.yaml, name).map_err(jobs::Error::from)?;
        Ok(Self { yaml, ..self.clone() })
    }

    /// One of several results: in a folder of its name, and registered under it.
    fn within(mut self, name: &str) -> Result<Self, Failure> {
        let bad = |message: String| Failure::new("bad_id", Class::Invalid, message);
        let sound = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if !name.chars().all(sound) || name.starts_with('.') {
            return Err(bad(format!(
                "the recipe has several results, of which `{name}` cannot be the name of a folder: letters, digits, `-`, `_` and `.` can; \
                 `--document` makes one of them"
            )));
        }
        self.target.out = self.target.out.map(|out| out.join(name));
        self.target.register = match self.target.register {
            Some(prefix) if !prefix.ends_with('/') => {
                return Err(bad(format!(
                    "the recipe has several results: `{REGISTER} {prefix}/` registers each as {prefix}/NAME, and `--document` makes one of them"
                )));
            }
            register => register.map(|prefix| format!("{prefix}{name}")),
        };
        Ok(self)
    }

    /// Checked against its models.
    async fn planned(self, context: &Context) -> Result<Planned, Failure> {
        let mut registry = wiring::open(&context.config).await?;
        if let Some(out) = &self.target.out {
            registry = registry.beside(out);
        }
        let (mut stages, faults) = analysis::merge::read_stages(&self.yaml).map_err(jobs::Error::from)?;
        self.mergekit.settle(&mut stages);
        let access = Access::Folders(Pin::Content);
        let plan = async |_: &RepoId| jobs::plan_read(&registry, (stages, faults), &access).await;
        let (id, plan) = id_beside(&self.target, plan).await?;
        Ok(Planned { wanted: self, registry, id, plan })
    }
}

/// A result that can be made.
struct Planned {
    wanted: Wanted,
    registry: Registry,
    id: RepoId,
    plan: MergePlan,
}

impl Planned {
    /// Makes it, or tells what was asked of it.
    async fn done(self, context: &Context) -> Result<Told, Failure> {
        let Self { wanted: Wanted { yaml, target, explain, mergekit }, registry, id, plan } = self;
        if let Some(part) = explain {
            return Ok(explained(&plan, &part.unwrap_or_default()));
        }
        let Some(out) = target.folder() else {
            plan.fits(&registry.scratch)?;
            let mut forecast = plan.forecast(1 + u64::from(target.register.is_some()), &registry.scratch);
            forecast.made = jobs::made_before(&registry, &plan.recipe).await?;
            return Ok(Told::of(&forecast, lines));
        };
        // What an attempt that was killed left is part of the result.
        if !jobs::workplace_of(out).exists() {
            plan.fits(&registry.scratch)?;
        }
        let derived = plan.derived(id, format!("{}{yaml}", mergekit.comments()), mergekit.extras());
        let job = Job { derived, source: plan.source, out, register: target.register.is_some() };
        let report = made(context, &registry, job, serde_json::Map::new()).await?;
        Ok(Told { document: Value::Object(report), lines: vec![out.display().to_string()] })
    }
}

/// What a command found or made: a JSON document, or lines.
struct Told {
    document: Value,
    lines: Vec<String>,
}

impl Told {
    fn of<T: serde::Serialize>(found: &T, lines: impl FnOnce(&T) -> Vec<String>) -> Self {
        Self { document: serde_json::json!(found), lines: lines(found) }
    }

    /// Several by their names, as one document.
    fn all(context: &Context, told: Vec<(String, Self)>) {
        let (mut documents, mut lines) = (serde_json::Map::new(), Vec::new());
        for (name, Self { document, lines: own }) in told {
            let named = |line: String| format!("{name}: {line}");
            lines.extend(own.into_iter().map(named));
            documents.insert(name, document);
        }
        foretell(context, &Value::Object(documents), |_| lines);
    }
}

/// Which values the tensors get that have `part` in their names.
fn explained(plan: &MergePlan, part: &str) -> Told {
    let told: Vec<Explained> = plan.source.explain().filter(|told| told.tensor.contains(part)).collect();
    Told::of(&told, |told| told.iter().map(explanation).collect())
}

/// One tensor as a line.
fn explanation(told: &Explained) -> String {
    let values = |values: &BTreeMap<&str, Value>| {
        values.iter().map(|(name, value)| format!(" {name}={}", plain(value))).collect::<String>()
    };
    let source = |source: &ExplainedSource| {
        let other = Some(&source.tensor).filter(|tensor| **tensor != told.tensor);
        let other = other.map(|tensor| format!(" ({tensor})")).unwrap_or_default();
        format!("{}{other}{}", source.model, values(&source.parameters))
    };
    let policy = told.policy.as_ref().map(|policy| format!(" by {policy}")).unwrap_or_default();
    let made = format!("{}: {}{policy}{}", told.tensor, told.made, values(&told.parameters));
    let base = told.base.iter().map(|base| format!("base {}", source(base)));
    [made].into_iter().chain(told.models.iter().map(source)).chain(base).collect::<Vec<_>>().join("; ")
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
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
    report: serde_json::Map<String, serde_json::Value>,
) -> Result<(), Failure> {
    let out = job.out.display().to_string();
    let report = made(context, registry, job, report).await?;
    foretell(context, &report, |_| vec![out]);
    Ok(())
}

/// Writes the folder, registers it when asked, and gives what there is to tell beside `report`.
async fn made(
    context: &Context,
    registry: &Registry,
    job: Job<'_>,
    mut report: serde_json::Map<String, serde_json::Value>,
) -> Result<serde_json::Map<String, serde_json::Value>, Failure> {
    let Job { derived, source, out, register } = job;
    let (id, made) = (derived.id.clone(), derived.made());
    let known = derived.cautions(&*source);
    if !context.json {
        known.iter().for_each(|warning| eprintln!("{}", caution(warning)));
    }
    let record = shown(context, "writing", async |pulse: &Pulse| {
        jobs::write_folder(registry, out, (derived, source), pulse).await
    })
    .await?;
    report.insert("warnings".to_owned(), record["warnings"].clone());
    // Behind those that were told before is what was found in the weights.
    let found = record["warnings"].as_array().into_iter().flatten().skip(known.len());
    for warning in found.filter(|_| !context.json) {
        let text = |name: &str| warning[name].as_str().unwrap_or_default().to_owned();
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
    let registered = register.then(|| id.to_string());
    let told = [
        ("out", serde_json::json!(out)),
        ("registered", serde_json::json!(registered)),
        ("digest", serde_json::json!(digest)),
        ("resumed_bytes", serde_json::json!(kept)),
        ("device", serde_json::json!(device)),
    ];
    report.extend(told.map(|(name, value)| (name.to_owned(), value)));
    Ok(report)
}
