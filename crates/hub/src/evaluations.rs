//! Results of evaluations as a card's front matter states them (`model-index`, as Papers with Code defined it).

use serde_json::{Map, Value};

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

fn evaluation(result: &Value, metric: &Value) -> Option<Evaluation> {
    let (task, dataset, source) = (&result["task"], &result["dataset"], &result["source"]);
    let named = |value: &Value| text(&value["name"]).or_else(|| text(&value["type"]));
    let parts: Vec<String> = [&dataset["config"], &dataset["split"]].into_iter().filter_map(text).collect();
    let mut data = named(dataset).unwrap_or_default();
    if !parts.is_empty() {
        data = format!("{data} ({})", parts.join(", "));
    }
    let url = text(&source["url"]).filter(|url| url.starts_with("https://"));
    Some(Evaluation {
        task: named(task).unwrap_or_default(),
        dataset: data.trim().to_owned(),
        metric: named(metric)?,
        value: text(&metric["value"])?,
        verified: metric["verified"].as_bool() == Some(true),
        source: text(&source["name"]),
        url,
    })
}

/// A word or a number as it is written, cut to what a table holds.
fn text(value: &Value) -> Option<String> {
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
    fn a_card_with_countless_results_gives_a_bounded_list() {
        let metric = serde_json::json!({ "type": "x".repeat(1_000), "value": 1 });
        let metrics = vec![metric; 1_000];
        let front = serde_json::json!({ "model-index": [{ "results": [{ "metrics": metrics }] }] });

        let found = evaluations(front.as_object().unwrap());

        assert_eq!((found.len(), found[0].metric.len()), (200, 200));
    }
}
