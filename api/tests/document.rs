//! The OpenAPI document against what the interface takes and answers.

#![allow(clippy::unwrap_used)]

mod support;

use serde_json::{Value, json};
use support::Place;

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
        "/api/v1/adapters/extract",
        "/api/v1/adapters/bake",
        "/api/v1/imports",
        "/api/v1/searches/{id}/candidates/{number}/merge",
    ] {
        let parameters = document["paths"][address]["post"]["parameters"].as_array().unwrap().clone();

        let key = parameters.iter().find(|parameter| parameter["name"] == "Idempotency-Key");
        assert_eq!(key.unwrap()["in"], "header", "{address}");
        assert_eq!(key.unwrap()["required"], false, "{address}");
    }
}

#[test]
fn the_strength_of_a_transfer_is_a_number_or_a_list() {
    let document = document();

    let lambda = &document["components"]["schemas"]["NewTransfer"]["properties"]["lambda"];

    let kinds: Vec<&Value> = lambda["oneOf"].as_array().unwrap().iter().map(|one| &one["type"]).collect();
    assert_eq!(kinds, [&json!("number"), &json!("array"), &json!("array")]);
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
