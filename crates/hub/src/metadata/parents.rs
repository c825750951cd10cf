//! Parents as each source names them, before normalisation.

use domain::{DeclaredParent, Metadata, Part, Relation, Source};
use serde_json::Value;

use super::{
    columns,
    fields::{Fields, strings},
};
use crate::{card, literal::read};

/// Raw parents kept per model; the lineage rules cut further.
const MOST: usize = 500;

/// Most characters of a weight or a density of a recipe.
const SETTING: usize = 60;

/// The note of a model that names more.
const TOO_MANY: &str = "parents_unread";

/// Columns in which a table names parents, with the relation that the column stands for. Of several of one parent the first
/// holds, as in the study they come from (arXiv 2508.06811).
const NAMED: [(&[&str], Option<Relation>); 6] = [
    (columns::NAMED, None),
    (columns::PARENT, None),
    (columns::MERGED, Some(Relation::Merge)),
    (columns::ADAPTED, Some(Relation::Adapter)),
    (columns::QUANTIZED, Some(Relation::Quantized)),
    (columns::FINETUNED, Some(Relation::Finetune)),
];

/// `baseModels` and `base_model:` tags of an API row, and a flat `base_model` column.
pub(super) fn from_row(metadata: &mut Metadata, fields: &Fields<'_>) {
    let plain = || fields.text(columns::RESOLVED).map(Value::from);
    match fields.json(columns::RESOLVED).or_else(plain) {
        Some(Value::Array(groups)) => groups.iter().for_each(|group| from_base_models(metadata, group)),
        Some(group) => from_base_models(metadata, &group),
        None => {}
    }
    from_tags(metadata, Source::Tag);
    for (column, relation) in NAMED {
        for raw in fields.get(column).map(names).unwrap_or_default() {
            push(metadata, &raw, relation, Source::Table);
        }
    }
}

/// The sources that an API row has a word from, besides its card.
pub(super) fn sources(fields: &Fields<'_>) -> Vec<Source> {
    let has = |names: &[&str]| fields.get(names).is_some_and(|value| value.as_str() != Some(""));
    let mut found = Vec::new();
    // Both tell what the Hub resolved.
    if has(columns::RESOLVED) || has(columns::TAGS) {
        found.extend([Source::Api, Source::Tag]);
    }
    if NAMED.iter().any(|(column, _)| has(column)) {
        found.push(Source::Table);
    }
    if fields.json(columns::CONFIG).is_some_and(|config| config.get("peft").is_some()) {
        found.push(Source::AdapterConfig);
    }
    found
}

/// `base_model:` tags, with or without a relation; `source` says whose tags they are.
pub(super) fn from_tags(metadata: &mut Metadata, source: Source) {
    for tag in metadata.tags.clone() {
        let Some(rest) = tag.strip_prefix("base_model:") else { continue };
        let Some((word, id)) = rest.split_once(':').filter(|(word, _)| is_word(word)) else {
            push(metadata, rest, None, source);
            continue;
        };
        let relation = word.parse::<Relation>();
        if let Err(reason) = &relation {
            let told = format!("the tag `{}`: {reason}; the parent is kept", clip(&tag));
            metadata.notes.push(card::note("bad_relation", told));
        }
        push(metadata, id, relation.ok(), source);
    }
}

/// A relation with its parents, or a plain id.
fn from_base_models(metadata: &mut Metadata, group: &Value) {
    if let Some(id) = group.as_str() {
        return push(metadata, id, None, Source::Api);
    }
    let relation = group.get("relation").and_then(Value::as_str).and_then(|word| word.parse().ok());
    let models = group.get("models").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    for id in models.iter().filter_map(|model| model.get("id").unwrap_or(model).as_str()) {
        push(metadata, id, relation, Source::Api);
    }
}

/// `base_model` of a card: text, a list, a map with a name, or a list with nulls and maps.
pub(super) fn from_front_matter(metadata: &mut Metadata, fields: &Fields<'_>) {
    for raw in fields.get(&["base_model", "base_models"]).map(names).unwrap_or_default() {
        push(metadata, &raw, None, Source::Card);
    }
}

/// The names a value holds; no id has a comma, so a text may hold several.
fn names(value: &Value) -> Vec<String> {
    match value {
        Value::Array(list) => list.iter().flat_map(names).collect(),
        Value::Object(map) => {
            ["id", "name", "model"].iter().find_map(|key| map.get(*key)).map(strings).unwrap_or_default()
        }
        Value::String(text) if text.trim_start().starts_with(['[', '{']) && read(text).is_some() => {
            read(text).as_ref().map(names).unwrap_or_default()
        }
        other => {
            let texts = strings(other);
            let parts = texts.iter().flat_map(|text| text.split(',')).map(str::trim);
            parts.filter(|part| !part.is_empty()).map(str::to_owned).collect()
        }
    }
}

/// `base_model_name_or_path` of an adapter_config.json.
pub(super) fn from_adapter_config(metadata: &mut Metadata, config: &Value) {
    if let Some(raw) = config.get("base_model_name_or_path").and_then(Value::as_str) {
        push(metadata, raw, Some(Relation::Adapter), Source::AdapterConfig);
    }
}

/// Methods whose `base_model` is one of the models that are merged.
const WITHOUT_DELTAS: [&str; 3] = ["linear", "passthrough", "slerp"];

fn recipe(body: &str) -> Option<Value> {
    card::yaml_value(&card::embedded_mergekit(body)?).ok()
}

/// The model that the changes of a merge are measured from, as the mergekit recipe of a card writes it, without a
/// revision; none where the method knows no such model.
pub fn delta_base(card: &str) -> Option<String> {
    let recipe = recipe(card)?;
    let method = recipe.get("merge_method").and_then(Value::as_str)?;
    let mut raws = Vec::new();
    references(recipe.get("base_model"), &mut raws);
    let base = raws.first()?.split(['+', '@']).next()?.trim();
    (!WITHOUT_DELTAS.contains(&method)).then(|| base.to_owned())
}

/// The models of a mergekit recipe embedded in the card, in its order; names that are no `org/name` are local.
pub(super) fn from_recipe(metadata: &mut Metadata, body: &str) {
    let Some(recipe) = recipe(body) else {
        return;
    };
    let mut base: Vec<&str> = Vec::new();
    references(recipe.get("base_model"), &mut base);
    let mut listed: Vec<(&str, String)> = Vec::new();
    let mut places: Vec<Vec<&str>> = Vec::new();
    let sources = list(&recipe, "slices").iter().flat_map(|slice| list(slice, "sources"));
    for entry in list(&recipe, "models").iter().chain(sources) {
        let mut raws = Vec::new();
        references(entry.get("model"), &mut raws);
        if raws.is_empty() {
            continue;
        }
        let known = places.iter().position(|known| *known == raws);
        let place = known.unwrap_or(places.len());
        let part = match raws == base {
            true => part(Some(Part::Base), (Part::Nth(place + 1), entry)),
            false => part(None, (Part::Nth(place + 1), entry)),
        };
        listed.extend(raws.iter().map(|raw| (*raw, part.clone())));
        if known.is_none() {
            places.push(raws);
        }
    }
    if !places.contains(&base) {
        listed.extend(base.iter().map(|raw| (*raw, Part::Base.to_string())));
    }
    for (raw, part) in listed {
        // `model+adapter` applies an adapter first; `@` names a revision.
        for id in raw.split('+').map(|id| id.split('@').next().unwrap_or(id).trim()) {
            if id.matches('/').count() == 1 && !id.starts_with(['.', '/', '~']) {
                let parent = (id, Some(part.clone()));
                push_part(metadata, parent, Some(Relation::Merge), Source::MergeConfig);
            }
        }
    }
}

/// What an entry of a recipe says of its model: whether it is the base too, its place, its weight and its density.
fn part(base: Option<Part>, (place, entry): (Part, &Value)) -> String {
    let mut told: Vec<String> = base.into_iter().chain([place]).map(|part| part.to_string()).collect();
    for name in ["weight", "density"] {
        let value = entry.get("parameters").and_then(|parameters| parameters.get(name));
        // A gradient or a list of conditions is told as it stands.
        let text = value.map(|value| value.to_string().chars().take(SETTING).collect::<String>());
        told.extend(text.map(|text| format!("{name} {text}")));
    }
    told.join(" · ")
}

/// A reference of mergekit's: text, or an object with a `path`, a `model` or a `lora` to apply.
fn references<'a>(value: Option<&'a Value>, raws: &mut Vec<&'a str>) {
    match value {
        Some(Value::String(text)) => raws.push(text),
        Some(Value::Object(map)) => {
            ["path", "model", "lora"].into_iter().for_each(|key| references(map.get(key), raws));
        }
        _ => {}
    }
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// Whether a text can stand for a relation: no id and no address.
fn is_word(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        && !["http", "https"].contains(&text)
}

fn clip(text: &str) -> String {
    text.chars().take(120).collect()
}

fn push(metadata: &mut Metadata, raw: &str, relation: Option<Relation>, source: Source) {
    push_part(metadata, (raw, None), relation, source);
}

/// [`push`] of a parent that has a part in a recipe.
fn push_part(
    metadata: &mut Metadata,
    (raw, part): (&str, Option<String>),
    relation: Option<Relation>,
    source: Source,
) {
    if raw.trim().is_empty() {
        return;
    }
    if metadata.parents.len() < MOST {
        let raw = raw.chars().take(500).collect();
        metadata.parents.push(DeclaredParent { raw, relation, source, part });
    } else if !metadata.notes.iter().any(|note| note.code == TOO_MANY) {
        let told = format!("more than {MOST} parents are named; the first {MOST} are read");
        metadata.notes.push(card::note(TOO_MANY, told));
    }
}
