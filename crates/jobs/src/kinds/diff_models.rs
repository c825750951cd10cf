//! Stores the difference of two models as a safetensors artefact.

use std::{collections::BTreeMap, sync::Arc};

use domain::Digest;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::Holder;

use super::{Kind, Run};
use crate::{Access, Error, open_operand, output};

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
    /// Digests of the inputs when the job was queued.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pins: BTreeMap<String, Digest>,
}

async fn diff(run: Run) -> Result<Value, Error> {
    let payload: DiffPayload = run.payload()?;
    let tuned = open_operand(&run.registry, &payload.tuned, &Access::Registry(payload.pins.clone())).await?;
    let base = open_operand(&run.registry, &payload.base, &Access::Registry(payload.pins.clone())).await?;
    let source = Arc::new(analysis::diff::DiffSource::new(tuned.source, base.source)?);
    let (file, bytes) = output::write_scratch(&run.registry, source, &run.pulse).await?;
    let (store, holder) = (&run.registry.store, Holder::new());
    let (digest, _) = store.put_file(&holder, file.path()).await?;
    match store.keep_result((&run.job.id, run.job.fence), &digest).await {
        Ok(()) => store.release(&holder).await?,
        Err(error) => {
            store.discard(&holder, &[digest]).await?;
            return Err(error.into());
        }
    }
    Ok(json!({ "blob": digest, "bytes": bytes, "tuned": tuned.label, "base": base.label }))
}
