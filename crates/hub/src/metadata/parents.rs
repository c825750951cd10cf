//! Parents as each source names them, before normalisation.

use domain::{DeclaredParent, Metadata, Note, Relation, Source};
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
pub(super) fn push_part(
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
