//! Adapters made and used up: extracted from a fine-tune, baked into a base.

use std::sync::Arc;

use analysis::{
    lowrank::{ExtractOptions, Extraction, Plan},
    recipe::Recipe,
};
use domain::{Item, Relation, RepoId};
use serde::Serialize;
use serde_json::{Map, Value, json};
use tempfile::NamedTempFile;
use weights::{LocalFile, TensorInfo, TensorSource};

use crate::{
    Access, AppliedForecast, Derived, Error, Operand, Registry, adapter,
    artefact::{dtype_of, rank_of, spool},
    faults::{Faults, placed},
    kinds::{BakePayload, ExtractPayload},
    licences, open_operand,
    operand::{all_missing, open_stored, open_whole},
    submit::pin,
    worker::Pulse,
};

/// Most modules named in a job's result; the file holds all of them.
const NAMED: usize = 1_000;

/// A checked extraction.
pub struct ExtractPlan {
    pub base: Operand,
    pub tuned: Operand,
    recipe: Recipe,
    extraction: Extraction,
}

/// An adapter whose factors are in scratch, ready to publish.
pub struct Adapter {
    pub derived: Derived,
    pub source: Arc<dyn TensorSource>,
    /// Captured energy, in all and by module, and what became of the other modules.
    pub report: Map<String, Value>,
    _scratch: NamedTempFile,
}

/// A checked bake, ready to stream.
pub struct BakePlan {
    pub derived: Derived,
    pub source: Arc<dyn TensorSource>,
    /// What was read, to be pinned.
    pub(crate) inputs: [Operand; 2],
}

impl BakePlan {
    /// What the result will be, from headers alone.
    pub fn forecast(&self) -> AppliedForecast {
        AppliedForecast::of(&self.derived, &*self.source)
    }
}

/// What is known of an extraction before anything is decomposed.
#[derive(Debug, Serialize)]
pub struct ExtractForecast {
    /// Digest of the recipe.
    pub recipe_digest: String,
    /// The models that the adapter descends from.
    pub parents: Vec<String>,
    /// What the job will warn of.
    pub warnings: Vec<Item>,
}

impl ExtractPlan {
    /// What the adapter will be, as far as headers tell.
    pub fn forecast(&self) -> ExtractForecast {
        ExtractForecast {
            recipe_digest: self.recipe.digest().to_string(),
            parents: [&self.base, &self.tuned].map(|parent| parent.label.clone()).to_vec(),
            warnings: licences::caution([&self.base, &self.tuned]).into_iter().collect(),
        }
    }
}

/// Checks an extraction against the headers of both models.
///
/// # Errors
/// Unknown models, options out of range, and every mismatch of the layouts at once.
pub async fn plan_extract(
    registry: &Registry,
    wanted: &ExtractPayload,
    access: &Access,
) -> Result<ExtractPlan, Error> {
    let mut faults = Faults::default();
    let rank = faults.take(rank_of(wanted.rank, wanted.energy, &registry.limits));
    let dtype = faults.at("/dtype", dtype_of(wanted.dtype.as_deref()));
    let mut pattern = |text: &Option<String>, pointer| {
        let read = text.as_deref().map(|text| ExtractOptions::pattern(text, pointer)).transpose();
        faults.take(read.map_err(Error::from)).flatten()
    };
    let (include, exclude) = (pattern(&wanted.include, "/include"), pattern(&wanted.exclude, "/exclude"));
    let opened = async {
        let base = open_whole(registry, &wanted.base, access).await;
        let base = base.map_err(|error| placed(error, "/base"))?;
        let tuned = open_operand(registry, &wanted.tuned, access).await.and_then(Operand::whole);
        Ok((base, tuned.map_err(|error| placed(error, "/tuned"))?))
    };
    let named = [("/base".to_owned(), wanted.base.as_str()), ("/tuned".to_owned(), &wanted.tuned)];
    let opened = faults.take(all_missing(registry, &named, access, opened.await).await);
    let (((base, tuned), rank), dtype) = faults.done(opened.zip(rank).zip(dtype))?;
    let options = ExtractOptions { rank, dtype, shaping: wanted.shaping, include, exclude };
    let extraction = Extraction::new(Arc::clone(&base.source), Arc::clone(&tuned.source), options)?;
    let mut asked = json!({
        "rank": rank, "dtype": dtype.name(), "include": wanted.include, "exclude": wanted.exclude,
    });
    if let (Value::Object(asked), Value::Object(shaping)) = (&mut asked, json!(wanted.shaping)) {
        asked.extend(shaping);
    }
    let recipe = Recipe::ExtractAdapter { base: pin(&base), tuned: pin(&tuned), options: asked };
    Ok(ExtractPlan { base, tuned, recipe, extraction })
}

/// Decomposes what `plan` found; the factors go to scratch.
///
/// # Errors
/// Nothing to extract, a head that only the fine-tune has, values that are not finite, failed reads and writes.
pub async fn extract(
    registry: &Registry,
    plan: ExtractPlan,
    id: RepoId,
    pulse: &Pulse,
) -> Result<Adapter, Error> {
    let ExtractPlan { base, tuned, recipe, extraction } = plan;
    pulse.begin("decomposing modules", base.source.tensors().iter().map(TensorInfo::bytes).sum());
    let (pulse, folder, config) = (pulse.clone(), registry.scratch.clone(), base.config.clone());
    let done = tokio::task::spawn_blocking(move || {
        spool(&folder, |out| Ok(extraction.run(config.as_ref(), out, &|bytes| Ok(pulse.advance(bytes)?))?))
    });
    let (scratch, made) = done.await??;
    let report = Map::from_iter([
        ("energy".to_owned(), json!(made.energy)),
        ("modules".to_owned(), json!(made.modules.iter().take(NAMED).collect::<Vec<_>>())),
        ("modules_to_save".to_owned(), json!(made.whole.iter().take(NAMED).collect::<Vec<_>>())),
        ("unchanged".to_owned(), json!(made.unchanged)),
    ]);
    let mut config = made.config;
    config.insert("base_model_name_or_path".to_owned(), json!(base.label));
    let summary = format!(
        "LoRA adapter extracted from `{}` for `{}`; its factors hold {:.2}\u{a0}% of the squared norm of the change.",
        tuned.label,
        base.label,
        made.energy * 100.0
    );
    let heir = Operand { license: tuned.license.clone().or_else(|| base.license.clone()), ..tuned.clone() };
    let of = vec![base, tuned];
    let derived = Derived {
        adapter: Some(Value::Object(config)),
        ..Derived::new((id, Relation::Adapter), (of.clone(), of), (heir, recipe), summary)
    };
    let source = opened(made.plan, &scratch)?;
    Ok(Adapter { derived, source, report, _scratch: scratch })
}

fn opened(plan: Plan, scratch: &NamedTempFile) -> Result<Arc<dyn TensorSource>, Error> {
    Ok(Arc::new(plan.open(Arc::new(LocalFile::open(scratch.path())?))))
}

/// Checks a bake: the adapter's factors against the base.
///
/// # Errors
/// Unknown models, an operand that is no adapter, and every reason why it does not fit.
pub async fn plan_bake(
    registry: &Registry,
    wanted: &BakePayload,
    access: &Access,
) -> Result<BakePlan, Error> {
    if !wanted.scale.is_finite() {
        let error = Error::Invalid("scale must be a finite number; 1 applies the whole adapter".to_owned());
        return Err(placed(error, "/scale"));
    }
    let opened = async {
        let base = open_whole(registry, &wanted.base, access).await;
        let base = base.map_err(|error| placed(error, "/base"))?;
        let adapter = open_stored(registry, &wanted.adapter, access).await;
        Ok((base, adapter.map_err(|error| placed(error, "/adapter"))?))
    };
    let named = [("/base".to_owned(), wanted.base.as_str()), ("/adapter".to_owned(), &wanted.adapter)];
    let (base, adapter) = all_missing(registry, &named, access, opened.await).await?;
    let recipe = Recipe::BakeAdapter { base: pin(&base), adapter: pin(&adapter), scale: wanted.scale };
    let baked = adapter::bake_scaled((adapter.clone(), wanted.scale), base.clone(), registry.limits).await;
    let baked = baked.map_err(|error| placed(error, "/adapter"))?;
    let source = Arc::clone(&baked.source);
    let summary = format!("`{} + {} × {}`, the adapter baked in.", base.label, wanted.scale, adapter.label);
    let (of, inputs) = (vec![base.clone(), adapter.clone()], [base, adapter]);
    let made = (wanted.output.clone(), Relation::Finetune);
    let derived = Derived::new(made, (of.clone(), of), (baked, recipe), summary);
    Ok(BakePlan { derived, source, inputs })
}
