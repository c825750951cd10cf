//! Reading a mergekit YAML: every fault of the document at once, unknown keys among them.

use domain::{Item, json::pointed};
use serde_json::{Map, Value};

use super::{
    Behind, Entry, LayerRange, METHODS, MergeConfig, MergeModule, ModulePart, ParamSpec, Policies, Setting,
    Settings, Slice, check::MOST_FAULTS, excluded, keys, reference::reference, templates, tokenizer, yaml,
};
use crate::Error;

/// Most models or slices in one list that are looked at.
const MOST_LISTED: usize = 10_000;

/// Reads a mergekit YAML document.
///
/// # Errors
/// [`Error::Yaml`], or every fault of the document at once; unknown keys are faults.
pub fn parse(yaml: &str) -> Result<MergeConfig, Error> {
    let documents = yaml::documents(yaml)?;
    let (config, mut faults) = read(documents.first().unwrap_or(&Value::Null));
    if documents.len() > 1 {
        faults.push(Item { pointer: String::new(), message: "expected one document".to_owned() });
    }
    if faults.is_empty() { Ok(config) } else { Err(Error::faults(faults)) }
}

/// One document of a recipe, and what is wrong with it.
pub(super) fn read(document: &Value) -> (MergeConfig, Vec<Item>) {
    let mut reader =
        Reader { faults: Vec::new(), parameters: Vec::new(), unused: Vec::new(), method: String::new() };
    let Value::Object(top) = document else {
        reader.fault("", "a merge recipe is a mapping that starts with `merge_method`");
        return (MergeConfig::default(), reader.faults);
    };
    let mut config = reader.config(top);
    config.unused = reader.unused;
    (config, reader.faults)
}

struct Reader {
    faults: Vec<Item>,
    /// Parameters of the chosen method, or of all methods while it is unknown.
    parameters: Vec<&'static ParamSpec>,
    /// Parameters that are given and mean nothing.
    unused: Vec<Item>,
    /// The chosen method as it is written.
    method: String,
}

impl Reader {
    fn fault(&mut self, pointer: &str, message: impl Into<String>) {
        self.faults.push(Item { pointer: pointer.to_owned(), message: message.into() });
    }

    /// Whether so much is wrong that nothing more is read.
    fn gives_up(&self) -> bool {
        self.faults.len() >= MOST_FAULTS
    }

    /// The items of a list that is neither empty nor longer than any is.
    fn listed<'v>(&mut self, list: &'v Value, (pointer, expected): (&str, &str)) -> &'v [Value] {
        let items = list.as_array().map(Vec::as_slice).unwrap_or_default();
        if items.is_empty() {
            self.fault(pointer, expected);
        } else if items.len() > MOST_LISTED {
            self.fault(pointer, format!("{} are listed; at most {MOST_LISTED} are read", items.len()));
            return &[];
        }
        items
    }

    fn reference(&mut self, value: &Value, pointer: &str) -> Option<String> {
        reference(value, pointer, &mut self.faults)
    }

    fn keys(&mut self, fields: &Map<String, Value>, pointer: &str, known: &[&str]) {
        for key in fields.keys().filter(|key| !known.contains(&key.as_str())) {
            if self.gives_up() {
                break;
            }
            self.fault(&format!("{pointer}/{}", pointed(key)), keys::unknown(key, known));
        }
    }

    fn config(&mut self, top: &Map<String, Value>) -> MergeConfig {
        self.keys(top, "", keys::TOP);
        let mut config = MergeConfig { merge_method: self.method(top), ..MergeConfig::default() };
        config.base_model = present(top, "base_model").and_then(|v| self.reference(v, "/base_model"));
        let own = self.parts(top, &mut config);
        config.parameters = over(own, self.settings(top, ""));
        let parts = config.modules.values();
        let slices = config.slices.iter().chain(parts.clone().flat_map(|part| &part.slices));
        let settings = slices.map(|slice| &slice.parameters).chain(parts.map(|part| &part.parameters));
        self.no_file(settings.chain([&config.parameters]));
        config.seed = self.seed(top);
        config.dtype = self.dtype(top, "dtype");
        config.out_dtype = self.dtype(top, "out_dtype");
        config.lora_merge_dtype = self.dtype(top, "lora_merge_dtype");
        config.post_t = self.behind(top);
        (config.tokenizer_source, config.tokenizer) =
            tokenizer::read(top, &config.model_refs(), &mut self.faults);
        config.chat_template = self.chat_template(top);
        config.policies = Policies::read(top, &mut self.faults);
        config.exclude = excluded::read(top, &mut self.faults);
        config
    }

    /// What the result is made of: `models`, `slices` or `modules`; gives the settings of a module that is all of it.
    fn parts(&mut self, top: &Map<String, Value>, config: &mut MergeConfig) -> Settings {
        const ONE: &str = "exactly one of `models`, `slices` and `modules` is needed";
        let given = ["models", "slices", "modules"].into_iter().filter(|key| present(top, key).is_some());
        let given = given.count();
        if given != 1 {
            self.fault("", ONE);
            self.unused_sources(top, "");
        }
        let Some(modules) = present(top, "modules") else {
            if given == 1 {
                (config.models, config.slices) = self.sources(top, "");
            }
            return Settings::new();
        };
        let Some(named) = modules.as_object().filter(|named| !named.is_empty()) else {
            self.fault("/modules", "expected a mapping of modules, e.g. `text_decoder: {models: […]}`");
            return Settings::new();
        };
        let mut own = Settings::new();
        for (word, value) in named {
            if self.gives_up() {
                break;
            }
            let pointer = format!("/modules/{}", pointed(word));
            let module = MergeModule::ALL.into_iter().find(|module| module.word() == word);
            let whole = word == "default";
            if !whole && module.is_none() {
                let known: Vec<&str> =
                    MergeModule::ALL.iter().map(|module| module.word()).chain(["default"]).collect();
                self.fault(&pointer, keys::unknown(word, &known));
                continue;
            }
            if whole && named.len() > 1 {
                self.fault(&pointer, "it stands for the whole model, which has no other modules then");
            }
            let Some(fields) = value.as_object() else {
                self.fault(&pointer, "expected a mapping with `models` or `slices`");
                continue;
            };
            self.keys(fields, &pointer, keys::MODULE);
            if present(fields, "models").is_some() == present(fields, "slices").is_some() {
                self.fault(&pointer, "exactly one of `models` and `slices` is needed");
                self.unused_sources(fields, &pointer);
                continue;
            }
            let (models, slices) = self.sources(fields, &pointer);
            let parameters = self.settings(fields, &pointer);
            match module {
                Some(module) => {
                    config.modules.insert(module, ModulePart { models, slices, parameters });
                }
                None => (config.models, config.slices, own) = (models, slices, parameters),
            }
        }
        if [MergeModule::VisionTower, MergeModule::VisionModel]
            .iter()
            .all(|module| config.modules.contains_key(module))
        {
            self.fault(
                "/modules/vision_model",
                "it is another name of `vision_tower`; one of them is needed",
            );
        }
        own
    }

    /// `models` or `slices` of a recipe or a module.
    fn sources(&mut self, fields: &Map<String, Value>, at: &str) -> (Vec<Entry>, Vec<Slice>) {
        let Some(list) = present(fields, "models") else {
            let slices = present(fields, "slices").map(|list| self.slices(list, &format!("{at}/slices")));
            return (Vec::new(), slices.unwrap_or_default());
        };
        let mut models = self.entries(list, &format!("{at}/models"));
        for (place, entry) in models.iter_mut().enumerate() {
            if entry.layer_range.take().is_some() {
                let pointer = format!("{at}/models/{place}/layer_range");
                self.fault(&pointer, "`models` are merged whole; ranges of layers go under `slices`");
            }
        }
        (models, Vec::new())
    }

    /// What is wrong with `models` and `slices` of which one is too many.
    fn unused_sources(&mut self, fields: &Map<String, Value>, at: &str) {
        if present(fields, "models").is_some() {
            drop(self.sources(fields, at));
        }
        if let Some(list) = present(fields, "slices") {
            drop(self.slices(list, &format!("{at}/slices")));
        }
    }

    fn slices(&mut self, list: &Value, pointer: &str) -> Vec<Slice> {
        let mut slices = Vec::new();
        let items = self.listed(list, (pointer, "expected a list of slices, each with `sources`"));
        for (at, item) in items.iter().enumerate() {
            if self.gives_up() {
                break;
            }
            let pointer = format!("{pointer}/{at}");
            let Some(fields) = item.as_object() else {
                self.fault(&pointer, "expected a mapping with `sources`");
                slices.push(Slice::default());
                continue;
            };
            self.keys(fields, &pointer, keys::SLICE);
            let base = present(fields, "base_model");
            slices.push(Slice {
                sources: self
                    .entries(fields.get("sources").unwrap_or(&Value::Null), &format!("{pointer}/sources")),
                base_model: base.and_then(|v| self.reference(v, &format!("{pointer}/base_model"))),
                parameters: self.settings(fields, &pointer),
            });
        }
        slices
    }

    fn method(&mut self, top: &Map<String, Value>) -> String {
        let ids: Vec<&str> = METHODS.iter().map(|m| m.spec().id).collect();
        let word = top.get("merge_method").and_then(Value::as_str).unwrap_or_default();
        let known: Vec<_> =
            METHODS.iter().map(|m| m.spec()).filter(|m| m.id == word || !ids.contains(&word)).collect();
        self.parameters = known.iter().flat_map(|method| method.parameters).collect();
        self.method = word.to_owned();
        if word.is_empty() {
            self.fault("/merge_method", format!("it must be one of {}", ids.join(", ")));
        } else if !ids.contains(&word) {
            self.fault("/merge_method", keys::unknown(word, &ids));
        }
        word.to_owned()
    }

    /// A template that takes the place of the heir's, or [`templates::AUTO`].
    fn chat_template(&mut self, top: &Map<String, Value>) -> Option<String> {
        let text = present(top, "chat_template")?.as_str().unwrap_or_default();
        if text == templates::AUTO {
            return Some(text.to_owned());
        }
        if text.contains('{') {
            if let Some(fault) = templates::fault(text) {
                self.fault("/chat_template", fault);
            }
            return Some(text.to_owned());
        }
        let named = templates::NAMED.iter().find(|(name, _)| *name == text);
        if named.is_none() {
            let known = templates::NAMED.map(|(name, _)| format!("`{name}`")).join(", ");
            let found: String = top["chat_template"].to_string().chars().take(60).collect();
            let message = format!(
                "expected `auto`, the template that most of the models have, a Jinja template, or one of {known}, found {found}"
            );
            self.fault("/chat_template", message);
        }
        named.map(|(_, text)| (*text).to_owned())
    }

    /// `seed`, or `random_seed` as mergekit's option is called.
    fn seed(&mut self, top: &Map<String, Value>) -> u64 {
        let Some((key, value)) =
            ["seed", "random_seed"].iter().find_map(|key| Some((key, present(top, key)?)))
        else {
            return 0;
        };
        if present(top, "random_seed").is_some_and(|other| other != value) {
            self.fault(
                "/random_seed",
                "it is another name of `seed`, which is given too; keep one of the two",
            );
        }
        value.as_u64().unwrap_or_else(|| {
            let large = value.as_f64().is_some_and(|number| number >= u64::MAX as f64);
            let told = match large {
                true => format!("the number is too large; it is {} at most", u64::MAX),
                false => "expected a whole number, 0 or more".to_owned(),
            };
            self.fault(&format!("/{key}"), told);
            0
        })
    }

    fn dtype(&mut self, top: &Map<String, Value>, key: &str) -> Option<String> {
        let value = present(top, key)?;
        let word = value.as_str().unwrap_or_default().trim_start_matches("torch.");
        if super::check::dtype(word).is_some() {
            return Some(word.to_owned());
        }
        let found: String = value.to_string().chars().take(60).collect();
        self.fault(
            &format!("/{key}"),
            format!("expected float32, float16, bfloat16 or float64, found {found}"),
        );
        None
    }

    fn behind(&mut self, top: &Map<String, Value>) -> Behind {
        let Some(value) = present(top, "post_t") else { return Behind::default() };
        Behind::of(value).unwrap_or_else(|| {
            let found: String = value.to_string().chars().take(60).collect();
            self.fault("/post_t", format!("expected 0 or 1, found {found}"));
            Behind::default()
        })
    }

    fn entries(&mut self, list: &Value, pointer: &str) -> Vec<Entry> {
        let mut entries = Vec::new();
        let items = self.listed(list, (pointer, "expected a list of models, e.g. `- model: org/name`"));
        for (at, item) in items.iter().enumerate() {
            if self.gives_up() {
                break;
            }
            let pointer = format!("{pointer}/{at}");
            let Some(fields) = item.as_object() else {
                self.fault(&pointer, "expected a mapping, e.g. `model: org/name`");
                entries.push(Entry::default());
                continue;
            };
            self.keys(fields, &pointer, keys::ENTRY);
            let layer_range = present(fields, "layer_range").and_then(|v| self.range(v, &pointer));
            let meant = |key: &String| keys::unknown(key, keys::ENTRY).ends_with("mean `model`?");
            let name = match fields.get("model") {
                // The word it is written as is told.
                None if fields.keys().any(|key| !keys::ENTRY.contains(&key.as_str()) && meant(key)) => None,
                model => self.reference(model.unwrap_or(&Value::Null), &format!("{pointer}/model")),
            };
            let parameters = self.settings(fields, &pointer);
            let parameters = self.only_own(parameters, &pointer);
            // One without a name keeps its place, by which the faults of others are told.
            entries.push(Entry { model: name.unwrap_or_default(), parameters, layer_range });
        }
        entries
    }

    fn range(&mut self, value: &Value, pointer: &str) -> Option<LayerRange> {
        let ends: Option<Vec<u64>> = value.as_array().and_then(|v| v.iter().map(Value::as_u64).collect());
        if let Some([first, end]) = ends.as_deref() {
            if first < end {
                return Some(LayerRange { first: *first, end: *end });
            }
            let message =
                format!("[{first}, {end}] holds no layer; the second number is the first layer left out");
            self.fault(&format!("{pointer}/layer_range"), message);
            return None;
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
            if self.gives_up() {
                break;
            }
            let pointer = format!("{pointer}/{}", pointed(name));
            if let Some(spec) = self.parameters.iter().find(|known| known.name == name) {
                let setting = Setting::read(value, spec, &pointer, &mut self.faults);
                settings.extend(setting.map(|setting| (name.clone(), setting)));
            } else if keys::IGNORED.contains(&name.as_str())
                || yaml::flag(value) == Some(false) && keys::ELSEWHERE.contains(&name.as_str())
            {
                // What is off has no effect that anybody could miss.
            } else if keys::ELSEWHERE.contains(&name.as_str()) {
                let message = format!("`{name}` means nothing to `{}`", self.method);
                self.unused.push(Item { pointer, message });
            } else {
                let known: Vec<&str> = self.parameters.iter().map(|known| known.name).collect();
                self.fault(&pointer, keys::unknown(name, &known));
            }
        }
        settings
    }

    /// A parameter of the whole merge has no effect under one model.
    fn only_own(&mut self, mut settings: Settings, pointer: &str) -> Settings {
        let shared: Vec<&str> = self.parameters.iter().filter(|p| !p.per_model).map(|p| p.name).collect();
        let stray = settings.extract_if(.., |name, _| shared.contains(&name.as_str()));
        self.unused.extend(stray.map(|(name, _)| {
            let message =
                format!("`{name}` has no effect under a model, only under the recipe's own `parameters`");
            Item { pointer: format!("{pointer}/parameters/{name}"), message }
        }));
        settings
    }

    /// A file belongs to one model.
    fn no_file<'s>(&mut self, shared: impl Iterator<Item = &'s Settings>) {
        for (name, _) in shared.flatten().filter(|(_, setting)| setting.file().is_some()) {
            let message = "every model has a file of its own: write it under the model's `parameters`";
            self.fault(&format!("/parameters/{name}"), message);
        }
    }
}

/// Settings that fall through to those of the next level.
fn over(mut first: Settings, then: Settings) -> Settings {
    for (name, setting) in then {
        match first.remove(&name) {
            Some(own) => first.insert(name, own.then(setting)),
            None => first.insert(name, setting),
        };
    }
    first
}

fn present<'a>(fields: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    fields.get(key).filter(|value| !value.is_null())
}
