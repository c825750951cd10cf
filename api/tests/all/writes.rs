//! Writes that are refused before they begin: for want of room, or because things are not as their condition has them.

use crate::support::{Answer, Place};
use actix_web::test::TestRequest;
use domain::Limits;
use serde_json::json;

#[actix_web::test]
async fn what_the_disk_has_no_room_for_is_refused_before_it_is_sent() {
    let place = Place::with(Limits { file_bytes: u64::MAX, ..Limits::default() }).await;
    place.ingest("o/a", (1.0, "mit")).await;
    let (oid, size) = ("a".repeat(64), u64::MAX / 2);
    let batch = json!({ "operation": "upload", "objects": [{ "oid": &oid, "size": size }] });
    let long = |address: &str| {
        let request = TestRequest::post().uri(address).insert_header(("content-length", size.to_string()));
        request.insert_header(("content-type", "multipart/form-data; boundary=cut"))
    };

    let told = place.post("/o/a.git/info/lfs/objects/batch", batch).await;
    let sent = place.send(TestRequest::put().uri(&format!("/api/lfs/{oid}/{size}")).set_payload("x")).await;
    let commit = place.send(long("/api/models/o/a/commit/main")).await;
    let upload = place.send(long("/api/v1/models/o/b")).await;

    assert_eq!(told.body["objects"][0]["error"]["code"], 507, "{told:?}");
    for refused in [sent, commit, upload] {
        assert!(refused.is_problem(507, "no_room"), "{refused:?}");
    }
}

#[actix_web::test]
async fn an_upload_replaces_the_state_that_it_names_and_nothing_else() {
    let place = Place::new().await;
    let upload = async |(header, value): (&'static str, &str), text: &str| {
        let part = "--cut\r\ncontent-disposition: form-data; name=\"f\"; filename=\"README.md\"";
        let request = TestRequest::post().uri("/api/v1/models/o/b").insert_header((header, value));
        let request = request.insert_header(("content-type", "multipart/form-data; boundary=cut"));
        place.send(request.set_payload(format!("{part}\r\n\r\n{text}\r\n--cut--\r\n"))).await
    };
    let tag = |answer: &Answer| answer.header("etag").to_owned();
    let new = ("if-none-match", "*");

    let missing = upload(("if-match", "*"), "zeroth text").await;
    let first = upload(new, "the first text").await;
    let again = upload(new, "second").await;
    let told = tag(&place.get("/api/v1/models/o/b").await);
    let second = upload(("if-match", &told), "second").await;
    let stale = upload(("if-match", &told), "third").await;
    let wrong = upload(("if-none-match", "\"x\""), "third").await;

    for refused in [&missing, &again, &stale] {
        assert!(refused.is_problem(412, "precondition_failed"), "{refused:?}");
    }
    assert!(wrong.is_problem(400, "bad_request"), "{wrong:?}");
    assert_eq!((first.status.as_u16(), second.status.as_u16()), (201, 201), "{first:?} {second:?}");
    assert!(told.starts_with(tag(&first).trim_end_matches('"')), "{told} {first:?}");
    let card = place.get("/o/b/resolve/main/README.md").await;
    assert_eq!(card.body, "second");
    assert_eq!(upload(("if-match", &tag(&second)), "third").await.status.as_u16(), 201);
}

#[actix_web::test]
async fn who_has_as_many_jobs_waiting_as_one_may_is_asked_to_come_back() {
    let place = Place::with(Limits { queued_jobs_each: 2, ..Limits::default() }).await;
    place.ingest("o/a", (1.0, "mit")).await;
    place.ingest("o/b", (2.0, "mit")).await;
    let config = "merge_method: linear\nmodels: [{model: o/a}, {model: o/b}]\nparameters: {weight: 1}";

    let mut answers = Vec::new();
    for at in 0..3 {
        answers.push(place.merge(config, &format!("o/out-{at}")).await);
    }

    assert!(answers[..2].iter().all(|answer| answer.status == 202), "{answers:?}");
    assert!(answers[2].is_problem(429, "queued_enough"), "{answers:?}");
    assert_ne!(answers[2].header("retry-after"), "");
}
