//! Stored differences added to a model: the one they were taken of, or another that they are carried over to.

use std::{collections::BTreeSet, sync::Arc};

use analysis::{diff::ApplySource, recipe::Recipe, transfer::Options};
use domain::{Item, Relation, RepoId};
use serde::Serialize;
use serde_json::json;
use weights::{TensorInfo, TensorSource};

use crate::{
    Access, Derived, Error, Operand, Registry,
    faults::{Faults, placed},
    kinds::{ApplyPayload, StoredPayload},
    operand::open_all,
    submit::pin,
    taken::Origins,
};

/// A checked application of a difference, ready to stream.
pub struct AppliedPlan {
    pub derived: Derived,
    pub source: Arc<dyn TensorSource>,
    /// What was read, to be pinned.
    pub(crate) inputs: [Operand; 2],
    /// What the difference was taken of.
    origins: Option<Origins>,
}

/// What the application of a difference or of an adapter gives.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AppliedForecast {
    /// Digest of the recipe.
    pub recipe_digest: String,
    /// The models that the result descends from.
    pub parents: Vec<String>,
    /// Tensors of the result.
    pub tensors: usize,
    /// Their bytes.
    pub bytes: u64,
    /// What the job will warn of.
    pub warnings: Vec<Item>,
}

impl AppliedForecast {
    /// Of what `source` will give.
    pub(crate) fn of(derived: &Derived, source: &dyn TensorSource) -> Self {
        let tensors = source.tensors();
        Self {
            recipe_digest: derived.recipe.digest().to_string(),
            parents: derived.parents.iter().map(|parent| parent.label.clone()).collect(),
            tensors: tensors.len(),
            bytes: tensors.iter().map(TensorInfo::bytes).sum(),
            warnings: derived.cautions(source),
        }
    }
}

impl AppliedPlan {
    /// What the result will be, from headers alone.
    pub fn forecast(&self) -> AppliedForecast {
        AppliedForecast::of(&self.derived, &*self.source)
    }
}

/// What a difference is added to.
struct Sum<'a> {
    /// The place of the base in the request, and its name.
    base: (&'a str, &'a str),
    diff: &'a str,
    options: &'a Options,
    output: &'a RepoId,
}

/// Checks `base + scale·diff` for a stored difference.
///
/// # Errors
/// Unknown models, an operand that is no difference, a scale that is not finite, and every tensor that does not fit.
pub async fn plan_apply(
    registry: &Registry,
    wanted: &ApplyPayload,
    access: &Access,
) -> Result<AppliedPlan, Error> {
    let mut faults = Faults::default();
    let scale = wanted.scale;
    if !scale.is_finite() {
        faults.say("/scale", "it must be a finite number; 1 adds the whole difference");
    }
    let options =
        Options { lambda: json!(if scale.is_finite() { scale } else { 1.0 }), ..Options::default() };
    let sum =
        Sum { base: ("/base", &wanted.base), diff: &wanted.diff, options: &options, output: &wanted.output };
    let planned = faults.take(plan_sum(registry, sum, access).await);
    let mut plan = faults.done(planned)?;
    let [base, diff] = &plan.inputs;
    plan.derived.warnings = plan.origins.iter().filter_map(|of| of.caution(diff, base)).collect();
    let [base, diff] = [pin(base), pin(diff)];
    plan.derived.recipe = Recipe::ApplyDiff { base, diff, lambda: scale };
    Ok(plan)
}

/// Checks a transfer of a stored difference, whatever form it is stored in, to a model that has its tensors.
///
/// # Errors
/// As [`plan_apply`], and every fault of the options.
pub async fn plan_stored_transfer(
    registry: &Registry,
    wanted: &StoredPayload,
    access: &Access,
) -> Result<AppliedPlan, Error> {
    let StoredPayload { target_base, diff, options, output, .. } = wanted;
    plan_sum(registry, Sum { base: ("/target_base", target_base), diff, options, output }, access).await
}

async fn plan_sum(registry: &Registry, sum: Sum<'_>, access: &Access) -> Result<AppliedPlan, Error> {
    let mut faults = Faults::default();
    let options = faults.take(sum.options.canonical().map_err(Error::from));
    let opened = faults.take(open_all(registry, [sum.base, ("/diff", sum.diff)], access).await);
    let (options, [base, diff]) = faults.done(options.zip(opened))?;
    let mut faults = Faults::default();
    let base = faults.at(sum.base.0, base.whole());
    if !weights::is_difference(&*diff.source) {
        faults.say("/diff", format!("`{}` is not a stored difference", diff.label));
    }
    if options.sparsify.is_some() {
        faults.say("/sparsify", "a stored difference is carried over whole; store it sparse instead");
    }
    let base = faults.done(base)?.with_weights(registry).await?;
    let origins = Origins::of(registry, &diff).await?;
    let source = ApplySource::new(Arc::clone(&base.source), Arc::clone(&diff.source), &options);
    let source = source.map_err(|error| placed(error.into(), "/diff"))?;
    let (lambda, label) = (&options.lambda, &diff.label);
    let of = origins.as_ref().map(|of| format!(", which is {}", of.sum())).unwrap_or_default();
    let summary = format!("`{} + {lambda} × {label}`{of}, computed without training.", base.label);
    // A difference that is a model of the registry has a part in the result, as the fine-tune has that it was taken of.
    let stored = diff.id.is_some().then_some(&diff);
    let tuned = origins.iter().flat_map(|of| &of.tuned);
    let parents: Vec<Operand> = [&base].into_iter().chain(tuned).chain(stored).cloned().collect();
    let taken = origins.iter().flat_map(|of| of.tuned.iter().chain(&of.base));
    let inputs = [&base, &diff].into_iter().chain(taken).cloned().collect();
    let recipe = Recipe::TransferDiff { target_base: pin(&base), diff: pin(&diff), options };
    let made = (sum.output.clone(), Relation::Transfer);
    let derived = Derived::new(made, (distinct(parents), inputs), (base.clone(), recipe), summary);
    Ok(AppliedPlan { derived, source: Arc::new(source), inputs: [base, diff], origins })
}

/// The same without models of an id that one before has.
fn distinct(mut models: Vec<Operand>) -> Vec<Operand> {
    let mut seen = BTreeSet::new();
    models.retain(|model| model.id.as_ref().is_none_or(|id| seen.insert(id.key())));
    models
}
