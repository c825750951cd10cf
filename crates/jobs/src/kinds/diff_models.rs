//! Stores the difference of two models as a safetensors artefact.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Kind, Run};
use crate::{Error, Folders, open_operand, output};

/// The kind.
pub const DIFF_MODELS: Kind =
    Kind { id: "diff_models", title: "Diff", run: |run| Box::pin(async move { diff(run).await }) };

/// What a queued diff needs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DiffPayload {
    /// The minuend.
    pub tuned: String,
    /// The subtrahend.
    pub base: String,
}

async fn diff(run: Run) -> Result<Value, Error> {
    let payload: DiffPayload = run.payload()?;
    let tuned = open_operand(&run.registry, &payload.tuned, Folders::Refused).await?;
    let base = open_operand(&run.registry, &payload.base, Folders::Refused).await?;
    let source = Arc::new(analysis::diff::DiffSource::new(tuned.source, base.source)?);
    let (file, bytes) = output::write_scratch(&run.registry, source, &run.pulse).await?;
    let (digest, _) = run.registry.store.put_file(file.path()).await?;
    Ok(json!({ "blob": digest, "bytes": bytes, "tuned": tuned.label, "base": base.label }))
}
