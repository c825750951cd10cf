//! The OpenAPI document against what the interface takes and answers.

use crate::support::{Place, schema::broken};
use actix_web::test::TestRequest;
use serde_json::{Value, json};

fn document() -> Value {
    serde_json::to_value(api::document()).unwrap()
}

#[test]
fn every_request_for_a_job_documents_its_idempotency_key() {
    let document = document();
    for address in [
        "/api/v1/merges",
        "/api/v1/transfers",
        "/api/v1/transplants",
        "/api/v1/diffs",
        "/api/v1/diffs/apply",
        "/api/v1/adapters/extract",
        "/api/v1/adapters/bake",
        "/api/v1/imports",
        "/api/v1/searches",
        "/api/v1/searches/{id}/candidates/{number}/merge",
        "/api/v1/jobs/{id}/retry",
    ] {
        let parameters = document["paths"][address]["post"]["parameters"].as_array().unwrap().clone();

        let key = parameters.iter().find(|parameter| parameter["name"] == "Idempotency-Key");
        assert_eq!(key.unwrap()["in"], "header", "{address}");
        assert_eq!(key.unwrap()["required"], false, "{address}");
    }
}

#[test]
fn the_strength_of_a_transfer_is_a_number_a_list_or_a_value_with_a_filter() {
    let document = document();

    let lambda = &document["components"]["schemas"]["NewTransfer"]["properties"]["lambda"];

    let kinds: Vec<&Value> = lambda["oneOf"].as_array().unwrap().iter().map(|one| &one["type"]).collect();
    assert_eq!(kinds, [&json!("number"), &json!("array"), &json!("object"), &json!("array")]);
}

#[actix_web::test]
async fn a_forecast_has_the_fields_that_the_document_promises() {
    let place = Place::new().await;
    place.ingest("o/a", (1.0, "mit")).await;
    let config = "merge_method: linear\nparameters: {weight: 1}\nmodels: [{model: o/a}]\n";

    let answer = place.post("/api/v1/merges?dry_run=true", json!({ "config": config })).await;

    let promised = &document()["components"]["schemas"]["ForecastView"]["properties"];
    let names = |object: &Value| object.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let (mut told, mut promised) = (names(&answer.body), names(promised));
    told.sort();
    promised.sort();
    assert_eq!(told, promised, "{answer:?}");
}

#[actix_web::test]
async fn the_default_of_a_flag_is_true_or_false() {
    let place = Place::new().await;

    let methods = place.get("/api/v1/merge-methods").await.body;

    let parameters =
        methods.as_array().unwrap().iter().flat_map(|method| method["parameters"].as_array().unwrap());
    let flags: Vec<&Value> = parameters.filter(|parameter| parameter["kind"] == "flag").collect();
    assert!(!flags.is_empty());
    assert!(flags.iter().all(|flag| flag["default"].is_boolean()), "{flags:?}");
}

/// Every operation: its method, its address, and what is said of it.
fn operations(document: &Value) -> Vec<(String, String, &Value)> {
    let paths = document["paths"].as_object().unwrap();
    let of = |(path, item): (&String, &'_ Value)| {
        let methods = item.as_object().unwrap().clone();
        methods.into_iter().map(|(method, _)| (method, path.clone())).collect::<Vec<_>>()
    };
    let all: Vec<(String, String)> = paths.iter().flat_map(of).collect();
    all.into_iter()
        .filter(|(method, _)| ["get", "put", "post", "delete"].contains(&method.as_str()))
        .map(|(method, path)| {
            let operation = &document["paths"][&path][&method];
            (method, path, operation)
        })
        .collect()
}

#[test]
fn every_operation_says_whether_it_needs_a_token_and_how_to_send_it() {
    let (either, anybody) = (json!([{ "bearer": [] }, { "session": [] }]), json!([]));
    let optional = json!([{}, { "bearer": [] }, { "session": [] }]);
    let closed = http::Doors { writes: http::Door::Token, ..http::Doors::default() };
    let shut = http::Doors { reads: http::Door::Token, ..http::Doors::default() };

    for (doors, reads, writes) in [
        (http::Doors::default(), &optional, &optional),
        (closed, &optional, &either),
        (shut, &either, &either),
    ] {
        let document = serde_json::to_value(api::document_for(doors)).unwrap();
        let schemes = &document["components"]["securitySchemes"];
        assert_eq!(schemes["bearer"]["scheme"], "bearer");
        assert_eq!(schemes["session"]["in"], "cookie");
        for (method, path, operation) in operations(&document) {
            let wanted = match path.as_str() {
                "/livez" | "/readyz" | "/healthz" => &anybody,
                "/api/v1/orgs" if method == "get" => reads,
                own if ["tokens", "users", "orgs"].iter().any(|part| own.contains(&format!("v1/{part}"))) => {
                    &either
                }
                // A POST that only asks.
                "/api/v1/sparql" | "/api/v1/merges/explain" => reads,
                _ if method == "get" => reads,
                _ => writes,
            };
            assert_eq!(&operation["security"], wanted, "{doors:?} {method} {path}");
        }
    }
}

#[test]
fn every_answer_is_described_with_its_errors_headers_and_formats() {
    let document = document();
    assert_eq!(document["openapi"].as_str().unwrap().split('.').next(), Some("3"));
    for (method, path, operation) in operations(&document) {
        let responses = operation["responses"].as_object().unwrap();
        for (status, response) in responses {
            let told = response["description"].as_str();
            assert!(told.is_some_and(|told| !told.is_empty()), "{method} {path} {status}");
            for (kind, content) in response["content"].as_object().into_iter().flatten() {
                assert!(content["schema"].is_object(), "{method} {path} {status} {kind}");
            }
        }
        if path.starts_with("/api/v1/") {
            assert!(responses.contains_key("4XX"), "{method} {path}");
        }
        if method == "post" && responses.contains_key("202") {
            assert!(responses["202"]["headers"]["Location"].is_object(), "{path}");
            let names = operation["parameters"].as_array().into_iter().flatten();
            let mut names = names.map(|parameter| parameter["name"].as_str().unwrap());
            assert!(names.any(|name| name == "Idempotency-Key"), "{path}");
        }
        if method == "get" && responses.contains_key("200") && !path.ends_with("/events") {
            assert!(responses["200"]["headers"]["ETag"].is_object(), "{path}");
            assert!(responses.contains_key("304"), "{path}");
        }
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            assert!(parameter["schema"].is_object(), "{method} {path} {parameter}");
            let in_path = path.contains(&format!("{{{}}}", parameter["name"].as_str().unwrap()));
            assert_eq!(parameter["in"] == "path", in_path, "{method} {path} {parameter}");
        }
    }
    let link = &document["paths"]["/api/v1/models"]["get"]["responses"]["200"]["headers"]["Link"];
    assert!(link.is_object());
}

#[test]
fn every_example_is_what_its_schema_says_and_every_request_has_one() {
    let document = document();
    let mut answers = 0;
    for (method, path, operation) in operations(&document) {
        let sent = operation["requestBody"]["content"].as_object();
        for (kind, content) in sent.into_iter().flatten().filter(|(kind, _)| *kind != "multipart/form-data") {
            let example = content.get("example").unwrap_or_else(|| panic!("{method} {path} {kind}"));
            assert_eq!(broken(&document, &content["schema"], example), [""; 0], "{method} {path}");
        }
        for (status, response) in operation["responses"].as_object().unwrap() {
            for content in response["content"].as_object().into_iter().flatten().map(|(_, content)| content) {
                let Some(example) = content.get("example") else { continue };
                assert_eq!(
                    broken(&document, &content["schema"], example),
                    [""; 0],
                    "{method} {path} {status}"
                );
                answers += 1;
            }
        }
        let made =
            operation["responses"].as_object().unwrap().iter().find(|(status, _)| status.starts_with('2'));
        let content = made.map(|(_, response)| &response["content"]["application/json"]);
        if method == "post" && !path.contains("{name}") && content.is_some_and(Value::is_object) {
            assert!(content.unwrap().get("example").is_some(), "{path}");
        }
    }
    assert!(answers > 40, "{answers}");
}

#[actix_web::test]
async fn every_request_of_the_examples_can_be_read() {
    let place = Place::new().await;
    let document = document();
    for (method, path, operation) in operations(&document) {
        let content = operation["requestBody"]["content"].as_object();
        for (kind, content) in
            content.into_iter().flatten().filter(|(kind, _)| *kind != "multipart/form-data")
        {
            let body = match &content["example"] {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            let address = path.replace("{decision}", "confirm").replace(['{', '}'], "");
            let request = TestRequest::default().method(method.to_uppercase().parse().unwrap()).uri(&address);
            let request = request.insert_header(("content-type", kind.as_str())).set_payload(body);

            let answer = place.send(request).await;

            assert!(![400, 405, 415].contains(&answer.status.as_u16()), "{method} {path}: {answer:?}");
            assert!(
                !answer.is_problem(404, "not_found") || path.contains('{'),
                "{method} {path}: {answer:?}"
            );
        }
    }
}

#[actix_web::test]
async fn answers_are_what_the_document_says_of_them() {
    let place = Place::new().await;
    place.ingest("o/a", (1.0, "mit")).await;
    place.ingest("o/b", (2.0, "mit")).await;
    let document = document();
    let soup = "merge_method: linear\nparameters: {weight: 1}\nmodels: [{model: o/a}, {model: o/b}]\n";
    let search = json!({ "strategy": "cma_es", "method": "linear", "budget": 8, "models": ["o/a", "o/b"] });
    let bent = json!({
        "source_base": "o/a", "source_tuned": "o/b", "target_base": "o/a", "output": "o/t",
        "lambda": { "filter": "mlp", "value": [0.5, 1] },
    });
    let mut answers = vec![
        ("post", "/api/v1/merges", place.merge(soup, "o/soup").await),
        ("post", "/api/v1/transfers", place.post("/api/v1/transfers", bent).await),
        ("post", "/api/v1/searches", place.post("/api/v1/searches", search).await),
        ("post", "/api/v1/merges", place.merge("models: []", "no id").await),
    ];
    let job = format!("/api/v1/jobs/{}", answers[0].2.body["id"].as_str().unwrap());
    for (template, address) in [
        ("/api/v1/models", "/api/v1/models?facets=true"),
        ("/api/v1/models", "/api/v1/models?limit=0"),
        ("/api/v1/models/{org}/{name}", "/api/v1/models/o/a"),
        ("/api/v1/models/{org}/{name}/files", "/api/v1/models/o/a/files"),
        ("/api/v1/models/{org}/{name}/tensors", "/api/v1/models/o/a/tensors"),
        ("/api/v1/models/{org}/{name}/tensors", "/api/v1/models/o/a/tensors?cursor=zork"),
        ("/api/v1/models/{org}/{name}/lineage", "/api/v1/models/o/a/lineage"),
        ("/api/v1/models/{org}/{name}/children", "/api/v1/models/o/a/children"),
        ("/api/v1/models/{org}/{name}/siblings", "/api/v1/models/o/a/siblings"),
        ("/api/v1/models/{org}/{name}/descendants", "/api/v1/models/o/a/descendants"),
        ("/api/v1/models/{org}/{name}/edges", "/api/v1/models/o/a/edges"),
        ("/api/v1/models/{org}/{name}/licence", "/api/v1/models/o/a/licence"),
        ("/api/v1/models/{org}/{name}/versions", "/api/v1/models/o/a/versions"),
        ("/api/v1/path", "/api/v1/path?from=o/a&to=o/b"),
        ("/api/v1/path", "/api/v1/path?from=o/a&to=no/where"),
        ("/api/v1/jobs", "/api/v1/jobs"),
        ("/api/v1/jobs/{id}", job.as_str()),
        ("/api/v1/searches", "/api/v1/searches"),
        ("/api/v1/families", "/api/v1/families"),
        ("/api/v1/families", "/api/v1/families?limit=x"),
        ("/api/v1/typeahead", "/api/v1/typeahead?q=o"),
        ("/api/v1/reports/{subject}", "/api/v1/reports/bogus"),
        ("/api/v1/limits", "/api/v1/limits"),
    ] {
        answers.push(("get", template, place.get(address).await));
    }

    for (method, template, answer) in answers {
        let responses = &document["paths"][template][method]["responses"];
        let status = answer.status.as_str();
        let range = format!("{}XX", &status[..1]);
        let said = responses.get(status).or_else(|| responses.get(&range));
        let said = said.unwrap_or_else(|| panic!("{method} {template}: {answer:?}"));
        let kind = answer.kind.split(';').next().unwrap();
        let content = said["content"].get(kind).unwrap_or_else(|| panic!("{method} {template}: {answer:?}"));
        assert_eq!(broken(&document, &content["schema"], &answer.body), [""; 0], "{method} {template}");
    }
}

#[actix_web::test]
async fn the_fields_of_a_search_are_those_that_are_read() {
    let place = Place::new().await;

    let answer = place.post("/api/v1/searches", json!({ "zzzz": 1 })).await;

    let told = answer.body["errors"].to_string();
    let fields = document()["components"]["schemas"]["NewSearch"]["properties"].as_object().unwrap().clone();
    assert_eq!(fields.len(), 16);
    for name in fields.keys() {
        assert!(told.contains(name.as_str()), "{name}: {told}");
    }
}

#[test]
fn a_token_looks_in_the_document_as_it_is_made() {
    let document = document();
    let scheme = &document["components"]["securitySchemes"]["bearer"];
    let example = |path: &str| {
        let answer = &document["paths"][path]["post"]["responses"]["201"]["content"]["application/json"];
        answer["example"]["token"].as_str().unwrap_or_default().to_owned()
    };

    for told in [
        scheme["bearerFormat"].as_str().unwrap().to_owned(),
        example("/api/v1/users"),
        example("/api/v1/tokens"),
    ] {
        assert!(told.starts_with(domain::TOKEN_MARK), "{told:?}");
    }
    let described = scheme["description"].as_str().unwrap();
    assert!(described.contains(&format!("`{}", domain::TOKEN_MARK)), "{described}");
}
