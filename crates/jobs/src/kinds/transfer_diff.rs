//! Adds a fine-tune's diff vector to another base model and publishes the result (arXiv 2503.20110).

use std::{collections::BTreeMap, sync::Arc};

use analysis::transfer::Options;
use domain::{Digest, Relation, RepoId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Kind, Run};
use crate::{Error, output, plan_transfer};

/// The kind.
pub const TRANSFER_DIFF: Kind =
    Kind { id: "transfer_diff", title: "Transfer", run: |run| Box::pin(async move { transfer(run).await }) };

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

async fn transfer(run: Run) -> Result<Value, Error> {
    let payload: TransferPayload = run.payload()?;
    run.pulse.begin("opening the models", 0);
    let plan = plan_transfer(&run.registry, &payload, &crate::Access::Registry(payload.pins.clone())).await?;
    let made = output::Derived {
        id: payload.output.clone(),
        relation: Relation::Transfer,
        parents: vec![plan.target.clone(), plan.tuned.clone()],
        inputs: vec![plan.target.clone(), plan.tuned.clone(), plan.base.clone()],
        heir: plan.heir(),
        recipe: plan.recipe.clone(),
        extras: output::Extras::default(),
        recipe_file: None,
        summary: format!(
            "`{} + {} × ({} − {})` by `{}`, computed here without training.",
            payload.target_base,
            plan.options.lambda,
            payload.source_tuned,
            payload.source_base,
            plan.options.preset
        ),
        dtype: None,
        adapter: None,
        warnings: Vec::new(),
        policies: Vec::new(),
    };
    Ok(Value::Object(output::publish_derived(&run, made, Arc::clone(&plan.source)).await?))
}
