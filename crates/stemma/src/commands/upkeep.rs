//! `stemma migrate`, `doctor`, `fsck`, `gc`, `backup`, `restore`, `completions`.

use clap::CommandFactory as _;
use domain::Class;
use jobs::{LeftOver, ReadSoFar, Registry};
use serde_json::json;
use store::{Copied, Extent};

use super::{
    Context, service,
    watched::{counted, watched},
};
use crate::{
    cli::{Cli, UpkeepCommand},
    exit::Failure,
    output, wiring,
};

/// Runs one of them.
pub async fn run(context: Context, command: UpkeepCommand) -> Result<(), Failure> {
    match command {
        UpkeepCommand::Migrate => {
            wiring::open(&context.config).await?;
            if context.json {
                output::json(&json!({ "schema": "current" }));
            } else {
                output::line("schema is current");
            }
            Ok(())
        }
        UpkeepCommand::Doctor => service::doctor(context).await,
        UpkeepCommand::Fsck { models } => fsck(context, &models).await,
        UpkeepCommand::Gc { dry_run: true } => look_for_leftovers(context).await,
        UpkeepCommand::Gc { dry_run: false } => remove_leftovers(context).await,
        UpkeepCommand::Backup { folder, blobs_only } => {
            let extent = if blobs_only { Extent::Blobs } else { Extent::Whole };
            let registry = wiring::existing(&context.config).await?;
            let read = ReadSoFar::default();
            let heard = |bytes| read.add(bytes);
            let copy = async || registry.store.back_up_heard(&folder, extent, &heard).await;
            let copied = counted((&context, &read), "copying", copy).await?;
            told(&context, &copied, "copied")
        }
        UpkeepCommand::Restore { folder, blobs_only } => {
            let extent = if blobs_only { Extent::Blobs } else { Extent::Whole };
            let config = &context.config;
            store::create_private(&config.data).map_err(|error| {
                let told = format!("the data folder cannot be made: {error}");
                Failure::new("data_folder", Class::Unavailable, told)
            })?;
            let places = (config.database_url(), config.blobs_url());
            let read = ReadSoFar::default();
            let (heard, places) = (|bytes| read.add(bytes), (places.0.as_str(), places.1.as_str()));
            let bring = async || store::restore_heard(&folder, places, (extent, &heard)).await;
            let copied = counted((&context, &read), "copying", bring).await?;
            told(&context, &copied, "restored")
        }
        UpkeepCommand::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "stemma", &mut script);
            let script = String::from_utf8_lossy(&script);
            match context.json {
                true => output::json(&json!({ "shell": shell.to_string(), "script": script })),
                false => output::raw(&script),
            }
            Ok(())
        }
    }
}

/// Says what was copied and what could not be.
fn told(context: &Context, copied: &Copied, verb: &str) -> Result<(), Failure> {
    let Copied { blobs, bytes, known, lacking } = copied;
    if context.json {
        let lacking: Vec<_> =
            lacking.iter().map(|(digest, why)| json!({ "digest": digest, "fault": why })).collect();
        output::json(&json!({ "blobs": blobs, "bytes": bytes, "known": known, "lacking": lacking }));
    } else {
        for (digest, why) in lacking {
            output::line(format!("{digest}  {why}"));
        }
        output::line(format!("{blobs} blobs of {bytes} bytes {verb}, {known} were there"));
    }
    match lacking.len() {
        0 => Ok(()),
        lacking => {
            let told = format!(
                "{lacking} blobs are damaged or missing and were left out; everything else is {verb}. Bring their \
                 models in again from good files; `stemma fsck` names them"
            );
            Err(Failure::new("blob_damaged", Class::Internal, told))
        }
    }
}

/// Says which blobs nothing names.
async fn look_for_leftovers(context: Context) -> Result<(), Failure> {
    let registry = wiring::existing(&context.config).await?;
    let found = registry.store.leftovers().await?;
    let (blobs, bytes) = (found.unnamed.len(), found.bytes());
    if context.json {
        let unnamed: Vec<_> =
            found.unnamed.iter().map(|(digest, size)| json!({ "digest": digest, "size": size })).collect();
        output::json(&json!({ "blobs": blobs, "bytes": bytes, "removed": false, "unnamed": unnamed }));
        return Ok(());
    }
    for (digest, size) in &found.unnamed {
        output::line(format!("{digest}  {size}"));
    }
    output::line(format!("{blobs} blobs of {bytes} bytes would be removed"));
    Ok(())
}

/// Removes the blobs that nothing names.
async fn remove_leftovers(context: Context) -> Result<(), Failure> {
    let registry = wiring::existing(&context.config).await?;
    let found = registry.store.leftovers().await?;
    let (blobs, bytes) = registry.store.remove_leftovers(&found).await?;
    if context.json {
        output::json(&json!({ "blobs": blobs, "bytes": bytes, "removed": true }));
    } else {
        output::line(format!("{blobs} blobs of {bytes} bytes removed"));
    }
    Ok(())
}

/// Compares stored files with their digests and prints those that are damaged.
async fn fsck(context: Context, models: &[String]) -> Result<(), Failure> {
    let registry = wiring::existing(&context.config).await?;
    let look = async |registry: &Registry| jobs::fsck(registry, models).await;
    let report = watched((&context, &registry), "checking", look).await?;
    if context.json {
        output::json(&report);
    } else {
        for damage in &report.damaged {
            output::line(format!("{}  {}", damage.digest, damage.fault));
            for place in &damage.places {
                output::line(format!("    {}  {}", place.model, place.path));
            }
        }
        output::line(format!(
            "{} files of {} bytes read, {} damaged",
            report.files,
            report.bytes,
            report.damaged.len()
        ));
        for name in &report.queued_again {
            output::line(format!("{name}  is brought in again from the Hub"));
        }
        if let Some(left) = report.left_over.filter(|left| left.blobs > 0) {
            let LeftOver { blobs, bytes } = left;
            output::line(format!("{blobs} blobs of {bytes} bytes left over; `stemma gc` removes them"));
        }
    }
    match report.damaged.len() {
        0 => Ok(()),
        damaged => {
            let told = format!(
                "{damaged} stored files are damaged or missing; bring their models in again from good files"
            );
            Err(Failure::new("blob_damaged", Class::Internal, told))
        }
    }
}
