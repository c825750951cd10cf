//! What a card says, as the Hub's clients take it.

use serde_json::{Map, Value, json};
use store::ModelRow;

use super::info::Parents;

/// Keys of front matter that the official client takes for parameters of its own and fails over.
const CLASHING: [&str; 2] = ["self", "ignore_metadata_errors"];

/// The card's front matter as it was written; where the card is not stored, what the registry keeps of it.
pub fn data(row: &ModelRow, parents: &Parents, front: Option<&Map<String, Value>>) -> Map<String, Value> {
    let Some(front) = front else { return known(row, parents) };
    let mut card = front.clone();
    card.retain(|name, value| match name.as_str() {
        name if CLASHING.contains(&name) => false,
        // One value that the client cannot take apart costs it the whole answer.
        "model-index" => results_parse(value),
        "tags" => !value.is_number() && !value.is_boolean(),
        _ => true,
    });
    card
}

/// Whether clients read a `model-index`, or leave it be with a warning.
fn results_parse(index: &Value) -> bool {
    let each = |value: &Value, name: &str| -> Vec<Value> {
        value.get(name).and_then(Value::as_array).cloned().unwrap_or_default()
    };
    let text = |value: &Value, name: &str| value.get(name).is_some_and(|value| !value.is_null());
    index.as_array().into_iter().flatten().flat_map(|model| each(model, "results")).all(|result| {
        let source = result.get("source").unwrap_or(&Value::Null);
        let sourced = result.get("source").is_none_or(Value::is_object)
            && (text(source, "url") || !text(source, "name"));
        let sealed = |metric: &Value| {
            !text(metric, "verifyToken") || metric.get("verified").and_then(Value::as_bool) == Some(true)
        };
        sourced && each(&result, "metrics").iter().all(sealed)
    })
}

/// The id of the licence that the card names, and the name that stands beside `other`.
fn licence(row: &ModelRow) -> Option<(&str, Option<&str>)> {
    let (id, shown) = (row.license.as_deref()?, row.licence()?);
    Some((id, Some(shown).filter(|shown| *shown != id)))
}

/// The tag of the licence that the card names.
pub fn licence_tag(row: &ModelRow, front: Option<&Map<String, Value>>) -> Option<String> {
    let written = front.and_then(|front| front.get("license")).and_then(Value::as_str);
    let id = written.or_else(|| licence(row).map(|(id, _)| id))?;
    Some(format!("license:{id}"))
}

/// What the registry keeps of a card. Tags are left out: its own are not told from those that the Hub derived.
fn known(row: &ModelRow, parents: &Parents) -> Map<String, Value> {
    let mut card = Map::new();
    let mut set = |name: &str, value: Value| drop(card.insert(name.to_owned(), value));
    if let Some((id, name)) = licence(row) {
        set("license", json!(id));
        name.iter().for_each(|name| set("license_name", json!(name)));
    }
    row.library.iter().for_each(|library| set("library_name", json!(library)));
    row.pipeline_tag.iter().for_each(|task| set("pipeline_tag", json!(task)));
    row.new_version.iter().for_each(|id| set("new_version", json!(id)));
    for (name, list) in [("language", &row.languages), ("datasets", &row.datasets)] {
        if !list.is_empty() {
            set(name, json!(list));
        }
    }
    match &parents[..] {
        [] => {}
        [(_, only, _)] => set("base_model", json!(only)),
        several => set("base_model", several.iter().map(|(_, id, _)| id.clone()).collect()),
    }
    card
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_that_clients_fail_over_are_told_from_others() {
        let metric = json!({ "type": "acc", "value": 1 });
        let index = |result: Value| json!([{ "name": "m", "results": [result] }]);

        for fine in [
            json!({ "metrics": [metric] }),
            json!({ "source": { "name": "x", "url": "https://x" } }),
            json!({ "metrics": [{ "verified": true, "verifyToken": "t" }] }),
        ] {
            assert!(results_parse(&index(fine.clone())), "{fine}");
        }
        for bad in [
            json!({ "source": "x" }),
            json!({ "source": null }),
            json!({ "source": { "name": "x" } }),
            json!({ "metrics": [{ "verifyToken": "t" }] }),
        ] {
            assert!(!results_parse(&index(bad.clone())), "{bad}");
        }
        assert!(results_parse(&json!("no list")), "the client says so itself");
    }
}
