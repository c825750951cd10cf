//! What the records of a dump are, told by their columns.

use domain::{Limits, Relation, RepoId};
use serde_json::{Map, Value};

use super::Entry;
use crate::{
    literal::is_missing,
    metadata::{self, columns},
};

/// The columns looked for, in words.
pub(super) const WANTED: &str = "a model column (id, modelId, model_id, repo_id, model_name or selected_model), \
     a parent and a child column (parent, Base Model or base; child, Derived Model or derived), \
     or from and to";

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
        pick(columns::ID).map(|_| Self::Models)
    }

    /// Whether a column of such a table is read.
    pub fn reads(self, column: &str) -> bool {
        match self {
            Self::Models => columns::is_read(column),
            Self::Aliases => ["from", "to"].contains(&column),
            Self::Edges { parent, child } => {
                column == parent || column == child || RELATIONS.contains(&column)
            }
        }
    }

    /// Reads a record.
    pub fn entry(self, record: Map<String, Value>, limits: &Limits) -> Result<Entry, String> {
        match self {
            Self::Models => metadata::from_api_row(&Value::Object(record), limits).map(Entry::Model),
            Self::Aliases => Ok(Entry::Alias { from: id(&record, "from")?, to: id(&record, "to")? }),
            Self::Edges { parent, child } => {
                let word = RELATIONS.iter().find_map(|key| record.get(*key)).and_then(Value::as_str);
                let word = word.map(str::trim).filter(|word| !word.is_empty() && !is_missing(word));
                let relation = word.and_then(|word| word.parse().ok());
                let unknown = word.filter(|_| relation.is_none()).map(|word| word.chars().take(60).collect());
                let (parent, child) = (end(&record, parent)?, end(&record, child)?);
                Ok(Entry::Edge { parent, child, relation: relation.unwrap_or(Relation::Finetune), unknown })
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

/// An end of an edge as it is written; some tables write `/` as `_`.
fn end(record: &Map<String, Value>, key: &str) -> Result<String, String> {
    let text = record.get(key).and_then(Value::as_str).unwrap_or_default().trim();
    if text.is_empty() {
        return Err(format!("`{key}` is empty; the id of a model is expected"));
    }
    Ok(if text.contains('/') { text.to_owned() } else { text.replacen('_', "/", 1) })
}

/// An id of a table of names.
fn id(record: &Map<String, Value>, key: &str) -> Result<RepoId, String> {
    RepoId::parse(&end(record, key)?).map_err(|error| format!("column `{key}`: {error}"))
}
