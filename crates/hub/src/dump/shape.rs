//! What the records of a dump are, told by their columns.

use domain::{Limits, Relation, RepoId};
use serde_json::{Map, Value};

use super::{Entry, unread::Unread};
use crate::{
    card::plain,
    literal::is_missing,
    metadata::{self, columns, identity::is_number},
};

/// The columns looked for, in words.
pub(super) const WANTED: &str = "a model column (id, modelId, model_id, repo_id, model_name or selected_model), \
     a parent and a child column (parent, Base Model or base; child, Derived Model or derived), \
     or from and to, a former and the present name (an edge list names its columns parent and child)";

const PARENTS: [&str; 4] = ["parent", "Base Model", "base", "parent_id"];
const CHILDREN: [&str; 4] = ["child", "Derived Model", "derived", "child_id"];
const RELATIONS: [&str; 2] = ["relation", "Relation"];
/// Columns that edge lists have and tables of names do not, in small letters.
const OF_EDGES: [&str; 4] = ["relation", "type", "label", "weight"];

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
        let of_edges = |column: &str| OF_EDGES.contains(&column.to_ascii_lowercase().as_str());
        if has("from") && has("to") && !columns.clone().any(of_edges) {
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
            Self::Models => {
                if let Some(what) = foreign(&record) {
                    return Err(format!("the record is of {what}, not of a model"));
                }
                metadata::from_api_row(&Value::Object(record), limits).map(Entry::Model)
            }
            Self::Aliases => Ok(Entry::Alias { from: id(&record, "from")?, to: id(&record, "to")? }),
            Self::Edges { parent, child } => {
                let word = RELATIONS.iter().find_map(|key| record.get(*key)).and_then(Value::as_str);
                let word = word.map(str::trim).filter(|word| !word.is_empty() && !is_missing(word));
                let relation = word.and_then(|word| word.parse().ok());
                let unknown = word.filter(|_| relation.is_none());
                let unknown = unknown.map(|word| plain(word).chars().take(60).collect());
                let (parent, child) = (end(&record, parent)?, end(&record, child)?);
                Ok(Entry::Edge { parent, child, relation: relation.unwrap_or(Relation::Finetune), unknown })
            }
        }
    }
}

/// Reads a JSON object by its own keys; those that nothing reads are gathered.
pub(super) fn entry_of(value: Value, limits: &Limits, unread: &Unread) -> Result<Entry, String> {
    match value {
        Value::Object(record) => match Shape::of(record.keys().map(String::as_str)) {
            Some(shape) => {
                unread.gather(record.keys().filter(|key| !shape.reads(key)));
                shape.entry(record, limits)
            }
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

/// What else of the Hub a record is of: its lists of data sets and Spaces look like those of models.
fn foreign(record: &Map<String, Value>) -> Option<&'static str> {
    let tags = record.get("tags").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let of_data = |tag: &str| {
        tag == "library:datasets"
            || tag.starts_with("task_categories:")
            || tag.starts_with("size_categories:")
    };
    let has =
        |names: &[&str]| names.iter().any(|name| record.get(*name).is_some_and(|value| !value.is_null()));
    if !has(columns::TASK) && tags.iter().filter_map(Value::as_str).any(of_data) {
        return Some("a data set");
    }
    (has(&["sdk"]) && has(&["subdomain", "runtime"])).then_some("a Space")
}

/// An end of an edge as it is written; some tables write `/` as `_`.
fn end(record: &Map<String, Value>, key: &str) -> Result<String, String> {
    let text = record.get(key).and_then(metadata::scalar).unwrap_or_default();
    let text = text.trim();
    if text.is_empty() {
        return Err(format!("`{key}` is empty; the id of a model is expected"));
    }
    if is_number(text) {
        return Err(format!("`{key}` is {text}, the number of a row; the id of a model is expected"));
    }
    Ok(if text.contains('/') { text.to_owned() } else { text.replacen('_', "/", 1) })
}

/// An id of a table of names.
fn id(record: &Map<String, Value>, key: &str) -> Result<RepoId, String> {
    RepoId::parse(&end(record, key)?).map_err(|error| format!("column `{key}`: {error}"))
}
