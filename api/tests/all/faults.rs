//! Everything wrong with a request told at once, each fault at its place.

use crate::support::{Answer, Place};
use actix_web::test::TestRequest;
use serde_json::{Value, json};

async fn place() -> Place {
    let place = Place::new().await;
    place.ingest("o/a", (1.0, "mit")).await;
    place.ingest("o/b", (2.0, "mit")).await;
    place.know("o/known", "mit").await;
    place
}

fn told(answer: &Answer) -> Vec<(&str, &str)> {
    let items = answer.body["errors"].as_array().into_iter().flatten();
    items.filter_map(|item| Some((item["pointer"].as_str()?, item["message"].as_str()?))).collect()
}

/// Whether a fault at this place says this.
fn says(answer: &Answer, (pointer, word): (&str, &str)) -> bool {
    told(answer).iter().any(|(at, message)| *at == pointer && message.contains(word))
}

#[actix_web::test]
async fn models_that_cannot_be_opened_are_told_beside_each_other_whatever_is_wrong_with_them() {
    let place = place().await;
    let config = "merge_method: linear\nbase_model: no/base\nparameters: {weight: 1}\nmodels:\n  - model: o/a\n  \
                  - model: no/where\n  - model: o/a@badrevision\n  - model: hub:a/b\n  - model: o/a+o/b\n  \
                  - model: o/known\n";

    let answer = place.merge(config, "o/new").await;

    assert!(answer.is_problem(422, "invalid_recipe"), "{answer:?}");
    for fault in [
        ("/models/1/model", "no/where"),
        ("/models/2/model", "badrevision"),
        ("/models/3/model", "no Hub is configured"),
        ("/models/4/model", "not an adapter"),
        ("/models/5/model", "metadata only"),
        ("/base_model", "no/base"),
    ] {
        assert!(says(&answer, fault), "{fault:?}: {:?}", told(&answer));
    }
}

#[actix_web::test]
async fn a_revision_that_is_the_only_fault_keeps_its_code() {
    let place = place().await;
    let config =
        "merge_method: linear\nparameters: {weight: 1}\nmodels: [{model: o/a}, {model: o/b@nothing}]\n";

    let answer = place.merge(config, "o/new").await;

    assert!(answer.is_problem(404, "unknown_revision"), "{answer:?}");
}

#[actix_web::test]
async fn faults_of_what_is_written_hide_none_of_the_models() {
    let place = place().await;
    let config = "merge_method: ties\nmodles: []\nmodels:\n  - model: o/a\n    parameters: {weight: x}\n  - modle: o/b\n  \
                  - model: no/where\n    parameters: {weight: 1}\n";

    let answer = place.merge(config, "o/new").await;

    for fault in [
        ("/modles", "did you mean `models`"),
        ("/models/0/parameters/weight", ""),
        ("/models/1/modle", "model"),
        ("/models/2/model", "no/where"),
        ("/base_model", "needs a base"),
    ] {
        assert!(says(&answer, fault), "{fault:?}: {:?}", told(&answer));
    }
    let places = answer.pointers();
    let once = |pointer| places.iter().filter(|other| **other == pointer).count() == 1;
    assert!(once("/models/0/parameters/weight") && once("/models/1/modle"), "{:?}", told(&answer));
    assert!(!places.contains(&"/models/1/model"), "a misspelt key is missing nowhere: {:?}", told(&answer));
}

#[actix_web::test]
async fn a_key_that_is_misspelt_is_not_told_missing_too() {
    let place = place().await;
    let config = "merge_method: linear\nmodels:\n  - model: o/a\n    parameters: {wieght: 1}\n  - model: o/b\n    \
                  parameters: {wieght: 1}\n";

    let answer = place.merge(config, "o/new").await;

    assert_eq!(
        answer.pointers(),
        ["/models/0/parameters/wieght", "/models/1/parameters/wieght"],
        "{answer:?}"
    );
}

#[actix_web::test]
async fn a_number_that_is_far_out_of_its_range_is_told_by_its_power_of_ten() {
    let place = place().await;
    let config = "merge_method: ties\nbase_model: o/a\nmodels: [{model: o/b}]\nparameters: {weight: 1e308, density: 0.5}\n";

    let answer = place.post("/api/v1/merges?dry_run=true", json!({ "config": config })).await;

    let warnings = answer.body["warnings"].to_string();
    assert!(warnings.contains("1e308 is outside") && !warnings.contains("00000"), "{answer:?}");
}

#[actix_web::test]
async fn documents_in_a_circle_are_no_models_that_are_missing() {
    let place = place().await;
    let document = |name: &str, models: [&str; 2]| {
        let [a, b] = models;
        format!(
            "---\n{name}\nmerge_method: linear\nparameters: {{weight: 1}}\nmodels: [{{model: {a}}}, {{model: {b}}}]\n"
        )
    };
    let circle = [
        document("name: one", ["two", "o/a"]),
        document("name: two", ["one", "o/a"]),
        document("seed: 1", ["one", "no/where"]),
    ];

    let answer = place.merge(&circle.concat(), "o/new").await;

    assert!(told(&answer).iter().any(|(_, message)| message.contains("in a circle")), "{answer:?}");
    assert!(!told(&answer).iter().any(|(_, message)| message.contains("`one` is neither")), "{answer:?}");
}

#[actix_web::test]
async fn a_range_that_is_no_range_hides_no_other_range() {
    let place = place().await;
    let config = "merge_method: passthrough\nslices:\n  - sources: [{model: o/a, layer_range: [3, 2]}]\n  \
                  - sources: [{model: o/b, layer_range: [0, 9]}]\n";

    let answer = place.merge(config, "o/new").await;

    assert!(says(&answer, ("/slices/0/sources/0/layer_range", "no layer")), "{:?}", told(&answer));
    assert!(says(&answer, ("/slices/1/sources/0/layer_range", "ends past")), "{:?}", told(&answer));
}

#[actix_web::test]
async fn every_model_that_is_not_here_is_told_of_every_request() {
    let place = place().await;
    let transfer =
        json!({ "source_base": "no/1", "source_tuned": "no/2@x", "target_base": "no/3", "output": "o/n" });
    let requests: [(&str, Value, &[&str]); 4] = [
        ("/api/v1/transfers", transfer, &["/target_base", "/source_base", "/source_tuned"]),
        ("/api/v1/diffs", json!({ "tuned": "no/1", "base": "no/2" }), &["/tuned", "/base"]),
        (
            "/api/v1/adapters/extract",
            json!({ "tuned": "no/1", "base": "no/2", "output": "o/n" }),
            &["/base", "/tuned"],
        ),
        (
            "/api/v1/transplants",
            json!({ "recipient": "no/1", "donor": "no/2", "output": "o/n" }),
            &["/recipient", "/donor"],
        ),
    ];
    for (address, body, pointers) in requests {
        let answer = place.post(address, body).await;

        assert!(answer.is_problem(404, "unknown_model"), "{address}: {answer:?}");
        assert_eq!(answer.pointers(), pointers, "{address}");
        let counted = format!("the request has {} faults", pointers.len());
        assert_eq!(answer.body["detail"], counted, "{address}");
    }
    for (address, code, pointers) in [
        ("/api/v1/kinship?of=no/1&of=o/a&of=no/2&base=no/3", "unknown_model", vec!["of", "of", "base"]),
        ("/api/v1/diffs?a=no/1&b=no/2", "unknown_model", vec!["a", "b"]),
        ("/api/v1/path?from=no/1&to=no/2", "not_found", vec!["from", "to"]),
        ("/api/v1/path?from=o/a&to=no/2", "not_found", vec!["to"]),
        ("/api/v1/diffs?a=no/1&b=o/a", "unknown_model", vec!["a"]),
    ] {
        let answer = place.get(address).await;

        assert!(answer.is_problem(404, code), "{address}: {answer:?}");
        let items = answer.body["errors"].as_array().unwrap();
        let names: Vec<&str> = items.iter().map(|item| item["parameter"].as_str().unwrap()).collect();
        assert_eq!(names, pointers, "{address}");
        let told = answer.body["detail"].as_str().unwrap();
        assert!(told.contains("no/") || told.starts_with("the request has"), "{told}");
    }
}

#[actix_web::test]
async fn a_search_names_the_model_that_is_listed_twice_and_the_name_that_is_none() {
    let place = place().await;
    let search = json!({
        "strategy": "cma_es", "method": "linear", "budget": 8, "output": "bad id",
        "models": ["o/a", "o/b", "o/a", "no/where"],
    });

    let answer = place.post("/api/v1/searches", search).await;

    assert!(answer.is_problem(422, "invalid_search"), "{answer:?}");
    assert!(says(&answer, ("/models/2", "`o/a` is listed already")), "{:?}", told(&answer));
    assert!(says(&answer, ("/models/3", "no/where")), "{:?}", told(&answer));
    let output = told(&answer).into_iter().find(|(pointer, _)| *pointer == "/output").unwrap().1;
    assert!(output.contains("`bad id`") && !output.contains("10000"), "{output}");
}

#[actix_web::test]
async fn scores_of_several_unknown_candidates_name_all_of_them() {
    let place = place().await;
    let search = json!({ "strategy": "cma_es", "method": "linear", "budget": 8, "models": ["o/a", "o/b"] });
    let made = place.post("/api/v1/searches", search).await;
    let id = made.body["id"].as_str().unwrap_or_else(|| panic!("{made:?}"));
    let score = |candidate| json!({ "candidate": candidate, "score": 0.5 });

    let address = format!("/api/v1/searches/{id}/scores");
    let answer = place.post(&address, json!({ "scores": [score(900), score(1), score(901)] })).await;

    assert_eq!(answer.pointers(), ["/scores/0/candidate", "/scores/2/candidate"], "{answer:?}");
}

#[actix_web::test]
async fn one_fault_has_its_place_and_keeps_its_code() {
    let place = place().await;
    let transfer = |tuned: &str, output: &str| json!({ "source_base": "o/a", "source_tuned": tuned, "target_base": "o/a", "output": output });
    for (address, body, (status, code), pointer) in [
        ("/api/v1/transfers", transfer("no/1", "o/n"), (404, "unknown_model"), "/source_tuned"),
        ("/api/v1/transfers", transfer("o/known", "o/n"), (409, "no_weights"), "/source_tuned"),
        ("/api/v1/transfers", transfer("o/b", "o/a"), (409, "output_exists"), "/output"),
        ("/api/v1/transfers", transfer("o/b", "api/v1"), (422, "reserved_name"), "/output"),
        ("/api/v1/transfers", transfer("o/b", "bad id"), (400, "bad_request"), "/output"),
        (
            "/api/v1/adapters/bake",
            json!({ "base": "o/a", "adapter": "o/b", "output": "o/n" }),
            (422, "invalid_request"),
            "/adapter",
        ),
        (
            "/api/v1/adapters/extract",
            json!({ "base": "o/a", "tuned": "o/b", "include": "zzz", "output": "o/n" }),
            (422, "invalid_recipe"),
            "/include",
        ),
    ] {
        let answer = place.post(address, body).await;

        assert!(answer.is_problem(status, code), "{address}: {answer:?}");
        assert_eq!(answer.pointers(), [pointer], "{address}: {answer:?}");
    }
}

#[actix_web::test]
async fn no_fault_of_a_request_hides_another() {
    let place = place().await;
    let extract = json!({
        "base": "no/1", "tuned": "o/b", "rank": 0, "dtype": "int8", "include": "(", "exclude": "[", "output": "o/a",
    });
    let diff = json!({ "base": "no/1", "tuned": "no/2", "form": "sparse", "density": 3, "rank": 4, "dtype": "int8" });
    let transfer = json!({
        "source_base": "no/1", "source_tuned": "no/2", "target_base": "o/a", "include": "(", "output": "o/a",
    });
    let recipe = "merge_method: linear\nmodels: [{model: o/a}, {model: no/where}]\nparameters: {weight: 1}\n";
    let merge = json!({ "config": recipe, "output": "bad id" });
    for (address, body, pointers) in [
        (
            "/api/v1/adapters/extract",
            extract,
            vec!["/rank", "/dtype", "/include", "/exclude", "/base", "/output"],
        ),
        ("/api/v1/diffs", diff, vec!["/dtype", "/density", "/rank", "/tuned", "/base"]),
        ("/api/v1/transfers", transfer, vec!["/include", "/source_base", "/source_tuned", "/output"]),
        ("/api/v1/merges", merge.clone(), vec!["/models/1/model", "/output"]),
        ("/api/v1/merges?dry_run=true", merge, vec!["/models/1/model", "/output"]),
    ] {
        let answer = place.post(address, body).await;

        assert_eq!((answer.status.as_u16(), answer.pointers()), (422, pointers), "{address}: {answer:?}");
        let detail = answer.body["detail"].as_str().unwrap();
        assert!(detail.ends_with(&format!("has {} faults", answer.pointers().len())), "{detail}");
    }
}

#[actix_web::test]
async fn everything_wrong_with_an_advisory_is_told_at_once() {
    let place = place().await;
    let filing = json!({
        "model": "no/where", "digest": format!("sha256:{}", "0".repeat(64)), "kind": "defect", "severity": "moderate", "summary": " ",
        "link": "javascript:alert(1)",
    });

    let answer = place.post("/api/v1/advisories", filing).await;

    assert!(answer.is_problem(422, "invalid_request"), "{answer:?}");
    for fault in [
        ("/model", "name one of the two"),
        ("/model", "`no/where` is no model of this registry"),
        ("/summary", "one line"),
        ("/link", "https://"),
    ] {
        assert!(says(&answer, fault), "{fault:?}: {:?}", told(&answer));
    }
}

#[actix_web::test]
async fn a_model_known_by_its_metadata_has_a_revision_and_no_files() {
    let place = place().await;

    let file = place.get("/o/known/resolve/main/config.json").await;
    let revision = place.get("/o/known/resolve/v9/config.json").await;
    let wrong = place.send(TestRequest::put().uri("/api/models/o/known")).await;

    assert!(
        file.status == 404 && file.body["detail"].as_str().unwrap().contains("`config.json`"),
        "{file:?}"
    );
    assert!(revision.body["detail"].as_str().unwrap().contains("`v9`"), "{revision:?}");
    assert!(wrong.body["detail"] == "`/api/models/o/known` does not answer PUT", "{wrong:?}");
}

#[actix_web::test]
async fn one_malformed_name_has_one_code_wherever_it_is_sent() {
    let place = Place::new().await;
    place.know("o/a", "mit").await;
    let upload = async |address: &str, file: &str| {
        let part =
            format!("--cut\r\ncontent-disposition: form-data; name=\"f\"; filename=\"{file}\"\r\n\r\nx\r\n");
        let request = TestRequest::post().uri(address);
        let request = request.insert_header(("content-type", "multipart/form-data; boundary=cut"));
        place.send(request.set_payload(format!("{part}--cut--\r\n"))).await
    };
    let files = json!({ "files": [{ "path": "../a", "size": 1, "sample": "" }] });

    for (answer, status, code) in [
        (upload("/api/v1/models/o/a%20b", "README.md").await, 422, "bad_id"),
        (place.post("/api/repos/create", json!({ "name": "o/a b" })).await, 400, "bad_id"),
        (place.post("/api/repos/move", json!({ "fromRepo": "o/a", "toRepo": "o/a b" })).await, 400, "bad_id"),
        (upload("/api/v1/models/o/b", "../a").await, 422, "bad_path"),
        (place.post("/api/models/o/a/preupload/main", files).await, 400, "bad_path"),
        (place.get("/api/v1/blobs/sha256:12").await, 422, "bad_digest"),
        (place.post("/api/lfs/verify", json!({ "oid": "12", "size": 1 })).await, 400, "bad_digest"),
    ] {
        assert!(answer.is_problem(status, code), "{code}: {answer:?}");
    }
}
