//! Whether models are built alike, as far as their tensors tell: what names and shapes they share.

use std::collections::{BTreeMap, BTreeSet};

use domain::Item;
use weights::{TensorInfo, TensorSource};

use super::{
    MergeModule,
    check::Job,
    config::Group,
    layout::{layer_count, stack},
    members::{Members, by_module},
    vocabulary::is_table,
};
use crate::kinship::layer_number;

impl<'a> Job<'a> {
    /// Whether the models have tensors that can be merged with or stacked on one another.
    pub fn alike(&mut self, groups: &[Group<'a>], members: &[Members<'_>]) {
        for (part, own) in by_module(groups, members) {
            let seats = own.iter().flat_map(Members::all);
            let labels: BTreeSet<&str> = seats.map(|seat| seat.label.as_str()).collect();
            let models: Vec<Labelled<'a>> = labels
                .into_iter()
                .filter_map(|label| self.inputs.get_key_value(label))
                .map(|(label, input)| Labelled::new(label, &*input.source, part[0].module()))
                .collect();
            let Some((first, others)) = models.split_first() else { continue };
            let whole = part[0].module().is_none();
            let labels: Vec<&str> = models.iter().map(|model| model.label).collect();
            let unlike = self.architectures(&labels).filter(|_| whole);
            if part[0].slice.is_some() {
                let pointer = format!("{}/slices", part[0].above());
                let faults = self.faults.len();
                for message in others.iter().filter_map(|other| unstackable(first, other)) {
                    self.fault(pointer.clone(), message);
                }
                if self.faults.len() == faults {
                    self.outline.warnings.extend(unlike.map(|message| Item { pointer, message }));
                }
            } else if !self.config.policies.allow_crimes {
                let told =
                    unlike.map_or_else(|| strangers(&models), |told| vec![format!("{told}; {CRIMES}")]);
                for message in told {
                    self.fault(part[0].pointer(), message);
                }
            }
        }
    }
}

/// A model and what it holds, or what one of its modules does.
struct Labelled<'a> {
    label: &'a str,
    tensors: BTreeMap<&'a str, &'a TensorInfo>,
}

impl<'a> Labelled<'a> {
    fn new(label: &'a str, source: &'a dyn TensorSource, module: Option<MergeModule>) -> Self {
        let tensors = source.tensors().iter().map(|info| (info.name.as_str(), info));
        let held = tensors.filter(|(name, _)| module.is_none_or(|module| module.holds(name)));
        Self { label, tensors: held.collect() }
    }

    fn in_layers(&self) -> impl Iterator<Item = &'a TensorInfo> {
        self.tensors.values().copied().filter(|info| layer_number(&info.name).is_some())
    }
}

/// What merges models of different architectures.
const CRIMES: &str = "`allow_crimes: true` merges those tensors that they have in common";

/// Why models are of different architectures, told of those that are the fewest.
fn strangers(models: &[Labelled<'_>]) -> Vec<String> {
    let told = |one: &Labelled<'_>| models.iter().filter_map(|other| foreign(one, other)).collect::<Vec<_>>();
    models.iter().map(told).min_by_key(Vec::len).unwrap_or_default()
}

/// Tensors that some models lack, one entry for those of all layers.
#[derive(Default)]
pub(super) struct Lacking(BTreeMap<(String, Vec<String>), (String, u64)>);

impl Lacking {
    /// A tensor, and the models without it.
    pub fn add(&mut self, name: &str, labels: &[&str]) {
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        self.0.entry((kind_of(name), labels)).or_insert_with(|| (name.to_owned(), 0)).1 += 1;
    }
}

/// A name without the number of the layer.
fn kind_of(name: &str) -> String {
    let layered = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let mut parts: Vec<&str> = name.split('.').collect();
    if let Some(at) = parts.iter().position(|part| layered(part)) {
        parts[at] = "N";
    }
    parts.join(".")
}

impl Job<'_> {
    /// What the models lack: a fault for each kind of tensor, or that one has fewer layers.
    pub fn tell_lacking(&mut self) {
        const HINT: &str = "`missing: base`, `skip` or `union` decides about those";
        let Lacking(lacking) = std::mem::take(&mut self.lacking);
        let plain = self.config.slices.is_empty() && self.config.modules.is_empty();
        let mut hint = format!("; {HINT}");
        for ((_, labels), (first, count)) in lacking {
            let lack = labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
            let shallow = labels.iter().map(|label| layer_count(self.names(label))).max().unwrap_or_default();
            let deep = layer_number(&first).is_some_and(|layer| layer >= shallow);
            if plain && deep && shallow > 0 {
                let most = self.config.weight_refs().iter().map(|label| layer_count(self.names(label))).max();
                let most = most.unwrap_or_default();
                let have = match labels.len() {
                    1 => format!("has {shallow} layers"),
                    _ => format!("have {shallow} layers at most"),
                };
                let message = format!(
                    "{lack} {have} where another model has {most}; `slices` merges some layers of each, \
                     {HINT} that only one has"
                );
                let whose = labels.first().map(|label| self.config.place_of(label)).unwrap_or_default();
                self.once(&format!("layers of {lack}"), &whose, message);
                continue;
            }
            let others = match count {
                1 => String::new(),
                _ => format!(", like {} more of its kind in other layers", count - 1),
            };
            let message =
                format!("missing in {lack}{others}; every model must have it{}", std::mem::take(&mut hint));
            self.fault(first, message);
        }
    }
}

/// Why two models are of different architectures: they share less than half of the names that either has.
fn foreign(one: &Labelled<'_>, other: &Labelled<'_>) -> Option<String> {
    let (ours, theirs) = (one.tensors.len(), other.tensors.len());
    let shared = one.tensors.keys().filter(|name| other.tensors.contains_key(*name)).count();
    let (a, b) = (one.label, other.label);
    (2 * shared < ours.min(theirs)).then(|| {
        format!(
            "`{a}` and `{b}` are of different architectures: {shared} of their {ours} and {theirs} tensors have the same name; \
             {CRIMES}"
        )
    })
}

/// What forbids to stack layers of two models on one another: each kind of tensor in a layer must be in both, with one
/// shape in the layers that both have.
fn unstackable(one: &Labelled<'_>, other: &Labelled<'_>) -> Option<String> {
    foreign(one, other).or_else(|| unlike(one, other))
}

fn unlike(one: &Labelled<'_>, other: &Labelled<'_>) -> Option<String> {
    let (a, b) = (one.label, other.label);
    for info in one.in_layers() {
        let twin = other.tensors.get(info.name.as_str());
        if let Some(twin) = twin.filter(|twin| twin.shape != info.shape) {
            let (name, ours, theirs) = (&info.name, &info.shape, &twin.shape);
            return Some(format!("layers differ: `{name}` has shape {ours:?} in `{a}`, {theirs:?} in `{b}`"));
        }
    }
    let (ours, theirs) = (kinds(one), kinds(other));
    let lacking = |has: &str, kind: &String, lacks: &str| {
        format!("layers differ: those of `{has}` hold `{kind}`, those of `{lacks}` do not")
    };
    let first = ours.difference(&theirs).next().map(|kind| lacking(a, kind, b));
    first.or_else(|| theirs.difference(&ours).next().map(|kind| lacking(b, kind, a)))
}

/// What layers hold: names without the number of the layer and what is before it.
fn kinds(model: &Labelled<'_>) -> BTreeSet<String> {
    let kind = |info: &TensorInfo| {
        let begin = stack(&info.name)?.len();
        let rest = info.name.get(begin..)?.trim_start_matches('.');
        rest.split_once('.').map(|(_, kind)| kind.to_owned())
    };
    model.in_layers().filter_map(kind).collect()
}

/// Tables of the result with one row a token that have not equally many.
pub(super) fn uneven_tables<'r>(tensors: impl Iterator<Item = &'r TensorInfo>) -> Option<Item> {
    let mut tables = tensors.filter(|info| is_table(&info.name) && info.shape.len() == 2);
    let first = tables.next()?;
    let other = tables.find(|other| other.shape[0] != first.shape[0])?;
    let message = format!(
        "`{}` of the first slice has {} rows and `{}` of the last {}: a model has one vocabulary; choose models of one \
         vocabulary for both ends",
        first.name, first.shape[0], other.name, other.shape[0]
    );
    Some(Item { pointer: "/slices".to_owned(), message })
}
