//! Bakes a LoRA adapter into a base and publishes the whole model.

use std::collections::BTreeMap;

use domain::{Digest, RepoId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Asked, Kind, Run};
use crate::{Access, Error, Registry, adapters, published, retry::again, submit::pins};

/// The kind.
pub const BAKE_ADAPTER: Kind = Kind {
    id: "bake_adapter",
    title: "Adapter bake",
    run: |run| Box::pin(async move { bake(run).await }),
    again: again::<BakePayload>,
};

/// What a queued bake needs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BakePayload {
    pub base: String,
    pub adapter: String,
    /// Strength of the adapter; 1 applies it as it is.
    pub scale: f64,
    pub output: RepoId,
    /// Digests of the inputs when the job was queued.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pins: BTreeMap<String, Digest>,
}

impl Asked for BakePayload {
    const KIND: &'static str = BAKE_ADAPTER.id;

    fn output(&self) -> Option<&RepoId> {
        Some(&self.output)
    }

    async fn inputs(&self, registry: &Registry) -> Result<BTreeMap<String, Digest>, Error> {
        Ok(pins(&adapters::plan_bake(registry, self, &Access::registry()).await?.inputs))
    }
}

async fn bake(run: Run) -> Result<Value, Error> {
    let payload: BakePayload = run.payload()?;
    run.pulse.begin("opening the models", 0);
    let access = Access::Registry(payload.pins.clone());
    let plan = adapters::plan_bake(&run.registry, &payload, &access).await?;
    Ok(Value::Object(published::publish_derived(&run, plan.derived, plan.source).await?))
}
