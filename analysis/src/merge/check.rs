//! A recipe against the headers of its inputs: every fault at once, before a weight is read.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use domain::{Item, Limits};
use kernels::Dtype;
use weights::{TensorInfo, TensorSource, is_quantised};

use super::{
    Entry, MergeConfig, MergeSource, Method, ParamSpec, Settings, alike,
    config::Group,
    layout::{Place, Seat, Section, layer_count, stack},
    members::Members,
    setting::figure,
    source::{Outline, Part, Row},
    spec::{Caution, Operands, Params},
};
use crate::{
    Error,
    computed::{Stored, is_buffer, other_vocabulary},
};

/// A check that has found this many faults looks no further.
const MOST_FAULTS: usize = 10_000;
/// Where models with tied embeddings keep what others store as their head.
const TIED: (&str, &[&str]) = ("lm_head.weight", &["model.embed_tokens.weight", "transformer.wte.weight"]);

/// What would be right where vocabularies differ.
const VOCABULARY: &str =
    "; the vocabularies differ: `tokenizer_source: base` or `union` matches rows by token";

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
    let mut job = Job::new((config, method), inputs, limits);
    let present = job.models();
    let groups = config.groups();
    let members: Vec<Members<'_>> = groups.iter().map(|group| job.members(group)).collect();
    let sections = if present { job.sections(&groups, &members) } else { Vec::new() };
    if present {
        job.alike(&members);
    }
    job.outline.warnings.extend(config.unused.iter().map(|pointer| {
        let name = pointer.rsplit('/').next().unwrap_or_default();
        let message = format!("`{name}` means nothing to `{}`", method.spec().id);
        Item { pointer: pointer.clone(), message }
    }));
    let mut rows: Vec<Row> = Vec::new();
    if job.faults.is_empty() {
        for ((group, members), section) in groups.iter().zip(&members).zip(sections) {
            rows.extend(job.rows(&Scope { group, members, section }));
        }
        if !config.slices.is_empty() {
            job.faults.extend(alike::uneven_tables(rows.iter().map(Row::info)));
        }
    } else {
        for (group, members) in groups.iter().zip(&members) {
            job.parameters(group, members);
        }
    }
    if job.faults.is_empty() {
        rows.sort_by(|a, b| a.name().cmp(b.name()));
        Ok(MergeSource::new(method, rows, Outline { held: limits.merge_held, ..job.outline }))
    } else {
        Err(Error::faults(job.faults))
    }
}

pub(super) struct Job<'a> {
    pub config: &'a MergeConfig,
    pub method: &'static dyn Method,
    pub inputs: &'a Inputs,
    limits: &'a Limits,
    pub faults: Vec<Item>,
    outline: Outline,
    /// Pointers of parameters that were told missing, and of warnings.
    seen: BTreeSet<String>,
}

/// What a tensor is merged from.
pub(super) struct Scope<'a> {
    group: &'a Group<'a>,
    pub members: &'a Members<'a>,
    pub section: Section,
}

impl<'a> Job<'a> {
    fn new(
        (config, method): (&'a MergeConfig, &'static dyn Method),
        inputs: &'a Inputs,
        limits: &'a Limits,
    ) -> Self {
        let (faults, outline, seen) = (Vec::new(), Outline::default(), BTreeSet::new());
        Self { config, method, inputs, limits, faults, outline, seen }
    }

    pub fn fault(&mut self, pointer: impl Into<String>, message: impl Into<String>) {
        self.faults.push(Item { pointer: pointer.into(), message: message.into() });
    }

    /// A fault that many tensors share, told the first time.
    pub fn once(&mut self, what: &str, message: String) {
        if self.seen.insert(what.to_owned()) {
            self.fault("/models", message);
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

    fn names(&self, label: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        let tensors = self.inputs.get(label).map(|input| input.source.tensors());
        tensors.unwrap_or_default().iter().map(|info| info.name.as_str())
    }

    /// The layers of the result that each group gives.
    fn sections(&mut self, groups: &[Group<'_>], members: &[Members<'_>]) -> Vec<Section> {
        let whole = self.config.slices.is_empty();
        if !whole {
            let labels = self.config.model_refs();
            let stacks: BTreeSet<String> =
                labels.iter().flat_map(|l| self.names(l)).filter_map(stack).collect();
            if stacks.len() > 1 {
                let found: Vec<String> = stacks.iter().map(|stack| format!("`{stack}`")).collect();
                self.fault("/slices", format!("slices need one stack of layers, found {}", found.join(", ")));
            }
        }
        let (mut first, mut sections) = (0u64, Vec::new());
        for (at, (group, members)) in groups.iter().zip(members).enumerate() {
            let layers = match whole {
                true => layer_count(members.all().into_iter().flat_map(|seat| self.names(&seat.label))),
                false => self.slice_layers(group, members),
            };
            let place = match (whole, at == 0, at + 1 == groups.len()) {
                (true, ..) => Place::Whole,
                (_, true, true) => Place::Only,
                (_, true, false) => Place::First,
                (_, false, true) => Place::Last,
                (_, false, false) => Place::Middle,
            };
            sections.push(Section { first, layers, place });
            first = first.saturating_add(layers);
            let most = self.limits.merge_layers;
            if !whole && first > most {
                let message = format!(
                    "the slices have {first} layers or more; at most {most} are written (`merge_layers`)"
                );
                self.fault("/slices", message);
                break;
            }
            if !whole && let Some(seat) = &members.reference {
                self.outline.layers.extend((0..layers).map(|layer| (seat.label.clone(), seat.first + layer)));
            }
        }
        sections
    }

    /// Layers of one slice; all its sources must have as many.
    fn slice_layers(&mut self, group: &Group<'_>, members: &Members<'_>) -> u64 {
        let mut lengths: Vec<(String, u64)> = Vec::new();
        for (at, entry) in group.sources.iter().enumerate() {
            let layers = layer_count(self.names(&entry.model));
            let (first, end) = entry.layer_range.map_or((0, layers), |range| (range.first, range.end));
            if end > layers {
                let pointer = format!("{}/{at}/layer_range", group.pointer());
                self.fault(
                    pointer,
                    format!("[{first}, {end}] ends past the {layers} layers of `{}`", entry.model),
                );
            }
            lengths.push((
                format!("`{}` {}", entry.model, end.saturating_sub(first)),
                end.saturating_sub(first),
            ));
        }
        let layers = lengths.first().map_or(0, |(_, length)| *length);
        if lengths.iter().any(|(_, length)| *length != layers) {
            let given: Vec<&str> = lengths.iter().map(|(told, _)| told.as_str()).collect();
            let message =
                format!("all sources of a slice must have equally many layers: {}", given.join(", "));
            self.fault(group.pointer(), message);
        } else if let Some(base) = &members.delta_base
            && base.first.saturating_add(layers) > layer_count(self.names(&base.label))
        {
            let message = format!("its layers end before those of the sources in `{}`", group.pointer());
            self.fault("/base_model", message);
        }
        layers
    }

    /// Parameter faults alone, for a recipe whose tensors cannot be told.
    fn parameters(&mut self, group: &Group<'_>, members: &Members<'_>) {
        let labels = members.all().into_iter().map(|seat| seat.label.as_str());
        let known: BTreeSet<&str> = labels.flat_map(|label| self.names(label)).collect();
        let layers = layer_count(known.iter().copied());
        let scope = Scope { group, members, section: Section { first: 0, layers, place: Place::Whole } };
        for name in known {
            self.params(name, &scope);
        }
    }

    fn rows(&mut self, scope: &Scope<'_>) -> Vec<Row> {
        let (section, inputs) = (scope.section, self.inputs);
        let sources: Vec<(&Seat, &Arc<dyn TensorSource>)> = scope
            .members
            .all()
            .into_iter()
            .filter_map(|seat| Some((seat, &inputs.get(&seat.label)?.source)))
            .collect();
        let mut union: BTreeSet<String> = sources
            .iter()
            .flat_map(|(seat, source)| {
                source.tensors().iter().filter_map(|info| section.output(seat, &info.name))
            })
            .collect();
        if section.place == Place::Last && self.needs_head(scope) {
            union.insert(TIED.0.to_owned());
        }
        let mut rows = Vec::new();
        for name in &union {
            let held: Vec<(&Seat, Stored)> = sources
                .iter()
                .filter_map(|(seat, source)| {
                    let index =
                        source.position(&section.input(seat, name)).or_else(|| tied(name, &***source))?;
                    Some((*seat, Stored { label: seat.label.clone(), source: Arc::clone(source), index }))
                })
                .collect();
            if self.faults.len() > MOST_FAULTS {
                break;
            }
            let float = held.first().is_some_and(|(_, held)| info(held).dtype.is_float());
            let params = if float { self.params(name, scope) } else { Params::default() };
            if let Some(part) = self.row(name, &held, scope) {
                let stored = TensorInfo { name: name.clone(), ..info(&held[0].1).clone() };
                rows.push(self.finish(part, params, stored));
            }
        }
        rows
    }

    /// Whether the head of the last slice is the embedding of a model that does not give the first.
    fn needs_head(&self, scope: &Scope<'_>) -> bool {
        let groups = self.config.groups();
        let first: BTreeSet<&String> = groups
            .first()
            .into_iter()
            .flat_map(|group| group.sources.iter().map(|entry| &entry.model))
            .collect();
        let last: BTreeSet<&String> = scope.group.sources.iter().map(|entry| &entry.model).collect();
        let untied = |label: &&String| self.names(label).any(|name| name == TIED.0);
        first != last || first.iter().any(untied)
    }

    /// How one tensor is made, or the faults that forbid it.
    fn row(&mut self, name: &str, seated: &[(&Seat, Stored)], scope: &Scope<'_>) -> Option<Part> {
        let members = scope.members;
        let held: Vec<Stored> = seated.iter().map(|(_, stored)| stored.clone()).collect();
        let (first, all) = (held.first()?, members.all());
        let info = info(first);
        if is_quantised(name) {
            self.fault(name, format!("quantised in {}; merge full-precision models instead", listed(&held)));
            return None;
        }
        if held.len() < all.len() && is_buffer(name) {
            return Some(Part::Copied(vec![first.clone()]));
        }
        let faults = self.faults.len();
        if held.len() < all.len() {
            let lacking = all.into_iter().filter(|seat| seated.iter().all(|(held, _)| held != seat));
            let lacking: Vec<String> = lacking.map(|seat| format!("`{}`", seat.label)).collect();
            self.fault(name, format!("missing in {}; every model must have it", lacking.join(", ")));
        }
        for other in &held[1..] {
            let theirs = self::info(other);
            if theirs.shape != info.shape {
                let (ours, shape) = (&info.shape, &theirs.shape);
                let (a, b) = (&first.label, &other.label);
                // What would be right is told once.
                let hinted = other_vocabulary(name, ours, shape) && self.seen.insert("vocabulary".to_owned());
                let hint = if hinted { VOCABULARY } else { "" };
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
            return Some(Part::Copied(held));
        }
        let beside = self.beside(&TensorInfo { name: name.to_owned(), ..info.clone() }, scope);
        let find =
            |seat: &Seat| seated.iter().find(|(held, _)| *held == seat).map(|(_, stored)| stored.clone());
        let content = |seat: &Seat| self.inputs.get(&seat.label).map(|input| input.content.clone());
        Some(Part::Merged(Box::new(Operands {
            name: name.to_owned(),
            shape: info.shape.clone(),
            models: members.merged.iter().filter_map(|(seat, _)| find(seat)).chain(beside.along).collect(),
            contents: members.merged.iter().filter_map(|(seat, _)| content(seat)).collect(),
            base: members.delta_base.as_ref().and_then(find),
            elements: info.elements(),
            params: Params::default(),
            seed: self.config.seed,
            survey: None,
            grams: beside.grams,
        })))
    }

    fn finish(&mut self, part: Part, params: Params, stored: TensorInfo) -> Row {
        let wanted =
            self.config.out_dtype.as_ref().or(self.config.dtype.as_ref()).and_then(|word| dtype(word));
        let (part, dtype) = match part {
            Part::Merged(operands) => {
                let operands = Operands { params, ..*operands };
                let (held, most) = (self.method.held(&operands), self.limits.merge_held);
                if held > most {
                    let id = self.method.spec().id;
                    let message = format!(
                        "`{id}` must hold {held} numbers at once; at most {most} are held (`merge_held`)"
                    );
                    self.fault(&stored.name, message);
                }
                (Part::Merged(Box::new(operands)), wanted.unwrap_or(stored.dtype))
            }
            copied => (copied, stored.dtype),
        };
        Row::new(TensorInfo { dtype, ..stored }, part)
    }

    /// Resolves all parameters for one tensor; a parameter that is missing is reported once.
    fn params(&mut self, tensor: &str, scope: &Scope<'_>) -> Params {
        let (members, section) = (scope.members, scope.section);
        let t = section.position(tensor);
        let mut params = Params { models: vec![BTreeMap::new(); members.merged.len()], ..Params::default() };
        let shared: Vec<&Settings> =
            scope.group.parameters.into_iter().chain([&self.config.parameters]).collect();
        let mut missing = Vec::new();
        let mut unusual = Vec::new();
        for spec in self.method.spec().parameters {
            if !spec.per_model {
                let pointer = format!("/parameters/{}", spec.name);
                match resolve(spec, &shared, tensor, t) {
                    Some(value) => {
                        params.global.insert(spec.name, value);
                        unusual.push((pointer, spec, value));
                    }
                    None => missing.push((pointer, spec.name, String::new())),
                }
                continue;
            }
            for (at, (seat, entry)) in members.merged.iter().enumerate() {
                let own = entry.map(|entry| &entry.parameters);
                let levels: Vec<&Settings> = own.into_iter().chain(shared.iter().copied()).collect();
                let place = entry.and_then(|e| scope.group.sources.iter().position(|o| std::ptr::eq(o, e)));
                let pointer =
                    format!("{}/{}/parameters/{}", scope.group.pointer(), place.unwrap_or(at), spec.name);
                match resolve(spec, &levels, &section.input(seat, tensor), t) {
                    Some(value) => {
                        params.models[at].insert(spec.name, value);
                        unusual.push((pointer, spec, value));
                    }
                    None => missing.push((pointer, spec.name, format!(" for `{}`", seat.label))),
                }
            }
        }
        let complete = missing.is_empty();
        for (pointer, name, whom) in missing {
            if self.seen.insert(pointer.clone()) {
                self.fault(pointer, format!("`{name}` is missing{whom}, first needed by tensor `{tensor}`"));
            }
        }
        if complete
            && let Some(fault) = self.method.fault(&params)
            && self.seen.insert(fault.clone())
        {
            self.fault("/parameters", format!("{fault}, first at tensor `{tensor}`"));
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
                && self.seen.insert(pointer.clone())
            {
                let value = figure(value);
                let message =
                    format!("{value} is outside the usual {from} to {to}, first at tensor `{tensor}`");
                self.outline.warnings.push(Item { pointer, message });
            }
        }
        self.warn_of_head(tensor, scope.group.sources, &shared);
        params
    }

    /// The head follows the layers, and yet takes the first value of a gradient, as mergekit has it.
    fn warn_of_head(&mut self, tensor: &str, sources: &[Entry], shared: &[&Settings]) {
        let own = sources.iter().map(|entry| &entry.parameters);
        for (name, setting) in own.chain(shared.iter().copied()).flatten() {
            if tensor == TIED.0 && setting.is_gradient() && self.seen.insert(format!("head/{name}")) {
                let message = format!("`{tensor}` is outside the layers and takes the first value of a list");
                self.outline.warnings.push(Item { pointer: format!("/parameters/{name}"), message });
            }
        }
    }
}

fn resolve(spec: &ParamSpec, levels: &[&Settings], tensor: &str, t: f64) -> Option<f64> {
    levels.iter().find_map(|level| level.get(spec.name)?.of(tensor, t)).or_else(|| spec.resolved_default())
}

fn listed(held: &[Stored]) -> String {
    let labels: BTreeSet<String> = held.iter().map(|stored| format!("`{}`", stored.label)).collect();
    labels.into_iter().collect::<Vec<_>>().join(", ")
}

fn info(stored: &Stored) -> &TensorInfo {
    &stored.source.tensors()[stored.index]
}

/// The embedding that stands in for a head that a model does not store.
pub(crate) fn tied(name: &str, source: &dyn TensorSource) -> Option<usize> {
    let (head, embeddings) = TIED;
    (name == head).then(|| embeddings.iter().find_map(|embedding| source.position(embedding))).flatten()
}
