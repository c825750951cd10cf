//! Reads the weights of models whose lineage sketches told, and of their families.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Kind, Run};
use crate::{Error, parentage, retry::plain};

/// The kind.
pub const RECOVER_LINEAGE: Kind = Kind {
    id: "recover_lineage",
    title: "Lineage from weights",
    run: |run| Box::pin(async move { recover(run).await }),
    again: plain,
};

/// What a queued look says: the models that are due are written down elsewhere.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RecoverPayload {
    /// How many they were.
    pub models: usize,
}

async fn recover(run: Run) -> Result<Value, Error> {
    let compared = parentage::examine_due(&run.registry, &run.pulse).await?;
    Ok(json!({ "compared": compared }))
}
