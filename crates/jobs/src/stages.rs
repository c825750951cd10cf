//! Merge recipes against the models they name: stage by stage, each a model that later ones read while it is computed.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Add as _,
    sync::Arc,
};

use analysis::{
    merge::{Input, Inputs, MergeConfig, OTHER_VOCABULARY, Stage, Touched, adapted, is_table, table_rows},
    recipe::Recipe,
};
use domain::{Digest, Fault as _, Item};
use weights::Scratch;

use crate::{
    Access, Error, MergePlan, Operand, Registry,
    adapter::bake,
    faults::is_fault,
    inherit::{fit_layers, set_template},
    open_operand,
    operand::open_stored,
    output::fitted,
    planned::Planned,
    prefix,
    strangers::{self, Together},
    submit::{Needs, pin},
    vocabulary::{Retokenized, retokenize},
};

/// Checks the stages of a recipe, the result last. No stage is written but the result: what reads an earlier one has
/// it computed. Where the recipe was found to have faults when it was read, those of its models are told with them.
///
/// # Errors
/// Every fault of every stage at once.
pub async fn plan_read(
    registry: &Registry,
    read: (Vec<Stage>, Vec<Item>),
    access: &Access,
) -> Result<MergePlan, Error> {
    let mut plan = planned(registry, read, access).await?;
    let together = std::mem::take(&mut plan.together);
    plan.warnings.extend(strangers::told(registry, together).await?);
    Ok(plan)
}

/// [`plan_read`] without the warnings of models that have no common origin, which cost a look at sketches or weights.
///
/// # Errors
/// As [`plan_read`].
pub(crate) async fn planned(
    registry: &Registry,
    (mut stages, mut faults): (Vec<Stage>, Vec<Item>),
    access: &Access,
) -> Result<MergePlan, Error> {
    let most = registry.limits.merge_models;
    if stages.len() > most {
        let message =
            format!("{} documents are given; at most {most} are read (`merge_models`)", stages.len());
        return Err(refused(vec![Item { pointer: String::new(), message }]));
    }
    // A fault of what is written has others as its consequence, at the same place or that of the key that was meant.
    let meant = |item: &Item| {
        let (_, key) = item.message.strip_suffix("`?")?.rsplit_once("did you mean `")?;
        let (above, _) = item.pointer.rsplit_once('/')?;
        Some(format!("{above}/{key}"))
    };
    let meant = faults.iter().filter_map(meant);
    let written: BTreeSet<String> = faults.iter().map(|item| item.pointer.clone()).chain(meant).collect();
    let mut planner = Planner {
        registry,
        access,
        opened: BTreeMap::new(),
        made: BTreeMap::new(),
        faulty: BTreeSet::new(),
        alone: None,
    };
    let (mut result, mut told) = (None, Told::default());
    let last = stages.len();
    if !written.is_empty() {
        stages.retain(|stage| !stage.config.model_refs().is_empty());
    }
    for (place, Stage { name, config, pointer }) in (1..).zip(stages) {
        let name = name.unwrap_or_default();
        match planner.plan(config).await {
            Ok(mut plan) => {
                told.take(&mut plan, &pointer);
                if place == last {
                    result = Some(plan);
                } else {
                    planner.made.insert(name, plan);
                }
            }
            Err(Error::Analysis(analysis::Error::Faults(found))) => {
                let found = found.into_iter().map(|item| at(&pointer, item));
                let told = |item: &Item| {
                    let within = format!("{}/", item.pointer);
                    written.contains(&item.pointer)
                        || item.message.contains("is missing")
                            && written.iter().any(|at| at.starts_with(&within))
                };
                faults.extend(found.filter(|item| !told(item)));
                planner.faulty.insert(name);
            }
            Err(other) if faults.is_empty() || !is_fault(&other) => return Err(other),
            Err(other) => {
                faults.push(Item { pointer, message: other.to_string() });
                planner.faulty.insert(name);
            }
        }
    }
    match (planner.alone, faults.len(), result) {
        (_, 0, Some(plan)) => {
            let Told { warnings, policies, together } = told;
            Ok(MergePlan { warnings, policies, together, ..plan })
        }
        (_, 0, None) => Err(Error::Invalid("the recipe is empty".to_owned())),
        (Some(alone), 1, _) => Err(Error::At { items: faults, error: Box::new(alone) }),
        _ => Err(refused(faults)),
    }
}

/// What documents tell of themselves, each at its place.
#[derive(Default)]
struct Told {
    warnings: Vec<Item>,
    policies: Vec<Touched>,
    together: Vec<Together>,
}

impl Told {
    fn take(&mut self, plan: &mut MergePlan, pointer: &str) {
        self.warnings.extend(std::mem::take(&mut plan.warnings).into_iter().map(|item| at(pointer, item)));
        let together = std::mem::take(&mut plan.together).into_iter();
        self.together
            .extend(together.map(|set| Together { pointer: format!("{pointer}{}", set.pointer), ..set }));
        let policies = std::mem::take(&mut plan.policies).into_iter();
        self.policies.extend(policies.map(|touched| touched.under(pointer)));
    }
}

fn at(pointer: &str, item: Item) -> Item {
    Item { pointer: format!("{pointer}{}", item.pointer), message: item.message }
}

fn refused(faults: Vec<Item>) -> Error {
    analysis::Error::faults(faults).into()
}

struct Planner<'a> {
    registry: &'a Registry,
    access: &'a Access,
    /// Models, each opened once however many stages name it.
    opened: BTreeMap<String, Operand>,
    /// Earlier stages by name.
    made: BTreeMap<String, MergePlan>,
    /// Earlier stages that have faults.
    faulty: BTreeSet<String>,
    /// An error with a code of its own, for a recipe that has no other fault.
    alone: Option<Error>,
}

impl Planner<'_> {
    /// Checks one document against its models and the stages before it.
    async fn plan(&mut self, config: MergeConfig) -> Result<MergePlan, Error> {
        let (registry, refs) = (self.registry, config.model_refs());
        let (listed, most) = (refs.len().max(config.widest()), registry.limits.merge_models);
        if listed > most {
            let message = format!("{listed} models are listed; at most {most} are merged");
            return Err(refused(vec![Item { pointer: "/models".to_owned(), message }]));
        }
        let files = config.file_refs();
        let named: Vec<String> = refs.iter().chain(&files).cloned().collect();
        let (operands, mut faults) = self.operands(&config, &named).await?;
        let input = |operand: &Operand| Input {
            source: Arc::clone(&operand.source),
            content: operand.content(),
            config: operand.config.clone().map(Arc::new),
        };
        let inputs: Inputs = operands.iter().map(|(name, operand)| (name.clone(), input(operand))).collect();
        let complete = named.iter().all(|name| operands.contains_key(name));
        // A file beside a model has no tokenizer.
        let models = operands.iter().filter(|(name, _)| refs.contains(name));
        let models = models.map(|(name, operand)| (name.clone(), operand.clone())).collect();
        let retokenized = match complete {
            true if config.policies.truncate_prefix && config.tokenizer_choice().is_none() => {
                prefix::cut(registry, &config, &models, inputs.clone()).await?
            }
            true => retokenize(registry, &config, &models, inputs.clone()).await?,
            false => Retokenized::of(inputs.clone()),
        };
        let aligned = retokenized.faults.is_empty();
        faults.extend(retokenized.faults.iter().cloned());
        let source = match analysis::merge::check(&config, &retokenized.inputs, &registry.limits) {
            Ok(source) if faults.is_empty() && complete => {
                source.on(registry.devices.device()).within(&Scratch::in_folder(&registry.scratch))
            }
            Ok(_) => return Err(refused(faults)),
            Err(analysis::Error::Faults(found)) => {
                let mut found: Vec<Item> = found.into_iter().collect();
                let hinted = |item: &&mut Item| item.message.ends_with(OTHER_VOCABULARY);
                if let Some(item) = found.iter_mut().find(hinted).filter(|_| complete)
                    && let Some(told) = prefix::explained(registry, &config, &models, &inputs).await?
                {
                    let end = item.message.len() - OTHER_VOCABULARY.len();
                    item.message = format!("{}; {told}", &item.message[..end]);
                }
                // The check tells of missing models too, but not why; and of tables that could not be aligned.
                let told = |item: &Item| {
                    (complete || !item.message.ends_with("among the inputs"))
                        && (aligned || !is_table(&item.pointer))
                };
                faults.extend(found.into_iter().filter(told));
                return Err(refused(faults));
            }
            Err(other) => return Err(other.into()),
        };
        let mut heir = config
            .heir()
            .and_then(|name| operands.get(&name).cloned())
            .ok_or_else(|| Error::Invalid("the recipe names no model".to_owned()))?;
        fit_layers(&mut heir, &source, &operands);
        let policies = source.touched().iter().chain(&retokenized.policies).cloned().collect();
        let warnings = source.warnings().iter().chain(&retokenized.warnings).cloned().collect();
        retokenized.fit(registry, &mut heir).await?;
        if let Some(template) = &config.chat_template {
            let models = refs.iter().filter_map(|name| operands.get(name)).collect();
            set_template(registry, &mut heir, (template, models)).await?;
        }
        let recipe = Recipe::Merge {
            config: config.canonical(),
            inputs: operands.iter().map(|(name, operand)| (name.clone(), pin(operand))).collect(),
        };
        let contents = inputs.iter().map(|(name, input)| (name.as_str(), input.content.as_str())).collect();
        let content =
            Digest::of(analysis::recipe::called(config.canonical(), &contents).to_string().as_bytes());
        let sets = config.together().into_iter();
        let together =
            sets.map(|(pointer, names)| Together { pointer, models: together(&names, &operands) }).collect();
        Ok(MergePlan {
            method: config.merge_method.clone(),
            dtype: config.out_dtype.clone().or_else(|| config.dtype.clone()),
            operands: behind(&config.merged_refs(), &operands),
            behind: operands.values().map(Operand::needs).fold(Needs::default(), Needs::add),
            inputs: all_models(operands),
            heir,
            recipe,
            vocabulary: table_rows(&source),
            source: Arc::new(source),
            warnings,
            policies,
            together,
            content,
            config,
        })
    }

    /// Models and earlier stages by name, and why others are missing.
    async fn operands(
        &mut self,
        config: &MergeConfig,
        refs: &[String],
    ) -> Result<(BTreeMap<String, Operand>, Vec<Item>), Error> {
        let (mut operands, mut faults) = (BTreeMap::new(), Vec::new());
        let rounded = config.lora_merge_dtype.as_deref().and_then(analysis::merge::dtype);
        for name in refs {
            // One without a name is told as such.
            let behind = adapted(name).is_some_and(|(model, _)| self.faulty.contains(model));
            if name.is_empty() || self.faulty.contains(name) || behind {
                continue;
            }
            if let Some(stage) = self.made.get(name) {
                operands.insert(name.clone(), stage.as_operand(name));
                continue;
            }
            if !self.opened.contains_key(name) {
                let opened = self.open(name).await;
                // A file beside the models may hold anything.
                let whole = |operand: Operand| match config.model_refs().contains(name) {
                    true => operand.whole(),
                    false => Ok(operand),
                };
                match opened.and_then(whole) {
                    Ok(operand) => {
                        let operand = operand.with_weights(self.registry).await?;
                        self.opened.insert(name.clone(), operand);
                    }
                    Err(error) if is_fault(&error) => {
                        faults.push(Item { pointer: config.place_of(name), message: error.to_string() });
                        let known = matches!(
                            error,
                            Error::UnknownModel(_)
                                | Error::UnknownOperand(_)
                                | Error::NoWeights(_)
                                | Error::NoBase { .. }
                        );
                        if !known && error.code() != "quantised_layout" {
                            self.alone = Some(match error {
                                // It names the model that is at fault already.
                                told @ Error::Operand { .. } => told,
                                error => Error::Operand { model: name.clone(), error: Box::new(error) },
                            });
                        }
                    }
                    Err(error) => return Err(error),
                }
            }
            let operand = self.opened.get(name).cloned();
            let operand = operand.map(|operand| match rounded {
                Some(dtype) if operand.base.is_some() => operand.rounded(dtype),
                _ => operand,
            });
            operands.extend(operand.map(|operand| (name.clone(), operand)));
        }
        Ok((operands, faults))
    }

    /// A model, or the result of a stage with an adapter applied.
    async fn open(&self, name: &str) -> Result<Operand, Error> {
        let Some((base, adapter)) = adapted(name).filter(|(model, _)| self.made.contains_key(*model)) else {
            return open_operand(self.registry, name, self.access).await;
        };
        let stage = self.made.get(base).map(|stage| stage.as_operand(base));
        let stage = stage.ok_or_else(|| Error::UnknownOperand(base.to_owned()))?;
        let adapter = open_stored(self.registry, adapter, self.access).await?;
        bake(adapter, stage, self.registry.limits).await
    }
}

/// What an adapter is applied to, where a recipe makes that, and the adapter alone.
fn on_planned(name: &str, operand: &Operand) -> Option<(Operand, Operand)> {
    let base = operand.base.as_deref().filter(|base| base.planned.is_some())?;
    let (_, adapter) = adapted(name)?;
    Some((base.clone(), Operand { label: adapter.to_owned(), base: None, ..operand.clone() }))
}

/// The models whose weights are in one: itself, or those of the recipe that makes it or what its adapter is applied to.
fn of_weights(name: &str, operand: &Operand) -> Vec<Operand> {
    let base = on_planned(name, operand).map(|(base, _)| base);
    base.as_ref().unwrap_or(operand).behind().to_vec()
}

/// The models that these names stand for, in the place of one that is computed those behind it, and the adapter applied to it.
fn behind(names: &[String], operands: &BTreeMap<String, Operand>) -> Vec<Operand> {
    let of = |name: &String| {
        let operand = operands.get(name)?;
        let adapter = on_planned(name, operand).map(|(_, adapter)| adapter);
        Some(of_weights(name, operand).into_iter().chain(adapter))
    };
    distinct(names.iter().filter_map(of).flatten().collect())
}

/// The same without adapters: whose weights are merged.
fn together(names: &[String], operands: &BTreeMap<String, Operand>) -> Vec<Operand> {
    let of = |name: &String| Some(of_weights(name, operands.get(name)?));
    distinct(names.iter().filter_map(of).flatten().collect())
}

fn distinct(operands: Vec<Operand>) -> Vec<Operand> {
    let mut found: Vec<Operand> = Vec::new();
    for operand in operands {
        if found.iter().all(|known| known.asked != operand.asked) {
            found.push(operand);
        }
    }
    found
}

/// All models that must be there, also for those that are computed.
fn all_models(operands: BTreeMap<String, Operand>) -> BTreeMap<String, Operand> {
    let mut models = BTreeMap::new();
    for (name, operand) in operands {
        let on_planned = on_planned(&name, &operand);
        let computed = on_planned.as_ref().map_or(&operand, |(base, _)| base).planned.clone();
        match computed {
            Some(planned) => models.extend(planned.inputs.iter().map(|(name, o)| (name.clone(), o.clone()))),
            None => drop(models.insert(name, operand)),
        }
        models.extend(on_planned.map(|(_, adapter)| (adapter.label.clone(), adapter)));
    }
    models
}

impl MergePlan {
    /// What the merge needs on this machine, with what is behind it.
    pub(crate) fn needs(&self) -> Needs {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let own = Needs { memory: self.source.memory(threads), scratch: self.source.scratch(threads) };
        own + self.behind
    }

    /// The result as a model for whatever works on one.
    pub(crate) fn as_operand(&self, name: &str) -> Operand {
        let planned = Planned {
            recipe: self.recipe.canonical(),
            operands: self.operands.clone(),
            inputs: self.inputs.clone(),
            needs: self.needs(),
        };
        Operand {
            planned: Some(Arc::new(planned)),
            asked: name.to_owned(),
            label: name.to_owned(),
            id: None,
            digest: Some(self.recipe.digest()),
            source: Arc::clone(&self.source) as _,
            config: fitted(&self.heir, self.dtype.as_deref(), &*self.source),
            adapter: None,
            member: None,
            base: None,
            revision: None,
            weights: Some(self.content),
            ..self.heir.clone()
        }
    }
}
