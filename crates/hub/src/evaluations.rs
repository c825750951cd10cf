//! Results of evaluations as a card's front matter states them (`model-index`, as Papers with Code defined it), and as the files
//! of `.eval_results` do.

use serde_json::{Map, Value};

use crate::card::yaml_value;

/// Results read of one card.
const MOST: usize = domain::FIXED.evaluations;
/// Characters of a text.
const LONGEST: usize = 200;

/// One metric of one task on one set of data, as stated; nothing here was measured.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Evaluation {
    pub task: String,
    /// With its configuration and split.
    pub dataset: String,
    pub metric: String,
    pub value: String,
    /// Whether the Hub marked it as verified.
    pub verified: bool,
    /// Who says so.
    pub source: Option<String>,
    /// Where they say so; https only.
    pub url: Option<String>,
}

/// The results that front matter states, in its order; what is not written as defined is left out.
pub fn evaluations(front: &Map<String, Value>) -> Vec<Evaluation> {
    let list = |value: Option<&Value>| value.and_then(Value::as_array).cloned().unwrap_or_default();
    let mut found = Vec::new();
    for model in list(front.get("model-index")) {
        for result in list(model.get("results")) {
            for metric in list(result.get("metrics")) {
                if let Some(evaluation) = evaluation(&result, &metric) {
                    found.push(evaluation);
                }
                if found.len() == MOST {
                    return found;
                }
            }
        }
    }
    found
}

/// The entries of a file of `.eval_results`, each an object with a set of data and a value, as they are written; what is none
/// is left out.
pub fn eval_entries(text: &str) -> Vec<Value> {
    let listed = |document: Value| match document {
        Value::Array(entries) => entries,
        one => vec![one],
    };
    let is_entry = |entry: &Value| {
        let told = |value: &Value| text_of(value).is_some();
        told(&entry["dataset"]["id"]) && told(&entry["value"])
    };
    yaml_value(text).into_iter().flat_map(listed).filter(is_entry).take(MOST).collect()
}

/// What an entry of `.eval_results` states.
pub fn eval_result(entry: &Value) -> Option<Evaluation> {
    let (dataset, source) = (&entry["dataset"], &entry["source"]);
    let name = ["name", "org", "user"].into_iter().find_map(|key| text_of(&source[key]));
    Some(Evaluation {
        task: String::new(),
        dataset: text_of(&dataset["id"])?,
        metric: text_of(&dataset["task_id"]).unwrap_or_default(),
        value: text_of(&entry["value"])?,
        verified: false,
        source: name,
        url: text_of(&source["url"]).filter(|url| url.starts_with("https://")),
    })
}

fn evaluation(result: &Value, metric: &Value) -> Option<Evaluation> {
    let (task, dataset, source) = (&result["task"], &result["dataset"], &result["source"]);
    let named = |value: &Value| text_of(&value["name"]).or_else(|| text_of(&value["type"]));
    let parts: Vec<String> =
        [&dataset["config"], &dataset["split"]].into_iter().filter_map(text_of).collect();
    let mut data = named(dataset).unwrap_or_default();
    if !parts.is_empty() {
        data = format!("{data} ({})", parts.join(", "));
    }
    let url = text_of(&source["url"]).filter(|url| url.starts_with("https://"));
    Some(Evaluation {
        task: named(task).unwrap_or_default(),
        dataset: data.trim().to_owned(),
        metric: named(metric)?,
        value: text_of(&metric["value"])?,
        verified: metric["verified"].as_bool() == Some(true),
        source: text_of(&source["name"]),
        url,
    })
}

/// A word or a number as it is written, cut to what a table holds.
fn text_of(value: &Value) -> Option<String> {
    let whole = match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    (!whole.is_empty()).then(|| whole.chars().take(LONGEST).collect())
}

#[cfg(test)]
mod tests {
    use domain::Limits;

    use super::*;
    use crate::card;

    #[test]
    fn stated_results_are_read_and_what_is_not_written_as_defined_is_left_out() {
        let text = "---
model-index:
- name: m
  results:
  - task: {type: text-generation, name: Text Generation}
    dataset: {name: ARC, type: ai2_arc, config: ARC-Challenge, split: test}
    metrics:
    - {type: acc_norm, value: 59.98, name: normalized accuracy, verified: true}
    - {type: acc}
    - {value: 3}
    source: {url: 'https://example.org/board', name: Board}
  - task: {type: summarization}
    metrics: [{type: rouge, value: '41.2 ± 0.3'}]
    source: {url: 'javascript:alert(1)'}
  - nonsense
- results: 7
---
";
        let found = evaluations(&card::parse(text, &Limits::default()).front);

        let first = Evaluation {
            task: "Text Generation".into(),
            dataset: "ARC (ARC-Challenge, test)".into(),
            metric: "normalized accuracy".into(),
            value: "59.98".into(),
            verified: true,
            source: Some("Board".into()),
            url: Some("https://example.org/board".into()),
        };
        let second = Evaluation {
            task: "summarization".into(),
            metric: "rouge".into(),
            value: "41.2 ± 0.3".into(),
            ..Evaluation::default()
        };
        assert_eq!(found, [first, second]);
        assert!(evaluations(&Map::new()).is_empty());
    }

    #[test]
    fn the_entries_of_a_file_of_results_are_read_and_what_is_none_is_left_out() {
        let text = "- dataset: {id: cais/hle, task_id: default, revision: abc}\n  value: 20.90\n  date: '2025-01-15'\n  source: {url: 'https://example.org/traces', user: ann}\n- dataset: {id: x/y}\n- value: 3\n- dataset: {id: org/gpqa, task_id: diamond}\n  value: 0.412\n";

        let entries = eval_entries(text);
        let found: Vec<Evaluation> = entries.iter().filter_map(eval_result).collect();

        assert_eq!(entries.len(), 2);
        assert_eq!(entries[0]["date"], "2025-01-15");
        let told = |found: &Evaluation| (found.dataset.clone(), found.metric.clone(), found.value.clone());
        assert_eq!(told(&found[0]), ("cais/hle".into(), "default".into(), "20.9".into()));
        assert_eq!(told(&found[1]), ("org/gpqa".into(), "diamond".into(), "0.412".into()));
        assert_eq!(found[0].source.as_deref(), Some("ann"));
        assert!(eval_entries("a: [").is_empty() && eval_entries("plain").is_empty());
        assert_eq!(eval_entries("dataset: {id: a/b, task_id: c}\nvalue: 1\n").len(), 1, "one is no list");
    }

    #[test]
    fn a_card_with_countless_results_gives_a_bounded_list() {
        let metric = serde_json::json!({ "type": "x".repeat(1_000), "value": 1 });
        let metrics = vec![metric; 1_000];
        let front = serde_json::json!({ "model-index": [{ "results": [{ "metrics": metrics }] }] });

        let found = evaluations(front.as_object().unwrap());

        assert_eq!((found.len(), found[0].metric.len()), (200, 200));
    }
}
