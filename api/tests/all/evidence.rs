//! What is told of edges and of models beside them: evidence, dates, the Hub's words for relations, results of evaluations.

use crate::support::Place;
use domain::{Claim, EdgeStatus, Evidence, Metadata, Relation, RepoId, Source};
use jobs::ingest_folder;
use serde_json::json;

const DAY: i64 = 86_400;

/// A model, the day of its creation, and its parent.
type Dated<'a> = (&'a str, i64, Option<(&'a str, Relation)>);

async fn knows(place: &Place, models: &[Dated<'_>]) {
    let batch: Vec<(Metadata, Vec<Claim>)> = models
        .iter()
        .map(|(id, day, parent)| {
            let metadata =
                Metadata { created_at: Some(day * DAY), ..Metadata::named(RepoId::parse(id).unwrap()) };
            let claim = parent.map(|(parent, relation)| Claim {
                parent: RepoId::parse(parent).unwrap(),
                as_written: parent.to_owned(),
                relation,
                status: EdgeStatus::Accepted,
                evidence: vec![
                    Evidence { source: Source::Card, detail: parent.to_owned(), confidence: 0.8 },
                    Evidence { source: Source::Tag, detail: parent.to_owned(), confidence: 0.9 },
                ],
            });
            (metadata, claim.into_iter().collect())
        })
        .collect();
    place.registry.store.upsert(&batch).await.unwrap();
}

#[actix_web::test]
async fn a_tree_tells_of_every_edge_what_speaks_for_it() {
    let place = Place::new().await;
    knows(
        &place,
        &[
            ("o/base", 5, None),
            ("o/tuned", 6, Some(("o/base", Relation::Finetune))),
            ("o/early", 2, Some(("o/base", Relation::Finetune))),
        ],
    )
    .await;

    let tree = place.get("/api/v1/models/o/base/lineage").await.body;

    let of = |name: &str| {
        let nodes = tree["nodes"].as_array().unwrap();
        nodes.iter().find(|node| node["name"] == name).unwrap().clone()
    };
    let (tuned, early) = (of("o/tuned"), of("o/early"));
    assert_eq!((&tuned["evidence"], &tuned["confidence"]), (&json!(["card", "tag"]), &json!(0.9)));
    assert_eq!((&tuned["known"], &tuned["verdict"]), (&json!("declared"), &json!(null)));
    assert_eq!(early["known"], "doubted");
    assert_eq!(of("o/base")["known"], json!(null));
}

#[actix_web::test]
async fn claims_that_dates_speak_against_are_listed_apart_from_those_of_weights() {
    let place = Place::new().await;
    knows(&place, &[("o/base", 5, None), ("o/early", 2, Some(("o/base", Relation::Finetune)))]).await;

    let dates = place.get("/api/v1/contradictions?ground=dates").await.body;
    let weights = place.get("/api/v1/contradictions").await.body;
    let other = place.get("/api/v1/contradictions?ground=stars").await;

    let row = &dates["items"][0];
    assert_eq!((&row["model"], &row["base"], &row["days"]), (&json!("o/early"), &json!("o/base"), &json!(3)));
    assert_eq!((&row["ground"], &row["cosine"]), (&json!("dates"), &json!(null)));
    assert_eq!(weights["items"], json!([]));
    assert_eq!(other.status, 400);
}

#[actix_web::test]
async fn relations_that_the_hub_has_no_word_for_are_told_there_as_those_that_come_nearest() {
    let place = Place::new().await;
    knows(
        &place,
        &[
            ("o/base", 1, None),
            ("o/gguf", 2, Some(("o/base", Relation::Conversion))),
            ("o/small", 3, Some(("o/base", Relation::Distil))),
        ],
    )
    .await;

    let told = async |id: &str| {
        let info = place.get(&format!("/api/models/{id}?expand=baseModels")).await.body;
        info["baseModels"]["relation"].as_str().unwrap().to_owned()
    };
    let own = place.get("/api/v1/models/o/gguf").await.body;
    let counts = place.get("/api/models/o/base?expand=childrenModelCount").await.body;
    let found = place.get("/api/models?filter=base_model:quantized:o/base").await.body;

    assert_eq!((told("o/gguf").await, told("o/small").await), ("quantized".into(), "finetune".into()));
    assert_eq!(own["parents"][0]["relation"], "conversion");
    assert_eq!(counts["childrenModelCount"], json!({ "finetune": 1, "quantized": 1 }));
    assert_eq!(found[0]["id"], "o/gguf", "{found}");
}

#[actix_web::test]
async fn stated_results_are_told_here_and_at_the_hubs_address() {
    let place = Place::new().await;
    let folder = tempfile::tempdir().unwrap();
    let results = folder.path().join(".eval_results");
    fs_err::create_dir_all(&results).unwrap();
    fs_err::write(folder.path().join("config.json"), "{}").unwrap();
    fs_err::write(results.join("hle.yaml"), "- dataset: {id: cais/hle, task_id: default}\n  value: 20.5\n")
        .unwrap();
    ingest_folder(&place.registry, folder.path(), &RepoId::parse("o/m").unwrap(), &|_, _| {}).await.unwrap();

    let own = place.get("/api/v1/models/o/m").await.body;
    let asked = place.get("/api/models/o/m?expand=evalResults").await.body;
    let plain = place.get("/api/models/o/m").await.body;

    assert_eq!(
        (&own["evaluations"][0]["dataset"], &own["evaluations"][0]["value"]),
        (&json!("cais/hle"), &json!("20.5"))
    );
    let expected = json!({ "dataset": { "id": "cais/hle", "task_id": "default" }, "value": 20.5 });
    assert_eq!(asked["evalResults"][0]["data"], expected);
    assert!(plain.get("evalResults").is_none());
}
