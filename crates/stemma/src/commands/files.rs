//! `stemma manifest` and `stemma fsck`: the files of models, and whether they are what their digests say.

use domain::Class;

use super::Context;
use crate::{exit::Failure, output, wiring};

/// Prints the files of a revision.
pub async fn manifest(context: Context, (id, revision): (&str, Option<&str>)) -> Result<(), Failure> {
    let registry = wiring::open(&context.config).await?;
    let Some(manifest) = jobs::manifest(&registry, (id, revision), "").await? else {
        let told = format!("no files of `{id}` are stored here");
        return Err(Failure::new("not_found", Class::NotFound, told));
    };
    output::json(&manifest);
    Ok(())
}

/// Compares stored files with their digests and prints those that are damaged.
pub async fn fsck(context: Context, models: &[String]) -> Result<(), Failure> {
    let registry = wiring::open(&context.config).await?;
    let report = jobs::fsck(&registry, models).await?;
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
