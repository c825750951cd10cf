//! Adds a fine-tune's diff vector to another base model and publishes the result (arXiv 2503.20110).

use std::collections::BTreeMap;

use analysis::transfer::Options;
use domain::{Digest, RepoId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Asked, Kind, Run};
use crate::{
    Access, Error, Registry, plan_stored_transfer, plan_transfer, published, retry::again, submit::pins,
};

/// The kind.
pub const TRANSFER_DIFF: Kind = Kind {
    id: "transfer_diff",
    title: "Transfer",
    run: |run| Box::pin(async move { transfer(run).await }),
    again: |registry, job, key| match StoredPayload::is(&job.payload) {
        true => again::<StoredPayload>(registry, job, key),
        false => again::<TransferPayload>(registry, job, key),
    },
};

/// What a queued transfer needs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TransferPayload {
    pub target_base: String,
    pub source_base: String,
    pub source_tuned: String,
    /// Preset, λ and patterns.
    #[serde(flatten)]
    pub options: Options,
    pub output: RepoId,
    /// Digests of the inputs when the job was queued.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pins: BTreeMap<String, Digest>,
}

/// What a queued transfer of a stored difference needs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StoredPayload {
    pub target_base: String,
    /// A model that holds a stored difference, or a member of one.
    pub diff: String,
    /// Preset, λ and patterns.
    #[serde(flatten)]
    pub options: Options,
    pub output: RepoId,
    /// Digests of the inputs when the job was queued.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pins: BTreeMap<String, Digest>,
}

impl StoredPayload {
    /// Whether a transfer was asked for with a stored difference in the place of two models.
    pub(crate) fn is(payload: &Value) -> bool {
        payload.get("diff").is_some()
    }
}

impl Asked for TransferPayload {
    const KIND: &'static str = TRANSFER_DIFF.id;

    fn output(&self) -> Option<&RepoId> {
        Some(&self.output)
    }

    async fn inputs(&self, registry: &Registry) -> Result<BTreeMap<String, Digest>, Error> {
        let plan = plan_transfer(registry, self, &Access::registry()).await?;
        Ok(pins([&plan.target, &plan.base, &plan.tuned]))
    }
}

impl Asked for StoredPayload {
    const KIND: &'static str = TRANSFER_DIFF.id;

    fn output(&self) -> Option<&RepoId> {
        Some(&self.output)
    }

    async fn inputs(&self, registry: &Registry) -> Result<BTreeMap<String, Digest>, Error> {
        Ok(pins(&plan_stored_transfer(registry, self, &Access::registry()).await?.inputs))
    }
}

async fn carry(run: Run) -> Result<Value, Error> {
    let payload: StoredPayload = run.payload()?;
    run.pulse.begin("opening the models", 0);
    let access = Access::Registry(payload.pins.clone());
    let plan = plan_stored_transfer(&run.registry, &payload, &access).await?;
    Ok(Value::Object(published::publish_derived(&run, plan.derived, plan.source).await?))
}

async fn transfer(run: Run) -> Result<Value, Error> {
    if StoredPayload::is(&run.job.payload) {
        return carry(run).await;
    }
    let payload: TransferPayload = run.payload()?;
    run.pulse.begin("opening the models", 0);
    let plan = plan_transfer(&run.registry, &payload, &Access::Registry(payload.pins.clone())).await?;
    let summary = format!(
        "`{} + {} × ({} − {})` by `{}`, computed here without training.",
        payload.target_base,
        plan.options.lambda,
        payload.source_tuned,
        payload.source_base,
        plan.options.preset
    );
    let made = plan.derived(payload.output, summary);
    Ok(Value::Object(published::publish_derived(&run, made, plan.source).await?))
}
