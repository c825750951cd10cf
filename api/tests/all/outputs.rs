//! The name of what a job makes: when it may be taken, and how a dry run tells of it.

use crate::support::Place;
use serde_json::{Value, json};

const SOUP: &str = "merge_method: linear\nmodels: [{model: o/a}, {model: o/b}]\nparameters: {weight: 1}\n";

async fn place() -> Place {
    let place = Place::new().await;
    place.ingest("o/a", (1.0, "mit")).await;
    place.ingest("o/b", (2.0, "mit")).await;
    place.know("o/known", "apache-2.0").await;
    place
}

/// Every request that makes a model, by its address.
fn requests(output: &str) -> Vec<(&'static str, Value)> {
    vec![
        ("/api/v1/merges", json!({ "config": SOUP, "output": output })),
        (
            "/api/v1/transfers",
            json!({ "source_base": "o/a", "source_tuned": "o/b", "target_base": "o/a", "output": output }),
        ),
        ("/api/v1/adapters/extract", json!({ "base": "o/a", "tuned": "o/b", "output": output })),
    ]
}

#[actix_web::test]
async fn no_job_takes_over_a_model_that_is_known_by_its_metadata_only() {
    let place = place().await;

    for (address, body) in requests("o/known") {
        let answer = place.post(address, body).await;

        assert!(answer.is_problem(409, "output_exists"), "{address}: {answer:?}");
    }
}

#[actix_web::test]
async fn a_name_that_only_others_name_may_be_given_to_a_result() {
    let place = place().await;
    let claim = "---\nbase_model: o/ghost\n---\n";
    let folder = tempfile::tempdir().unwrap();
    fs_err::write(folder.path().join("README.md"), claim).unwrap();
    let id = domain::RepoId::parse("o/child").unwrap();
    jobs::ingest_folder(&place.registry, folder.path(), &id, &|_, _| {}).await.unwrap();

    let answer = place.merge(SOUP, "o/ghost").await;

    assert_eq!(answer.status, 202, "{answer:?}");
}

#[actix_web::test]
async fn a_dry_run_tells_of_a_name_that_is_taken_awaited_or_reserved() {
    let place = place().await;
    assert_eq!(place.merge(SOUP, "o/queued").await.status, 202);

    for (output, status, code) in [
        ("o/known", 409, "output_exists"),
        ("o/a", 409, "output_exists"),
        ("o/queued", 409, "output_exists"),
        ("api/v1", 422, "reserved_name"),
    ] {
        for (address, body) in requests(output).into_iter().take(2) {
            let answer = place.post(&format!("{address}?dry_run=true"), body).await;

            assert!(answer.is_problem(status, code), "{address} {output}: {answer:?}");
        }
    }
}

#[actix_web::test]
async fn a_dry_run_lists_a_taken_name_with_the_faults_of_the_recipe() {
    let place = place().await;
    let body = json!({ "config": SOUP.replace("o/b", "no/where"), "output": "o/a" });

    let answer = place.post("/api/v1/merges?dry_run=true", body).await;

    assert!(answer.is_problem(422, "invalid_recipe"), "{answer:?}");
    assert!(answer.pointers().contains(&"/output"), "{answer:?}");
    assert!(answer.body.to_string().contains("no/where"), "{answer:?}");
}

#[actix_web::test]
async fn only_a_dry_run_may_leave_the_name_of_the_result_out() {
    let place = place().await;

    for (address, mut body) in requests("o/new").into_iter().take(2) {
        body.as_object_mut().unwrap().remove("output");
        let dry = place.post(&format!("{address}?dry_run=true"), body.clone()).await;
        let real = place.post(address, body).await;

        assert_eq!(dry.status, 200, "{address}: {dry:?}");
        assert!(real.is_problem(400, "bad_request"), "{address}: {real:?}");
        assert_eq!(real.pointers(), ["/output"]);
    }
}

#[actix_web::test]
async fn a_record_that_came_while_a_job_waited_is_not_replaced_by_its_result() {
    let place = place().await;
    let accepted = place.merge(SOUP, "o/later").await;
    place.know("o/later", "llama3").await;

    let job = place.worked(&accepted).await;

    assert_eq!((&job.body["state"], &job.body["error_code"]), (&"failed".into(), &"output_exists".into()));
    assert_eq!(place.get("/api/v1/models/o/later").await.body["license"], "llama3");
}

#[actix_web::test]
async fn a_job_that_was_stopped_is_asked_for_again_under_its_own_name() {
    let place = place().await;
    let accepted = place.merge(SOUP, "o/again").await;
    let address = format!("/api/v1/jobs/{}", accepted.body["id"].as_str().unwrap());
    place.send(actix_web::test::TestRequest::delete().uri(&address)).await;

    let again = place.post(&format!("{address}/retry"), Value::Null).await;

    assert_eq!(again.status, 202, "{again:?}");
    assert_eq!(place.worked(&again).await.body["state"], "succeeded");
}

#[actix_web::test]
async fn a_model_known_by_its_metadata_only_may_still_be_imported() {
    let place = place().await;

    place.ingest("o/known", (3.0, "mit")).await;

    assert_eq!(place.get("/api/v1/models/o/known").await.body["has_weights"], true);
}

#[actix_web::test]
async fn one_key_is_one_search_and_one_job_that_is_asked_for_again() {
    let place = place().await;
    let keyed = |address: &str, body: Value| {
        let request =
            actix_web::test::TestRequest::post().uri(address).insert_header(("idempotency-key", "k1"));
        place.send(request.set_json(body))
    };
    let search = |budget: u64| json!({ "strategy": "cma_es", "method": "linear", "budget": budget, "models": ["o/a", "o/b"] });

    let first = keyed("/api/v1/searches", search(8)).await;
    let again = keyed("/api/v1/searches", search(8)).await;
    let other = keyed("/api/v1/searches", search(9)).await;

    assert_eq!((first.status.as_u16(), again.status.as_u16()), (201, 201), "{first:?} {again:?}");
    assert_eq!(first.body["id"], again.body["id"]);
    assert!(other.is_problem(422, "idempotency_key_reused"), "{other:?}");
    let accepted = place.merge(SOUP, "o/again").await;
    let address = format!("/api/v1/jobs/{}", accepted.body["id"].as_str().unwrap());
    place.send(actix_web::test::TestRequest::delete().uri(&address)).await;
    let retry = format!("{address}/retry");
    let (once, twice) = (keyed(&retry, Value::Null).await, keyed(&retry, Value::Null).await);
    assert_eq!((once.status.as_u16(), &once.body["id"]), (202, &twice.body["id"]), "{twice:?}");
}

#[actix_web::test]
async fn a_dry_run_of_whatever_makes_a_job_checks_and_queues_nothing() {
    let place = place().await;
    let made = json!({ "base": "o/a", "tuned": "o/b", "output": "o/lora" });
    let made = place.post("/api/v1/adapters/extract", made).await;
    assert_eq!(place.worked(&made).await.body["state"], "succeeded");
    let two = json!({ "base": "o/a", "tuned": "o/b" });
    let transfer = json!({ "source_base": "o/a", "source_tuned": "o/b", "target_base": "o/a" });
    let transplant = json!({ "recipient": "o/a", "donor": "o/b" });
    let bodies = [
        ("/api/v1/adapters/bake", json!({ "base": "o/a", "adapter": "o/lora" }), 200),
        ("/api/v1/adapters/extract", two.clone(), 200),
        ("/api/v1/diffs", two, 200),
        ("/api/v1/diffs/apply", json!({ "base": "o/a", "diff": "o/b" }), 422),
        ("/api/v1/merges", json!({ "config": SOUP }), 200),
        ("/api/v1/transfers", transfer, 200),
        ("/api/v1/transplants", transplant, 422),
    ];
    let document = serde_json::to_value(api::document()).unwrap();
    let paths = document["paths"].as_object().unwrap().iter();
    let queueing = paths.filter(|(_, item)| item["post"]["responses"]["202"].is_object());

    for (path, item) in queueing {
        let known = bodies.iter().find(|(address, ..)| address == path);
        let path = path.replace("{number}", "1");
        let (body, status) = known.map_or((json!({}), 400), |(_, body, status)| (body.clone(), *status));
        let answer = place.post(&format!("{path}?dry_run=true"), body).await;

        assert_eq!(answer.status, status, "{path}: {answer:?}");
        let parameters = item["post"]["parameters"].as_array().into_iter().flatten();
        let told = parameters.filter(|parameter| parameter["name"] == "dry_run").count();
        assert_eq!(told, known.iter().count(), "{path}");
        if known.is_none() {
            assert_eq!(answer.body["errors"][0]["parameter"], "dry_run", "{path}: {answer:?}");
        }
    }

    let jobs = place.get("/api/v1/jobs").await;
    assert_eq!(jobs.body["items"].as_array().unwrap().len(), 1, "{jobs:?}");
}

#[actix_web::test]
async fn a_recipe_that_was_carried_out_before_takes_over_its_tensors_and_the_dry_run_says_so() {
    let place = place().await;
    let dry = || async { place.post("/api/v1/merges?dry_run=true", json!({ "config": SOUP })).await };
    let sharded = |output: &str| json!({ "config": SOUP, "output": output, "out_shard_size": 64 });
    let log = |job: &crate::support::Answer| job.body["log"].to_string();
    let before = dry().await;

    let first = place.worked(&place.merge(SOUP, "me/one").await).await;
    let after = dry().await;
    let second = place.worked(&place.merge(SOUP, "me/two").await).await;
    let cut = place.worked(&place.post("/api/v1/merges", sharded("me/cut")).await).await;
    let other = place.worked(&place.merge(&SOUP.replace("weight: 1", "weight: 2"), "me/other").await).await;

    assert_eq!((&before.body["made"], &after.body["made"]), (&Value::Null, &"me/one".into()), "{after:?}");
    for (job, computed) in [(&first, true), (&second, false), (&cut, true), (&other, true)] {
        assert_eq!(job.body["state"], "succeeded", "{job:?}");
        assert_eq!(log(job).contains("writing tensors"), computed, "{job:?}");
        assert_eq!(job.body["result"]["copied_from"].is_null(), computed, "{job:?}");
    }
    let from = format!("me/one@{}", first.body["result"]["digest"].as_str().unwrap());
    assert_eq!(second.body["result"]["copied_from"], from.as_str());
    let weights = async |model: &str| {
        let files = place.get(&format!("/api/v1/models/{model}/files")).await.body["items"].clone();
        let file = files.as_array().unwrap().iter().find(|file| file["path"] == "model.safetensors").cloned();
        file.unwrap()["digest"].clone()
    };
    assert_eq!(weights("me/one").await, weights("me/two").await);
    let record = async |model: &str| {
        let mut record = place.get(&format!("/api/v1/models/{model}/provenance")).await.body;
        (record.as_object_mut().unwrap().remove("run").unwrap(), record)
    };
    let [(_, one), (run, two)] = [record("me/one").await, record("me/two").await];
    assert_eq!((one, run["copied_from"].as_str()), (two, Some(from.as_str())));
}

#[actix_web::test]
async fn the_weights_of_a_merge_are_downloaded_without_making_a_model() {
    let place = place().await;
    let sent = place.post("/api/v1/merges/download", json!({ "config": SOUP })).await;
    let faulty = json!({ "config": SOUP.replace("o/b", "no/where") });
    let refused = place.post("/api/v1/merges/download", faulty).await;
    let again = place.post("/api/v1/merges/download", json!({ "config": SOUP })).await;

    let made = place.worked(&place.merge(SOUP, "me/one").await).await;
    let file = place.get("/me/one/resolve/main/model.safetensors").await;

    assert_eq!((sent.status.as_u16(), made.body["state"].as_str()), (200, Some("succeeded")), "{sent:?}");
    assert_eq!(sent.body, file.body);
    assert!(sent.etag.len() > 40 && sent.etag == again.etag, "{}", sent.etag);
    assert_eq!(sent.header("content-disposition"), "attachment; filename=\"model.safetensors\"");
    assert!(refused.is_problem(422, "invalid_recipe"), "{refused:?}");
    let jobs = place.get("/api/v1/jobs").await;
    assert_eq!(jobs.body["items"].as_array().unwrap().len(), 1, "{jobs:?}");
}
