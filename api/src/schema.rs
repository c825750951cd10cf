//! Values against the schemas of the OpenAPI document: every fault, in the words of the interface.

use std::sync::LazyLock;

use domain::{Item, json::pointed, nearest};
use http::MOST_FAULTS;
use serde_json::Value;
use utoipa::openapi::schema::{Object, Type};

/// Deepest schema that is followed.
const DEPTH: usize = 16;

/// The document, whose parts schemas refer to.
static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::to_value(crate::document()).unwrap_or_default());

/// What is wrong with `value`, which stands at `pointer` in what was sent: all of it, or one fault more than are told.
pub fn faults(schema: &Value, value: &Value, pointer: &str) -> Vec<Item> {
    let mut faults = Vec::new();
    look((schema, value), pointer, DEPTH, &mut faults);
    faults
}

/// The schema of a word among several.
pub fn one_of(words: impl IntoIterator<Item = &'static str>) -> Object {
    Object::builder().schema_type(Type::String).enum_values(Some(words)).build()
}

/// "there is no such field; did you mean `rank`?"
pub fn unknown(thing: &str, name: &str, known: &[&str]) -> String {
    match nearest(name, known) {
        Some(close) => format!("there is no such {thing}; did you mean `{close}`?"),
        None if known.is_empty() => format!("there is no such {thing}, and no other; leave it out"),
        None => {
            let known = known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            format!("there is no such {thing}; expected one of {known}")
        }
    }
}

/// Whether there are more faults than are told, so that nobody has to look for another.
pub const fn enough(faults: &[Item]) -> bool {
    faults.len() > MOST_FAULTS
}

fn look((schema, value): (&Value, &Value), pointer: &str, depth: usize, faults: &mut Vec<Item>) {
    let Some(depth) = depth.checked_sub(1).filter(|_| !enough(faults)) else { return };
    let schema = resolved(schema);
    if let Some(choices) = ["oneOf", "anyOf"].iter().find_map(|key| schema[key].as_array()) {
        return choose((choices, value), pointer, depth, faults);
    }
    for part in schema["allOf"].as_array().into_iter().flatten() {
        look((part, value), pointer, depth, faults);
    }
    if let Some(message) = mistyped(schema, value) {
        return faults.push(Item { pointer: pointer.to_owned(), message });
    }
    match value {
        Value::Array(items) if schema["items"].is_object() => {
            for (at, item) in items.iter().enumerate() {
                if enough(faults) {
                    return;
                }
                look((&schema["items"], item), &format!("{pointer}/{at}"), depth, faults);
            }
        }
        Value::Object(fields) if schema["properties"].is_object() => {
            let closed = schema["additionalProperties"] == false;
            let names: Vec<&str> = schema["properties"]
                .as_object()
                .into_iter()
                .flatten()
                .map(|(name, _)| name.as_str())
                .collect();
            for (name, field) in fields {
                if enough(faults) {
                    return;
                }
                let place = format!("{pointer}/{}", pointed(name));
                match schema["properties"].get(name) {
                    Some(wanted) => look((wanted, field), &place, depth, faults),
                    None if closed => {
                        faults.push(Item { pointer: place, message: unknown("field", name, &names) });
                    }
                    None => {}
                }
            }
            for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                if !fields.contains_key(name) {
                    let place = format!("{pointer}/{}", pointed(name));
                    faults.push(Item { pointer: place, message: "it is missing".to_owned() });
                }
            }
        }
        _ => {}
    }
}

/// A value that may be one of several things: the faults of the one that it seems to be, or what it may be.
fn choose((choices, value): (&[Value], &Value), pointer: &str, depth: usize, faults: &mut Vec<Item>) {
    let told = |choice: &Value| {
        let mut found = Vec::new();
        look((choice, value), pointer, depth, &mut found);
        found
    };
    let all: Vec<Vec<Item>> = choices.iter().map(told).collect();
    if all.iter().any(Vec::is_empty) {
        return;
    }
    let alike =
        choices.iter().map(resolved).zip(&all).filter(|(choice, _)| mistyped(choice, value).is_none());
    match alike.min_by_key(|(_, found)| found.len()) {
        Some((_, found)) => faults.extend(found.iter().cloned()),
        None => {
            let mut words: Vec<String> = choices.iter().flat_map(|choice| words(resolved(choice))).collect();
            words.dedup();
            faults.push(Item {
                pointer: pointer.to_owned(),
                message: format!("expected {}", words.join(" or ")),
            });
        }
    }
}

/// The schema that a reference stands for.
fn resolved(schema: &Value) -> &Value {
    let at = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
    at.and_then(|pointer| DOCUMENT.pointer(pointer)).unwrap_or(schema)
}

/// What a value should be, where it is of another type, not one of the values there are, or too small.
fn mistyped(schema: &Value, value: &Value) -> Option<String> {
    let fits = |kind: &str| match kind {
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => {
            let least = schema["minimum"].as_i64();
            value.is_u64() || value.as_i64().is_some_and(|whole| least.is_none_or(|least| whole >= least))
        }
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "null" => value.is_null(),
        _ => value.is_object(),
    };
    let kinds = kinds(schema);
    if kinds.is_empty() {
        return None;
    }
    if !kinds.iter().any(|kind| fits(kind)) {
        let large =
            kinds.contains(&"integer") && value.as_f64().is_some_and(|n| n.abs() >= 9e15 && n.fract() == 0.0);
        return Some(match large {
            true => "the number is too large".to_owned(),
            false => format!("expected {}", words(schema).join(" or ")),
        });
    }
    let known = schema["enum"].as_array()?;
    (!value.is_null() && !known.contains(value)).then(|| {
        let known: Vec<&str> = known.iter().filter_map(Value::as_str).collect();
        let near = value.as_str().and_then(|word| nearest(word, &known));
        match near {
            Some(near) => format!("did you mean `{near}`? It is one of {}", known.join(", ")),
            None => format!("expected one of {}", known.join(", ")),
        }
    })
}

fn kinds(schema: &Value) -> Vec<&str> {
    match &schema["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// The types of a schema, as somebody would say them.
fn words(schema: &Value) -> Vec<String> {
    let word = |kind: &str| match kind {
        "string" if schema["enum"].is_array() => {
            let known = schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str);
            format!("one of {}", known.collect::<Vec<_>>().join(", "))
        }
        "string" => "a text".to_owned(),
        "number" => "a number".to_owned(),
        "integer" => match schema["minimum"].as_i64() {
            Some(least) => format!("a whole number, {least} or more"),
            None => "a whole number".to_owned(),
        },
        "boolean" => "true or false".to_owned(),
        "array" => "a list".to_owned(),
        "null" => "null".to_owned(),
        _ => "an object".to_owned(),
    };
    kinds(schema).into_iter().map(word).collect()
}
