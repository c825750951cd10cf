//! What a value breaks of a JSON Schema of the OpenAPI document.

use serde_json::Value;

/// Every place where `value` is not what `schema` says, with what it should be.
pub fn broken(document: &Value, schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    look(document, (schema, value), "", &mut found);
    found
}

fn look(document: &Value, (schema, value): (&Value, &Value), at: &str, found: &mut Vec<String>) {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = document.pointer(reference.trim_start_matches('#'));
        let target = target.unwrap_or_else(|| panic!("{reference} is not there"));
        return look(document, (target, value), at, found);
    }
    let breaks = |choice: &Value| {
        let mut found = Vec::new();
        look(document, (choice, value), at, &mut found);
        found
    };
    for part in schema["allOf"].as_array().into_iter().flatten() {
        found.extend(breaks(part));
    }
    for (key, fits) in [("oneOf", "exactly one"), ("anyOf", "one or more")] {
        let Some(choices) = schema[key].as_array() else { continue };
        let right = choices.iter().filter(|choice| breaks(choice).is_empty()).count();
        if right == 0 || (key == "oneOf" && right > 1) {
            found.push(format!("{at}: {right} of {key} fit, {fits} must: {value}"));
        }
    }
    let kinds: Vec<&str> = match &schema["type"] {
        Value::String(kind) => vec![kind],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let is = |kind: &&str| match *kind {
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "null" => value.is_null(),
        other => panic!("there is no type {other}"),
    };
    if !kinds.is_empty() && !kinds.iter().any(is) {
        return found.push(format!("{at}: {value} is not {kinds:?}"));
    }
    if let Some(known) = schema["enum"].as_array().filter(|known| !value.is_null() && !known.contains(value))
    {
        found.push(format!("{at}: {value} is none of {known:?}"));
    }
    if schema["minimum"].as_f64().zip(value.as_f64()).is_some_and(|(least, value)| value < least) {
        found.push(format!("{at}: {value} is below {}", schema["minimum"]));
    }
    for (place, item) in value.as_array().into_iter().flatten().enumerate() {
        look(document, (&schema["items"], item), &format!("{at}/{place}"), found);
    }
    let Some(fields) = value.as_object() else { return };
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !fields.contains_key(name) {
            found.push(format!("{at}/{name}: it is missing"));
        }
    }
    for (name, field) in fields {
        match (schema["properties"].get(name), &schema["additionalProperties"]) {
            (Some(wanted), _) | (None, wanted @ Value::Object(_)) => {
                look(document, (wanted, field), &format!("{at}/{name}"), found);
            }
            (None, Value::Bool(false)) => found.push(format!("{at}/{name}: there is no such field")),
            _ => {}
        }
    }
}
