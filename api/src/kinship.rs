//! `GET /api/v1/kinship`: kinship of two or more models, exact or estimated.

use actix_web::{HttpRequest, HttpResponse, get, web};
use analysis::kinship::{MEASURES, Report};
use http::{Problem, Result};
use jobs::{Access, KinshipQuery, Reading, Registry};
use serde_json::json;

/// Kinship of models against a base.
///
/// `of` is repeated once a model (`models=a,b` also works). Cosine and Pearson compare weight deltas and need `base`.
/// `measure` limits the answer to one measure; `format=csv` gives the matrix as CSV.
#[utoipa::path(tag = "kinship",
    params(("of" = Vec<String>, Query, description = "models, two or more"), ("base" = Option<String>, Query),
        ("measure" = Option<String>, Query, description = "cosine, pearson or euclidean"),
        ("per_layer" = Option<bool>, Query),
        ("exact" = Option<bool>, Query, description = "true reads the weights; false estimates from stored sketches, with standard errors"), ("format" = Option<String>, Query, description = "json or csv")),
    responses((status = 200, description = "matrices by measure", body = Object), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
#[get("/api/v1/kinship")]
pub async fn get_kinship(request: HttpRequest, registry: web::Data<Registry>) -> Result<HttpResponse> {
    let pairs = web::Query::<Vec<(String, String)>>::from_query(request.query_string())
        .map_err(|e| Problem::bad_request(e.to_string()))?;
    let mut query = KinshipQuery {
        models: Vec::new(),
        base: None,
        access: Access::registry(),
        reading: Reading::Weights,
    };
    let (mut measure, mut per_layer, mut csv) = (None, false, false);
    for (key, value) in pairs.into_inner() {
        match key.as_str() {
            "of" | "models" => {
                query.models.extend(value.split(',').map(|v| v.trim().to_owned()).filter(|v| !v.is_empty()))
            }
            "base" => query.base = Some(value).filter(|v| !v.is_empty()),
            "measure" => measure = Some(value).filter(|v| !v.is_empty()),
            "per_layer" => per_layer = value != "false",
            "exact" => {
                query.reading = match value.as_str() {
                    "true" | "" => Reading::Weights,
                    "false" => Reading::Sketches,
                    _ => return Err(Problem::bad_request("`exact` is true (read the weights) or false")),
                }
            }
            "format" => csv = value == "csv",
            other => {
                return Err(Problem::bad_request(format!(
                    "unknown parameter `{other}`; use of, base, measure, per_layer, exact, format"
                )));
            }
        }
    }
    if let Some(word) = &measure
        && !MEASURES.iter().any(|m| m.id == word)
    {
        let known: Vec<&str> = MEASURES.iter().map(|m| m.id).collect();
        return Err(Problem::bad_request(format!("unknown measure `{word}`; use {}", known.join(", "))));
    }
    let mut report = jobs::kinship(&registry, query).await?;
    if csv {
        let word = measure.as_deref().unwrap_or("cosine");
        return Ok(HttpResponse::Ok().content_type("text/csv; charset=utf-8").body(to_csv(&report, word)));
    }
    if let Some(word) = &measure {
        report.matrices.retain(|id, _| id == word);
        report.mean.retain(|id, _| id == word);
        report.standard_errors.retain(|id, _| id == word);
    }
    let mut body = json!(report);
    if let Some(fields) = body.as_object_mut()
        && !per_layer
    {
        fields.remove("layers");
    }
    Ok(HttpResponse::Ok().json(body))
}

fn to_csv(report: &Report, measure: &str) -> String {
    let mut out = format!("{measure},{}\n", report.models.join(","));
    if let Some(matrix) = report.matrices.get(measure) {
        for (name, row) in report.models.iter().zip(matrix) {
            let cells: Vec<String> =
                row.iter().map(|v| v.map(|v| v.to_string()).unwrap_or_default()).collect();
            out.push_str(&format!("{name},{}\n", cells.join(",")));
        }
    }
    out
}
