//! What the records of a dump are, told by their columns.

use domain::{Limits, Relation, RepoId};
use serde_json::{Map, Value};

use super::Entry;
use crate::metadata;

/// The columns looked for, in words.
pub(super) const WANTED: &str = "a model column (id, modelId, model_id, repo_id, model_name or selected_model), \
     a parent and a child column (parent, Base Model or base; child, Derived Model or derived), \
     or from and to";

pub(super) const IDS: [&str; 6] = ["id", "modelId", "model_id", "repo_id", "model_name", "selected_model"];
const PARENTS: [&str; 4] = ["parent", "Base Model", "base", "parent_id"];
const CHILDREN: [&str; 4] = ["child", "Derived Model", "derived", "child_id"];
const RELATIONS: [&str; 2] = ["relation", "Relation"];

/// What each record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Models,
    Edges { parent: &'static str, child: &'static str },
    Aliases,
}

impl Shape {
    /// Tells the shape from column names.
    pub fn of<'a>(columns: impl Iterator<Item = &'a str> + Clone) -> Option<Self> {
        let has = |wanted: &str| columns.clone().any(|column| column == wanted);
        let pick = |names: &[&'static str]| names.iter().copied().find(|name| has(name));
        if let (Some(parent), Some(child)) = (pick(&PARENTS), pick(&CHILDREN)) {
            return Some(Self::Edges { parent, child });
        }
        if has("from") && has("to") {
            return Some(Self::Aliases);
        }
        pick(&IDS).map(|_| Self::Models)
    }

    /// Reads a record.
    pub fn entry(self, record: Map<String, Value>, limits: &Limits) -> Result<Entry, String> {
        match self {
            Self::Models => metadata::from_api_row(&Value::Object(record), limits).map(Entry::Model),
            Self::Aliases => Ok(Entry::Alias { from: id(&record, "from")?, to: id(&record, "to")? }),
            Self::Edges { parent, child } => {
                let word = RELATIONS.iter().find_map(|key| record.get(*key)).and_then(Value::as_str);
                let relation = match word.map(str::trim) {
                    None | Some("") => Relation::Finetune,
                    Some(word) => word.parse()?,
                };
                Ok(Entry::Edge { parent: id(&record, parent)?, child: id(&record, child)?, relation })
            }
        }
    }
}

/// Reads a JSON object by its own keys.
pub(super) fn entry_of(value: Value, limits: &Limits) -> Result<Entry, String> {
    match value {
        Value::Object(record) => match Shape::of(record.keys().map(String::as_str)) {
            Some(shape) => shape.entry(record, limits),
            None => match (record.contains_key("from"), record.contains_key("to")) {
                (true, false) => Err("another name has `from` and no `to`, the present name".to_owned()),
                (false, true) => Err("another name has `to` and no `from`, the former name".to_owned()),
                _ => Err(format!("the record has none of the fields looked for: {WANTED}")),
            },
        },
        Value::String(text) => {
            let id = RepoId::parse(text.trim()).map_err(|error| error.to_string())?;
            Ok(Entry::Model(domain::Metadata::named(id)))
        }
        other => Err(format!("expected an object, got {}", metadata::kind(&other))),
    }
}

/// An id of an edge table; some tables write `/` as `_`.
fn id(record: &Map<String, Value>, key: &str) -> Result<RepoId, String> {
    let text = record.get(key).and_then(Value::as_str).unwrap_or_default().trim();
    if text.is_empty() {
        return Err(format!("`{key}` is empty; the id of a model is expected"));
    }
    let text = if text.contains('/') { text.to_owned() } else { text.replacen('_', "/", 1) };
    RepoId::parse(&text).map_err(|error| format!("column `{key}`: {error}"))
}
