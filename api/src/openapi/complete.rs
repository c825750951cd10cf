//! What every operation has, written into the document once: descriptions, errors, headers, other formats, examples.

use serde_json::Value;
use utoipa::openapi::{
    Content, Header, OpenApi, PathItem, Ref, RefOr, Response, Schema,
    path::Operation,
    schema::{Object, SchemaType, Type},
};

/// Requests and answers by the name of the operation.
const EXAMPLES: &str = include_str!("examples.json");

/// Answers in other formats than JSON, by the name of the operation.
const FORMATS: [(&str, &[&str]); 5] = [
    ("get_kinship", &["text/csv"]),
    (
        "get_lineage",
        &[
            "application/graphml+xml",
            "application/jsonl",
            "application/ld+json",
            "application/spdx+json",
            "application/vnd.cyclonedx+json",
            "text/csv",
            "text/vnd.graphviz",
            "text/x-nh",
        ],
    ),
    ("get_report", &["text/csv"]),
    ("ask", ROWS),
    ("ask_in_body", ROWS),
];
const ROWS: &[&str] =
    &["application/sparql-results+xml", "text/csv", "text/tab-separated-values", "application/n-triples"];

/// Operations to POST that make something without an address of its own.
const UNADDRESSED: [&str; 3] = ["add_user", "create_org", "create_token"];
/// Lists whose next page is in a header.
const PAGED: [&str; 6] =
    ["list_models", "list_users", "list_orgs", "list_members", "list_tokens", "list_watches"];
/// The one whose answer is a stream.
const STREAM: &str = "job_events";

/// The document with what its operations have in common.
pub fn completed(mut document: OpenApi) -> OpenApi {
    let mut examples: Value = serde_json::from_str(EXAMPLES).unwrap_or_default();
    examples["limits"] = serde_json::json!({ "200": domain::Limits::default() });
    for (path, item) in &mut document.paths.paths {
        let PathItem { get, put, post, delete, .. } = item;
        let operations = [("get", get), ("put", put), ("post", post), ("delete", delete)];
        for (method, operation) in
            operations.into_iter().filter_map(|(method, one)| Some((method, one.as_mut()?)))
        {
            complete((path, method), operation, &examples);
        }
    }
    document
}

fn complete((path, method): (&str, &str), operation: &mut Operation, examples: &Value) {
    let Some(name) = operation.operation_id.clone() else { return };
    if let Some(RefOr::T(body)) = &mut operation.request_body {
        if name == "upload_model" {
            body.content.values_mut().for_each(|content| *content = RefOr::T(upload()));
        }
        for content in body.content.values_mut().filter_map(own) {
            content.example = examples[&name].get("request").cloned();
        }
    }
    let responses = &mut operation.responses.responses;
    if path.starts_with("/api/v1/") {
        responses.entry("4XX".to_owned()).or_insert_with(|| RefOr::T(refusal()));
    }
    let whole = method == "get" && name != STREAM && responses.contains_key("200");
    if whole {
        responses.entry("304".to_owned()).or_insert_with(|| RefOr::T(Response::new("")));
    }
    let made = method == "post" && !UNADDRESSED.contains(&name.as_str());
    for (status, response) in responses.iter_mut() {
        let Some(response) = own(response) else { continue };
        if made && matches!(status.as_str(), "201" | "202") {
            say(response, ("Location", "The address of what is made."));
        }
        if whole && matches!(status.as_str(), "200" | "304") {
            say(response, ("ETag", "A strong tag of the answer, for `If-None-Match`."));
        }
        if status == "200" && PAGED.contains(&name.as_str()) {
            say(response, ("Link", "The address of the next page, with rel=\"next\"."));
        }
        for (kind, content) in &mut response.content {
            if let Some(content) = own(content).filter(|_| kind.ends_with("json")) {
                content.example = examples[&name].get(status).cloned();
            }
        }
        if status == "200" {
            let formats = FORMATS.iter().filter(|(operation, _)| *operation == name);
            for kind in formats.flat_map(|(_, kinds)| *kinds) {
                response.content.insert((*kind).to_owned(), RefOr::T(Content::new(Some(text()))));
            }
        }
        if response.description.is_empty() {
            response.description = described(status).to_owned();
        }
    }
}

fn own<T>(part: &mut RefOr<T>) -> Option<&mut T> {
    match part {
        RefOr::T(part) => Some(part),
        RefOr::Ref(_) => None,
    }
}

fn text() -> Schema {
    Object::with_type(Type::String).into()
}

/// Adds a header that is a text.
fn say(response: &mut Response, (name, told): (&str, &str)) {
    let mut header = Header::new(text());
    header.description = Some(told.to_owned());
    response.headers.insert(name.to_owned(), RefOr::T(header));
}

/// Any refusal.
fn refusal() -> Response {
    let mut response = Response::new("");
    let content = Content::new(Some(Ref::from_schema_name("Problem")));
    response.content.insert("application/problem+json".to_owned(), RefOr::T(content));
    response
}

/// The files of a checkpoint, each a part of a form.
fn upload() -> Content {
    let file = Object::builder().schema_type(Type::String).content_media_type("application/octet-stream");
    let told = "Each part is a file; its file name is the file's path inside the repository.";
    let parts = Object::builder()
        .schema_type(SchemaType::new(Type::Object))
        .description(Some(told))
        .additional_properties(Some(file));
    Content::new(Some(Schema::from(parts.build())))
}

/// What an answer of this status is, where nothing else is said.
fn described(status: &str) -> &'static str {
    match status {
        "200" => "the answer",
        "201" => "made",
        "202" => "accepted: the job, which goes on by itself",
        "204" => "done; there is nothing to answer",
        "206" => "the range that was asked for",
        "304" => "the client holds it already, as `If-None-Match` says",
        "404" => "it is not here",
        "4XX" => "refused: what is wrong, with every fault in `errors`",
        _ => "as the status says",
    }
}
