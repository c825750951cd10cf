//! Merges models as a mergekit YAML says and publishes the result.

use std::collections::BTreeMap;

use domain::{Digest, Relation, RepoId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Kind, Run};
use crate::{Error, output, submit::plan_merge};

/// The kind.
pub const MERGE_MODELS: Kind =
    Kind { id: "merge_models", title: "Merge", run: |run| Box::pin(async move { merge(run).await }) };

/// What a queued merge needs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MergePayload {
    pub yaml: String,
    pub output: RepoId,
    /// Digests of the inputs when the job was queued.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pins: BTreeMap<String, Digest>,
}

async fn merge(run: Run) -> Result<Value, Error> {
    let payload: MergePayload = run.payload()?;
    run.pulse.begin("opening the models", 0);
    let plan =
        plan_merge(&run.registry, &payload.yaml, &crate::Access::Registry(payload.pins.clone())).await?;
    let made = output::Derived {
        id: payload.output,
        relation: Relation::Merge,
        parents: plan.parents(),
        inputs: plan.inputs.values().cloned().collect(),
        heir: plan.heir.clone(),
        recipe: plan.recipe.clone(),
        recipe_file: Some(("mergekit_config.yml".to_owned(), payload.yaml)),
        summary: format!("Merged by `{}`.", plan.method),
        dtype: plan.dtype.clone(),
        adapter: None,
        warnings: plan.cautions(),
        policies: plan.policies.clone(),
    };
    Ok(Value::Object(output::publish_derived(&run, made, plan.source).await?))
}
