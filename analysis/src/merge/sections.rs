//! Which layers of the result each group of a recipe gives, and what a recipe of modules leaves to its heir.

use std::collections::BTreeSet;

use domain::Item;
use weights::TensorInfo;

use super::{
    MergeModule,
    check::{Job, Scope, TIED},
    config::Group,
    layout::{Place, Section, layer_count, stack},
    members::{Members, by_module},
    modules::modules,
    source::Row,
};
use crate::computed::SourceTensor;

/// Most tensors that a warning names.
const NAMED: usize = 3;

/// The layers of one module of the result, or of all of it, that are made of slices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stacked {
    /// `None` for a model of one stack of layers.
    pub module: Option<MergeModule>,
    /// Model and layer that each layer comes from, of several merged models the reference.
    pub layers: Vec<(String, u64)>,
}

impl<'a> Job<'a> {
    /// The layers of the result that each group gives.
    pub fn sections(&mut self, groups: &[Group<'a>], members: &[Members<'_>]) -> Vec<Section> {
        let mut sections = Vec::new();
        for (part, own) in by_module(groups, members) {
            if part[0].slice.is_some() {
                sections.extend(self.stacked(part, own));
                continue;
            }
            let labels = own.iter().flat_map(Members::all).map(|seat| &seat.label);
            let layers = layer_count(labels.flat_map(|label| self.names_in(&part[0], label)));
            sections.push(Section { first: 0, layers, place: Place::Whole, module: part[0].module() });
        }
        sections
    }

    /// The layers that each slice of a model, or of a module, gives.
    fn stacked(&mut self, slices: &[Group<'a>], members: &[Members<'_>]) -> Vec<Section> {
        let above = slices.first().map(Group::above).unwrap_or_default();
        let labels: BTreeSet<&String> =
            members.iter().flat_map(Members::all).map(|seat| &seat.label).collect();
        // The slices are of one module.
        let names = slices
            .iter()
            .take(1)
            .flat_map(|slice| labels.iter().flat_map(|label| self.names_in(slice, label)));
        let stacks: BTreeSet<String> = names.filter_map(stack).collect();
        if stacks.len() > 1 {
            let found: Vec<String> = stacks.iter().map(|stack| format!("`{stack}`")).collect();
            let parts: Vec<&str> = match slices.first().and_then(Group::module) {
                Some(_) => Vec::new(),
                None => labels
                    .iter()
                    .flat_map(|label| modules(self.names(label)))
                    .map(MergeModule::word)
                    .collect(),
            };
            let hint = match parts.first() {
                Some(part) => format!(
                    "; write the slices of each under `modules`, e.g. `modules: {{{part}: {{slices: …}}}}`"
                ),
                None => String::new(),
            };
            let found = found.join(", ");
            self.fault(
                format!("{above}/slices"),
                format!("slices need one stack of layers, found {found}{hint}"),
            );
        }
        let (mut first, mut sections, mut from) = (0u64, Vec::new(), Vec::new());
        for (at, (group, members)) in slices.iter().zip(members).enumerate() {
            let layers = self.slice_layers(group, members);
            let place = match (at == 0, at + 1 == slices.len()) {
                (true, true) => Place::Only,
                (true, false) => Place::First,
                (false, true) => Place::Last,
                (false, false) => Place::Middle,
            };
            sections.push(Section { first, layers, place, module: group.module() });
            first = first.saturating_add(layers);
            let most = self.limits.merge_layers;
            if first > most {
                let message = format!(
                    "the slices have {first} layers or more; at most {most} are written (`merge_layers`)"
                );
                self.fault(format!("{above}/slices"), message);
                break;
            }
            if let Some(seat) = &members.reference {
                from.extend((0..layers).map(|layer| (seat.label.clone(), seat.first + layer)));
            }
        }
        let module = slices.first().and_then(Group::module);
        self.outline.stacked.push(Stacked { module, layers: from });
        sections
    }

    /// Layers of one slice; all its sources must have as many.
    fn slice_layers(&mut self, group: &Group<'a>, members: &Members<'_>) -> u64 {
        let mut lengths: Vec<(String, u64)> = Vec::new();
        for (at, entry) in group.sources.iter().enumerate() {
            let layers = layer_count(self.names_in(group, &entry.model));
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
            && base.first.saturating_add(layers) > layer_count(self.names_in(group, &base.label))
        {
            let message = format!("its layers end before those of the sources in `{}`", group.pointer());
            self.fault("/base_model", message);
        }
        layers
    }

    /// Names of a model's tensors that can be part of a group.
    fn names_in(&self, group: &Group<'a>, label: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        let group = *group;
        self.names(label).filter(move |name| group.holds(name))
    }

    /// Modules that a model does not have.
    pub fn lacks_modules(&mut self) {
        for group in self.config.groups() {
            let Some(module) = group.module() else { continue };
            let labels: BTreeSet<&String> =
                group.sources.iter().map(|entry| &entry.model).chain(group.base).collect();
            for label in labels {
                let found = modules(self.names(label));
                let found: Vec<&str> = found.into_iter().map(MergeModule::word).collect();
                let called = match module {
                    MergeModule::VisionModel => MergeModule::VisionTower.word(),
                    module => module.word(),
                };
                if !found.contains(&called) {
                    let known = match found.is_empty() {
                        true => "it is one stack of layers; list it under `models` or `slices`".to_owned(),
                        false => format!("it has {}", found.join(", ")),
                    };
                    let message = format!("`{label}` has no module `{}`: {known}", module.word());
                    self.fault(group.above(), message);
                }
            }
        }
    }

    /// What the heir holds of modules that the recipe does not list, as it is.
    pub fn unlisted(&mut self) -> Vec<Row> {
        let (config, inputs) = (self.config, self.inputs);
        let heir = config.heir().and_then(|heir| inputs.get_key_value(&heir));
        let Some((label, input)) = heir.filter(|_| !config.modules.is_empty()) else { return Vec::new() };
        let listed = |name: &str| config.modules.keys().any(|module| module.holds(name));
        let tensors = input.source.tensors().iter().enumerate();
        let left: Vec<(usize, &TensorInfo)> = tensors.filter(|(_, info)| !listed(&info.name)).collect();
        if !left.is_empty() {
            let named: Vec<String> =
                left.iter().take(NAMED).map(|(_, info)| format!("`{}`", info.name)).collect();
            let message = format!(
                "{} tensors belong to no module of the recipe and are those of `{label}`: {}{}",
                left.len(),
                named.join(", "),
                if left.len() > NAMED { ", …" } else { "" }
            );
            self.outline.warnings.push(Item { pointer: "/modules".to_owned(), message });
        }
        let copied = |(index, info): (usize, &TensorInfo)| {
            (info.name.clone(), SourceTensor { label: label.clone(), source: input.source.clone(), index })
        };
        let copied: Vec<(String, SourceTensor)> = left.into_iter().map(copied).collect();
        copied.into_iter().map(|(name, stored)| self.single(&name, stored)).collect()
    }

    /// Whether a result that ends with this slice has a head: one of the models stores one. Where none does, the head is the
    /// embedding, also where another model gives that than the last layers, which is warned of.
    pub fn needs_head(&mut self, scope: &Scope<'_>) -> bool {
        let models = self.config.weight_refs();
        if models.iter().any(|label| self.names(label).any(|name| name == TIED.0)) {
            return true;
        }
        let of = |group: &Group<'_>| {
            let listed = group.sources.iter().map(|entry| format!("`{}`", entry.model));
            listed.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(", ")
        };
        let groups = self.config.groups();
        let first = groups.iter().find(|group| group.module() == scope.group.module());
        let (first, last) = (first.map(of).unwrap_or_default(), of(scope.group));
        let tables = models.iter().any(|label| self.names(label).any(|name| TIED.1.contains(&name)));
        if tables && first != last {
            let message = format!(
                "no model stores a head, so that of the result stays tied to its embedding, which is that of {first}; the \
                 last layers are those of {last}"
            );
            let pointer = format!("{}/slices", scope.group.above());
            self.outline.warnings.push(Item { pointer, message });
        }
        false
    }
}
