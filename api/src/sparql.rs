//! The lineage as linked data: SPARQL 1.1 questions at one address, as its protocol wants them.

use actix_web::{HttpRequest, HttpResponse, get, http::header, post, web};
use domain::Fault as _;
use http::{Problem, Result};
use jobs::{Answer, AnswerForm, Rows};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::{
    query::{self, Query},
    seen::Seen,
};

const QUESTION: &str = "application/sparql-query";
const FORM: &str = "application/x-www-form-urlencoded";
const TRIPLES: [&str; 2] = ["application/n-triples", "text/turtle"];

/// A question in an address or a form.
#[derive(Debug, Deserialize, IntoParams, ToSchema)]
#[into_params(parameter_in = Query)]
pub struct Asked {
    /// SPARQL 1.1: SELECT, ASK, CONSTRUCT or DESCRIBE. Prefixes prov, rdf, rdfs, dcterms, stemma and xsd are declared.
    pub query: Option<String>,
    /// Other data than this registry's is not offered.
    #[serde(rename = "default-graph-uri")]
    pub default_graph: Option<String>,
    #[serde(rename = "named-graph-uri")]
    pub named_graph: Option<String>,
    /// Nothing is changed here.
    pub update: Option<String>,
}

/// A SPARQL question over the lineage, about what the asker may see. The answer is a table in the form that `Accept`
/// names (JSON, XML, CSV, TSV), or N-Triples.
#[utoipa::path(tag = "lineage", params(Asked), responses(
    (status = 200, description = "the answer", content_type = "application/sparql-results+json", body = Object),
    (status = 400, body = Problem, content_type = "application/problem+json"),
    (status = 413, description = "a limit was reached", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "not offered", body = Problem, content_type = "application/problem+json")))]
#[get("/api/v1/sparql")]
pub async fn ask(registry: Seen, request: HttpRequest, asked: Query<Asked>) -> Result<HttpResponse> {
    let question = question(asked.into_inner())?;
    answer(&registry, &request, question).await
}

/// The same with the question as the body, or as `query` of a form.
#[utoipa::path(tag = "lineage", request_body(content = String, content_type = "application/sparql-query"), responses(
    (status = 200, description = "the answer", content_type = "application/sparql-results+json", body = Object),
    (status = 400, body = Problem, content_type = "application/problem+json"),
    (status = 413, description = "a limit was reached", body = Problem, content_type = "application/problem+json"),
    (status = 415, description = "a body of another kind", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "not offered", body = Problem, content_type = "application/problem+json")))]
#[post("/api/v1/sparql")]
pub async fn ask_in_body(
    registry: Seen,
    request: HttpRequest,
    address: Query<Asked>,
    body: actix_web::Result<web::Bytes>,
) -> Result<HttpResponse> {
    let body = body.map_err(|error| http::body_problem(&error, registry.limits.body_bytes))?;
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = kind.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let question = match kind.as_str() {
        QUESTION => {
            let text = String::from_utf8(body.to_vec());
            let text = text.map_err(|_| Problem::bad_request("the question is not UTF-8"))?;
            question(Asked { query: Some(text), ..address.into_inner() })?
        }
        FORM => question(query::read::<Asked>(&String::from_utf8_lossy(&body))?)?,
        other => {
            let detail = format!("the body is {QUESTION} or {FORM}, not `{}`", cut(other));
            return Err(Problem::new(
                actix_web::http::StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                detail,
            ));
        }
    };
    answer(&registry, &request, question).await
}

fn cut(text: &str) -> String {
    text.chars().take(60).collect()
}

fn question(asked: Asked) -> Result<String> {
    if asked.update.is_some() {
        return Err(jobs::Error::SparqlRefused("it changes data; this endpoint only reads".to_owned()).into());
    }
    if asked.default_graph.is_some() || asked.named_graph.is_some() {
        let why = "it names other data; there is one graph here, without a name".to_owned();
        return Err(jobs::Error::SparqlRefused(why).into());
    }
    asked.query.filter(|text| !text.trim().is_empty()).ok_or_else(|| {
        Problem::bad_request("no question; send `query=…`, or a body of application/sparql-query")
    })
}

/// What an `Accept` header allows.
#[derive(Debug, PartialEq, Eq)]
struct Accepted {
    rows: Option<Rows>,
    triples: Option<&'static str>,
}

/// The first form of each kind that is accepted, by weight, then in the order written.
fn accepted(accept: Option<&str>) -> Accepted {
    let accept = accept.map(str::trim).filter(|text| !text.is_empty()).unwrap_or("*/*");
    let mut wanted: Vec<(String, f64)> = accept
        .split(',')
        .map(|part| {
            let mut parts = part.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
            let weight = parts.find_map(|part| part.strip_prefix("q=")).and_then(|q| q.parse().ok());
            (kind, weight.unwrap_or(1.0))
        })
        .filter(|(_, weight)| *weight > 0.0)
        .collect();
    wanted.sort_by(|a, b| b.1.total_cmp(&a.1));
    let kinds = || wanted.iter().map(|(kind, _)| kind.as_str());
    let rows = kinds().find_map(|kind| match kind {
        "*/*" | "application/*" => Some(Rows::Json),
        "text/*" => Some(Rows::Csv),
        kind => Rows::from_media_type(kind),
    });
    let triples = kinds().find_map(|kind| match kind {
        "*/*" | "application/*" => Some(TRIPLES[0]),
        "text/*" => Some(TRIPLES[1]),
        // Every document of N-Triples is one of Turtle.
        kind => TRIPLES.into_iter().find(|known| *known == kind),
    });
    Accepted { rows, triples }
}

async fn answer(registry: &Seen, request: &HttpRequest, question: String) -> Result<HttpResponse> {
    let accept = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let accepted = accepted(accept);
    let unacceptable = || {
        let known = [Rows::Json, Rows::Xml, Rows::Csv, Rows::Tsv].map(Rows::media_type).join(", ");
        let detail = format!("answers are {known}; of CONSTRUCT and DESCRIBE {}", TRIPLES.join(", "));
        Problem::new(actix_web::http::StatusCode::NOT_ACCEPTABLE, "not_acceptable", detail)
    };
    if accepted.rows.is_none() && accepted.triples.is_none() {
        return Err(unacceptable());
    }
    let found = jobs::sparql(registry, question, accepted.rows.unwrap_or(Rows::Json)).await;
    let Answer { body, form } = match found {
        // The protocol's own status for what is not SPARQL.
        Err(error @ jobs::Error::BadSparql(_)) => {
            return Err(Problem::new(
                actix_web::http::StatusCode::BAD_REQUEST,
                error.code(),
                error.to_string(),
            ));
        }
        other => other?,
    };
    let kind = match form {
        AnswerForm::Rows(rows) => accepted.rows.map(|_| rows.media_type()),
        AnswerForm::Triples => accepted.triples,
    };
    let kind = kind.ok_or_else(unacceptable)?;
    let mut response = HttpResponse::Ok();
    response.insert_header((header::VARY, "Accept"));
    let charset = if kind.starts_with("text/") { "; charset=utf-8" } else { "" };
    Ok(response.content_type(format!("{}{charset}", kind.split(';').next().unwrap_or(kind))).body(body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_is_the_first_known_one_by_weight() {
        let rows = |accept| accepted(Some(accept)).rows;

        assert_eq!(accepted(None), Accepted { rows: Some(Rows::Json), triples: Some(TRIPLES[0]) });
        assert_eq!(rows("text/csv"), Some(Rows::Csv));
        assert_eq!(rows("text/html, application/sparql-results+xml;q=0.9, */*;q=0.1"), Some(Rows::Xml));
        assert_eq!(rows("text/csv;q=0.2, text/tab-separated-values"), Some(Rows::Tsv));
        assert_eq!(rows("text/csv;q=0"), None);
        assert_eq!(accepted(Some("text/turtle")), Accepted { rows: None, triples: Some(TRIPLES[1]) });
    }
}
