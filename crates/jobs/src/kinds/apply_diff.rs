//! Adds a stored difference to a base and publishes the result.

use std::collections::BTreeMap;

use domain::{Digest, RepoId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Asked, Kind, Run};
use crate::{Access, Error, Registry, applied, published, retry::again, submit::pins};

/// The kind.
pub const APPLY_DIFF: Kind = Kind {
    id: "apply_diff",
    title: "Diff applied",
    run: |run| Box::pin(async move { apply(run).await }),
    again: again::<ApplyPayload>,
};

/// What a queued application needs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ApplyPayload {
    pub base: String,
    /// A model that holds a stored difference, or a member of one.
    pub diff: String,
    /// Strength of the difference; 1 adds it as it is.
    pub scale: f64,
    pub output: RepoId,
    /// Digests of the inputs when the job was queued.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pins: BTreeMap<String, Digest>,
}

impl Asked for ApplyPayload {
    const KIND: &'static str = APPLY_DIFF.id;

    fn output(&self) -> Option<&RepoId> {
        Some(&self.output)
    }

    async fn inputs(&self, registry: &Registry) -> Result<BTreeMap<String, Digest>, Error> {
        Ok(pins(&applied::plan_apply(registry, self, &Access::registry()).await?.inputs))
    }
}

async fn apply(run: Run) -> Result<Value, Error> {
    let payload: ApplyPayload = run.payload()?;
    run.pulse.begin("opening the models", 0);
    let access = Access::Registry(payload.pins.clone());
    let plan = applied::plan_apply(&run.registry, &payload, &access).await?;
    Ok(Value::Object(published::publish_derived(&run, plan.derived, plan.source).await?))
}
