//! What changed between two states of a model, part by part, and how much a user of it has to mind.

use std::collections::{BTreeMap, BTreeSet};

use domain::{Digest, Relation};
use serde::Serialize;
use serde_json::Value;

/// How far a change reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// What the model says of itself.
    Patch,
    /// What it answers.
    Minor,
    /// How it is loaded or fed.
    Major,
}

impl Level {
    /// The word as JSON has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Patch => "patch",
            Self::Minor => "minor",
            Self::Major => "major",
        }
    }
}

/// What changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    Architecture,
    Tokenizer,
    Weights,
    /// Settings that shape no tensor.
    Configuration,
    Licence,
    Card,
}

impl Part {
    /// The word as JSON has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Architecture => "architecture",
            Self::Tokenizer => "tokenizer",
            Self::Weights => "weights",
            Self::Configuration => "configuration",
            Self::Licence => "licence",
            Self::Card => "card",
        }
    }
}

/// One change with what was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    pub part: Part,
    pub level: Level,
    /// What exactly differs.
    pub detail: String,
    /// Seen on the files; otherwise only claimed by metadata.
    pub measured: bool,
}

/// A tensor as far as versions need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensor {
    pub dtype: String,
    pub shape: Vec<u64>,
    pub digest: Digest,
}

/// A model at one moment.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct State {
    pub architecture: Option<String>,
    pub config: Option<Value>,
    pub licence: Option<String>,
    /// Digest of the card's text.
    pub card: Option<Digest>,
    /// Files of the tokenizer by name; empty when no files are known.
    pub tokenizer: BTreeMap<String, Digest>,
    /// Empty when the weights are not here.
    pub tensors: BTreeMap<String, Tensor>,
    /// Digest of its generation_config.json.
    pub generation: Option<Digest>,
}

impl State {
    /// Whether its files are known, so that what is not there is known not to be.
    fn is_known(&self) -> bool {
        !self.tensors.is_empty()
    }
}

/// Keys of a configuration that say how tensors are shaped or fed.
const STRUCTURE: &[&str] = &[
    "architectures",
    "head_dim",
    "hidden_act",
    "hidden_activation",
    "hidden_size",
    "intermediate_size",
    "max_position_embeddings",
    "model_type",
    "num_attention_heads",
    "num_experts",
    "num_hidden_layers",
    "num_key_value_heads",
    "num_local_experts",
    "quantization",
    "quantization_config",
    "rope_scaling",
    "rope_theta",
    "sliding_window",
    "tie_word_embeddings",
    "vocab_size",
];

/// Keys that change nothing for a user: what wrote the file, and what the tensors say themselves.
const SILENT: &[&str] = &["_name_or_path", "dtype", "torch_dtype", "transformers_version", "use_cache"];

/// Things that are named of many.
const NAMED: usize = 3;

/// Everything that differs, the farthest-reaching first. `relation` is how the later state claims to descend from the
/// earlier; none for two states of one model.
pub fn changes(before: &State, after: &State, relation: Option<Relation>) -> Vec<Change> {
    let mut found: Vec<Change> = [
        architecture(before, after),
        tokenizer(before, after),
        weights(before, after, relation),
        configuration(before, after),
        licence(before, after),
        card(before, after),
    ]
    .into_iter()
    .flatten()
    .collect();
    found.sort_by_key(|change| std::cmp::Reverse(change.level));
    found
}

fn change(part: Part, level: Level, detail: String) -> Change {
    Change { part, level, detail, measured: true }
}

fn architecture(before: &State, after: &State) -> Option<Change> {
    let mut told = Vec::new();
    if let (Some(a), Some(b)) = (&before.config, &after.config) {
        for key in STRUCTURE {
            let [a, b] = [a, b].map(|config| config.get(key).filter(|value| !value.is_null()));
            let known = before.is_known() && after.is_known();
            if a != b && (known || a.is_some() && b.is_some()) {
                told.push(format!("{key} {} → {}", setting(a), setting(b)));
            }
        }
    } else if let (Some(a), Some(b)) = (&before.architecture, &after.architecture)
        && a != b
    {
        told.push(format!("{} → {}", clip(a), clip(b)));
    }
    let (old, new) = (&before.tensors, &after.tensors);
    if !old.is_empty() && !new.is_empty() {
        let gone = old.keys().filter(|name| !new.contains_key(*name)).count();
        let come = new.keys().filter(|name| !old.contains_key(*name)).count();
        let reshaped = new
            .iter()
            .filter(|(name, tensor)| old.get(*name).is_some_and(|o| o.shape != tensor.shape))
            .count();
        if gone + come + reshaped > 0 {
            told.push(format!("tensors: {come} new, {gone} gone, {reshaped} of another shape"));
        }
    }
    (!told.is_empty()).then(|| change(Part::Architecture, Level::Major, told.join("; ")))
}

/// Settings that are no structure, and those of generation.
fn configuration(before: &State, after: &State) -> Option<Change> {
    let mut told = Vec::new();
    if !before.is_known() || !after.is_known() {
        return None;
    }
    let fields = |state: &State| state.config.as_ref().and_then(Value::as_object).cloned();
    if let (Some(old), Some(new)) = (fields(before), fields(after)) {
        let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        let own = |key: &&&String| !STRUCTURE.contains(&key.as_str()) && !SILENT.contains(&key.as_str());
        let changed = keys.iter().filter(own).filter_map(|key| {
            let [a, b] = [&old, &new].map(|fields| fields.get(*key).filter(|value| !value.is_null()));
            (a != b).then(|| format!("{key} {} → {}", setting(a), setting(b)))
        });
        told.extend(some_of(changed.collect()));
    }
    match (before.generation, after.generation) {
        (Some(a), Some(b)) if a != b => told.push("generation_config.json differs".to_owned()),
        (None, Some(_)) => told.push("generation_config.json is new".to_owned()),
        (Some(_), None) => told.push("generation_config.json is gone".to_owned()),
        _ => {}
    }
    (!told.is_empty()).then(|| change(Part::Configuration, Level::Minor, told.join("; ")))
}

/// A value of a configuration, `none` for one that is not there.
fn setting(value: Option<&Value>) -> String {
    value.map_or_else(|| "none".to_owned(), |value| clip(&value.to_string()))
}

/// The first of some texts, and how many more there are; none of none.
fn some_of(texts: Vec<String>) -> Option<String> {
    let more = texts.len().saturating_sub(NAMED);
    let mut told = texts.into_iter().take(NAMED).collect::<Vec<_>>().join(", ");
    if more > 0 {
        told.push_str(&format!(" and {more} more"));
    }
    (!told.is_empty()).then_some(told)
}

fn tokenizer(before: &State, after: &State) -> Option<Change> {
    let (old, new) = (&before.tokenizer, &after.tokenizer);
    if old.is_empty() || new.is_empty() {
        return None;
    }
    let differing: Vec<&str> = new
        .iter()
        .filter(|(name, digest)| old.get(*name).is_some_and(|o| o != *digest))
        .map(|(name, _)| name.as_str())
        .collect();
    (!differing.is_empty())
        .then(|| change(Part::Tokenizer, Level::Major, format!("{} differ", clip(&differing.join(", ")))))
}

fn weights(before: &State, after: &State, relation: Option<Relation>) -> Option<Change> {
    let (old, new) = (&before.tensors, &after.tensors);
    if old.is_empty() || new.is_empty() {
        let relation = relation?;
        let detail = format!(
            "claimed by the relation {relation}; not measured, since the weights of the two are not both here"
        );
        return Some(Change { part: Part::Weights, level: Level::Minor, detail, measured: false });
    }
    let shared: Vec<(&String, (&Tensor, &Tensor))> =
        new.iter().filter_map(|(name, tensor)| Some((name, (old.get(name)?, tensor)))).collect();
    let elements = |tensor: &Tensor| tensor.shape.iter().fold(1_u64, |all, n| all.saturating_mul(*n));
    let changed: Vec<_> = shared.iter().filter(|(_, (a, b))| a.digest != b.digest).collect();
    if changed.is_empty() {
        return None;
    }
    let cast = changed.iter().filter(|(_, (a, b))| a.dtype != b.dtype).count();
    let part: u64 = changed.iter().map(|(_, (_, tensor))| elements(tensor)).sum();
    let whole: u64 = shared.iter().map(|(_, (_, tensor))| elements(tensor)).sum();
    let share = 100.0 * part as f64 / whole.max(1) as f64;
    let mut detail =
        format!("{} of {} tensors changed, {share:.1} % of their weights", changed.len(), shared.len());
    if changed.len() < shared.len() {
        let names = changed.iter().map(|(name, _)| clip(name)).collect();
        detail.extend(some_of(names).map(|names| format!(": {names}")));
    }
    if cast > 0 {
        detail.push_str(&format!("; {cast} in another number format"));
    }
    Some(change(Part::Weights, Level::Minor, detail))
}

fn licence(before: &State, after: &State) -> Option<Change> {
    let (old, new) = (before.licence.as_deref()?, after.licence.as_deref()?);
    (!old.eq_ignore_ascii_case(new))
        .then(|| change(Part::Licence, Level::Minor, format!("{} → {}", clip(old), clip(new))))
}

fn card(before: &State, after: &State) -> Option<Change> {
    let detail = match (before.card, after.card) {
        (Some(a), Some(b)) if a != b => "its text differs",
        (None, Some(_)) => "there is one now",
        (Some(_), None) => "there is none any more",
        _ => return None,
    };
    Some(change(Part::Card, Level::Patch, detail.to_owned()))
}

fn clip(text: &str) -> String {
    text.chars().take(120).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tensor(shape: &[u64], bytes: &str) -> Tensor {
        Tensor { dtype: "F32".to_owned(), shape: shape.to_vec(), digest: Digest::of(bytes.as_bytes()) }
    }

    fn state() -> State {
        State {
            config: Some(json!({ "hidden_size": 8, "transformers_version": "4" })),
            licence: Some("mit".to_owned()),
            card: Some(Digest::of(b"card")),
            tokenizer: BTreeMap::from([("tokenizer.json".to_owned(), Digest::of(b"t"))]),
            tensors: BTreeMap::from([
                ("a".to_owned(), tensor(&[3], "a")),
                ("b".to_owned(), tensor(&[1], "b")),
            ]),
            ..State::default()
        }
    }

    fn told(after: &State) -> Vec<(Part, Level, String)> {
        changes(&state(), after, None)
            .into_iter()
            .map(|change| (change.part, change.level, change.detail))
            .collect()
    }

    #[test]
    fn the_same_files_are_no_change() {
        let mut after = state();
        after.config = Some(json!({ "hidden_size": 8, "transformers_version": "5" }));

        assert!(told(&after).is_empty());
    }

    #[test]
    fn each_part_has_its_level_and_says_what_differs() {
        let mut after = state();
        after.card = Some(Digest::of(b"other"));
        assert_eq!(told(&after), [(Part::Card, Level::Patch, "its text differs".to_owned())]);

        after.tensors.insert("a".to_owned(), tensor(&[3], "x"));
        assert_eq!(
            told(&after)[0],
            (Part::Weights, Level::Minor, "1 of 2 tensors changed, 75.0 % of their weights: a".to_owned())
        );

        after.tokenizer.insert("tokenizer.json".to_owned(), Digest::of(b"u"));
        assert_eq!(told(&after)[0], (Part::Tokenizer, Level::Major, "tokenizer.json differ".to_owned()));

        after = state();
        after.config = Some(json!({ "hidden_size": 16 }));
        after.tensors.insert("c".to_owned(), tensor(&[1], "c"));
        let detail = "hidden_size 8 → 16; tensors: 1 new, 0 gone, 0 of another shape".to_owned();
        assert_eq!(told(&after), [(Part::Architecture, Level::Major, detail)]);
    }

    #[test]
    fn settings_that_come_or_go_are_told_and_so_is_the_configuration_of_generation() {
        let mut before = state();
        before.config = Some(json!({ "hidden_size": 8, "eos_token_id": 1, "rope_scaling": null }));
        let mut after = before.clone();
        after.config = Some(json!({ "hidden_size": 8, "eos_token_id": 2, "rope_scaling": { "factor": 2 },
                                    "quantization": { "bits": 4 } }));
        after.generation = Some(Digest::of(b"g"));

        let told: Vec<(Part, String)> =
            changes(&before, &after, None).into_iter().map(|change| (change.part, change.detail)).collect();

        let structure = "quantization none → {\"bits\":4}; rope_scaling none → {\"factor\":2}".to_owned();
        let settings = "eos_token_id 1 → 2; generation_config.json is new".to_owned();
        assert_eq!(told, [(Part::Architecture, structure), (Part::Configuration, settings)]);
        after.tensors.clear();
        assert!(changes(&before, &after, None).is_empty(), "what only metadata say is not all there is");
    }

    #[test]
    fn without_weights_the_relation_is_a_claim() {
        let found = changes(&State::default(), &state(), Some(Relation::Finetune));

        let weights = found.iter().find(|change| change.part == Part::Weights).unwrap();
        assert!(!weights.measured);
        assert_eq!(weights.level, Level::Minor);
    }
}
