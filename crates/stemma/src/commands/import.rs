//! `stemma import`.

use std::path::PathBuf;

use domain::{Class, Item, RepoId};
use jobs::DumpReport;

use super::Context;
use crate::{
    cli::ImportCommand,
    exit::Failure,
    output::{self, Progress},
    wiring,
};

/// Runs an import.
pub async fn run(context: Context, command: ImportCommand) -> Result<(), Failure> {
    match command {
        ImportCommand::Dir { path, id } => dir(context, path, &id).await,
        ImportCommand::Hub { ids, author, weights, parents } => {
            mirror(context, (ids, author), (weights, parents)).await
        }
        ImportCommand::Dump { files } => dumps(context, files).await,
    }
}

async fn dir(context: Context, path: PathBuf, id: &str) -> Result<(), Failure> {
    let id = RepoId::parse(id).map_err(|e| Failure::new("bad_id", Class::Invalid, e.to_string()))?;
    let registry = wiring::open(&context.config).await?;
    let bar = output::bar(context.progress, "storing");
    let row = jobs::ingest_folder(&registry, &path, &id, &|done, total| {
        bar.set_length(total);
        bar.set_position(done);
    })
    .await?;
    bar.finish_and_clear();
    if context.json {
        output::json(
            &serde_json::json!({ "id": row.name, "digest": row.digest, "has_weights": row.has_weights }),
        );
    } else {
        let digest = row.digest.map(|d| d.to_string()).unwrap_or_default();
        output::line(format!("{} {digest}", row.name));
        let notes = registry.store.notes_of(row.id).await.map_err(jobs::Error::from)?;
        for note in notes.iter().filter(|note| note.code == jobs::UNREAD) {
            output::line(format!("  {}: {}", note.code, note.detail));
        }
    }
    Ok(())
}

async fn mirror(
    context: Context,
    (mut ids, author): (Vec<String>, Option<String>),
    (take, parents): (jobs::Take, u32),
) -> Result<(), Failure> {
    let registry = wiring::open(&context.config).await?;
    if let Some(author) = author {
        let changed = jobs::changed_models(&registry, &author).await?;
        if changed.is_empty() && !context.json {
            output::line(format!("nothing of `{author}` is new or has changed"));
        }
        ids.extend(changed.iter().map(ToString::to_string));
    }
    let (mut done, mut faults) = (Vec::new(), Vec::new());
    for asked in ids {
        let wanted = jobs::Mirror { model: asked.clone(), take, parents, onto: None };
        let bar = output::bar(context.progress, "fetching");
        let advance = |got: u64, total: u64| {
            bar.set_length(total);
            bar.set_position(got);
            Ok(())
        };
        let brought = jobs::mirror(&registry, &wanted, None, &advance).await;
        bar.finish_and_clear();
        let mirrored = match brought {
            Ok(mirrored) => mirrored,
            Err(error) => {
                faults.push((asked, Failure::from(error)));
                continue;
            }
        };
        if !context.json {
            for model in &mirrored {
                let fetched = format!("{} files fetched, {} were here", model.fetched, model.known);
                let fault = model.fault.as_ref().map_or_else(String::new, |fault| format!(": {fault}"));
                output::line(format!("{} {} ({fetched}){fault}", model.id, model.commit));
            }
        }
        done.extend(mirrored);
    }
    if context.json {
        output::json(&done);
    }
    all_told("models", faults)
}

async fn dumps(context: Context, files: Vec<PathBuf>) -> Result<(), Failure> {
    let registry = wiring::open(&context.config).await?;
    let (mut reports, mut faults) = (Vec::new(), Vec::new());
    for file in files {
        let bar = output::bar(context.progress, "importing");
        let read = jobs::import_dump(&registry, &file, &|_, done, total| {
            bar.set_length(total);
            bar.set_position(done);
        })
        .await;
        bar.finish_and_clear();
        let report = match read {
            Ok(report) => report,
            Err(error) => {
                faults.push((file.display().to_string(), Failure::from(error)));
                continue;
            }
        };
        if let Some(fault) = report.fault() {
            faults.push((file.display().to_string(), Failure::from(fault)));
        } else if report.rows > 0 && report.skipped == report.rows {
            let first = report.skipped_rows.first().map_or("", |row| row.reason.as_str());
            let told = format!("{} holds no row that can be read; of the first: {first}", report.file);
            faults.push((file.display().to_string(), Failure::new("not_a_dump", Class::Invalid, told)));
        }
        if context.progress == Progress::Shown {
            for row in report.skipped_rows.iter().take(20) {
                let told = format!("{}:{}: skipped: {}", report.file, row.line, row.reason);
                context.progress.tell(output::harmless(&told));
            }
            if report.skipped > 20 {
                let (more, listed) = (report.skipped - 20, report.skipped_rows.len());
                eprintln!("{}: {more} more rows skipped; --json lists the first {listed}", report.file);
            }
        }
        if !context.json {
            let told = |count: u64, what: &str| match count {
                0 => String::new(),
                count => format!(", {count} {what}"),
            };
            let (repeated, older) =
                (told(report.repeated, "repeated"), told(report.older, "older than what is known"));
            output::line(format!(
                "{}: {} rows, {} models new, {} updated, {} edges, {} aliases, {} skipped{repeated}{older}",
                report.file,
                report.rows,
                report.models_inserted,
                report.models_updated,
                report.edges,
                report.aliases,
                report.skipped
            ));
            remarks(&report);
        }
        reports.push(report);
    }
    if context.json {
        output::json(&reports);
    }
    all_told("files", faults)
}

/// What else is to be known of an import, a line each.
fn remarks(report: &DumpReport) {
    if report.resumed_from > 0 {
        let from = report.resumed_from;
        output::line(format!("  resumed: rows up to {from} were taken when it was interrupted"));
    }
    if !report.unread_columns.is_empty() {
        output::line(format!("  columns that nothing reads: {}", report.unread_columns.join(", ")));
    }
    for (code, noted) in &report.notes {
        let models = if noted.models == 1 { "model" } else { "models" };
        output::line(format!(
            "  {code}: {} {models}, the first in row {}: {}",
            noted.models, noted.line, noted.detail
        ));
    }
    for (word, edges) in &report.unknown_relations {
        output::line(format!("  relation `{word}` is not known: {edges} edges taken as finetune"));
    }
}

/// The one fault, or the list of them with the code of the first.
fn all_told(what: &str, mut faults: Vec<(String, Failure)>) -> Result<(), Failure> {
    if faults.len() < 2 {
        return faults.pop().map_or(Ok(()), |(_, fault)| Err(fault));
    }
    let items =
        faults.iter().map(|(name, fault)| Item { pointer: name.clone(), message: fault.message.clone() });
    let message = format!("{} {what} cannot be imported", faults.len());
    let items = items.collect();
    let (_, first) = faults.swap_remove(0);
    Err(Failure { items, message, ..first })
}
