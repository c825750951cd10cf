//! A mergekit recipe as written, and its canonical form. Knows no weights.

use std::collections::{BTreeMap, BTreeSet};

use domain::Item;
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::{BaseNeed, Behind, METHODS, MergeModule, Method, Policies, Settings, TokenizerChoice};
use crate::recipe::sorted;

/// A merge recipe; a module called `default` is taken for the whole model.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct MergeConfig {
    pub merge_method: String,
    pub base_model: Option<String>,
    /// Whole models; empty when the recipe is written with `slices` or `modules`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<Entry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub slices: Vec<Slice>,
    /// How each part of the model is made, where they are made differently.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub modules: BTreeMap<MergeModule, ModulePart>,
    pub parameters: Settings,
    /// `float32`, `float16`, `bfloat16` or `float64`, without `torch.`.
    pub dtype: Option<String>,
    pub out_dtype: Option<String>,
    /// A model with an adapter applied is rounded to this format before it is merged; `None` for not at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lora_merge_dtype: Option<String>,
    /// Where along a gradient the tensors behind the layers stand.
    #[serde(skip_serializing_if = "Behind::is_first")]
    pub post_t: Behind,
    /// `base`, `union` or a model: whose tokenizer the result has.
    pub tokenizer_source: Option<String>,
    /// The same with more than a source; excludes `tokenizer_source`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokenizer: Option<TokenizerChoice>,
    /// A Jinja template; `None` keeps that of the heir.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chat_template: Option<String>,
    /// Chooses the random masks of the methods that draw some.
    pub seed: u64,
    /// What is done with tensors that the models do not have alike.
    #[serde(flatten)]
    pub policies: Policies,
    /// Parts of names of tensors that are those of the base.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    /// Parameters that are given and mean nothing, as mergekit reads past them.
    #[serde(skip)]
    pub(super) unused: Vec<Item>,
}

/// One model of a recipe.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Entry {
    pub model: String,
    pub parameters: Settings,
    /// `None` for all layers.
    pub layer_range: Option<LayerRange>,
}

impl Entry {
    /// Parameters that name a file, and the file.
    pub(super) fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.parameters.iter().filter_map(|(name, setting)| Some((name.as_str(), setting.file()?)))
    }
}

/// What one module of the result is made of: whole models, or slices.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ModulePart {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<Entry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub slices: Vec<Slice>,
    pub parameters: Settings,
}

/// Layers of several models merged into the next layers of the result.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Slice {
    pub sources: Vec<Entry>,
    /// Takes the place of the recipe's own.
    pub base_model: Option<String>,
    pub parameters: Settings,
}

/// Layers `first..end`, written `[first, end]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerRange {
    pub first: u64,
    pub end: u64,
}

impl Serialize for LayerRange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        [self.first, self.end].serialize(serializer)
    }
}

/// What is merged together: the whole models, or one slice, of all their tensors or those of a module.
#[derive(Clone, Copy)]
pub(super) struct Group<'a> {
    pub sources: &'a [Entry],
    pub base: Option<&'a String>,
    /// Settings of the slice.
    pub parameters: Option<&'a Settings>,
    /// Place among the slices.
    pub slice: Option<usize>,
    pub module: Option<(MergeModule, &'a Settings)>,
}

impl<'a> Group<'a> {
    /// The module that it is a part of.
    pub fn module(&self) -> Option<MergeModule> {
        self.module.map(|(module, _)| module)
    }

    /// Whether a tensor of a model can be part of it.
    pub fn holds(&self, tensor: &str) -> bool {
        self.module().is_none_or(|module| module.holds(tensor))
    }

    /// Where the recipe writes the module, or itself.
    pub fn above(&self) -> String {
        self.module().map_or(String::new(), |module| format!("/modules/{}", module.word()))
    }

    /// Where the recipe writes the slice, or what it is a slice of.
    pub fn place(&self) -> String {
        self.slice.map_or_else(|| self.above(), |at| format!("{}/slices/{at}", self.above()))
    }

    /// Where the recipe writes the sources.
    pub fn pointer(&self) -> String {
        format!("{}/{}", self.place(), if self.slice.is_some() { "sources" } else { "models" })
    }

    /// Settings that count for all sources, the nearest first, without those of the recipe.
    pub fn settings(&self) -> impl Iterator<Item = &'a Settings> {
        self.parameters.into_iter().chain(self.module.map(|(_, settings)| settings))
    }
}

/// Each name once, where it comes first.
fn distinct<'a>(names: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    names.filter(|name| seen.insert(*name)).cloned().collect()
}

impl MergeConfig {
    /// The method; `parse` gives no config with an unknown one.
    pub(crate) fn method(&self) -> Option<&'static dyn Method> {
        METHODS.iter().copied().find(|method| method.spec().id == self.merge_method)
    }

    fn base_need(&self) -> BaseNeed {
        self.method().map_or(BaseNeed::Unused, |method| method.spec().base)
    }

    /// The whole models, or every slice in order; module by module.
    pub(super) fn groups(&self) -> Vec<Group<'_>> {
        if self.modules.is_empty() {
            return self.parts(&self.models, &self.slices, None);
        }
        let parts = self
            .modules
            .iter()
            .map(|(module, part)| self.parts(&part.models, &part.slices, Some((*module, &part.parameters))));
        parts.flatten().collect()
    }

    fn parts<'a>(
        &'a self,
        models: &'a [Entry],
        slices: &'a [Slice],
        module: Option<(MergeModule, &'a Settings)>,
    ) -> Vec<Group<'a>> {
        if slices.is_empty() {
            let base = self.base_model.as_ref();
            return vec![Group { sources: models, base, parameters: None, slice: None, module }];
        }
        let group = |(at, slice): (usize, &'a Slice)| Group {
            sources: &slice.sources,
            base: slice.base_model.as_ref().or(self.base_model.as_ref()),
            parameters: Some(&slice.parameters),
            slice: Some(at),
            module,
        };
        slices.iter().enumerate().map(group).collect()
    }

    /// Every model that must be opened, each once: those listed, then the bases, then one that only gives its tokenizer.
    pub fn model_refs(&self) -> Vec<String> {
        let mut refs = self.weight_refs();
        let choice = self.tokenizer_choice().map(|choice| choice.source);
        let donor = choice.filter(|source| !["base", "union"].contains(&source.as_str()));
        refs.extend(donor.filter(|name| !refs.contains(name)));
        refs
    }

    /// The models listed and the bases, each once.
    pub(super) fn weight_refs(&self) -> Vec<String> {
        let groups = self.groups();
        let listed = groups.iter().flat_map(|group| group.sources).map(|entry| &entry.model);
        let bases = groups.iter().filter_map(|group| group.base);
        distinct(listed.chain(bases).chain(&self.base_model))
    }

    /// JSON Pointer of the first place where the recipe names this model, or this file beside one.
    pub fn place_of(&self, name: &str) -> String {
        let groups = self.groups();
        let listed = groups.iter().find_map(|group| {
            let at = group.sources.iter().position(|entry| entry.model == name)?;
            Some(format!("{}/{at}/model", group.pointer()))
        });
        let beside = || {
            groups.iter().find_map(|group| {
                group.sources.iter().enumerate().find_map(|(at, entry)| {
                    let (parameter, _) = entry.files().find(|(_, file)| *file == name)?;
                    Some(format!("{}/{at}/parameters/{parameter}", group.pointer()))
                })
            })
        };
        let base = || {
            let own = |group: &&Group<'_>| {
                group.slice.is_some()
                    && group.base.is_some_and(|base| base == name)
                    && self.base_model.as_deref() != Some(name)
            };
            Some(format!("{}/base_model", groups.iter().find(own)?.place()))
        };
        let tokens = || {
            let own =
                self.base_model.as_deref() != Some(name) && self.tokenizer_model().as_deref() == Some(name);
            let place = if self.tokenizer.is_some() { "/tokenizer/source" } else { "/tokenizer_source" };
            own.then(|| place.to_owned())
        };
        listed.or_else(beside).or_else(base).or_else(tokens).unwrap_or_else(|| "/base_model".to_owned())
    }

    /// Every file named beside a model, each once.
    pub fn file_refs(&self) -> Vec<String> {
        let groups = self.groups();
        let named = groups.iter().flat_map(|group| group.sources).flat_map(Entry::files);
        let files: BTreeSet<&str> = named.map(|(_, file)| file).collect();
        files.into_iter().map(str::to_owned).collect()
    }

    /// The models whose weights end up in the result, each once: without the base of a delta method.
    pub fn merged_refs(&self) -> Vec<String> {
        let groups = self.groups();
        let need = self.base_need();
        let mut merged: BTreeSet<&String> = BTreeSet::new();
        for group in &groups {
            let base = group.base.filter(|_| need == BaseNeed::Endpoint);
            let skipped = group.base.filter(|_| matches!(need, BaseNeed::Delta | BaseNeed::Optional));
            let listed = group.sources.iter().map(|entry| &entry.model);
            merged.extend(listed.filter(|name| Some(*name) != skipped).chain(base));
        }
        self.model_refs().into_iter().filter(|name| merged.contains(name)).collect()
    }

    /// The models of which weights are computed together, with the place in the recipe: those listed in one place, with the
    /// base where the method reads it. A place that takes the layers of one model alone has no others.
    pub fn together(&self) -> Vec<(String, Vec<String>)> {
        let read = self.base_need() != BaseNeed::Unused;
        let of = |group: &Group<'_>| {
            let listed = group.sources.iter().map(|entry| &entry.model);
            let names = distinct(listed.chain(group.base.filter(|_| read)));
            (names.len() > 1).then(|| (group.pointer(), names))
        };
        self.groups().iter().filter_map(of).collect()
    }

    /// The models whose tables of tokens the result is made of: those of the first and of the last slice, with the bases
    /// that are read.
    pub(super) fn table_refs(&self) -> Vec<String> {
        let groups = self.groups();
        let read = self.base_need() != BaseNeed::Unused;
        let mut of_tables = groups.iter().filter(|group| group.holds(weights::HEAD));
        let ends = of_tables.next().into_iter().chain(of_tables.next_back());
        distinct(ends.flat_map(|group| {
            let listed = group.sources.iter().map(|entry| &entry.model);
            listed.chain(group.base.filter(|_| read))
        }))
    }

    /// Whether tensors may be copied from the base, also by a method that does not read it.
    pub(super) fn copies(&self) -> bool {
        self.policies.copies() || !self.exclude.is_empty()
    }

    /// Whose configuration and tokenizer the result inherits: the base, else the model listed first.
    pub fn heir(&self) -> Option<String> {
        self.base_model.clone().or_else(|| self.weight_refs().into_iter().next())
    }

    /// What is asked of the tokenizer; none where the rows of all models are taken as they stand.
    pub fn tokenizer_choice(&self) -> Option<TokenizerChoice> {
        let source = self.tokenizer_source.clone();
        self.tokenizer
            .clone()
            .or_else(|| Some(TokenizerChoice { source: source?, ..TokenizerChoice::default() }))
    }

    /// The model whose tokenizer is taken, or extended to a union.
    pub fn tokenizer_model(&self) -> Option<String> {
        let source = self.tokenizer_choice().map(|choice| choice.source);
        source.filter(|source| !["base", "union"].contains(&source.as_str())).or_else(|| self.heir())
    }

    /// Most models merged into one tensor.
    pub fn widest(&self) -> usize {
        self.groups().iter().map(|group| group.sources.len()).max().unwrap_or_default()
    }

    /// The recipe with sorted keys and nothing left out: equal recipes, equal documents. [`super::parse`] reads it
    /// back.
    pub fn canonical(&self) -> Value {
        sorted(serde_json::to_value(self).unwrap_or_default())
    }
}
