//! `GET /api/v1/kinship`: kinship of two or more models, exact or estimated.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use actix_web::{HttpRequest, HttpResponse, get, web};
use analysis::{
    export::csv_cell,
    kinship::{Matrix, PartReport, Partial, Report, measures_of},
};
use domain::Item;
use http::{Problem, Result};
use jobs::{Access, KinshipQuery, Reading};
use serde_json::json;

use crate::seen::Seen;

/// Kinship of models against a base.
///
/// `of` is repeated once a model (`models=a,b` also works). Cosine and Pearson compare weight deltas and need `base`; without it
/// `warnings` names the nearest model from which all of them descend, which `base=auto` takes.
/// `measure` limits the answer to some measures; `format=csv` gives the matrix of one as CSV, with `per_part` one line a part; where the values are estimated
/// their standard errors stand behind them, and with `per_layer`, `per_module` and `per_tensor` the parts follow the whole.
/// Models of which less than 90 % of the weights can be compared are refused (`too_little_in_common`, with what is left out),
/// unless `partial=true`; `coverage.share` says how much was. Of three or more models those that cannot be compared, as they
/// have no weights here or another architecture, stand last with `null` in every matrix, and `left_out` says why.
#[utoipa::path(tag = "kinship",
    params(("of" = Vec<String>, Query, description = "models, two or more"), ("base" = Option<String>, Query, description = "what deltas are taken against; `auto` is the nearest model from which all of them descend"),
        ("measure" = Option<String>, Query, description = "cosine (cs), pearson (pcc), euclidean (ed); several with commas, or the parameter repeated"),
        ("partial" = Option<bool>, Query, description = "true compares what there is, however little"),
        ("per_layer" = Option<bool>, Query, description = "also a matrix for every layer, in `layers`"),
        ("per_module" = Option<bool>, Query, description = "also a matrix for every kind of module (q, k, v, o, qkv, gate, up, down, norm, embed, head, …), in `modules`"),
        ("per_tensor" = Option<bool>, Query, description = "also a matrix for every tensor, in `tensors`; `tensors_more` counts those beyond the bound"),
        ("per_part" = Option<bool>, Query, description = "of two models: also the values of every kind of module in every layer, in `parts`, with the tensors compared and left out, and why there is no value"),
        ("exact" = Option<bool>, Query, description = "true reads the weights; false estimates from sketches, with standard errors; without it, the stored sketches answer where every model has them and they cover 90 % of the weights, else the weights are read, and `exact` of the answer says which"),
        ("parity" = Option<String>, Query, description = "reference: the cosine without its sign; reference_split: also the mean of the values of the tensors, weighted by their elements"),
        ("format" = Option<String>, Query, description = "json or csv")),
    responses((status = 200, description = "matrices by measure", body = Object), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
#[get("/api/v1/kinship")]
pub async fn get_kinship(request: HttpRequest, registry: Seen) -> Result<HttpResponse> {
    let Asked { query, measures, parts, csv } = asked(&request)?;
    if csv && measures.len() > 1 {
        return Err(Problem::bad_request(format!("CSV holds one measure, {} asked for", measures.len())));
    }
    let by_part = parts.contains(&"parts");
    if by_part && query.models.len() != 2 {
        let given = query.models.len();
        return Err(Problem::bad_request(format!("`per_part` takes two models, {given} given")));
    }
    let compared = jobs::comparable(&registry, query).await;
    let (report, left_out) = compared.map_err(|error| Problem::from(error).of_parameters())?;
    let mut report = report.beside(left_out);
    if csv {
        let word = measures.first().copied().unwrap_or("cosine");
        let text = if by_part { parts_as_csv(&report.parts, word) } else { to_csv(&report, (word, &parts)) };
        return Ok(HttpResponse::Ok().content_type("text/csv; charset=utf-8").body(text));
    }
    if !measures.is_empty() {
        report = report.only(&measures);
    }
    report.warnings.extend(jobs::lacking_base(&registry, &report, "base=").await?);
    let mut body = json!(report);
    if let Some(fields) = body.as_object_mut() {
        fields.retain(|field, _| {
            !PARTS.iter().any(|(_, held)| held.contains(&field.as_str())) || parts.contains(&field.as_str())
        });
    }
    Ok(HttpResponse::Ok().json(body))
}

/// Parameters that ask for parts of the models, and the fields they ask for.
const PARTS: [(&str, &[&str]); 4] = [
    ("per_layer", &["layers"]),
    ("per_module", &["modules"]),
    ("per_part", &["parts"]),
    ("per_tensor", &["tensors", "tensors_more"]),
];

/// Characters of a name in a fault.
const SHOWN: usize = 80;

/// A question as the query string puts it.
struct Asked {
    query: KinshipQuery,
    /// By id; none for all.
    measures: Vec<&'static str>,
    /// Fields of the answer that are there only when asked for.
    parts: Vec<&'static str>,
    csv: bool,
}

fn asked(request: &HttpRequest) -> Result<Asked> {
    let pairs = web::Query::<Vec<(String, String)>>::from_query(request.query_string())
        .map_err(|e| Problem::bad_request(e.to_string()))?;
    let query = KinshipQuery {
        models: Vec::new(),
        base: None,
        access: Access::registry(),
        reading: Reading::Stored,
        partial: Partial::Refuse,
        parity: None,
    };
    let mut asked = Asked { query, measures: Vec::new(), parts: Vec::new(), csv: false };
    let mut faults = Vec::new();
    for (key, value) in pairs.into_inner() {
        let mut fault =
            |message: String| faults.push(Item { pointer: key.chars().take(SHOWN).collect(), message });
        match key.as_str() {
            "of" | "models" => {
                let names = value.split(',').map(|v| v.trim().to_owned()).filter(|v| !v.is_empty());
                asked.query.models.extend(names);
            }
            "base" => asked.query.base = Some(value).filter(|v| !v.is_empty()),
            "measure" => match measures_of(&value) {
                Ok(more) => asked.measures.extend(more),
                Err(told) => fault(told),
            },
            "partial" => match value.as_str() {
                "true" | "" => asked.query.partial = Partial::Take,
                "false" => asked.query.partial = Partial::Refuse,
                _ => fault("`partial` is true (compare what there is) or false".to_owned()),
            },
            "exact" => match value.as_str() {
                "true" | "" => asked.query.reading = Reading::Weights,
                "false" => asked.query.reading = Reading::Sketches,
                _ => fault("`exact` is true (read the weights) or false".to_owned()),
            },
            "parity" => match Some(&value).filter(|v| !v.is_empty()).map(|word| word.parse()).transpose() {
                Ok(parity) => asked.query.parity = parity,
                Err(told) => fault(told),
            },
            "format" => match value.as_str() {
                "csv" => asked.csv = true,
                "json" | "" => asked.csv = false,
                _ => fault("`format` is json or csv".to_owned()),
            },
            other => {
                let Some((_, fields)) = PARTS.iter().find(|(parameter, _)| *parameter == other) else {
                    fault(format!(
                        "unknown parameter `{}`; use of, base, measure, per_layer, per_module, per_part, \
                         per_tensor, exact, partial, parity, format",
                        other.chars().take(SHOWN).collect::<String>()
                    ));
                    continue;
                };
                if value != "false" {
                    asked.parts.extend_from_slice(fields);
                }
            }
        }
    }
    if !faults.is_empty() {
        return Err(Problem::misasked(faults));
    }
    let mut seen = BTreeSet::new();
    asked.measures.retain(|id| seen.insert(*id));
    Ok(asked)
}

/// The matrix of one measure. Behind the values of an estimate stand their standard errors; where parts are asked for a first
/// column names them.
fn to_csv(report: &Report, (measure, parts): (&str, &[&str])) -> String {
    let errors = report.standard_errors.get(measure);
    let by_part = !parts.is_empty();
    let mut head = vec![measure.to_owned()];
    head.extend(report.models.iter().cloned());
    if errors.is_some() {
        head.extend(report.models.iter().map(|name| format!("standard error of {name}")));
    }
    let mut lines = Vec::new();
    let mut line = |part: &str, cells: Vec<String>| {
        let part = by_part.then(|| part.to_owned());
        let cells: Vec<String> = part.into_iter().chain(cells).map(|cell| csv_cell(&cell)).collect();
        lines.push(cells.join(","));
    };
    line("part", head);
    let numbers = |row: Option<&Vec<Option<f64>>>| -> Vec<String> {
        let cell = |at: usize| row.and_then(|row| *row.get(at)?).map(|n| n.to_string()).unwrap_or_default();
        (0..report.models.len()).map(cell).collect()
    };
    let mut matrix = |part: &str, values: Option<&Matrix>, of: Option<&Matrix>| {
        let Some(values) = values else { return };
        for (at, (name, row)) in report.models.iter().zip(values).enumerate() {
            let mut cells = vec![name.clone()];
            cells.extend(numbers(Some(row)));
            if errors.is_some() {
                cells.extend(numbers(of.and_then(|of| of.get(at))));
            }
            line(part, cells);
        }
    };
    matrix("all", report.matrices.get(measure), errors);
    let asked = |field: &str| parts.contains(&field);
    for layer in report.layers.iter().filter(|_| asked("layers")) {
        matrix(&format!("layer {}", layer.layer), layer.matrices.get(measure), None);
    }
    for module in report.modules.iter().filter(|_| asked("modules")) {
        matrix(&format!("module {}", module.module), module.matrices.get(measure), None);
    }
    for tensor in report.tensors.iter().filter(|_| asked("tensors")) {
        matrix(&format!("tensor {}", tensor.tensor), tensor.matrices.get(measure), None);
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn parts_as_csv(parts: &[PartReport], measure: &str) -> String {
    let mut out = format!("module,layer,{measure},standard_error,tensors,elements,left_out,reason\n");
    let number = |held: &BTreeMap<String, Option<f64>>| {
        held.get(measure).copied().flatten().map(|n| n.to_string()).unwrap_or_default()
    };
    for part in parts {
        let (layer, reason) =
            (part.layer.label(), part.reason.as_deref().unwrap_or_default().replace('"', "\"\""));
        let (value, error) = (number(&part.values), number(&part.standard_errors));
        let (module, tensors, elements, left_out) = (part.module, part.tensors, part.elements, part.left_out);
        let _ =
            writeln!(out, "{module},{layer},{value},{error},{tensors},{elements},{left_out},\"{reason}\"");
    }
    out
}
