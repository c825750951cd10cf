//! How fast a job is said to be.

use crate::support::Place;
use serde_json::Value;
use store::{JobProgress, NewJob};

#[actix_web::test]
async fn a_job_whose_worker_gives_no_sign_of_life_has_no_rate_and_no_end() {
    let place = Place::new().await;
    let (store, lease) = (&place.registry.store, place.registry.limits.lease_seconds);
    let new = NewJob { kind: "none".into(), payload: Value::Null, idempotency_key: None, output: None };
    store.enqueue(new, 10).await.unwrap();
    let job = store.claim(&["none"], "worker", lease).await.unwrap().unwrap();
    let heard = async |ago: i64| {
        let progress = JobProgress { step: "writing".into(), done: 40, total: 100, rate: Some(20) };
        // A lease that ends this much earlier is that of a sign of life as long ago.
        store.heartbeat(&job.hold(), progress, lease - ago).await.unwrap();
    };

    heard(0).await;
    let alive = place.get(&format!("/api/v1/jobs/{}", job.id)).await.body;
    heard(30).await;
    let silent = place.get(&format!("/api/v1/jobs/{}", job.id)).await.body;
    let listed = place.get("/api/v1/jobs").await.body;

    assert_eq!((&alive["rate"], &alive["eta"]), (&20.into(), &3.into()), "{alive}");
    for job in [&silent, &listed["items"][0]] {
        assert_eq!(
            (&job["rate"], &job["eta"], &job["done"]),
            (&Value::Null, &Value::Null, &40.into()),
            "{job}"
        );
    }
}
