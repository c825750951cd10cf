//! A mergekit recipe: read, checked for shape, and written canonically. Knows no weights.

use domain::Item;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{BaseNeed, METHODS, Method, ParamSpec, Setting, Settings, keys};
use crate::{Error, recipe::sorted};

/// A merge recipe as written, whole-model merges only.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MergeConfig {
    pub merge_method: String,
    pub base_model: Option<String>,
    pub models: Vec<Entry>,
    /// Settings of the slice, when the recipe is written with `slices`.
    pub slice_parameters: Settings,
    pub parameters: Settings,
    /// `float32`, `float16`, `bfloat16` or `float64`, without `torch.`.
    pub dtype: Option<String>,
    pub out_dtype: Option<String>,
    pub tokenizer_source: Option<String>,
    /// Chooses the random masks of the methods that draw some.
    pub seed: u64,
}

/// One model of a recipe.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry {
    pub model: String,
    pub parameters: Settings,
    /// As a slice states it.
    pub layer_range: Option<LayerRange>,
}

/// Layers `first..end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct LayerRange {
    pub first: u64,
    pub end: u64,
}

impl MergeConfig {
    /// The method; `parse` gives no config with an unknown one.
    pub(crate) fn method(&self) -> Option<&'static dyn Method> {
        METHODS.iter().copied().find(|method| method.spec().id == self.merge_method)
    }

    fn base_need(&self) -> BaseNeed {
        self.method().map_or(BaseNeed::Unused, |method| method.spec().base)
    }

    /// Every model that must be opened, each once: those listed, then the base.
    pub fn model_refs(&self) -> Vec<String> {
        let mut refs: Vec<String> = Vec::new();
        for name in self.models.iter().map(|entry| &entry.model).chain(&self.base_model) {
            if !refs.contains(name) {
                refs.push(name.clone());
            }
        }
        refs
    }

    /// The models whose weights end up in the result, each once: without the base of a delta method.
    pub fn merged_refs(&self) -> Vec<String> {
        let base = self.base_model.as_ref();
        let keep = |name: &String| match self.base_need() {
            BaseNeed::Delta | BaseNeed::Optional => Some(name) != base,
            BaseNeed::Endpoint => true,
            BaseNeed::Unused => self.models.iter().any(|entry| entry.model == *name),
        };
        self.model_refs().into_iter().filter(keep).collect()
    }

    /// The recipe with sorted keys and nothing left out: equal recipes, equal documents.
    pub fn canonical(&self) -> Value {
        sorted(serde_json::to_value(self).unwrap_or_default())
    }
}

/// Reads a mergekit YAML document.
///
/// # Errors
/// [`Error::Yaml`], or every fault of the document at once; unknown keys are faults.
pub fn parse(yaml: &str) -> Result<MergeConfig, Error> {
    let document: Value = serde_saphyr::from_str(yaml).map_err(|error| Error::Yaml(error.to_string()))?;
    let Value::Object(top) = document else {
        return Err(Error::fault("", "a merge recipe is a mapping that starts with `merge_method`"));
    };
    let mut reader = Reader { faults: Vec::new(), parameters: Vec::new(), ignored: Vec::new() };
    let config = reader.config(&top);
    if reader.faults.is_empty() { Ok(config) } else { Err(Error::Faults(reader.faults)) }
}

struct Reader {
    faults: Vec<Item>,
    /// Parameters of the chosen method, or of all methods while it is unknown.
    parameters: Vec<&'static ParamSpec>,
    /// Names accepted without effect.
    ignored: Vec<&'static str>,
}

impl Reader {
    fn fault(&mut self, pointer: &str, message: impl Into<String>) {
        self.faults.push(Item { pointer: pointer.to_owned(), message: message.into() });
    }

    fn keys(&mut self, fields: &Map<String, Value>, pointer: &str, known: &[&str]) {
        for key in fields.keys().filter(|key| !known.contains(&key.as_str())) {
            self.fault(&format!("{pointer}/{key}"), keys::unknown(key, known));
        }
    }

    fn config(&mut self, top: &Map<String, Value>) -> MergeConfig {
        self.keys(top, "", keys::TOP);
        let merge_method = self.method(top);
        self.unsupported(top);
        let mut base_model = top.get("base_model").and_then(|v| self.reference(v, "/base_model"));
        let mut slice_parameters = Settings::new();
        let models = match (present(top, "models"), present(top, "slices")) {
            (Some(list), None) => self.entries(list, "/models"),
            (None, Some(list)) => match list.as_array().map(Vec::as_slice) {
                Some([Value::Object(slice)]) => {
                    self.keys(slice, "/slices/0", keys::SLICE);
                    slice_parameters = self.settings(slice, "/slices/0");
                    if let Some(base) = present(slice, "base_model") {
                        base_model = self.reference(base, "/slices/0/base_model");
                    }
                    let sources = slice.get("sources").unwrap_or(&Value::Null);
                    self.entries(sources, "/slices/0/sources")
                }
                _ => {
                    self.fault(
                        "/slices",
                        "exactly one slice over all layers is supported; stacking slices is not",
                    );
                    Vec::new()
                }
            },
            _ => {
                self.fault("", "exactly one of `models` and `slices` is needed");
                Vec::new()
            }
        };
        let named: Vec<&str> =
            models.iter().map(|entry| entry.model.as_str()).chain(base_model.as_deref()).collect();
        let tokenizer_source = self.tokenizer(top, &named);
        MergeConfig {
            merge_method,
            models,
            slice_parameters,
            parameters: self.settings(top, ""),
            seed: self.seed(top),
            dtype: self.dtype(top, "dtype"),
            out_dtype: self.dtype(top, "out_dtype"),
            tokenizer_source,
            base_model,
        }
    }

    fn method(&mut self, top: &Map<String, Value>) -> String {
        let ids: Vec<&str> = METHODS.iter().map(|m| m.spec().id).collect();
        let word = top.get("merge_method").and_then(Value::as_str).unwrap_or_default();
        let known: Vec<_> =
            METHODS.iter().map(|m| m.spec()).filter(|m| m.id == word || !ids.contains(&word)).collect();
        self.parameters = known.iter().flat_map(|method| method.parameters).collect();
        self.ignored = known.iter().flat_map(|method| method.ignored).chain(keys::IGNORED).copied().collect();
        if word.is_empty() {
            self.fault("/merge_method", format!("it must be one of {}", ids.join(", ")));
        } else if !ids.contains(&word) {
            self.fault("/merge_method", keys::unknown(word, &ids));
        }
        word.to_owned()
    }

    fn unsupported(&mut self, top: &Map<String, Value>) {
        for (key, message) in
            [("modules", "merging modules one by one is not supported; list whole models under `models`")]
        {
            if present(top, key).is_some() {
                self.fault(&format!("/{key}"), message);
            }
        }
        if present(top, "chat_template").is_some_and(|v| v != "auto") {
            self.fault("/chat_template", "only `auto` is supported: the base model's template is kept");
        }
    }

    /// `tokenizer_source`, or the source of a `tokenizer` that asks for nothing else.
    fn tokenizer(&mut self, top: &Map<String, Value>, models: &[&str]) -> Option<String> {
        let (pointer, source) = match (present(top, "tokenizer_source"), present(top, "tokenizer")) {
            (Some(_), Some(_)) => {
                self.fault("/tokenizer", "it excludes `tokenizer_source`; keep one of the two");
                return None;
            }
            (Some(source), None) => ("/tokenizer_source", source),
            (None, Some(Value::Object(fields))) => {
                self.keys(fields, "/tokenizer", &["source"]);
                ("/tokenizer/source", present(fields, "source").unwrap_or(&Value::Null))
            }
            (None, Some(_)) => {
                self.fault("/tokenizer", "expected a mapping, e.g. `source: base`");
                return None;
            }
            (None, None) => return None,
        };
        let word = source.as_str().unwrap_or_default();
        if matches!(word, "base" | "union") || models.contains(&word) {
            return Some(word.to_owned());
        }
        self.fault(pointer, "expected `base`, `union` or one of the models");
        None
    }

    /// `seed`, or `random_seed` as mergekit's option is called.
    fn seed(&mut self, top: &Map<String, Value>) -> u64 {
        let Some((key, value)) =
            ["seed", "random_seed"].iter().find_map(|key| Some((key, present(top, key)?)))
        else {
            return 0;
        };
        value.as_u64().unwrap_or_else(|| {
            self.fault(&format!("/{key}"), "expected a whole number, 0 or more");
            0
        })
    }

    fn dtype(&mut self, top: &Map<String, Value>, key: &str) -> Option<String> {
        let value = present(top, key)?;
        let word = value.as_str().unwrap_or_default().trim_start_matches("torch.");
        if super::check::dtype(word).is_some() {
            return Some(word.to_owned());
        }
        self.fault(&format!("/{key}"), "expected float32, float16, bfloat16 or float64");
        None
    }

    fn entries(&mut self, list: &Value, pointer: &str) -> Vec<Entry> {
        let Some(items) = list.as_array().filter(|items| !items.is_empty()) else {
            self.fault(pointer, "expected a list of models, e.g. `- model: org/name`");
            return Vec::new();
        };
        let mut entries = Vec::new();
        for (at, item) in items.iter().enumerate() {
            let pointer = format!("{pointer}/{at}");
            let Some(fields) = item.as_object() else {
                self.fault(&pointer, "expected a mapping, e.g. `model: org/name`");
                continue;
            };
            self.keys(fields, &pointer, keys::ENTRY);
            let layer_range = present(fields, "layer_range").and_then(|v| self.range(v, &pointer));
            let name =
                self.reference(fields.get("model").unwrap_or(&Value::Null), &format!("{pointer}/model"));
            let parameters = self.settings(fields, &pointer);
            self.no_shared(&parameters, &pointer);
            entries.extend(name.map(|model| Entry { model, parameters, layer_range }));
        }
        entries
    }

    fn range(&mut self, value: &Value, pointer: &str) -> Option<LayerRange> {
        let ends: Option<Vec<u64>> = value.as_array().and_then(|v| v.iter().map(Value::as_u64).collect());
        if let Some([first, end]) = ends.as_deref() {
            return Some(LayerRange { first: *first, end: *end });
        }
        self.fault(&format!("{pointer}/layer_range"), "expected two layer numbers, e.g. `[0, 32]`");
        None
    }

    fn settings(&mut self, fields: &Map<String, Value>, pointer: &str) -> Settings {
        let pointer = format!("{pointer}/parameters");
        let named = match present(fields, "parameters") {
            None => return Settings::new(),
            Some(Value::Object(named)) => named,
            Some(_) => {
                self.fault(&pointer, "expected a mapping of parameters, e.g. `weight: 0.5`");
                return Settings::new();
            }
        };
        let mut settings = Settings::new();
        for (name, value) in named {
            let pointer = format!("{pointer}/{name}");
            if let Some(spec) = self.parameters.iter().find(|known| known.name == name) {
                let setting = Setting::read(value, spec, &pointer, &mut self.faults);
                settings.extend(setting.map(|setting| (name.clone(), setting)));
            } else if keys::OFF.contains(&name.as_str()) {
                if value != false {
                    self.fault(&pointer, "only `false` is supported");
                }
            } else if !self.ignored.contains(&name.as_str()) {
                let known: Vec<&str> = self.parameters.iter().map(|known| known.name).collect();
                self.fault(&pointer, keys::unknown(name, &known));
            }
        }
        settings
    }

    /// A parameter of the whole merge has no effect under one model, where it would look as if it had.
    fn no_shared(&mut self, settings: &Settings, pointer: &str) {
        let shared: Vec<&str> = self.parameters.iter().filter(|p| !p.per_model).map(|p| p.name).collect();
        for name in settings.keys().filter(|name| shared.contains(&name.as_str())) {
            let message = "it belongs to the whole merge: write it under the recipe's own `parameters`";
            self.fault(&format!("{pointer}/parameters/{name}"), message);
        }
    }

    /// `org/name`, or mergekit's `{model: {path, revision}}` and `{path, revision}`.
    fn reference(&mut self, value: &Value, pointer: &str) -> Option<String> {
        if let Some(fields) = value.as_object() {
            let known = if fields.contains_key("model") { keys::REFERENCE } else { keys::MODEL };
            self.keys(fields, pointer, known);
        }
        let inner = value.get("model").unwrap_or(value);
        let name = match inner {
            Value::Null if pointer == "/base_model" => return None,
            Value::String(text) => text.trim().to_owned(),
            Value::Object(parts) => {
                if value.get("model").is_some() {
                    self.keys(parts, pointer, keys::MODEL);
                }
                let path = parts.get("path").and_then(Value::as_str).unwrap_or_default().to_owned();
                match parts.get("revision") {
                    None | Some(Value::Null) => path,
                    Some(Value::String(revision)) => format!("{path}@{revision}"),
                    Some(_) => {
                        self.fault(&format!("{pointer}/revision"), "expected a text, in quotes");
                        path
                    }
                }
            }
            _ => String::new(),
        };
        if name.is_empty() {
            self.fault(pointer, "expected a model, e.g. `org/name`");
        }
        (!name.is_empty()).then_some(name)
    }
}

fn present<'a>(fields: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    fields.get(key).filter(|value| !value.is_null())
}
