//! Looks at the lineage of the models that a new one is news for: its declared children, and those that it may be the
//! parent of.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Kind, Run};
use crate::{Error, parentage};

/// The kind.
pub const RECOVER_LINEAGE: Kind = Kind {
    id: "recover_lineage",
    title: "Lineage from weights",
    run: |run| Box::pin(async move { recover(run).await }),
};

/// What a queued look needs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RecoverPayload {
    /// The model that is news.
    pub model: String,
}

async fn recover(run: Run) -> Result<Value, Error> {
    let payload: RecoverPayload = run.payload()?;
    run.pulse.begin("comparing sketches", 0);
    let Some(row) = run.registry.store.model_by_id(&payload.model).await? else {
        return Ok(json!({ "model": payload.model, "children": 0 }));
    };
    let mut looked = 0;
    for child in parentage::examine_with_affected(&run.registry, row.id).await? {
        if run.pulse.cancelled() {
            return Err(Error::Cancelled);
        }
        looked += u64::from(parentage::examine(&run.registry, child).await?.is_some());
    }
    Ok(json!({ "model": payload.model, "children": looked }))
}
