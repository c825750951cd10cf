//! A recipe against the headers of its inputs: every fault at once, before a weight is read.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use domain::{Item, Limits};
use kernels::Dtype;
use weights::{TensorInfo, TensorSource, is_quantised};

use super::{
    BaseNeed, Entry, MergeConfig, MergeSource, Method, ParamSpec, Settings,
    source::{Part, Row},
    spec::{Law, Operands, Params},
};
use crate::{
    Error,
    computed::{Stored, is_buffer, vocabulary_hint},
    kinship::layer_number,
};

/// A check that has found this many faults looks no further.
const MOST_FAULTS: usize = 10_000;
/// Where models with tied embeddings keep what others store as their head.
const TIED: (&str, &[&str]) = ("lm_head.weight", &["model.embed_tokens.weight", "transformer.wte.weight"]);

/// The dtype a recipe word means: `float32`, `float16`, `bfloat16` or `float64`.
pub fn dtype(word: &str) -> Option<Dtype> {
    match word {
        "float64" => Some(Dtype::F64),
        "float32" => Some(Dtype::F32),
        "float16" => Some(Dtype::F16),
        "bfloat16" => Some(Dtype::Bf16),
        _ => None,
    }
}

/// An opened input of a merge.
#[derive(Clone)]
pub struct Input {
    pub source: Arc<dyn TensorSource>,
    /// What pins its content, e.g. the digest of its revision; random masks are drawn from it.
    pub content: String,
}

/// Opened inputs by the names that [`MergeConfig::model_refs`] gives.
pub type Inputs = BTreeMap<String, Input>;

/// Checks `config` against the opened inputs.
///
/// # Errors
/// [`Error::Faults`] with everything that is wrong: missing models, parameters and tensors, shapes, dtypes, and
/// tensors that the method would have to hold whole although `limits` forbid it.
pub fn check(config: &MergeConfig, inputs: &Inputs, limits: &Limits) -> Result<MergeSource, Error> {
    let Some(method) = config.method() else {
        return Err(Error::fault(
            "/merge_method",
            format!("`{}` is not a merge method", config.merge_method),
        ));
    };
    check_method(method, config, inputs, limits)
}

/// [`check`] of a method that need not be in the methods slice.
pub(super) fn check_method(
    method: &'static dyn Method,
    config: &MergeConfig,
    inputs: &Inputs,
    limits: &Limits,
) -> Result<MergeSource, Error> {
    let mut job = Job { config, method, inputs, held: limits.merge_held, faults: Vec::new() };
    let members = job.members();
    let rows = if job.faults.is_empty() { job.rows(&members) } else { job.parameters(&members) };
    if job.faults.is_empty() {
        Ok(MergeSource::new(method, rows, limits.merge_held))
    } else {
        Err(Error::faults(job.faults))
    }
}

struct Job<'a> {
    config: &'a MergeConfig,
    method: &'static dyn Method,
    inputs: &'a Inputs,
    /// Most elements of one tensor held whole.
    held: u64,
    faults: Vec<Item>,
}

/// The models merged, in a fixed order, and whose tensors the result has.
struct Members<'a> {
    merged: Vec<(String, Option<&'a Entry>)>,
    delta_base: Option<String>,
    /// Base, else the first model: gives shapes and default dtypes.
    reference: Option<String>,
}

impl Members<'_> {
    fn all(&self) -> Vec<&String> {
        let mut all: Vec<&String> = self.reference.iter().collect();
        for name in self.delta_base.iter().chain(self.merged.iter().map(|(name, _)| name)) {
            if !all.contains(&name) {
                all.push(name);
            }
        }
        all
    }
}

impl<'a> Job<'a> {
    fn fault(&mut self, pointer: impl Into<String>, message: impl Into<String>) {
        self.faults.push(Item { pointer: pointer.into(), message: message.into() });
    }

    fn members(&mut self) -> Members<'a> {
        let config = self.config;
        let spec = self.method.spec();
        for name in config.model_refs() {
            if !self.inputs.contains_key(&name) {
                let at = config.models.iter().position(|entry| entry.model == name);
                let pointer = at.map_or("/base_model".to_owned(), |at| format!("/models/{at}/model"));
                self.fault(
                    pointer,
                    format!("model `{name}` is missing: it could not be found among the inputs"),
                );
            }
        }
        let base = config.base_model.clone();
        if base.is_none() && matches!(spec.base, BaseNeed::Delta | BaseNeed::Endpoint) {
            self.fault("/base_model", format!("`{}` needs a base model", spec.id));
        }
        let mut merged: Vec<(String, Option<&Entry>)> =
            config.models.iter().map(|entry| (entry.model.clone(), Some(entry))).collect();
        match spec.base {
            BaseNeed::Delta | BaseNeed::Optional => merged.retain(|(name, _)| Some(name) != base.as_ref()),
            BaseNeed::Endpoint => {
                // A model merged with itself is listed twice; otherwise the base is the end at t = 0.
                let at = merged.iter().position(|(name, _)| Some(name) == base.as_ref());
                let end = at.map(|at| merged.remove(at)).or_else(|| base.clone().map(|name| (name, None)));
                merged.splice(0..0, end);
            }
            BaseNeed::Unused => {}
        }
        // A fixed order of summation: permuting the list does not change a bit.
        if spec.laws.contains(&Law::Symmetry) {
            merged.sort_by(|(a, _), (b, _)| a.cmp(b));
        }
        let count = merged.len();
        if count < spec.models.min || spec.models.max.is_some_and(|max| count > max) {
            let wanted = match spec.models.max {
                Some(max) if max == spec.models.min => format!("exactly {max}"),
                _ => format!("{} or more", spec.models.min),
            };
            let delta = matches!(spec.base, BaseNeed::Delta | BaseNeed::Optional);
            let base = if delta && base.is_some() { " besides the base" } else { "" };
            self.fault("/models", format!("`{}` merges {wanted} models{base}, {count} given", spec.id));
        }
        let first = config.models.first().map(|entry| entry.model.clone());
        Members {
            merged,
            delta_base: base.clone().filter(|_| matches!(spec.base, BaseNeed::Delta | BaseNeed::Optional)),
            reference: match spec.base {
                BaseNeed::Unused => first,
                _ => base.or(first),
            },
        }
    }

    /// Parameter faults alone, for a recipe whose models are not all there.
    fn parameters(&mut self, members: &Members<'_>) -> Vec<Row> {
        let known: BTreeSet<String> = members
            .all()
            .iter()
            .filter_map(|name| self.inputs.get(*name))
            .flat_map(|input| input.source.tensors().iter().map(|info| info.name.clone()))
            .collect();
        let layers = layer_count(known.iter());
        let mut seen = BTreeSet::new();
        for name in &known {
            self.params(name, layers, members, &mut seen);
        }
        Vec::new()
    }

    fn rows(&mut self, members: &Members<'_>) -> Vec<Row> {
        let names: Vec<&String> = members.all();
        let sources: Vec<(&String, &Arc<dyn TensorSource>)> =
            names.iter().filter_map(|name| Some((*name, &self.inputs.get(*name)?.source))).collect();
        let union: BTreeSet<&String> =
            sources.iter().flat_map(|(_, source)| source.tensors().iter().map(|info| &info.name)).collect();
        let layers = layer_count(union.iter().copied());
        self.ranges(layers);
        let mut seen = BTreeSet::new();
        let mut rows = Vec::new();
        for name in union {
            let held: Vec<Stored> = sources
                .iter()
                .filter_map(|(label, source)| {
                    let index = source.position(name).or_else(|| tied(name, &***source))?;
                    Some(Stored { label: (*label).clone(), source: Arc::clone(source), index })
                })
                .collect();
            if self.faults.len() > MOST_FAULTS {
                break;
            }
            let float = held.first().is_some_and(|held| info(held).dtype.is_float());
            let params =
                if float { self.params(name, layers, members, &mut seen) } else { Params::default() };
            if let Some(part) = self.row(name, &held, sources.len(), members) {
                let stored = TensorInfo { name: name.clone(), ..info(&held[0]).clone() };
                rows.push(self.finish(part, params, stored));
            }
        }
        rows
    }

    /// How one tensor is made, or the faults that forbid it.
    fn row(&mut self, name: &str, held: &[Stored], needed: usize, members: &Members<'_>) -> Option<Part> {
        let first = held.first()?;
        let info = info(first);
        if is_quantised(name) {
            self.fault(
                name,
                format!("`{}` is quantised; merge the full-precision model instead", first.label),
            );
            return None;
        }
        if held.len() < needed && is_buffer(name) {
            return Some(Part::Copied(vec![first.clone()]));
        }
        let faults = self.faults.len();
        if held.len() < needed {
            let lacking = members.all().into_iter().filter(|label| held.iter().all(|h| h.label != **label));
            let lacking: Vec<String> = lacking.map(|label| format!("`{label}`")).collect();
            self.fault(name, format!("missing in {}; every model must have it", lacking.join(", ")));
        }
        for other in &held[1..] {
            let theirs = self::info(other);
            if theirs.shape != info.shape {
                let hint = vocabulary_hint(name);
                let (ours, shape) = (&info.shape, &theirs.shape);
                let (a, b) = (&first.label, &other.label);
                self.fault(name, format!("shape {ours:?} in `{a}`, {shape:?} in `{b}`{hint}"));
            }
            let alike = theirs.dtype == info.dtype || theirs.dtype.is_float() && info.dtype.is_float();
            if !alike {
                let (a, b) = (&first.label, &other.label);
                self.fault(name, format!("{} in `{a}`, {} in `{b}`", info.dtype, theirs.dtype));
            }
        }
        if self.faults.len() > faults {
            return None;
        }
        if !info.dtype.is_float() {
            return Some(Part::Copied(held.to_vec()));
        }
        let find = |label: &String| held.iter().find(|h| h.label == *label).cloned();
        let content = |label: &String| self.inputs.get(label).map(|input| input.content.clone());
        Some(Part::Merged(Operands {
            name: name.to_owned(),
            shape: info.shape.clone(),
            models: members.merged.iter().filter_map(|(label, _)| find(label)).collect(),
            contents: members.merged.iter().filter_map(|(label, _)| content(label)).collect(),
            base: members.delta_base.as_ref().and_then(find),
            elements: info.elements(),
            params: Params::default(),
            seed: self.config.seed,
            survey: None,
        }))
    }

    fn finish(&mut self, part: Part, params: Params, stored: TensorInfo) -> Row {
        let wanted =
            self.config.out_dtype.as_ref().or(self.config.dtype.as_ref()).and_then(|word| dtype(word));
        let (part, dtype) = match part {
            Part::Merged(operands) => {
                let operands = Operands { params, ..operands };
                let (held, most) = (self.method.held(&operands), self.held);
                if held > most {
                    let id = self.method.spec().id;
                    let message = format!(
                        "`{id}` must hold {held} numbers at once; at most {most} are held (`merge_held`)"
                    );
                    self.fault(&stored.name, message);
                }
                (Part::Merged(operands), wanted.unwrap_or(stored.dtype))
            }
            copied => (copied, stored.dtype),
        };
        Row::new(TensorInfo { dtype, ..stored }, part)
    }

    fn ranges(&mut self, layers: u64) {
        for (at, entry) in self.config.models.iter().enumerate() {
            if let Some(range) = entry.layer_range
                && (range.first, range.end) != (0, layers)
            {
                let pointer = format!("/slices/0/sources/{at}/layer_range");
                let given = format!("[{}, {}]", range.first, range.end);
                self.fault(
                    pointer,
                    format!("only the whole range [0, {layers}] can be merged, {given} given"),
                );
            }
        }
    }

    /// Resolves all parameters for one tensor; a parameter that is missing is reported once.
    fn params(
        &mut self,
        tensor: &str,
        layers: u64,
        members: &Members<'_>,
        seen: &mut BTreeSet<String>,
    ) -> Params {
        let t = position(tensor, layers);
        let mut params = Params { models: vec![BTreeMap::new(); members.merged.len()], ..Params::default() };
        let shared = [&self.config.slice_parameters, &self.config.parameters];
        let mut missing = Vec::new();
        for spec in self.method.spec().parameters {
            if !spec.per_model {
                match resolve(spec, &shared, tensor, t) {
                    Some(value) => drop(params.global.insert(spec.name, value)),
                    None => missing.push((format!("/parameters/{}", spec.name), spec.name, String::new())),
                }
                continue;
            }
            for (at, (label, entry)) in members.merged.iter().enumerate() {
                let own = entry.map(|entry| &entry.parameters);
                let levels: Vec<&Settings> = own.into_iter().chain(shared).collect();
                match resolve(spec, &levels, tensor, t) {
                    Some(value) => drop(params.models[at].insert(spec.name, value)),
                    None => {
                        let place =
                            entry.and_then(|e| self.config.models.iter().position(|o| std::ptr::eq(o, e)));
                        let pointer = format!("/models/{}/parameters/{}", place.unwrap_or(at), spec.name);
                        missing.push((pointer, spec.name, format!(" for `{label}`")));
                    }
                }
            }
        }
        let complete = missing.is_empty();
        for (pointer, name, whom) in missing {
            if seen.insert(pointer.clone()) {
                self.fault(pointer, format!("`{name}` is missing{whom}, first needed by tensor `{tensor}`"));
            }
        }
        if complete
            && let Some(fault) = self.method.fault(&params)
            && seen.insert(fault.clone())
        {
            self.fault("/parameters", format!("{fault}, first at tensor `{tensor}`"));
        }
        params
    }
}

fn resolve(spec: &ParamSpec, levels: &[&Settings], tensor: &str, t: f64) -> Option<f64> {
    levels.iter().find_map(|level| level.get(spec.name)?.of(tensor, t)).or_else(|| spec.resolved_default())
}

fn info(stored: &Stored) -> &TensorInfo {
    &stored.source.tensors()[stored.index]
}

/// The embedding that stands in for a head that a model does not store.
pub(crate) fn tied(name: &str, source: &dyn TensorSource) -> Option<usize> {
    let (head, embeddings) = TIED;
    (name == head).then(|| embeddings.iter().find_map(|embedding| source.position(embedding))).flatten()
}

pub(crate) fn layer_count<'n>(names: impl Iterator<Item = &'n String>) -> u64 {
    names.filter_map(|name| layer_number(name)).max().map_or(0, |last| last.saturating_add(1))
}

/// Place of a tensor along a gradient; 0 outside the layers, as mergekit has it.
pub(crate) fn position(tensor: &str, layers: u64) -> f64 {
    match layer_number(tensor) {
        Some(_) if layers <= 1 => 1.0,
        Some(layer) => layer as f64 / (layers - 1) as f64,
        None => 0.0,
    }
}
