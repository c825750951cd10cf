//! Stored differences over REST: added to the base they were taken of, and carried over to another.

use crate::support::{Answer, Place};
use domain::{Digest, RepoId};
use jobs::ingest_folder;
use serde_json::{Value, json};
use weights::ReadAt as _;

const APPLY: &str = "/api/v1/diffs/apply";
const TRANSFERS: &str = "/api/v1/transfers";

/// `o/a` of ones, `o/b` of twos, `o/c` of threes, and what turns the first into the second as `o/delta`.
async fn place() -> Place {
    let place = Place::new().await;
    for (id, value) in [("o/a", 1.0), ("o/b", 2.0), ("o/c", 3.0)] {
        place.ingest(id, (value, "mit")).await;
    }
    let accepted = place.post("/api/v1/diffs", json!({ "tuned": "o/b", "base": "o/a" })).await;
    let done = place.worked(&accepted).await;
    let digest: Digest = done.body["result"]["blob"].as_str().unwrap().parse().unwrap();
    let stored = place.registry.store.open_untried(&digest).await.unwrap().0;
    let mut bytes = vec![0; usize::try_from(stored.len()).unwrap()];
    stored.read_at(0, &mut bytes).unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs_err::write(folder.path().join("model.safetensors"), bytes).unwrap();
    let id = RepoId::parse("o/delta").unwrap();
    ingest_folder(&place.registry, folder.path(), &id, &|_, _| {}).await.unwrap();
    place
}

/// Whether two models have the same weights.
async fn same(place: &Place, [a, b]: [&str; 2]) -> bool {
    place.get(&format!("/api/v1/diffs?a={a}&b={b}")).await.body["totals"]["relative_l2"] == 0.0
}

async fn parents(place: &Place, id: &str) -> Vec<String> {
    let edges = place.get(&format!("/api/v1/models/{id}/edges")).await;
    let items = edges.body["items"].as_array().unwrap();
    let mut parents: Vec<_> = items.iter().map(|edge| edge["parent"].as_str().unwrap().to_owned()).collect();
    parents.sort_unstable();
    parents
}

#[actix_web::test]
async fn a_stored_difference_gives_the_fine_tune_back_and_is_carried_over_in_part() {
    let place = place().await;
    place.ingest("o/half", (3.5, "mit")).await;
    let apply = json!({ "base": "o/a", "diff": "o/delta", "output": "o/again" });
    let carry = json!({ "target_base": "o/c", "diff": "o/delta", "lambda": 0.5, "output": "o/carried" });

    let applied = place.post(APPLY, apply).await;
    let applied = place.worked(&applied).await;
    let carried = place.post(TRANSFERS, carry).await;
    let carried = place.worked(&carried).await;

    let told = |job: &Answer| (job.body["kind"].clone(), job.body["state"].clone());
    assert_eq!(told(&applied), ("apply_diff".into(), "succeeded".into()), "{applied:?}");
    assert_eq!(told(&carried), ("transfer_diff".into(), "succeeded".into()), "{carried:?}");
    assert!(same(&place, ["o/again", "o/b"]).await && same(&place, ["o/carried", "o/half"]).await);
    assert_eq!(parents(&place, "o/again").await, ["o/a", "o/b", "o/delta"]);
    assert_eq!(parents(&place, "o/carried").await, ["o/b", "o/c", "o/delta"]);
}

#[actix_web::test]
async fn a_dry_run_tells_what_would_be_made_and_warned_of_and_queues_nothing() {
    let place = place().await;
    let before = place.get("/api/v1/jobs").await.body["items"].as_array().unwrap().len();

    let own = place.post(&format!("{APPLY}?dry_run=true"), json!({ "base": "o/a", "diff": "o/delta" })).await;
    let other =
        place.post(&format!("{APPLY}?dry_run=true"), json!({ "base": "o/c", "diff": "o/delta" })).await;
    let body = json!({ "target_base": "o/c", "diff": "o/delta", "preset": "shadow_ft" });
    let carried = place.post(&format!("{TRANSFERS}?dry_run=true"), body).await;

    assert_eq!((own.status.as_u16(), &own.body["warnings"]), (200, &json!([])), "{own:?}");
    assert_eq!((&own.body["tensors"], &own.body["bytes"]), (&json!(2), &json!(128)));
    assert_eq!(own.body["parents"], json!(["o/a", "o/b", "o/delta"]));
    let warning = other.body["warnings"][0].to_string();
    assert!(warning.contains("`o/a`") && warning.contains("`o/c`"), "{other:?}");
    assert_eq!((carried.status.as_u16(), &carried.body["warnings"]), (200, &json!([])), "{carried:?}");
    assert_ne!(carried.body["recipe_digest"], other.body["recipe_digest"]);
    assert_eq!(place.get("/api/v1/jobs").await.body["items"].as_array().unwrap().len(), before);
}

#[actix_web::test]
async fn what_is_wrong_with_a_stored_difference_is_told_with_its_place() {
    let place = place().await;
    let apply =
        |base: &str, diff: &str, output: &str| json!({ "base": base, "diff": diff, "output": output });
    let carry = |more: Value| {
        let mut body = json!({ "target_base": "o/c", "output": "o/new" });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    for (address, body, (status, code), pointers) in [
        (APPLY, apply("no/1", "no/2", "bad id"), (422, "invalid_request"), vec!["/base", "/diff", "/output"]),
        (APPLY, apply("o/a", "o/b", "o/new"), (422, "invalid_request"), vec!["/diff"]),
        (APPLY, apply("o/delta", "o/delta", "o/new"), (409, "is_difference"), vec!["/base"]),
        (APPLY, apply("o/delta", "o/b", "o/c"), (422, "invalid_request"), vec!["/base", "/diff", "/output"]),
        (APPLY, apply("o/a", "o/delta#x", "o/new"), (404, "unknown_member"), vec!["/diff"]),
        (TRANSFERS, carry(json!({})), (400, "bad_request"), vec!["/source_tuned"]),
        (
            TRANSFERS,
            carry(json!({ "diff": "o/delta", "source_tuned": "o/b", "source_base": "o/a" })),
            (400, "bad_request"),
            vec!["/source_base", "/source_tuned"],
        ),
        (
            TRANSFERS,
            carry(json!({ "diff": "no/1", "include": "(" })),
            (422, "invalid_recipe"),
            vec!["/include", "/diff"],
        ),
        (TRANSFERS, carry(json!({ "diff": "o/b" })), (422, "invalid_request"), vec!["/diff"]),
    ] {
        let answer = place.post(address, body.clone()).await;

        assert_eq!(answer.pointers(), pointers, "{body}: {answer:?}");
        assert!(answer.is_problem(status, code), "{body}: {answer:?}");
    }
    assert!(place.registry.store.model_by_id("o/new").await.unwrap().is_none());
}

#[actix_web::test]
async fn jobs_of_stored_differences_that_were_stopped_are_asked_for_again() {
    let place = place().await;
    for (address, body) in [
        (APPLY, json!({ "base": "o/a", "diff": "o/delta", "scale": 0.5, "output": "o/x" })),
        (TRANSFERS, json!({ "target_base": "o/c", "diff": "o/delta", "output": "o/y" })),
    ] {
        let accepted = place.post(address, body).await;
        let job = format!("/api/v1/jobs/{}", accepted.body["id"].as_str().unwrap());
        place.send(actix_web::test::TestRequest::delete().uri(&job)).await;

        let again = place.post(&format!("{job}/retry"), Value::Null).await;

        assert_eq!((again.status.as_u16(), &again.body["kind"]), (202, &accepted.body["kind"]), "{again:?}");
        assert_eq!(place.worked(&again).await.body["state"], "succeeded");
    }
}
