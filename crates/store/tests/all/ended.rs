//! Jobs that ended long ago are forgotten; what somebody still needs them for is not.

use std::time::{Duration, SystemTime};

use domain::Limits;
use sea_orm::{ConnectionTrait as _, Database};
use serde_json::json;
use store::{Failed, Holder, JobRow, NewJob, Store};
use ulid::Ulid;

use crate::common::{Db, db_test};

db_test!(
    what_ended_is_forgotten_with_its_log_and_key_and_what_is_needed_stays,
    a_job_is_kept_for_as_long_as_the_limit_says,
);

const DAY: u64 = 86_400;

fn job(key: &str) -> NewJob {
    NewJob {
        kind: "diff".to_owned(),
        payload: json!({ "key": key }),
        idempotency_key: Some(key.to_owned()),
        output: None,
    }
}

async fn taken(store: &Store, key: &str) -> JobRow {
    store.enqueue(job(key), 100).await.unwrap();
    let row = store.claim(&["diff"], "worker", 60).await.unwrap().unwrap();
    store.log_job(&row.id, &["begun".to_owned(), "going on".to_owned()]).await.unwrap();
    row
}

async fn what_ended_is_forgotten_with_its_log_and_key_and_what_is_needed_stays(db: Db) {
    let store = db.store.limited(Limits { kept_job_seconds: 0, ..Limits::default() });
    let holder = Holder::new();
    let (done, failed, kept) =
        (taken(&store, "done").await, taken(&store, "failed").await, taken(&store, "kept").await);
    let running = taken(&store, "running").await;
    let (waiting, _) = store.enqueue(job("waiting"), 100).await.unwrap();
    store.finish(&done.hold(), json!({})).await.unwrap();
    for row in [&failed, &kept] {
        let (digest, _) = store.put_bytes(&holder, row.id.as_bytes()).await.unwrap();
        store.keep_result(&row.hold(), &digest).await.unwrap();
    }
    store.release(&holder).await.unwrap();
    store.fail(&failed.hold(), Failed { code: "x", message: "y", retry_after: None }).await.unwrap();
    store.finish(&kept.hold(), json!({})).await.unwrap();
    let lines = store.job_log(&done.id, 10).await.unwrap();

    let swept = store.sweep().await.unwrap();

    assert_eq!(swept, 1, "the blob that the failed one made");
    assert_eq!(lines.iter().map(|line| line.line.as_str()).collect::<Vec<_>>(), ["begun", "going on"]);
    for (row, stays) in [(done, false), (failed, false), (kept, true), (running, true), (waiting, true)] {
        assert_eq!(store.job(&row.id).await.unwrap().is_some(), stays, "{:?}", row.idempotency_key);
        assert_eq!(store.job_log(&row.id, 10).await.unwrap().is_empty(), !stays || row.fence == 0);
        let again = store.enqueue(job(&row.idempotency_key.unwrap()), 100).await.unwrap();
        assert_eq!((again.1, again.0.id == row.id), (!stays, stays));
    }
}

async fn a_job_is_kept_for_as_long_as_the_limit_says(db: Db) {
    let rows = [taken(&db.store, "young").await, taken(&db.store, "old").await];
    let elsewhere = Database::connect(&db.url).await.unwrap();
    let mut ids = Vec::new();
    for (row, days) in rows.into_iter().zip([179, 181]) {
        db.store.finish(&row.hold(), json!({})).await.unwrap();
        let then = SystemTime::now() - Duration::from_secs(days * DAY);
        let at = then.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        let id = Ulid::from_parts(at * 1_000, 7).to_string();
        let aged = format!("UPDATE jobs SET id = '{id}', finished_at = {at} WHERE id = '{}'", row.id);
        elsewhere.execute_unprepared(&aged).await.unwrap();
        ids.push(id);
    }

    db.store.sweep().await.unwrap();

    assert!(db.store.job(&ids[0]).await.unwrap().is_some());
    assert!(db.store.job(&ids[1]).await.unwrap().is_none());
}
