//! Stores the difference of two models as a safetensors artefact.

use std::collections::BTreeMap;

use domain::Digest;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use store::Holder;

use super::{Kind, Run};
use crate::{
    Access, Error,
    artefact::{DiffFile, DiffForm, write_diff},
    open_operand,
};

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
    /// How it is stored.
    #[serde(flatten)]
    pub form: DiffForm,
    /// Digests of the inputs when the job was queued.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pins: BTreeMap<String, Digest>,
}

async fn diff(run: Run) -> Result<Value, Error> {
    let payload: DiffPayload = run.payload()?;
    run.pulse.begin("opening the models", 0);
    let tuned = open_operand(&run.registry, &payload.tuned, &Access::Registry(payload.pins.clone())).await?;
    let base = open_operand(&run.registry, &payload.base, &Access::Registry(payload.pins.clone())).await?;
    let place = run.workplace()?;
    let written = write_diff((&run.registry, &place), (&tuned, &base), &payload.form, &run.pulse).await;
    let DiffFile { file, bytes, report, kept } = match written {
        Err(_) if run.pulse.cancelled() => return Err(Error::Cancelled),
        other => other?,
    };
    run.told_kept(kept);
    let (store, holder) = (&run.registry.store, Holder::new());
    let (digest, _) = store.put_file(&holder, &file).await?;
    match store.keep_result((&run.job.id, run.job.fence), &digest).await {
        Ok(()) => store.release(&holder).await?,
        Err(error) => {
            store.discard(&holder, &[digest]).await?;
            return Err(error.into());
        }
    }
    let mut result = Map::from_iter([
        ("blob".to_owned(), json!(digest)),
        ("bytes".to_owned(), json!(bytes)),
        ("tuned".to_owned(), json!(tuned.label)),
        ("base".to_owned(), json!(base.label)),
        ("resumed_bytes".to_owned(), json!(kept)),
    ]);
    result.extend(report);
    Ok(Value::Object(result))
}
