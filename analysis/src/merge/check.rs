//! A recipe against the headers of its inputs: every fault at once, before a weight is read.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use domain::{Item, Limits};
use kernels::Dtype;
use serde_json::Value;
use weights::TensorSource;

use super::{
    Entry, MergeConfig, MergeSource, Method, ParamSpec, Settings,
    alike::{self, Lacking},
    config::Group,
    layout::{Behind, Place, Section, layer_count},
    members::Members,
    modules::Depths,
    policy::Tally,
    setting::figure,
    source::{Outline, Row},
    spec::{Caution, Params, Refusal},
};
use crate::Error;

/// A check that has found this many faults looks no further.
pub(super) const MOST_FAULTS: usize = 10_000;
/// Where models with tied embeddings keep what others store as their head.
pub(super) const TIED: (&str, &[&str]) = (weights::HEAD, &weights::TIED_TABLES);

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
    /// Its config.json, where it is known.
    pub config: Option<Arc<Value>>,
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
    let mut job = Job::new((config, method), inputs, limits);
    job.faults.extend(config.policies.faults(config));
    let present = job.models();
    let groups = config.groups();
    let members: Vec<Members<'_>> = groups.iter().map(|group| job.members(group)).collect();
    let sections = if present { job.sections(&groups, &members) } else { Vec::new() };
    if present {
        job.lacks_modules();
        job.alike(&groups, &members);
        job.meanings();
    }
    job.outline.warnings.extend(config.unused.iter().cloned());
    let mut rows: Vec<Row> = Vec::new();
    if job.faults.is_empty() {
        for ((group, members), section) in groups.iter().zip(&members).zip(sections) {
            let scope = job.scope((group, members), section);
            rows.extend(job.rows(&scope));
        }
        job.tell_lacking();
        job.idle_exclusions();
        rows.extend(job.unlisted());
        if groups.iter().any(|group| group.slice.is_some()) {
            job.faults.extend(alike::uneven_tables(rows.iter().map(Row::info)));
        }
    } else {
        for (group, members) in groups.iter().zip(&members) {
            job.parameters(group, members);
        }
    }
    if job.faults.is_empty() {
        rows.sort_by(|a, b| a.name().cmp(b.name()));
        job.settle(&rows);
    }
    if job.faults.is_empty() {
        Ok(MergeSource::new(method, rows, job.outline))
    } else {
        Err(Error::faults(job.faults))
    }
}

pub(super) struct Job<'a> {
    pub config: &'a MergeConfig,
    pub method: &'static dyn Method,
    pub inputs: &'a Inputs,
    pub limits: &'a Limits,
    pub faults: Vec<Item>,
    pub outline: Outline,
    /// What policies decided.
    pub tally: Tally,
    /// Tensors that some of the models lack.
    pub lacking: Lacking,
    /// Pointers of parameters that were told missing, and of warnings.
    pub seen: BTreeSet<String>,
}

/// What a tensor is merged from.
pub(super) struct Scope<'a> {
    pub group: &'a Group<'a>,
    pub members: &'a Members<'a>,
    pub section: Section,
    /// Of whole models: a list of values is spread over the layers of each of their parts.
    pub depths: Arc<Depths>,
}

impl<'a> Job<'a> {
    fn new(
        (config, method): (&'a MergeConfig, &'static dyn Method),
        inputs: &'a Inputs,
        limits: &'a Limits,
    ) -> Self {
        let (faults, outline, seen) = (Vec::new(), Outline::default(), BTreeSet::new());
        let (tally, lacking) = (Tally::default(), Lacking::default());
        Self { config, method, inputs, limits, faults, outline, tally, lacking, seen }
    }

    pub fn fault(&mut self, pointer: impl Into<String>, message: impl Into<String>) {
        self.faults.push(Item { pointer: pointer.into(), message: message.into() });
    }

    /// A fault that many tensors share, told the first time.
    pub fn once(&mut self, what: &str, pointer: &str, message: String) {
        if self.seen.insert(what.to_owned()) {
            self.fault(pointer, message);
        }
    }

    /// Whether all models are there.
    fn models(&mut self) -> bool {
        let config = self.config;
        let absent: Vec<String> =
            config.model_refs().into_iter().filter(|name| !self.inputs.contains_key(name)).collect();
        for name in &absent {
            self.fault(
                config.place_of(name),
                format!("model `{name}` is missing: it could not be found among the inputs"),
            );
        }
        absent.is_empty()
    }

    pub fn names(&self, label: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        let tensors = self.inputs.get(label).map(|input| input.source.tensors());
        tensors.unwrap_or_default().iter().map(|info| info.name.as_str())
    }

    fn scope<'s>(&self, (group, members): (&'s Group<'s>, &'s Members<'s>), section: Section) -> Scope<'s> {
        let depths = match section.place {
            Place::Whole => {
                let seats = members.all().into_iter();
                let names: BTreeSet<&str> = seats.flat_map(|seat| self.names(&seat.label)).collect();
                Depths::of(names.iter().copied())
            }
            // A slice has its own layers.
            _ => Depths::default(),
        };
        Scope { group, members, section, depths: Arc::new(depths) }
    }

    /// Parameter faults alone, for a recipe whose tensors cannot be told.
    fn parameters(&mut self, group: &Group<'_>, members: &Members<'_>) {
        let labels = members.all().into_iter().map(|seat| seat.label.as_str());
        let known: BTreeSet<&str> =
            labels.flat_map(|label| self.names(label)).filter(|name| group.holds(name)).collect();
        let layers = layer_count(known.iter().copied());
        let section = Section { first: 0, layers, place: Place::Whole, module: group.module() };
        let scope = self.scope((group, members), section);
        for name in known {
            self.params(name, &scope);
        }
    }

    /// Resolves all parameters for one tensor; a parameter that is missing is reported once.
    pub fn params(&mut self, tensor: &str, scope: &Scope<'_>) -> Params {
        let (members, section) = (scope.members, scope.section);
        let t = match section.place {
            Place::Whole => scope.depths.position(tensor, self.config.post_t),
            _ => section.position(tensor, self.config.post_t),
        };
        let mut params = Params { models: vec![BTreeMap::new(); members.merged.len()], ..Params::default() };
        let shared: Vec<&Settings> = scope.group.settings().chain([&self.config.parameters]).collect();
        let mut missing = Vec::new();
        let (mut unusual, mut nameless) = (Vec::new(), false);
        let own = |at: usize, parameter: &str| {
            let entry = members.merged.get(at).and_then(|(_, entry)| *entry);
            let place = entry.and_then(|e| scope.group.sources.iter().position(|o| std::ptr::eq(o, e)));
            format!("{}/{}/parameters/{parameter}", scope.group.pointer(), place.unwrap_or(at))
        };
        for spec in self.method.spec().parameters {
            if !spec.per_model {
                let pointer = format!("/parameters/{}", spec.name);
                match resolve(spec, &shared, tensor, t) {
                    Some(value) => {
                        params.global.insert(spec.name, value);
                        unusual.push((pointer, spec, value));
                    }
                    None => {
                        let below = format!("/parameters/{}", spec.name);
                        let stray = self.config.unused.iter().find(|item| item.pointer.ends_with(&below));
                        let whom =
                            stray.map_or(String::new(), |item| format!(" ({} has no effect)", item.pointer));
                        missing.push((pointer, spec.name, whom));
                    }
                }
                continue;
            }
            for (at, (seat, entry)) in members.merged.iter().enumerate() {
                let first = entry.map(|entry| &entry.parameters);
                let levels: Vec<&Settings> = first.into_iter().chain(shared.iter().copied()).collect();
                let pointer = own(at, spec.name);
                match resolve(spec, &levels, &section.input(seat, tensor), t) {
                    Some(value) => {
                        params.models[at].insert(spec.name, value);
                        unusual.push((pointer, spec, value));
                    }
                    // One without a name is told as such.
                    None if seat.label.is_empty() => nameless = true,
                    None => missing.push((pointer, spec.name, format!(" for `{}`", seat.label))),
                }
            }
        }
        // Another number of models is a fault already, and methods count on theirs.
        let complete =
            !nameless && missing.is_empty() && self.method.spec().models.allows(members.merged.len());
        for (pointer, name, whom) in missing {
            // Its own key: a setting may be unusual for one tensor and missing for another.
            if self.seen.insert(format!("missing{pointer}")) {
                self.fault(pointer, format!("`{name}` is missing{whom}, first needed by tensor `{tensor}`"));
            }
        }
        let refused = if complete { self.method.faults(&params) } else { Vec::new() };
        for Refusal { parameter, model, message } in refused {
            let pointer = match (model, parameter) {
                (Some(at), Some(parameter)) => own(at, parameter),
                (_, Some(parameter)) => format!("/parameters/{parameter}"),
                _ => "/parameters".to_owned(),
            };
            if self.seen.insert(format!("refused{pointer}")) {
                self.fault(pointer, format!("{message}, first at tensor `{tensor}`"));
            }
        }
        if complete
            && let Some(Caution { code, message }) = self.method.caution(&params)
            && self.seen.insert(format!("caution/{code}"))
        {
            let message = format!("{code}: {message}, first at tensor `{tensor}`");
            self.outline.warnings.push(Item { pointer: "/parameters".to_owned(), message });
        }
        for (pointer, spec, value) in unusual {
            if let Some((from, to)) = spec.range.filter(|(from, to)| value < *from || value > *to)
                && self.seen.insert(format!("unusual{pointer}"))
            {
                let value = figure(value);
                let message =
                    format!("{value} is outside the usual {from} to {to}, first at tensor `{tensor}`");
                self.outline.warnings.push(Item { pointer, message });
            }
        }
        if self.config.post_t == Behind::First {
            self.warn_of_head(tensor, scope.group.sources, &shared);
        }
        params
    }

    /// The head follows the layers, and yet takes the first value of a gradient, as mergekit has it.
    fn warn_of_head(&mut self, tensor: &str, sources: &[Entry], shared: &[&Settings]) {
        let own = sources.iter().map(|entry| &entry.parameters);
        for (name, setting) in own.chain(shared.iter().copied()).flatten() {
            if tensor == TIED.0 && setting.is_gradient() && self.seen.insert(format!("head/{name}")) {
                let message = format!(
                    "`{tensor}` is outside the layers and takes the first value of a list, or with `post_t: 1` the last"
                );
                self.outline.warnings.push(Item { pointer: format!("/parameters/{name}"), message });
            }
        }
    }
}

fn resolve(spec: &ParamSpec, levels: &[&Settings], tensor: &str, t: f64) -> Option<f64> {
    levels.iter().find_map(|level| level.get(spec.name)?.of(tensor, t)).or_else(|| spec.resolved_default())
}

/// The embedding that stands in for a head that a model does not store.
pub(crate) fn tied(name: &str, source: &dyn TensorSource) -> Option<usize> {
    let (head, embeddings) = TIED;
    (name == head).then(|| embeddings.iter().find_map(|embedding| source.position(embedding))).flatten()
}
