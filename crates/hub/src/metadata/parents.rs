//! Parents as each source names them, before normalisation.

use domain::{DeclaredParent, Metadata, Note, Part, Relation, Source};
use serde_json::Value;

use super::{
    columns,
    fields::{Fields, strings},
    identity::is_number,
};
use crate::{
    card,
    literal::{is_missing, read},
};

/// Raw parents kept per model; the lineage rules cut further.
const MOST: usize = domain::FIXED.stated_parents;

/// Most characters of a weight or a density of a recipe.
const SETTING: usize = 60;

/// The note of a model that names more, or names them where nothing is read.
const UNREAD: &str = "parents_unread";

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
    if let Some(value) = fields.get(columns::RESOLVED) {
        named(metadata, value, (None, Source::Api));
    }
    from_tags(metadata, Source::Tag);
    for (column, relation) in NAMED {
        let Some(value) = fields.get(column) else { continue };
        let before = metadata.parents.len();
        named(metadata, value, (relation, Source::Table));
        // Elsewhere a column of that name may mean anything.
        if column == columns::PARENT && metadata.parents.len() > before {
            let beside = fields.text(columns::PARENT_RELATION).and_then(|word| relation_of(metadata, word));
            metadata.parents[before..]
                .iter_mut()
                .for_each(|parent| parent.relation = parent.relation.or(beside));
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

/// `base_model` of a card.
pub(super) fn from_front_matter(metadata: &mut Metadata, fields: &Fields<'_>) {
    if let Some(value) = fields.get(&["base_model", "base_models"]) {
        named(metadata, value, (None, Source::Card));
    }
}

/// Adds the parents that a value names: text, lists, `{id}`, `{relation, models}` or `{finetune: …, adapter: …}`, in each
/// other and as a table prints them. `relation` is what the places around it say.
fn named(metadata: &mut Metadata, value: &Value, (relation, source): (Option<Relation>, Source)) {
    match value {
        Value::Array(list) => list.iter().for_each(|item| named(metadata, item, (relation, source))),
        Value::Object(map) => {
            let stated = map.get("relation").and_then(Value::as_str);
            let relation = stated.and_then(|word| relation_of(metadata, word)).or(relation);
            let of = |key: &&str| map.get(*key).filter(|value| !value.is_null());
            if let Some(models) = ["models", "id", "name", "model"].iter().find_map(of) {
                return named(metadata, models, (relation, source));
            }
            let groups = map.iter().filter_map(|(key, value)| Some((key.parse::<Relation>().ok()?, value)));
            let groups: Vec<(Relation, &Value)> = groups.collect();
            if groups.is_empty() && !map.is_empty() {
                let keys = map.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
                let told =
                    format!("parents stand in an object of {keys}; `id`, `models` or relations are read");
                tell(metadata, card::note(UNREAD, clip(&told)));
            }
            groups.iter().for_each(|(relation, value)| named(metadata, value, (Some(*relation), source)));
        }
        Value::String(text)
            if text.trim_start().starts_with(['[', '(', '{']) || text.starts_with("array(") =>
        {
            match read(text).filter(|value| value.is_array() || value.is_object()) {
                Some(value) => named(metadata, &value, (relation, source)),
                None => push_all(metadata, strings(value), (relation, source)),
            }
        }
        // No id holds what people and tables put between several.
        Value::String(text) => {
            let parts = text.split([',', ';', '|', '\n', '\r']);
            push_all(metadata, parts.flat_map(|part| strings(&part.into())), (relation, source));
        }
        other => push_all(metadata, strings(other), (relation, source)),
    }
}

fn push_all(
    metadata: &mut Metadata,
    raws: impl IntoIterator<Item = String>,
    (relation, source): (Option<Relation>, Source),
) {
    raws.into_iter().for_each(|raw| push(metadata, &raw, relation, source));
}

/// The relation that a word stands for; one that is none of ours gives a note.
fn relation_of(metadata: &mut Metadata, word: &str) -> Option<Relation> {
    if word.trim().is_empty() || is_missing(word) {
        return None;
    }
    let read = word.parse::<Relation>();
    if let Err(reason) = &read {
        tell(metadata, card::note("bad_relation", format!("{}; the parents are kept", clip(reason))));
    }
    read.ok()
}

fn tell(metadata: &mut Metadata, note: Note) {
    if metadata.notes.len() < MOST && !metadata.notes.contains(&note) {
        metadata.notes.push(note);
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
    if source == Source::Table && is_number(raw.trim()) {
        let told = format!("the parent is {}, the number of a row; `org/name` is expected", raw.trim());
        return tell(metadata, card::note("not_an_id", told));
    }
    if metadata.parents.len() < MOST {
        let raw = card::plain(raw).chars().take(500).collect();
        metadata.parents.push(DeclaredParent { raw, relation, source, part });
    } else {
        let told = format!("more than {MOST} parents are named; the first {MOST} are read");
        tell(metadata, card::note(UNREAD, told));
    }
}
