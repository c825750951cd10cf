//! The edges of the REST interface: wrong addresses, long lists, stalled clients, bare names, a leaving server.

use std::time::Duration;

use actix_http::BoxedPayloadStream;
use actix_web::{
    App, Error,
    body::MessageBody,
    dev::{Payload, Service, ServiceResponse},
    http::{Method, StatusCode, header},
    middleware::from_fn,
    test::{TestRequest, call_service, init_service, read_body},
    web::{Bytes, Data},
};
use domain::Limits;
use futures::{StreamExt as _, stream};
use jobs::Registry;
use serde_json::{Value, json};
use store::{NewJob, Store};
use tempfile::TempDir;
use tokio::sync::watch;

async fn registry(limits: Limits) -> (TempDir, Registry) {
    let at = TempDir::new().unwrap();
    let database = format!("sqlite://{}?mode=rwc", at.path().join("test.sqlite").display());
    let store = Store::open(&database, at.path().join("blobs").to_str().unwrap()).await.unwrap();
    store.migrate().await.unwrap();
    let registry = Registry::new(store, limits, at.path().join("scratch"));
    (at, registry)
}

async fn service(
    registry: &Registry,
    leaving: watch::Receiver<bool>,
) -> impl Service<actix_http::Request, Response = ServiceResponse<impl MessageBody>, Error = Error> {
    let limits = registry.limits;
    let idle = Duration::from_secs(limits.upload_idle_seconds);
    init_service(
        App::new()
            .app_data(Data::new(registry.clone()))
            .app_data(Data::new(http::Pace { idle, grace: idle, rate: 10_000 }))
            .wrap(from_fn(http::keep_pace))
            .app_data(Data::new(api::Leaving(leaving)))
            .wrap(from_fn(http::answer_head))
            .configure(|config| api::configure(config, &limits, http::Doors::default())),
    )
    .await
}

async fn get(
    app: &impl Service<actix_http::Request, Response = ServiceResponse<impl MessageBody>, Error = Error>,
    address: &str,
) -> (StatusCode, Value) {
    let answer = call_service(app, TestRequest::get().uri(address).to_request()).await;
    let status = answer.status();
    (status, serde_json::from_slice(&read_body(answer).await).unwrap_or_default())
}

const EDGE: &str = "edge-of-a-part";

fn part(name: &str, text: &str) -> String {
    format!(
        "--{EDGE}\r\ncontent-disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
         content-type: application/octet-stream\r\n\r\n{text}\r\n"
    )
}

fn upload(address: &str) -> TestRequest {
    TestRequest::post()
        .uri(address)
        .insert_header((header::CONTENT_TYPE, format!("multipart/form-data; boundary={EDGE}")))
}

fn staged(at: &TempDir) -> usize {
    fs_err::read_dir(at.path().join("blobs/staging")).unwrap().count()
}

#[actix_web::test]
async fn a_wrong_address_or_method_under_api_is_a_problem() {
    let (_at, registry) = registry(Limits::default()).await;
    let app = service(&registry, watch::channel(false).1).await;
    for (method, address, status, allow) in [
        (Method::GET, "/api", 404, None),
        (Method::GET, "/api/v1/nothing", 404, None),
        (Method::GET, "/api/v2/models/a/b", 404, None),
        (Method::DELETE, "/api/v1/models", 405, Some("GET, HEAD")),
        (Method::PUT, "/api/v1/models/org/name", 405, Some("GET, HEAD, POST")),
        (Method::PUT, "/api/v1/models/gpt2", 405, Some("GET, HEAD, POST")),
        (Method::POST, "/api/v1/jobs/x", 405, Some("DELETE, GET, HEAD")),
        (Method::HEAD, "/api/v1/models", 200, None),
    ] {
        let answer =
            call_service(&app, TestRequest::with_uri(address).method(method.clone()).to_request()).await;

        assert_eq!(answer.status(), status, "{method} {address}");
        let allowed = answer.headers().get("allow").map(|value| value.to_str().unwrap());
        assert_eq!(allowed, allow, "{method} {address}");
        if status != 200 {
            assert_eq!(answer.headers().get("content-type").unwrap(), "application/problem+json");
        }
    }
}

#[actix_web::test]
async fn an_upload_that_stalls_is_given_up_and_leaves_nothing_behind() {
    let limits = Limits { upload_idle_seconds: 0, ..Limits::default() };
    let (at, registry) = registry(limits).await;
    let app = service(&registry, watch::channel(false).1).await;
    let begun = part("model.safetensors", "only the first bytes");
    let begun = Bytes::from(begun.trim_end().to_owned());
    let stalled = Box::pin(stream::once(async move { Ok(begun) }).chain(stream::pending()));
    let request = upload("/api/v1/models/org/stalled").to_request();
    let payload: BoxedPayloadStream = stalled;
    let (request, _) = request.replace_payload(Payload::Stream { payload });

    let answer = call_service(&app, request).await;

    assert_eq!(answer.status(), StatusCode::REQUEST_TIMEOUT);
    let problem: Value = serde_json::from_slice(&read_body(answer).await).unwrap();
    assert_eq!(problem["code"], "body_stalled");
    assert_eq!(staged(&at), 0);
    assert_eq!(get(&app, "/api/v1/models/org/stalled").await.0, StatusCode::NOT_FOUND);
}

#[actix_web::test]
async fn a_model_without_an_organisation_has_every_address() {
    let (_at, registry) = registry(Limits::default()).await;
    let app = service(&registry, watch::channel(false).1).await;
    let body = format!(
        "{}{}--{EDGE}--\r\n",
        part("README.md", "---\nlicense: mit\n---\nOld and short.\n"),
        part("config.json", "{}")
    );

    let made = call_service(&app, upload("/api/v1/models/gpt2").set_payload(body).to_request()).await;

    assert_eq!(made.status(), StatusCode::CREATED);
    assert_eq!(made.headers().get("location").unwrap(), "/api/v1/models/gpt2");
    assert_eq!(get(&app, "/api/v1/models/GPT2").await.1["id"], "gpt2");
    for below in ["tensors", "lineage"] {
        let (status, body) = get(&app, &format!("/api/v1/models/gpt2/{below}")).await;
        assert_eq!(status, StatusCode::OK, "{below}: {body}");
    }

    let (_, first) = get(&app, "/api/v1/models/gpt2/files?limit=1").await;
    assert_eq!(first["items"][0]["path"], "README.md");
    let next = first["next"].as_str().unwrap();
    let (_, second) = get(&app, &format!("/api/v1/models/gpt2/files?limit=1&cursor={next}")).await;
    assert_eq!((&second["items"][0]["path"], &second["next"]), (&json!("config.json"), &Value::Null));
    assert_eq!(get(&app, "/api/v1/models/gpt2/files?colour=red").await.0, StatusCode::BAD_REQUEST);
    assert_eq!(get(&app, "/api/v1/models/gpt2/other").await.0, StatusCode::NOT_FOUND);

    let file = first["items"][0]["url"].as_str().unwrap();
    assert_eq!(file, "/gpt2/resolve/main/README.md");
    let whole = call_service(&app, TestRequest::get().uri(file).to_request()).await;
    assert_eq!(whole.status(), StatusCode::OK);
    let whole = read_body(whole).await;
    let head = call_service(&app, TestRequest::with_uri(file).method(Method::HEAD).to_request()).await;
    assert_eq!(head.response().body().size(), actix_web::body::BodySize::Sized(whole.len() as u64));
    assert!(read_body(head).await.is_empty());
}

#[actix_web::test]
async fn only_the_answer_about_one_job_holds_its_request() {
    let (_at, registry) = registry(Limits::default()).await;
    let app = service(&registry, watch::channel(false).1).await;
    let new =
        NewJob { kind: "none".into(), payload: json!({"yaml": "long"}), idempotency_key: None, output: None };
    let (job, _) = registry.store.enqueue(new, 10).await.unwrap();

    let (_, list) = get(&app, "/api/v1/jobs").await;
    let (_, one) = get(&app, &format!("/api/v1/jobs/{}", job.id)).await;

    assert_eq!(list["items"][0]["id"], job.id.as_str());
    assert!(list["items"][0].get("request").is_none(), "{list}");
    assert_eq!(one["request"]["yaml"], "long");
}

#[actix_web::test]
async fn who_follows_a_job_is_let_go_when_the_server_stops() {
    let (_at, registry) = registry(Limits::default()).await;
    let (leave, leaving) = watch::channel(false);
    let app = service(&registry, leaving).await;
    let new =
        NewJob { kind: "none".into(), payload: json!({"yaml": "long"}), idempotency_key: None, output: None };
    let (job, _) = registry.store.enqueue(new, 10).await.unwrap();
    let address = format!("/api/v1/jobs/{}/events", job.id);
    let answer = call_service(&app, TestRequest::get().uri(&address).to_request()).await;

    leave.send(true).unwrap();
    let events = tokio::time::timeout(Duration::from_secs(20), read_body(answer)).await.unwrap();

    let events = String::from_utf8(events.to_vec()).unwrap();
    assert!(events.contains("\"state\":\"queued\""), "{events}");
    assert!(!events.contains("yaml"), "{events}");
}
