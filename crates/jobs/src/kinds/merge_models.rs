//! Merges models as a mergekit YAML says and publishes the result.

use std::collections::BTreeMap;

use domain::{Digest, RepoId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Asked, Kind, Run};
use crate::{
    Access, Error, Extras, Registry, published,
    retry::again,
    stages::planned,
    submit::{pins, plan_merge},
};

/// The kind.
pub const MERGE_MODELS: Kind = Kind {
    id: "merge_models",
    title: "Merge",
    run: |run| Box::pin(async move { merge(run).await }),
    again: again::<MergePayload>,
};

/// What a queued merge needs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MergePayload {
    pub yaml: String,
    pub output: RepoId,
    #[serde(default, skip_serializing_if = "is_usual")]
    pub extras: Extras,
    /// Digests of the inputs when the job was queued.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pins: BTreeMap<String, Digest>,
}

fn is_usual(extras: &Extras) -> bool {
    *extras == Extras::default()
}

impl Asked for MergePayload {
    const KIND: &'static str = MERGE_MODELS.id;

    fn output(&self) -> Option<&RepoId> {
        Some(&self.output)
    }

    async fn inputs(&self, registry: &Registry) -> Result<BTreeMap<String, Digest>, Error> {
        let stages = analysis::merge::read_stages(&self.yaml)?;
        let plan = planned(registry, stages, &Access::registry()).await?;
        plan.fits(&registry.scratch)?;
        Ok(pins(plan.inputs.values()))
    }
}

async fn merge(run: Run) -> Result<Value, Error> {
    let payload: MergePayload = run.payload()?;
    run.pulse.begin("opening the models", 0);
    let plan = plan_merge(&run.registry, &payload.yaml, &Access::Registry(payload.pins.clone())).await?;
    let made = plan.derived(payload.output, payload.yaml, payload.extras);
    Ok(Value::Object(published::publish_derived(&run, made, plan.source).await?))
}
