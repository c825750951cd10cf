//! Requests for derived models: everything knowable from headers is checked before a job is queued.

use std::{collections::BTreeMap, sync::Arc};

use analysis::{
    merge::MergeConfig,
    recipe::{Pinned, Recipe},
    transfer::TransferSource,
};
use domain::RepoId;
use serde_json::{Value, json};
use store::{JobRow, NewJob};
use weights::TensorSource;

use crate::{
    Error, Folders, Operand, Registry,
    kinds::{DIFF_MODELS, DiffPayload, MERGE_MODELS, MergePayload, TRANSFER_DIFF, TransferPayload},
    open_operand,
};

/// Ask for a merge.
#[derive(Debug, Clone)]
pub struct MergeRequest {
    pub yaml: String,
    pub output: RepoId,
    pub key: Option<String>,
}

/// Ask for a transfer.
#[derive(Debug, Clone)]
pub struct TransferRequest {
    pub payload: TransferPayload,
    pub key: Option<String>,
}

/// Ask for a diff artefact.
#[derive(Debug, Clone)]
pub struct DiffRequest {
    pub payload: DiffPayload,
    pub key: Option<String>,
}

/// A checked merge, ready to stream.
pub struct MergePlan {
    pub config: MergeConfig,
    pub method: String,
    pub operands: Vec<Operand>,
    /// Whose config and tokenizer the result inherits.
    pub heir: Operand,
    pub recipe: Recipe,
    pub dtype: Option<String>,
    pub source: Arc<dyn TensorSource>,
}

impl MergePlan {
    /// The merged models, without the base unless it is merged itself.
    pub fn parents(&self) -> Vec<Operand> {
        self.operands.clone()
    }
}

/// A checked transfer, ready to stream.
pub struct TransferPlan {
    pub target: Operand,
    pub tuned: Operand,
    pub base: Operand,
    pub recipe: Recipe,
    pub source: Arc<dyn TensorSource>,
}

impl TransferPlan {
    /// The target's config with the tuned model's tokenizer, as the paper does it.
    pub fn heir(&self) -> Operand {
        Operand { companions: self.tuned.companions.clone(), ..self.target.clone() }
    }
}

fn pin(operand: &Operand) -> Pinned {
    Pinned { id: operand.label.clone(), digest: operand.digest.map(|d| d.to_string()).unwrap_or_default() }
}

/// Reads and checks a merge recipe against the headers of its inputs.
///
/// # Errors
/// Every fault of the recipe at once.
pub async fn plan_merge(registry: &Registry, yaml: &str, folders: Folders) -> Result<MergePlan, Error> {
    let config = analysis::merge::parse(yaml)?;
    let mut operands: BTreeMap<String, Operand> = BTreeMap::new();
    let mut missing = Vec::new();
    for name in config.model_refs() {
        match open_operand(registry, &name, folders).await {
            Ok(operand) => drop(operands.insert(name, operand)),
            Err(error @ (Error::UnknownModel(_) | Error::NoWeights(_))) => missing.push(error),
            Err(error) => return Err(error),
        }
    }
    if !missing.is_empty() {
        let items = missing
            .into_iter()
            .map(|error| domain::Item { pointer: "/models".to_owned(), message: error.to_string() })
            .collect();
        return Err(analysis::Error::Faults(items).into());
    }
    let inputs = operands.iter().map(|(name, o)| (name.clone(), Arc::clone(&o.source))).collect();
    let source = analysis::merge::check(&config, &inputs)?;
    let heir_name = config.base_model.clone().or_else(|| config.model_refs().into_iter().next());
    let heir = heir_name
        .and_then(|name| operands.get(&name).cloned())
        .ok_or_else(|| Error::Invalid("the recipe names no model".to_owned()))?;
    let recipe = Recipe::Merge {
        config: config.canonical(),
        inputs: operands.iter().map(|(name, o)| (name.clone(), pin(o))).collect(),
    };
    let merged = config.merged_refs();
    let parents = merged.iter().filter_map(|name| operands.get(name).cloned()).collect();
    Ok(MergePlan {
        method: config.merge_method.clone(),
        dtype: config.out_dtype.clone().or_else(|| config.dtype.clone()),
        operands: parents,
        heir,
        recipe,
        source: Arc::new(source),
        config,
    })
}

/// Checks a transfer against the headers of its three operands.
///
/// # Errors
/// Unknown models and every mismatch at once.
pub async fn plan_transfer(
    registry: &Registry,
    wanted: &TransferPayload,
    folders: Folders,
) -> Result<TransferPlan, Error> {
    if !wanted.lambda.is_finite() {
        return Err(Error::Invalid("lambda must be a finite number; 1 adds the whole diff".to_owned()));
    }
    let target = open_operand(registry, &wanted.target_base, folders).await?;
    let base = open_operand(registry, &wanted.source_base, folders).await?;
    let tuned = open_operand(registry, &wanted.source_tuned, folders).await?;
    let source = TransferSource::new(
        Arc::clone(&target.source),
        Arc::clone(&base.source),
        Arc::clone(&tuned.source),
        wanted.lambda,
    )?;
    let recipe = Recipe::Transfer {
        target_base: pin(&target),
        source_base: pin(&base),
        source_tuned: pin(&tuned),
        lambda: wanted.lambda,
    };
    Ok(TransferPlan { target, tuned, base, recipe, source: Arc::new(source) })
}

async fn free_name(registry: &Registry, output: &RepoId) -> Result<(), Error> {
    match registry.store.model_by_id(output.as_str()).await? {
        Some(row) if row.has_weights => Err(Error::OutputExists(row.name)),
        _ => Ok(()),
    }
}

async fn enqueue(
    registry: &Registry,
    kind: &str,
    payload: Value,
    key: Option<String>,
) -> Result<JobRow, Error> {
    let (job, _) =
        registry.store.enqueue(NewJob { kind: kind.to_owned(), payload, idempotency_key: key }).await?;
    registry.queued.notify_one();
    Ok(job)
}

/// Checks and queues a merge.
///
/// # Errors
/// As [`plan_merge`], and [`Error::OutputExists`].
pub async fn submit_merge(registry: &Registry, request: MergeRequest) -> Result<JobRow, Error> {
    plan_merge(registry, &request.yaml, Folders::Refused).await?;
    free_name(registry, &request.output).await?;
    let payload = json!(MergePayload { yaml: request.yaml, output: request.output });
    enqueue(registry, MERGE_MODELS.id, payload, request.key).await
}

/// Checks and queues a transfer.
///
/// # Errors
/// As [`plan_transfer`], and [`Error::OutputExists`].
pub async fn submit_transfer(registry: &Registry, request: TransferRequest) -> Result<JobRow, Error> {
    plan_transfer(registry, &request.payload, Folders::Refused).await?;
    free_name(registry, &request.payload.output).await?;
    enqueue(registry, TRANSFER_DIFF.id, json!(request.payload), request.key).await
}

/// Checks and queues a diff artefact.
///
/// # Errors
/// Unknown models, or layouts without a common tensor.
pub async fn submit_diff(registry: &Registry, request: DiffRequest) -> Result<JobRow, Error> {
    let tuned = open_operand(registry, &request.payload.tuned, Folders::Refused).await?;
    let base = open_operand(registry, &request.payload.base, Folders::Refused).await?;
    analysis::diff::DiffSource::new(tuned.source, base.source)?;
    enqueue(registry, DIFF_MODELS.id, json!(request.payload), request.key).await
}
