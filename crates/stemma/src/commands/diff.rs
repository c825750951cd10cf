//! `stemma diff`: the comparison of two models, their difference as a file, and a file applied to a base.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use analysis::diff::DiffReport;
use domain::{Class, RepoId};
use jobs::{
    Access, ApplyPayload, DiffFile, DiffForm, DiffPayload, Form, Pin, Pulse, Reading, Registry, Workplace,
};

use super::{
    Context,
    derive::{self, applied, id_beside},
    watched::watched,
};
use crate::{
    cli::{self, DiffArgs, DiffCommand, Writing},
    exit::Failure,
    output, wiring,
};

/// Per-tensor comparison, and the diff itself with `--out`; or the command below it.
pub async fn run(context: Context, args: DiffArgs) -> Result<(), Failure> {
    let DiffArgs { a, b, out, form, command } = args;
    if let Some(command) = command {
        return apply(context, command).await;
    }
    let [a, b] = [a, b].map(Option::unwrap_or_default);
    if let Some(out) = out.as_ref().filter(|out| out.exists()) {
        let told = format!("{} exists already; name a new file", out.display());
        return Err(Failure::new("output_exists", Class::Conflict, told));
    }
    let registry = wiring::open(&context.config).await?;
    let cli::DiffForm { form, with, density, rank, dtype } = form;
    let form = DiffForm { form, density, rank: rank.rank, energy: rank.energy, dtype };
    let asked = DiffPayload { tuned: a.clone(), with, base: b.clone(), form, pins: BTreeMap::new() };
    if let (Form::Emr, Some(out)) = (asked.check(&registry.limits)?, &out) {
        return share(&context, registry, (&asked, out)).await;
    }
    let form = asked.form;
    let compare = async |registry: &Registry| {
        let looking = (&Access::Folders(Pin::Nothing), Reading::Weights);
        jobs::compare(registry, [&a, &b], looking).await
    };
    let report = watched((&context, &registry), "comparing", compare).await?;
    let Some(out) = out else {
        print(&context, &report, None);
        return Ok(());
    };
    // The file says by content what it was taken of.
    let tuned = jobs::open_operand(&registry, &a, &Access::Folders(Pin::Content)).await?;
    let base = jobs::open_operand(&registry, &b, &Access::Folders(Pin::Content)).await?;
    let beside = beside(&out);
    let place = Workplace::new_in(&beside).map_err(io)?;
    let registry = Registry { scratch: beside, ..registry };
    let written = derive::shown(&context, "writing", async |pulse: &Pulse| {
        jobs::write_diff((&registry, &place), (&tuned, &base), &form, pulse).await
    });
    let written = written.await?;
    print(&context, &report, Some(&written));
    keep(&context, &written, &out)
}

/// Writes the difference that several fine-tunes share, and tells how near each comes.
async fn share(
    context: &Context,
    registry: Registry,
    (asked, out): (&DiffPayload, &Path),
) -> Result<(), Failure> {
    let models = jobs::open_members(&registry, asked, &Access::Folders(Pin::Content)).await?;
    let beside = beside(out);
    let place = Workplace::new_in(&beside).map_err(io)?;
    let registry = Registry { scratch: beside, ..registry };
    let written = derive::shown(context, "writing", async |pulse: &Pulse| {
        jobs::write_unified((&registry, &place), &models, &asked.form, pulse).await
    });
    let written = written.await?;
    if context.json {
        output::json(&serde_json::json!({ "written": written.report, "bytes": written.bytes }));
    } else {
        for member in written.report["members"].as_array().into_iter().flatten() {
            let number = |key: &str| member[key].as_f64().unwrap_or_default();
            let name = member["name"].as_str().unwrap_or_default();
            let (scale, error) = (number("scale"), number("relative_error"));
            output::line(format!("{name}\tscale {scale:.6}\trelative error {error:.6}"));
        }
    }
    keep(context, &written, out)
}

/// Gives the file its name.
fn keep(context: &Context, written: &DiffFile, out: &Path) -> Result<(), Failure> {
    jobs::persist(&written.file, out).map_err(io)?;
    context.progress.tell(format_args!("wrote {} ({} bytes)", out.display(), written.bytes));
    Ok(())
}

/// The folder that a file goes into.
fn beside(out: &Path) -> PathBuf {
    let parent = out.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or_else(|| Path::new(".")).to_owned()
}

fn io(error: std::io::Error) -> Failure {
    Failure::new("io", Class::Internal, error.to_string())
}

fn print(context: &Context, report: &DiffReport, written: Option<&DiffFile>) {
    if context.json {
        let mut body = serde_json::json!(report);
        if let (Some(fields), Some(written)) = (body.as_object_mut(), written) {
            fields.insert("written".to_owned(), serde_json::json!(written.report));
        }
        return output::json(&body);
    }
    output::line(&report.verdict);
    for t in &report.tensors {
        let number = |v: Option<f64>| v.map_or("-".to_owned(), |v| format!("{v:.6}"));
        output::line(format!(
            "{}\trel_l2 {}\tcos {}\tmax {}\tunchanged {}",
            t.name,
            number(t.relative_l2),
            number(t.cosine),
            number(t.max_abs),
            t.unchanged_share.map_or("-".to_owned(), |share| format!("{:.2}%", share * 100.0))
        ));
    }
    if let Some(energy) = written.and_then(|written| written.report.get("energy")?.as_f64()) {
        output::line(format!("the file holds {:.2}% of the squared norm of the difference", energy * 100.0));
    }
}

/// Adds a stored difference to a base.
async fn apply(context: Context, command: DiffCommand) -> Result<(), Failure> {
    let DiffCommand::Apply { base, diff, scale, writing: Writing { target, max_shard_size } } = command;
    let context = context.sharded(max_shard_size);
    let registry = wiring::open(&context.config).await?;
    let plan = async |output: &RepoId| {
        let payload = ApplyPayload { base, diff, scale, output: output.clone(), pins: BTreeMap::new() };
        jobs::plan_apply(&registry, &payload, &Access::Folders(Pin::Content)).await
    };
    let (_, plan) = id_beside(&target, plan).await?;
    let forecast = plan.forecast();
    applied((&context, &registry), &target, (plan.derived, plan.source, forecast)).await
}
