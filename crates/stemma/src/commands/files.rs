//! `stemma manifest`: the files of a model.

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
