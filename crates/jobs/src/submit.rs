//! Requests for derived models: everything knowable from headers is checked before a job is queued.

use std::{collections::BTreeMap, sync::Arc};

use analysis::{
    merge::{Input, MergeConfig, MergeSource},
    recipe::{Pinned, Recipe},
};
use domain::{Digest, Fault as _, RepoId};
use serde_json::{Value, json};
use store::{JobRow, NewJob, PINS};

use crate::{
    Access, Error, Operand, Registry,
    ingest::not_reserved,
    inherit::{fit_layers, set_template},
    kinds::{DIFF_MODELS, DiffPayload, MERGE_MODELS, MergePayload},
    open_operand,
};

/// Ask for a merge.
#[derive(Debug, Clone)]
pub struct MergeRequest {
    pub yaml: String,
    pub output: RepoId,
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
    /// The models whose weights are in the result.
    pub operands: Vec<Operand>,
    /// Everything opened, by the name the recipe gives it.
    pub inputs: BTreeMap<String, Operand>,
    /// Whose config and tokenizer the result inherits.
    pub heir: Operand,
    pub recipe: Recipe,
    pub dtype: Option<String>,
    pub source: Arc<MergeSource>,
}

impl MergePlan {
    /// The merged models, without the base unless it is merged itself.
    pub fn parents(&self) -> Vec<Operand> {
        self.operands.clone()
    }
}

pub(crate) fn pin(operand: &Operand) -> Pinned {
    Pinned {
        id: operand.label.clone(),
        digest: operand.digest.map(|d| d.to_string()).unwrap_or_default(),
        base: operand.base.as_deref().map(|base| Box::new(pin(base))),
    }
}

/// Reads and checks a merge recipe against the headers of its inputs.
///
/// # Errors
/// Every fault of the recipe at once.
pub async fn plan_merge(registry: &Registry, yaml: &str, access: &Access) -> Result<MergePlan, Error> {
    plan_config(registry, analysis::merge::parse(yaml)?, access).await
}

/// [`plan_merge`] of a recipe that is read already.
///
/// # Errors
/// As [`plan_merge`].
pub async fn plan_config(
    registry: &Registry,
    config: MergeConfig,
    access: &Access,
) -> Result<MergePlan, Error> {
    let refs = config.model_refs();
    let (listed, most) = (refs.len().max(config.widest()), registry.limits.merge_models);
    if listed > most {
        let message = format!("{listed} models are listed; at most {most} are merged");
        let item = domain::Item { pointer: "/models".to_owned(), message };
        return Err(analysis::Error::Faults(vec![item]).into());
    }
    let mut operands: BTreeMap<String, Operand> = BTreeMap::new();
    let mut missing = Vec::new();
    let files = config.file_refs();
    for name in refs.iter().chain(&files).cloned() {
        match open_operand(registry, &name, access).await {
            Ok(operand) => drop(operands.insert(name, operand)),
            Err(error) if error.code() == "quantised_layout" => missing.push(error),
            Err(error @ (Error::UnknownModel(_) | Error::NoWeights(_) | Error::NoBase { .. })) => {
                missing.push(error)
            }
            Err(error) => return Err(error),
        }
    }
    let opened = |(name, operand): (&String, &Operand)| {
        let input = Input { source: Arc::clone(&operand.source), content: pin(operand).content() };
        (name.clone(), input)
    };
    let inputs = operands.iter().map(opened).collect();
    if !missing.is_empty() {
        let mut items: Vec<domain::Item> = missing
            .into_iter()
            .map(|error| domain::Item { pointer: "/models".to_owned(), message: error.to_string() })
            .collect();
        // The check tells of missing models too, but not why they are missing.
        if let Err(analysis::Error::Faults(more)) = analysis::merge::check(&config, &inputs, &registry.limits)
        {
            items.extend(more.into_iter().filter(|item| !item.message.ends_with("among the inputs")));
        }
        return Err(analysis::Error::Faults(items).into());
    }
    let source = analysis::merge::check(&config, &inputs, &registry.limits)?;
    // A file beside a model has no tokenizer.
    let models = operands.iter().filter(|(name, _)| refs.contains(name));
    let models = models.map(|(name, operand)| (name.clone(), operand.clone())).collect();
    one_tokenizer(&config, &models, registry.limits.hub_file_bytes).await?;
    let mut heir = config
        .heir()
        .and_then(|name| operands.get(&name).cloned())
        .ok_or_else(|| Error::Invalid("the recipe names no model".to_owned()))?;
    fit_layers(&mut heir, &source, &operands);
    if let Some(template) = &config.chat_template {
        set_template(registry, &mut heir, template).await?;
    }
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
        inputs: operands,
        heir,
        recipe,
        source: Arc::new(source),
        config,
    })
}

/// A recipe that asks for a tokenizer other than the heir's is honoured where all have the same one.
async fn one_tokenizer(
    config: &MergeConfig,
    operands: &BTreeMap<String, Operand>,
    limit: u64,
) -> Result<(), Error> {
    let Some(source) = config.tokenizer_source.as_deref().filter(|source| *source != "base") else {
        return Ok(());
    };
    let mut seen: Option<(&str, Option<Digest>)> = None;
    for (name, operand) in operands {
        let digest = operand.companion_digest("tokenizer.json", limit).await?;
        match seen {
            None => seen = Some((name, digest)),
            Some((first, known)) if known != digest => {
                let message = format!(
                    "`{source}` needs one tokenizer in all models, and those of `{first}` and `{name}` differ; \
                     only `base` is supported then"
                );
                let item = domain::Item { pointer: "/tokenizer_source".to_owned(), message };
                return Err(analysis::Error::Faults(vec![item]).into());
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// A request for a job, before anything about it is checked.
pub(crate) struct Wanted {
    pub(crate) kind: &'static str,
    pub(crate) payload: Value,
    pub(crate) output: Option<RepoId>,
    pub(crate) key: Option<String>,
}

/// Queues what `plan` finds possible. A request that is known by its key is answered with its job, whatever
/// has become of its inputs and its output since.
pub(crate) async fn submit<P>(registry: &Registry, wanted: Wanted, plan: P) -> Result<JobRow, Error>
where
    P: AsyncFnOnce() -> Result<BTreeMap<String, Digest>, Error>,
{
    let mut job = NewJob {
        kind: wanted.kind.to_owned(),
        payload: wanted.payload,
        idempotency_key: wanted.key,
        output: wanted.output.as_ref().map(RepoId::key),
    };
    if let Some(known) = registry.store.known(&job).await? {
        return Ok(known);
    }
    wanted.output.as_ref().map_or(Ok(()), not_reserved)?;
    let pins = plan().await?;
    if let Some(output) = &wanted.output
        && let Some(row) = registry.store.model_by_id(output.as_str()).await?
        && row.has_weights
    {
        return Err(Error::OutputExists(row.name));
    }
    if let Some(fields) = job.payload.as_object_mut() {
        fields.insert(PINS.to_owned(), json!(pins));
    }
    let (job, _) = registry.store.enqueue(job, registry.limits.queued_jobs).await?;
    registry.queued.notify_one();
    Ok(job)
}

/// What the operands were when the job was queued: a revision published meanwhile does not change the result.
pub(crate) fn pins<'o>(operands: impl IntoIterator<Item = &'o Operand>) -> BTreeMap<String, Digest> {
    let mut pins = BTreeMap::new();
    for operand in operands {
        let mut parts = Some(operand);
        while let Some(part) = parts {
            pins.extend(part.digest.map(|digest| (part.asked.clone(), digest)));
            parts = part.base.as_deref();
        }
    }
    pins
}

/// Checks and queues a merge.
///
/// # Errors
/// As [`plan_merge`], and [`Error::OutputExists`].
pub async fn submit_merge(registry: &Registry, request: MergeRequest) -> Result<JobRow, Error> {
    let MergeRequest { yaml, output, key } = request;
    let payload = MergePayload { yaml: yaml.clone(), output: output.clone(), pins: BTreeMap::new() };
    let wanted = Wanted { kind: MERGE_MODELS.id, payload: json!(payload), output: Some(output), key };
    submit(registry, wanted, async || {
        let plan = plan_merge(registry, &yaml, &Access::registry()).await?;
        Ok(pins(plan.inputs.values()))
    })
    .await
}

/// Checks and queues a diff artefact.
///
/// # Errors
/// Unknown models, layouts without a common tensor, or a form that contradicts itself.
pub async fn submit_diff(registry: &Registry, request: DiffRequest) -> Result<JobRow, Error> {
    let DiffRequest { payload, key } = request;
    let wanted = Wanted { kind: DIFF_MODELS.id, payload: json!(payload), output: None, key };
    submit(registry, wanted, async || {
        payload.form.check(&registry.limits)?;
        let access = Access::registry();
        let tuned = open_operand(registry, &payload.tuned, &access).await?;
        let base = open_operand(registry, &payload.base, &access).await?;
        analysis::diff::DiffSource::new(Arc::clone(&tuned.source), Arc::clone(&base.source))?;
        Ok(pins([&tuned, &base]))
    })
    .await
}
