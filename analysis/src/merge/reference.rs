//! References to models: `path@revision+adapter@revision` as one text, or spelled out as mappings.

use domain::{Item, json::pointed};
use serde_json::Value;

use super::keys;

/// The name of the model that `value` refers to; what is wrong goes to `faults`.
pub(super) fn reference(value: &Value, pointer: &str, faults: &mut Vec<Item>) -> Option<String> {
    let known = faults.len();
    let name = match value {
        Value::Object(fields) if fields.contains_key("model") => {
            unknown(value, (pointer, keys::REFERENCE), faults);
            // What is merged are the tensors that a model has: the word decides nothing.
            if fields.get("override_architecture").is_some_and(|value| !value.is_null() && !value.is_string())
            {
                let message = "expected the name of an architecture, e.g. `LlamaForCausalLM`";
                faults.push(fault(&format!("{pointer}/override_architecture"), message));
            }
            let model = part(&fields["model"], &format!("{pointer}/model"), faults);
            match fields.get("lora").filter(|lora| !lora.is_null()) {
                None => model,
                Some(lora) => {
                    let (at, told) = (format!("{pointer}/lora"), faults.len());
                    let adapter = part(lora, &at, faults);
                    if adapter.is_none() && faults.len() == told {
                        faults.push(fault(&at, "expected an adapter, e.g. `path: org/name`"));
                    }
                    model.zip(adapter).map(|(model, adapter)| format!("{model}+{adapter}"))
                }
            }
        }
        _ => part(value, pointer, faults),
    };
    if name.is_none() && faults.len() == known {
        faults.push(fault(pointer, "expected a model, e.g. `org/name`"));
    }
    name
}

/// A text, or `{path, revision}`.
fn part(value: &Value, pointer: &str, faults: &mut Vec<Item>) -> Option<String> {
    let path = match value {
        Value::Object(fields) => {
            unknown(value, (pointer, keys::MODEL), faults);
            let path = fields.get("path").and_then(Value::as_str).unwrap_or_default().trim();
            match fields.get("revision") {
                None | Some(Value::Null) => path.to_owned(),
                Some(Value::String(revision)) if !path.is_empty() => format!("{path}@{revision}"),
                Some(Value::String(_)) => String::new(),
                Some(_) => {
                    faults.push(fault(&format!("{pointer}/revision"), "expected a text, in quotes"));
                    return None;
                }
            }
        }
        other => other.as_str().unwrap_or_default().trim().to_owned(),
    };
    (!path.is_empty()).then_some(path)
}

fn unknown(value: &Value, (pointer, known): (&str, &[&str]), faults: &mut Vec<Item>) {
    let unknown = value.as_object().into_iter().flat_map(|fields| fields.keys());
    for key in unknown.filter(|key| !known.contains(&key.as_str())) {
        faults.push(fault(&format!("{pointer}/{}", pointed(key)), keys::unknown(key, known)));
    }
}

fn fault(pointer: &str, message: impl Into<String>) -> Item {
    Item { pointer: pointer.to_owned(), message: message.into() }
}
