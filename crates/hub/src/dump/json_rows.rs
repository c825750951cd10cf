//! Records of JSON Lines and of single JSON documents.

use std::io::Read as _;

use domain::{Metadata, RepoId};
use serde_json::{Map, Value};

use super::{
    Entry, Raw, Rows,
    input::{Line, Source, next_line},
    shape::{Shape, entry_of},
};
use crate::{Error, Result};

/// A JSON document must fit in memory; larger dumps come as lines.
const DOCUMENT_BYTES: u64 = 256 << 20;

/// One object a line.
pub(super) fn lines(source: &Source<'_>) -> Result<Rows> {
    let mut reader = source.reader()?;
    let max = source.limits.row_bytes;
    let mut position = 0;
    let mut pending = None;
    // The first record that can be read decides whether this is a dump at all.
    while let Some(line) = next_line(&mut reader, max)
        .map_err(|error| Error::Io { path: source.label.to_owned(), source: error })?
    {
        position += 1;
        let Line::Text(bytes) = line else {
            pending = Some(too_long(position, max));
            break;
        };
        if blank(&bytes) {
            continue;
        }
        if let Ok(value) = serde_json::from_slice::<Value>(&bytes)
            && let Some(object) = value.as_object()
            && Shape::of(object.keys().map(String::as_str)).is_none()
        {
            return Err(source.not_a_dump(keys(object)));
        }
        pending = Some(line_row(position, bytes));
        break;
    }
    if position == 0 {
        return Err(source.not_a_dump("an empty file"));
    }
    let mut failed = false;
    let rest = std::iter::from_fn(move || {
        while !failed {
            position += 1;
            return match next_line(&mut reader, max) {
                Ok(None) => None,
                Ok(Some(Line::Text(bytes))) if blank(&bytes) => continue,
                Ok(Some(Line::Text(bytes))) => Some(line_row(position, bytes)),
                Ok(Some(Line::TooLong)) => Some(too_long(position, max)),
                Err(error) => {
                    failed = true;
                    Some(fault(position, format!("the file cannot be read on: {error}")))
                }
            };
        }
        None
    });
    Ok(Box::new(pending.into_iter().chain(rest)))
}

/// A list of records, a single record, a map of resolved ids, or records one after the other.
pub(super) fn document(source: &Source<'_>) -> Result<Rows> {
    let mut text = Vec::new();
    let read = source.reader()?.take(DOCUMENT_BYTES + 1).read_to_end(&mut text);
    read.map_err(|error| Error::Io { path: source.label.to_owned(), source: error })?;
    if text.len() as u64 > DOCUMENT_BYTES {
        return Err(Error::TooLarge { path: source.label.to_owned(), max: DOCUMENT_BYTES });
    }
    let mut values = Vec::new();
    for value in serde_json::Deserializer::from_slice(&text).into_iter::<Value>() {
        values.push(
            value.map_err(|error| Error::Damaged {
                path: source.label.to_owned(),
                reason: error.to_string(),
            })?,
        );
    }
    drop(text);
    let values = match <[Value; 1]>::try_from(values) {
        Ok([Value::Array(list)]) => flatten(list),
        Ok([Value::Object(mut map)]) => match map.remove("resolutions") {
            Some(Value::Object(resolutions)) => return Ok(resolved(resolutions)),
            _ => match map.remove("models") {
                Some(Value::Array(list)) if !map.contains_key("id") => list,
                _ => vec![Value::Object(map)],
            },
        },
        Ok(single) => Vec::from(single),
        Err(values) => values,
    };
    match values.first() {
        Some(Value::Object(first)) if Shape::of(first.keys().map(String::as_str)).is_none() => {
            return Err(source.not_a_dump(keys(first)));
        }
        Some(Value::Object(_)) => {}
        Some(Value::String(text)) if RepoId::parse(text.trim()).is_ok() => {}
        other => return Err(source.not_a_dump(other.map_or("an empty document", crate::metadata::kind))),
    }
    let rows = values.into_iter().zip(1..);
    Ok(Box::new(rows.map(|(value, position)| Raw { position, read: Box::new(|| entry_of(value)) })))
}

/// Lists of ids may be grouped in clusters.
fn flatten(list: Vec<Value>) -> Vec<Value> {
    let open = |value| match value {
        Value::Array(inner) => inner,
        other => vec![other],
    };
    list.into_iter().flat_map(open).collect()
}

/// `{ "id as written": { "fixed_hf_model_id": "present id" or null } }`
fn resolved(map: Map<String, Value>) -> Rows {
    let read = |from: String, record: Value| -> std::result::Result<Entry, String> {
        let target =
            ["fixed_hf_model_id", "resolved_hf_id"].iter().find_map(|key| record.get(*key)?.as_str());
        let target = target.or(record.as_str());
        let Some(to) = target else {
            return Err(format!("`{}` resolves to no model", from.chars().take(120).collect::<String>()));
        };
        let [from, to] = [from.as_str(), to].map(|text| RepoId::parse(text.trim()));
        let (from, to) = (from.map_err(|error| error.to_string())?, to.map_err(|error| error.to_string())?);
        // One key is one repository: then the record only says that it exists.
        if from.key() == to.key() {
            Ok(Entry::Model(Metadata::named(to)))
        } else {
            Ok(Entry::Alias { from, to })
        }
    };
    let rows = map.into_iter().zip(1..);
    Box::new(
        rows.map(move |((from, record), position)| Raw {
            position,
            read: Box::new(move || read(from, record)),
        }),
    )
}

fn line_row(position: u64, bytes: Vec<u8>) -> Raw {
    let read = move || {
        let value =
            serde_json::from_slice(&bytes).map_err(|error| format!("the line is not JSON: {error}"))?;
        entry_of(value)
    };
    Raw { position, read: Box::new(read) }
}

fn too_long(position: u64, max: usize) -> Raw {
    fault(position, format!("the line is longer than {max} bytes"))
}

fn fault(position: u64, reason: String) -> Raw {
    Raw { position, read: Box::new(|| Err(reason)) }
}

fn blank(bytes: &[u8]) -> bool {
    bytes.iter().all(u8::is_ascii_whitespace)
}

fn keys(object: &Map<String, Value>) -> String {
    format!("the fields {}", object.keys().map(String::as_str).collect::<Vec<_>>().join(", "))
}
