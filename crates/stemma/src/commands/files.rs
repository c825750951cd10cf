//! `stemma manifest`: the files of a model, or of a folder.

use std::path::Path;

use domain::Class;

use super::Context;
use crate::{exit::Failure, output, wiring};

/// Prints the files of a revision, or of a checkpoint folder.
pub async fn manifest(context: Context, (id, revision): (&str, Option<&str>)) -> Result<(), Failure> {
    if Path::new(id).is_dir() && revision.is_none() {
        output::json(&jobs::manifest_in(Path::new(id), &context.config.limits)?);
        return Ok(());
    }
    let registry = wiring::open(&context.config).await?;
    let Some(manifest) = jobs::manifest(&registry, (id, revision), "").await? else {
        let told = format!("no files of `{id}` are stored here");
        return Err(Failure::new("not_found", Class::NotFound, told));
    };
    output::json(&manifest);
    Ok(())
}
