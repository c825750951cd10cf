//! Files at the Hub's addresses, readiness, and the end of jobs.

use crate::support::Place;
use actix_web::{
    App,
    http::StatusCode,
    test::{TestRequest, call_service, init_service, read_body},
    web::Data,
};
use serde_json::Value;
use store::NewJob;

/// Status, some headers, and body.
async fn fetch(place: &Place, request: TestRequest) -> (StatusCode, [String; 4], String) {
    let limits = place.registry.limits;
    let doors = http::Doors::default();
    let app = App::new()
        .app_data(Data::new(place.registry.clone()))
        .configure(|config| api::configure(config, &limits, doors));
    let answer = call_service(&init_service(app).await, request.to_request()).await;
    let header =
        |name: &str| answer.headers().get(name).map_or(String::new(), |v| v.to_str().unwrap().to_owned());
    let names = ["content-type", "content-disposition", "content-security-policy", "content-range"];
    let (status, headers) = (answer.status(), names.map(header));
    (status, headers, String::from_utf8_lossy(&read_body(answer).await).into_owned())
}

#[actix_web::test]
async fn a_text_file_is_shown_raw_as_inert_text_and_weights_are_sent_as_ever() {
    let place = Place::new().await;
    place.ingest("o/a", (1.0, "mit")).await;
    let get = async |address: &str| fetch(&place, TestRequest::get().uri(address)).await;

    let (status, [kind, shown, policy, _], text) = get("/o/a/raw/main/README.md").await;
    let (_, [resolved, attached, ..], same) = get("/o/a/resolve/main/README.md").await;
    let (_, [weights, sent, ..], _) = get("/o/a/raw/main/model.safetensors").await;
    let (missing, ..) = get("/o/a/raw/main/nothing.txt").await;

    assert_eq!(
        (status, kind.as_str(), shown.as_str()),
        (StatusCode::OK, "text/plain; charset=utf-8", "inline")
    );
    assert_eq!(policy, "default-src 'none'; sandbox");
    assert!(text.contains("# A model") && text == same);
    assert_eq!([resolved, weights], ["application/octet-stream", "application/octet-stream"]);
    assert!(attached.starts_with("attachment") && sent.starts_with("attachment"), "{attached} {sent}");
    assert_eq!(missing, StatusCode::NOT_FOUND);
}

#[actix_web::test]
async fn a_range_beyond_the_end_is_a_problem_that_tells_the_length() {
    let place = Place::new().await;
    place.ingest("o/a", (1.0, "mit")).await;
    let request =
        TestRequest::get().uri("/o/a/resolve/main/README.md").insert_header(("range", "bytes=9999-"));

    let (status, [kind, .., range], body) = fetch(&place, request).await;

    let told: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, kind.as_str()), (StatusCode::RANGE_NOT_SATISFIABLE, "application/problem+json"));
    assert_eq!(told["code"], "bad_range");
    let length = range.strip_prefix("bytes */").unwrap();
    assert!(
        length.parse::<u64>().is_ok() && told["detail"].as_str().unwrap().contains(length),
        "{range} {told}"
    );
}

#[actix_web::test]
async fn a_job_that_has_ended_cannot_be_cancelled_and_one_that_waits_can_once() {
    let place = Place::new().await;
    let new = NewJob { kind: "none".into(), payload: Value::Null, idempotency_key: None, output: None };
    let (job, _) = place.registry.store.enqueue(new, 10).await.unwrap();
    let address = format!("/api/v1/jobs/{}", job.id);

    let first = place.send(TestRequest::delete().uri(&address)).await;
    let second = place.send(TestRequest::delete().uri(&address)).await;
    let unknown = place.send(TestRequest::delete().uri("/api/v1/jobs/nothing")).await;

    assert!(first.status == 202 && first.body["state"] == "cancelled", "{first:?}");
    assert!(second.is_problem(409, "job_over"), "{second:?}");
    assert!(second.body["detail"].as_str().unwrap().contains("it is cancelled"), "{second:?}");
    assert!(unknown.is_problem(404, "not_found"), "{unknown:?}");
}

#[actix_web::test]
async fn readiness_tells_of_the_storage_and_of_the_migrations() {
    let place = Place::new().await;

    let ready = place.get("/readyz").await;
    place.registry.store.unmigrate().await.unwrap();
    let bare = place.get("/readyz").await;

    assert_eq!(ready.status, 200);
    assert_eq!([&ready.body["status"], &ready.body["store"], &ready.body["migrations"]], ["ok", "ok", "ok"]);
    assert_eq!(bare.status, 503);
    assert_ne!(bare.body["migrations"], "ok", "{bare:?}");
}
