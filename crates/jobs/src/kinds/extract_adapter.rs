//! Makes a LoRA adapter of a fine-tune and its base, and publishes it.

use std::collections::BTreeMap;

use analysis::lowrank::Shaping;
use domain::{Digest, RepoId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Asked, Kind, Run};
use crate::{Access, Error, Registry, adapters, published, retry::again, submit::pins};

/// The kind.
pub const EXTRACT_ADAPTER: Kind = Kind {
    id: "extract_adapter",
    title: "Adapter extraction",
    run: |run| Box::pin(async move { extract(run).await }),
    again: again::<ExtractPayload>,
};

/// What a queued extraction needs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ExtractPayload {
    pub base: String,
    pub tuned: String,
    /// Most singular values of a module; 32 when neither this nor `energy` is given.
    pub rank: Option<usize>,
    /// Or the share of a module's squared change that its factors hold.
    pub energy: Option<f64>,
    /// Regular expressions for the names of modules.
    pub include: Option<String>,
    pub exclude: Option<String>,
    /// Number format of the factors.
    pub dtype: Option<String>,
    #[serde(flatten)]
    pub shaping: Shaping,
    pub output: RepoId,
    /// Digests of the inputs when the job was queued.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pins: BTreeMap<String, Digest>,
}

impl Asked for ExtractPayload {
    const KIND: &'static str = EXTRACT_ADAPTER.id;

    fn output(&self) -> Option<&RepoId> {
        Some(&self.output)
    }

    async fn inputs(&self, registry: &Registry) -> Result<BTreeMap<String, Digest>, Error> {
        let plan = adapters::plan_extract(registry, self, &Access::registry()).await?;
        Ok(pins([&plan.base, &plan.tuned]))
    }
}

async fn extract(run: Run) -> Result<Value, Error> {
    let payload: ExtractPayload = run.payload()?;
    run.pulse.begin("opening the models", 0);
    let access = Access::Registry(payload.pins.clone());
    let plan = adapters::plan_extract(&run.registry, &payload, &access).await?;
    let made = match adapters::extract(&run.registry, plan, payload.output, &run.pulse).await {
        Err(_) if run.pulse.cancelled() => return Err(Error::Cancelled),
        other => other?,
    };
    let published = published::publish_derived(&run, made.derived, made.source).await?;
    let mut result = made.report;
    result.extend(published);
    Ok(Value::Object(result))
}
