//! Measures, methods and kinship as the pages show them.

use ::web::{
    Failure,
    view::{Cell, Join, KinshipPage, KinshipQuery, MeasureCard, MethodCard, Name, ParamField, Skipped},
};
use analysis::kinship::{MEASURES, cluster};
use jobs::{Access, Registry};
use serde_json::Value;

use super::Result;

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
            reference: text(spec, "reference"),
            needs_base: spec
                .get("base")
                .and_then(Value::as_str)
                .is_some_and(|word| matches!(word, "delta" | "endpoint")),
            models: spec.get("models").map(model_count).unwrap_or_default(),
            params: spec
                .get("parameters")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .map(|param| ParamField {
                    name: text(param, "name"),
                    kind: text(param, "kind"),
                    default: param.get("default").and_then(|default| match text(param, "kind").as_str() {
                        "flag" => default.as_f64().map(|flag| (flag != 0.0).to_string()),
                        _ => plain(default),
                    }),
                    range: words(param).or_else(|| {
                        let range = param.get("range")?;
                        Some(format!("usually {} to {}", range.get(0)?.as_f64()?, range.get(1)?.as_f64()?))
                    }),
                    per_model: param.get("per_model").and_then(Value::as_bool).unwrap_or_default(),
                })
                .collect(),
        })
        .collect()
}

/// The words of a choice.
fn words(param: &Value) -> Option<String> {
    let words: Vec<&str> = param.get("choices")?.as_array()?.iter().filter_map(Value::as_str).collect();
    Some(words.join(" or "))
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

/// A matrix of one measure.
pub async fn kinship(registry: &Registry, query: &KinshipQuery) -> Result<KinshipPage> {
    let wanted = jobs::KinshipQuery {
        models: query.names.clone(),
        base: query.base.clone(),
        access: Access::registry(),
        reading: if query.exact { jobs::Reading::Weights } else { jobs::Reading::Stored },
        parity: None,
    };
    let report = jobs::kinship(registry, wanted).await.map_err(Failure::from)?;
    let measure = if query.measure.is_empty() { "cosine".to_owned() } else { query.measure.clone() };
    let missing = if report.base.is_none() && measure != "euclidean" {
        "needs a base model: deltas are taken against it"
    } else {
        "undefined: one of the two equals the base"
    };
    let errors = report.standard_errors.get(&measure).map(Vec::as_slice).unwrap_or_default();
    let matrix = report.matrices.get(&measure).map(Vec::as_slice).unwrap_or_default();
    let at = |matrix: &[Vec<Option<f64>>], i: usize, j: usize| {
        matrix.get(i).and_then(|row| row.get(j).copied()?)
    };
    let matrix: Vec<Vec<Cell>> = (0..report.models.len())
        .map(|i| {
            (0..report.models.len())
                .map(|j| {
                    let value = at(matrix, i, j);
                    // A model differs from itself by nothing, without an error.
                    let error = at(errors, i, j).filter(|_| i != j);
                    Cell { value, error, reason: value.is_none().then(|| missing.to_owned()) }
                })
                .collect()
        })
        .collect();
    let models: Vec<Name> = report.models.into_iter().map(Name).collect();
    let (models, matrix, joins) = match query.as_given {
        true => (models, matrix, Vec::new()),
        false => together(models, matrix, &measure),
    };
    Ok(KinshipPage {
        models,
        joins,
        base: report.base.map(Name),
        measure,
        exact: report.exact,
        device: report.device.as_ref().map(ToString::to_string),
        matrix,
        elements: report.elements,
        tensors: report.coverage.compared as u64,
        skipped: report
            .coverage
            .skipped
            .into_iter()
            .map(|s| Skipped { tensor: s.tensor, reason: s.reason })
            .collect(),
    })
}

/// A matrix in the order in which relatives stand beside each other, and how they come together.
fn together(
    models: Vec<Name>,
    matrix: Vec<Vec<Cell>>,
    measure: &str,
) -> (Vec<Name>, Vec<Vec<Cell>>, Vec<Join>) {
    let far = |value: f64| if measure == "euclidean" { value } else { 1.0 - value };
    let distances: Vec<Vec<Option<f64>>> =
        matrix.iter().map(|row| row.iter().map(|cell| cell.value.map(far)).collect()).collect();
    let clustering = cluster(&distances);
    let most = clustering.joins.iter().map(|join| join.distance).fold(0.0, f64::max);
    let mut place = vec![0; models.len()];
    clustering.order.iter().enumerate().for_each(|(at, row)| place[*row] = at);
    let mut members: Vec<Vec<usize>> = (0..models.len()).map(|row| vec![row]).collect();
    let joins = clustering.joins.iter().map(|join| {
        let names = |part: usize| {
            let rows: &[usize] = members.get(part).map_or(&[], Vec::as_slice);
            rows.iter().filter_map(|row| models.get(*row)).map(Name::to_string).collect::<Vec<_>>().join(", ")
        };
        let value = if measure == "euclidean" { join.distance } else { 1.0 - join.distance };
        let text = format!(
            "{} with {}: {measure} {value:.3} on average",
            names(join.parts[0]),
            names(join.parts[1])
        );
        let both = join.parts.iter().filter_map(|part| members.get(*part)).flatten().copied().collect();
        members.push(both);
        Join {
            parts: join.parts.map(|part| place.get(part).copied().unwrap_or(part)),
            height: if most > 0.0 { join.distance / most } else { 0.0 },
            text,
        }
    });
    let joins = joins.collect();
    let models = clustering.order.iter().filter_map(|row| models.get(*row).cloned()).collect();
    let row = |row: &usize| {
        let cells = matrix.get(*row).map(Vec::as_slice).unwrap_or_default();
        clustering.order.iter().filter_map(|column| cells.get(*column).cloned()).collect()
    };
    let matrix = clustering.order.iter().map(row).collect();
    (models, matrix, joins)
}
