//! Requests for derived models: everything knowable from headers is checked before a job is queued.

use std::{collections::BTreeMap, sync::Arc};

use analysis::{
    merge::{MergeConfig, MergeSource, Stage, Touched},
    recipe::{Pinned, Recipe},
};
use domain::{Act, Digest, Item, Relation, RepoId, files::GENERATION_CONFIG};
use serde::Serialize;
use serde_json::{Value, json};
use store::{JobRow, NewJob, PINS};

use crate::{
    Access, Derived, Error, Extras, Operand, Registry,
    faults::Faults,
    ingest::not_reserved,
    inherit::TEMPLATE,
    kinds::{Asked, DiffPayload},
    stages::{plan_read, planned},
    strangers::Together,
};

/// A checked merge, ready to stream.
pub struct MergePlan {
    pub config: MergeConfig,
    pub method: String,
    /// The models whose weights are in the result.
    pub operands: Vec<Operand>,
    /// Every model opened, by the name the recipe gives it.
    pub inputs: BTreeMap<String, Operand>,
    /// Whose config and tokenizer the result inherits.
    pub heir: Operand,
    pub recipe: Recipe,
    pub dtype: Option<String>,
    pub source: Arc<MergeSource>,
    /// Rows of the tables of tokens.
    pub vocabulary: Option<u64>,
    pub warnings: Vec<Item>,
    /// What policies decided about tensors that the models do not have alike.
    pub policies: Vec<Touched>,
    /// Models whose weights are computed together.
    pub(crate) together: Vec<Together>,
    /// Digest of the recipe over what its models are, whatever they are called.
    pub(crate) content: Digest,
    /// What the merges behind its inputs need besides its own.
    pub behind: Needs,
}

/// Bytes that a merge needs on this machine while it runs.
#[derive(Debug, Clone, Copy, Default)]
pub struct Needs {
    pub memory: u64,
    /// Of files in scratch, beside the result.
    pub scratch: u64,
}

impl std::ops::Add for Needs {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let (memory, scratch) = (self.memory, self.scratch);
        Self { memory: memory.saturating_add(other.memory), scratch: scratch.saturating_add(other.scratch) }
    }
}

impl MergePlan {
    /// The model that the merge makes of the recipe `yaml`, to be called `id`.
    pub fn derived(&self, id: RepoId, yaml: String, extras: Extras) -> Derived {
        let mut heir = self.heir.clone();
        if !extras.copy_tokenizer {
            let asked = self.config.chat_template.is_some();
            // All other companions are parts of a tokenizer.
            heir.companions.retain(|companion| {
                companion.path == GENERATION_CONFIG || asked && companion.path == TEMPLATE
            });
        }
        let of = (self.operands.clone(), self.inputs.values().cloned().collect());
        let summary = format!("Merged by `{}`.", self.method);
        Derived {
            extras,
            recipe_file: Some((domain::files::MERGE_RECIPE.to_owned(), yaml)),
            dtype: self.dtype.clone(),
            warnings: self.cautions(),
            policies: self.policies.clone(),
            ..Derived::new((id, Relation::Merge), of, (heir, self.recipe.clone()), summary)
        }
    }
}

pub(crate) fn pin(operand: &Operand) -> Pinned {
    Pinned {
        id: operand.of_file().to_owned(),
        digest: operand.digest.map(|d| d.to_string()).unwrap_or_default(),
        member: operand.member.clone(),
        base: operand.base.as_deref().map(|base| Box::new(pin(base))),
        recipe: operand.planned.as_ref().map(|planned| Box::new(planned.recipe.clone())),
    }
}

/// Reads and checks a merge recipe against the headers of its inputs.
///
/// # Errors
/// Every fault of the recipe at once.
pub async fn plan_merge(registry: &Registry, yaml: &str, access: &Access) -> Result<MergePlan, Error> {
    plan_read(registry, analysis::merge::read_stages(yaml)?, access).await
}

/// [`plan_merge`] of a recipe of one document that is read already, without the warnings of models that have no common
/// origin.
///
/// # Errors
/// As [`plan_merge`].
pub async fn plan_config(
    registry: &Registry,
    config: MergeConfig,
    access: &Access,
) -> Result<MergePlan, Error> {
    let stage = Stage { name: None, config, pointer: String::new() };
    planned(registry, (vec![stage], Vec::new()), access).await
}

/// Checks what is asked for and queues a job for it; the same job for the same idempotency key.
///
/// # Errors
/// Everything that is wrong with the request; [`Error::OutputExists`] and its like, see [`with_output`].
pub async fn submit<A: Asked>(registry: &Registry, asked: A, key: Option<String>) -> Result<JobRow, Error> {
    let (kind, output) = (A::KIND, asked.output().cloned());
    let wanted = Wanted { kind, payload: json!(asked), output, key };
    queue(registry, wanted, async || asked.inputs(registry).await).await
}

/// A request for a job, before anything about it is checked.
struct Wanted {
    kind: &'static str,
    payload: Value,
    output: Option<RepoId>,
    key: Option<String>,
}

/// Queues what `plan` finds possible. A request that is known by its key is answered with its job, whatever
/// has become of its inputs and its output since.
async fn queue<P>(registry: &Registry, wanted: Wanted, plan: P) -> Result<JobRow, Error>
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
    let pins = match with_output(registry, wanted.output.as_ref(), plan).await {
        Ok(pins) => pins,
        // The same request may have been queued meanwhile: its own output is what stands in the way.
        Err(error) => return registry.store.known(&job).await.ok().flatten().ok_or(error),
    };
    if let (Some(output), true) = (&wanted.output, registry.store.met_private()) {
        // The result is private too, and somebody must be able to see it.
        registry.store.may(Act::Close, output.as_str()).await?;
    }
    if let Some(fields) = job.payload.as_object_mut() {
        fields.insert(PINS.to_owned(), json!(pins));
    }
    let (job, _) = registry.store.enqueue(job, registry.limits.queued_jobs).await?;
    registry.queued.notify_one();
    Ok(job)
}

/// What `plan` finds, if a job may make a model of the name `output` too, where one is given. A name that is taken is told among the faults
/// of what is planned.
///
/// # Errors
/// What is wrong with the plan; [`Error::ReservedName`], [`Error::OutputExists`], [`store::Error::OutputQueued`], or
/// that the viewer may not write there.
pub async fn with_output<P, T>(registry: &Registry, output: Option<&RepoId>, plan: P) -> Result<T, Error>
where
    P: AsyncFnOnce() -> Result<T, Error>,
{
    let Some(output) = output else { return plan().await };
    let mut faults = Faults::default();
    let reserved = faults.at("/output", not_reserved(output)).is_none();
    if !reserved {
        registry.store.may(Act::Write, output.as_str()).await?;
    }
    let planned = faults.take(plan().await);
    if !reserved {
        faults.at("/output", free(registry, output).await);
    }
    faults.done(planned)
}

/// Refuses a name that a model has, by its metadata alone too, or that a job will give. One that is known only because
/// others name it is free.
async fn free(registry: &Registry, output: &RepoId) -> Result<(), Error> {
    if let Some(row) = registry.store.model_by_id(output.as_str()).await?.filter(|row| !row.ghost) {
        return Err(Error::OutputExists(row.name));
    }
    Ok(registry.store.awaited(&output.key()).await?)
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

/// What a checked difference is taken of.
#[derive(Debug, Serialize)]
pub struct DiffForecast {
    /// How it will be stored.
    pub form: String,
    /// The models as they are now.
    pub inputs: BTreeMap<String, Digest>,
}

/// Checks a diff artefact against the headers of its models.
///
/// # Errors
/// Unknown models, layouts without a common tensor, or a form that contradicts itself.
pub async fn plan_diff(registry: &Registry, wanted: &DiffPayload) -> Result<DiffForecast, Error> {
    Ok(DiffForecast { form: wanted.form.word().to_owned(), inputs: wanted.inputs(registry).await? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_request_that_was_queued_while_it_was_checked_is_answered_with_its_job() {
        let folder = tempfile::tempdir().unwrap();
        let registry = crate::testing::registry(&folder).await;
        let wanted = || Wanted {
            kind: "merge_models",
            payload: json!({ "output": "a/out" }),
            output: Some(RepoId::parse("a/out").unwrap()),
            key: Some("key".to_owned()),
        };

        let answered = queue(&registry, wanted(), async || {
            queue(&registry, wanted(), async || Ok(BTreeMap::new())).await?;
            Ok(BTreeMap::new())
        })
        .await
        .unwrap();

        let page = registry.store.jobs(None, 10, None).await.unwrap();
        assert_eq!(page.items.iter().map(|job| &job.id).collect::<Vec<_>>(), [&answered.id]);
        let keyless = Wanted { key: None, ..wanted() };
        let refused = queue(&registry, keyless, async || Ok(BTreeMap::new())).await;
        assert!(refused.is_err(), "{refused:?}");
    }
}
