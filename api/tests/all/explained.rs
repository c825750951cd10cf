//! Which values the tensors of a merge get, and which document of a recipe is made.

use crate::support::{Place, schema::broken};
use serde_json::{Value, json};

const EXPLAIN: &str = "/api/v1/merges/explain";
const SLERP: &str =
    "merge_method: slerp\nbase_model: o/a\nmodels: [{model: o/b}]\nparameters: {t: [0.25, 0.75]}\n";

fn tensor(layer: u32) -> String {
    format!("model.layers.{layer}.mlp.up_proj.weight")
}

async fn place() -> Place {
    let place = Place::new().await;
    place.ingest("o/a", (1.0, "mit")).await;
    place.ingest("o/b", (2.0, "mit")).await;
    place
}

#[actix_web::test]
async fn every_tensor_is_told_with_its_values_page_by_page() {
    let place = place().await;

    let whole = place.post(EXPLAIN, json!({ "config": SLERP })).await;
    let first = place.post(&format!("{EXPLAIN}?limit=1"), json!({ "config": SLERP })).await;
    let cursor = first.body["next"].as_str().unwrap();
    let next = place.post(&format!("{EXPLAIN}?limit=1&cursor={cursor}"), json!({ "config": SLERP })).await;
    let named = place.post(EXPLAIN, json!({ "config": SLERP, "name": "layers.1" })).await;

    let t = |body: &Value, at: usize| body["items"][at]["parameters"]["t"].as_f64().unwrap();
    assert_eq!((t(&whole.body, 0), t(&whole.body, 1)), (0.25, 0.75));
    assert_eq!(whole.body["items"][1]["tensor"], tensor(1));
    assert_eq!(
        whole.body["items"][1]["models"][1],
        json!({ "model": "o/b", "tensor": tensor(1), "parameters": {} })
    );
    assert_eq!((&whole.body["tensors"], &whole.body["next"]), (&json!(2), &json!(null)));
    assert_eq!(
        (&first.body["items"][0], &next.body["items"][0]),
        (&whole.body["items"][0], &whole.body["items"][1])
    );
    assert_eq!((&named.body["tensors"], &named.body["items"][0]), (&json!(1), &whole.body["items"][1]));
    let document = serde_json::to_value(api::document()).unwrap();
    let schema =
        &document["paths"][EXPLAIN]["post"]["responses"]["200"]["content"]["application/json"]["schema"];
    assert_eq!(broken(&document, schema, &whole.body), [""; 0]);
    let jobs = place.get("/api/v1/jobs").await;
    assert_eq!(jobs.body["items"], json!([]));
}

#[actix_web::test]
async fn a_recipe_with_faults_is_not_explained() {
    let place = place().await;
    let config = SLERP.replace("o/b", "o/none").replace("t:", "tt:");

    let refused = place.post(EXPLAIN, json!({ "config": config })).await;

    assert!(refused.status.is_client_error(), "{refused:?}");
    let mut pointers = refused.pointers();
    pointers.sort_unstable();
    assert_eq!(pointers, ["/models/0/model", "/parameters/tt"]);
}

#[actix_web::test]
async fn one_of_several_results_is_made_by_its_name() {
    let place = place().await;
    let linear =
        "name: soup\nmerge_method: linear\nmodels: [{model: o/a}, {model: o/b}]\nparameters: {weight: 1}\n";
    let config = format!("name: arc\n{SLERP}---\n{linear}");
    let asked = |document: Value| json!({ "config": config, "document": document, "output": "o/out" });
    let dry = "/api/v1/merges?dry_run=true";

    let both = place.post(dry, asked(json!(null))).await;
    let arc = place.post(dry, asked(json!("arc"))).await;
    let soup = place.post(dry, asked(json!("soup"))).await;
    let none = place.post(dry, asked(json!("bread"))).await;
    let explained = place.post(EXPLAIN, json!({ "config": config, "document": "soup" })).await;
    let made = place.post("/api/v1/merges", asked(json!("soup"))).await;
    let made = place.worked(&made).await;

    assert_eq!(both.pointers(), ["/0/name"]);
    assert_eq!((&arc.body["method"], &soup.body["method"]), (&json!("slerp"), &json!("linear")));
    assert_eq!(none.pointers(), ["/document"]);
    assert!(none.body.to_string().contains("there are `arc`, `soup`"), "{none:?}");
    assert_eq!(explained.body["items"][0]["models"][0]["parameters"]["weight"], 1.0);
    assert_eq!(made.body["state"], "succeeded", "{made:?}");
    let tree = place.get("/api/v1/models/o/out/provenance").await;
    assert_eq!(tree.body["method"]["id"], "linear");
    assert_eq!(tree.body["recipe"], soup_recipe(&place, &config).await);
}

/// The recipe of the record of the document alone.
async fn soup_recipe(place: &Place, config: &str) -> Value {
    let alone = config.split("---\n").nth(1).unwrap();
    let made = place.merge(alone, "o/alone").await;
    place.worked(&made).await;
    place.get("/api/v1/models/o/alone/provenance").await.body["recipe"].clone()
}
