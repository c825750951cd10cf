//! Measures and methods as the pages show them.

use ::web::view::{MeasureCard, MethodCard, ParamField};
use analysis::kinship::MEASURES;
use serde_json::Value;

/// The measures slice as cards.
pub fn measures() -> Vec<MeasureCard> {
    MEASURES
        .iter()
        .map(|m| MeasureCard {
            id: m.id.to_owned(),
            name: m.name.to_owned(),
            formula: m.formula.to_owned(),
            reference: m.reference.to_owned(),
        })
        .collect()
}

/// The methods slice as cards.
pub fn methods() -> Vec<MethodCard> {
    let specs = serde_json::to_value(analysis::merge::specs()).unwrap_or_default();
    let text =
        |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let plain = |value: &Value| match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    specs
        .as_array()
        .into_iter()
        .flatten()
        .map(|spec| MethodCard {
            id: text(spec, "id"),
            name: text(spec, "name"),
            summary: text(spec, "summary"),
            formula: text(spec, "formula"),
            reference: text(spec, "reference"),
            needs_base: spec
                .get("base")
                .and_then(Value::as_str)
                .is_some_and(|word| matches!(word, "delta" | "endpoint")),
            base: match text(spec, "base").as_str() {
                "delta" => "needed: changes are taken from it",
                "optional" => "changes are taken from it where the recipe names one",
                "endpoint" => "needed: it is one of the two ends",
                _ => "gives only configuration and tokenizer",
            },
            models: spec.get("models").map(model_count).unwrap_or_default(),
            count: (side(spec, "min").unwrap_or(1), side(spec, "max")),
            params: spec
                .get("parameters")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .map(|param| ParamField {
                    name: text(param, "name"),
                    kind: text(param, "kind"),
                    default: param.get("default").and_then(|default| match text(param, "kind").as_str() {
                        "flag" => default.as_bool().map(|flag| flag.to_string()),
                        _ => plain(default),
                    }),
                    choices: choices(param),
                    range: words(param).or_else(|| {
                        let range = param.get("range")?;
                        Some(format!("usually {} to {}", range.get(0)?.as_f64()?, range.get(1)?.as_f64()?))
                    }),
                    help: text(param, "help"),
                    per_model: param.get("per_model").and_then(Value::as_bool).unwrap_or_default(),
                })
                .collect(),
        })
        .collect()
}

/// The words of a choice.
fn choices(param: &Value) -> Vec<String> {
    let listed = param.get("choices").and_then(Value::as_array).into_iter().flatten();
    listed.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The same in one line; none for a number.
fn words(param: &Value) -> Option<String> {
    param.get("choices").map(|_| choices(param).join(" or "))
}

/// The fewest or the most models that a method takes.
fn side(spec: &Value, key: &str) -> Option<usize> {
    spec.get("models")?.get(key)?.as_u64().and_then(|count| usize::try_from(count).ok())
}

fn model_count(range: &Value) -> String {
    let side = |key: &str| range.get(key).and_then(Value::as_u64);
    match (side("min"), side("max")) {
        (Some(min), Some(max)) if min == max => format!("{min}"),
        (Some(min), Some(max)) => format!("{min} to {max}"),
        (Some(min), None) => format!("{min} or more"),
        _ => String::new(),
    }
}
