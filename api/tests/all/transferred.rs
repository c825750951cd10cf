//! What a transfer takes beside its models: which elements of the diff, and what becomes of tensors that not all have.

use crate::support::Place;
use serde_json::{Value, json};

const TRANSFERS: &str = "/api/v1/transfers";

fn wanted(more: &Value) -> Value {
    let mut wanted = json!({ "source_base": "o/base", "source_tuned": "o/tuned", "target_base": "o/next", "output": "o/out" });
    wanted.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    wanted
}

async fn place() -> Place {
    let place = Place::new().await;
    for (id, value) in [("o/base", 1.0), ("o/tuned", 2.0), ("o/next", 4.0)] {
        place.ingest(id, (value, "mit")).await;
    }
    place
}

#[actix_web::test]
async fn some_elements_of_a_diff_are_carried_over_and_the_recipe_says_which() {
    let place = place().await;
    let sparsify = json!({ "kind": "magnitude", "density": 0.25 });

    let checked =
        place.post(&format!("{TRANSFERS}?dry_run=true"), wanted(&json!({ "sparsify": sparsify }))).await;
    let accepted = place.post(TRANSFERS, wanted(&json!({ "sparsify": sparsify, "missing": "base" }))).await;
    let made = place.worked(&accepted).await;

    assert_eq!(checked.body["interpolation"].as_array().unwrap().len(), 11, "{checked:?}");
    assert!(
        checked.body["interpolation"][3]["recipe"].as_str().unwrap().contains("\"o/next\""),
        "{checked:?}"
    );
    assert_eq!(made.body["state"], "succeeded", "{made:?}");
    let record = place.get("/api/v1/models/o/out/provenance").await;
    assert_eq!(record.body["recipe"]["sparsify"], sparsify);
    assert_eq!(record.body["recipe"]["missing"], "base");
    let diff = place.get("/api/v1/diffs?a=o/out&b=o/next").await;
    assert_eq!(diff.body["totals"]["unchanged_share"], 0.75, "{diff:?}");
    assert_eq!(diff.body["totals"]["max_abs"], 1.0);
}

#[actix_web::test]
async fn what_is_no_share_no_kind_or_no_policy_is_refused_at_its_place() {
    let place = place().await;
    for (more, pointer) in [
        (json!({ "sparsify": { "kind": "magnitude", "density": 2 } }), "/sparsify/density"),
        (json!({ "sparsify": { "kind": "random", "density": 0.5, "gamma": 0.1 } }), "/sparsify/gamma"),
        (json!({ "sparsify": { "kind": "rand", "density": 0.5 } }), "/sparsify"),
        (json!({ "missing": "union" }), "/missing"),
    ] {
        let refused = place.post(TRANSFERS, wanted(&more)).await;

        assert!(refused.status.is_client_error(), "{more}: {refused:?}");
        let within = refused.pointers().iter().any(|found| found.starts_with(pointer));
        assert!(within, "{more}: {refused:?}");
    }
}
