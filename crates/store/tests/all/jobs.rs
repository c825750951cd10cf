//! The queue: one job per key, one holder per job, and a fence against the holder of yesterday.

use std::collections::HashSet;

use domain::{Class, Fault as _, Limits, Viewer};
use sea_orm::{ConnectionTrait as _, Database};
use serde_json::json;
use store::{Beat, Error, Failed, JobProgress, JobRow, NewJob, Store};

use crate::common::{Db, db_test};

db_test!(
    one_key_is_one_job_and_another_request_under_it_is_refused,
    eight_workers_never_hold_one_job_twice,
    an_expired_lease_hands_the_job_on_and_the_old_fence_is_worthless,
    a_heartbeat_keeps_the_lease_and_carries_the_cancel,
    a_waiting_job_is_cancelled_at_once,
    a_failed_job_waits_before_it_is_tried_again,
    a_job_whose_worker_keeps_vanishing_is_given_up,
    jobs_are_listed_newest_first_in_pages,
    an_import_goes_on_where_it_stopped,
    two_jobs_that_are_not_done_never_share_an_output,
    a_full_queue_takes_no_more,
    one_callers_jobs_leave_room_for_those_of_others,
    a_job_given_back_waits_as_if_it_had_never_been_taken,
    a_cancelled_job_given_back_has_ended_and_frees_its_output,
    a_cancelled_job_of_a_dead_worker_frees_its_output_while_others_wait,
);

const MOST: u64 = 1_000;

fn job(key: Option<&str>) -> NewJob {
    NewJob {
        kind: "merge".to_owned(),
        payload: json!({"b": 1, "a": 2}),
        idempotency_key: key.map(str::to_owned),
        output: None,
    }
}

async fn queue(store: &Store) -> JobRow {
    store.enqueue(job(None), MOST).await.unwrap().0
}

async fn take(store: &Store, lease: i64) -> Option<JobRow> {
    store.claim(&["merge", "diff"], "worker", lease).await.unwrap()
}

async fn one_key_is_one_job_and_another_request_under_it_is_refused(db: Db) {
    let posts: Vec<_> = (0..20)
        .map(|_| {
            let store = db.store.clone();
            tokio::spawn(async move { store.enqueue(job(Some("k")), MOST).await.unwrap() })
        })
        .collect();
    let mut answers = Vec::new();
    for post in posts {
        answers.push(post.await.unwrap());
    }
    let ids: HashSet<&str> = answers.iter().map(|(row, _)| row.id.as_str()).collect();
    assert_eq!((ids.len(), answers.iter().filter(|(_, created)| *created).count()), (1, 1));
    let other = NewJob { payload: json!({"a": 3}), ..job(Some("k")) };
    assert!(
        matches!(db.store.enqueue(other, MOST).await, Err(Error::IdempotencyMismatch(key)) if key == "k")
    );
    let reordered = NewJob { payload: json!({"a": 2, "b": 1}), ..job(Some("k")) };
    assert!(!db.store.enqueue(reordered, MOST).await.unwrap().1);
}

async fn eight_workers_never_hold_one_job_twice(db: Db) {
    for _ in 0..60 {
        queue(&db.store).await;
    }
    let workers: Vec<_> = (0..8)
        .map(|n| {
            let store = db.store.clone();
            tokio::spawn(async move {
                let mut held = Vec::new();
                while let Some(row) = store.claim(&["merge"], &format!("w{n}"), 60).await.unwrap() {
                    assert_eq!((row.fence, row.attempts, row.state.as_str()), (1, 1, "running"));
                    store.finish(&row.hold(), json!({"by": n})).await.unwrap();
                    held.push(row.id);
                }
                held
            })
        })
        .collect();
    let mut held = Vec::new();
    for worker in workers {
        held.extend(worker.await.unwrap());
    }
    let distinct: HashSet<&String> = held.iter().collect();
    assert_eq!((held.len(), distinct.len()), (60, 60));
}

async fn an_expired_lease_hands_the_job_on_and_the_old_fence_is_worthless(db: Db) {
    queue(&db.store).await;
    let old = take(&db.store, -1).await.unwrap();
    let new = take(&db.store, 60).await.unwrap();
    assert_eq!((new.id.as_str(), new.fence, new.attempts), (old.id.as_str(), old.fence + 1, 2));
    assert!(take(&db.store, 60).await.is_none());
    let (store, stale) = (&db.store, &old.hold());
    let failed = Failed { code: "x", message: "y", retry_after: None };
    assert!(matches!(store.finish(stale, json!(1)).await, Err(Error::LeaseLost(_))));
    assert!(matches!(store.fail(stale, failed).await, Err(Error::LeaseLost(_))));
    assert!(matches!(store.set_cancelled(stale).await, Err(Error::LeaseLost(_))));
    assert_eq!(store.heartbeat(stale, JobProgress::default(), 60).await.unwrap(), Beat::Lost);
    store.finish(&new.hold(), json!({"ok": true})).await.unwrap();
    let row = store.job(&old.id).await.unwrap().unwrap();
    assert_eq!((row.state.as_str(), row.result), ("succeeded", Some(json!({"ok": true}))));
    assert!(row.finished_at.is_some() && take(store, 60).await.is_none());
}

async fn a_heartbeat_keeps_the_lease_and_carries_the_cancel(db: Db) {
    queue(&db.store).await;
    let row = take(&db.store, -1).await.unwrap();
    let progress = JobProgress { step: "writing tensors".to_owned(), done: 3, total: 9, rate: Some(2) };
    assert_eq!(db.store.heartbeat(&row.hold(), progress.clone(), 60).await.unwrap(), Beat::Go);
    assert!(take(&db.store, 60).await.is_none(), "the lease was renewed");
    assert!(db.store.cancel(&row.id).await.unwrap());
    assert_eq!(db.store.heartbeat(&row.hold(), progress, 60).await.unwrap(), Beat::Cancel);
    let seen = db.store.job(&row.id).await.unwrap().unwrap();
    assert_eq!(
        (seen.step.as_deref(), seen.done, seen.total, seen.cancel_requested),
        (Some("writing tensors"), 3, 9, true)
    );
    db.store.set_cancelled(&row.hold()).await.unwrap();
    assert_eq!(db.store.job(&row.id).await.unwrap().unwrap().state, "cancelled");
    assert!(!db.store.cancel(&row.id).await.unwrap());
}

async fn a_waiting_job_is_cancelled_at_once(db: Db) {
    let row = queue(&db.store).await;
    assert!(db.store.cancel(&row.id).await.unwrap());
    let row = db.store.job(&row.id).await.unwrap().unwrap();
    assert_eq!((row.state.as_str(), row.finished_at.is_some()), ("cancelled", true));
    assert!(take(&db.store, 60).await.is_none());
    assert!(!db.store.cancel("nothing").await.unwrap());
}

async fn a_failed_job_waits_before_it_is_tried_again(db: Db) {
    queue(&db.store).await;
    let row = take(&db.store, 60).await.unwrap();
    db.store
        .fail(&row.hold(), Failed { code: "upstream", message: "the hub is down", retry_after: Some(60) })
        .await
        .unwrap();
    assert!(take(&db.store, 60).await.is_none());
    let elsewhere = Database::connect(&db.url).await.unwrap();
    elsewhere.execute_unprepared("UPDATE jobs SET run_after = run_after - 61").await.unwrap();
    let again = take(&db.store, 60).await.unwrap();
    assert_eq!((again.attempts, again.error_code.as_deref()), (2, Some("upstream")));
    db.store.fail(&again.hold(), Failed { code: "bad", message: "no", retry_after: None }).await.unwrap();
    assert_eq!(db.store.job(&row.id).await.unwrap().unwrap().state, "failed");
}

async fn a_job_whose_worker_keeps_vanishing_is_given_up(db: Db) {
    let row = queue(&db.store).await;
    let mut claims = 0;
    while take(&db.store, -1).await.is_some() {
        claims += 1;
    }
    assert_eq!(claims, 8);
    let row = db.store.job(&row.id).await.unwrap().unwrap();
    assert_eq!((row.state.as_str(), row.error_code.as_deref()), ("failed", Some("worker_vanished")));
}

async fn jobs_are_listed_newest_first_in_pages(db: Db) {
    for _ in 0..5 {
        queue(&db.store).await;
    }
    let first = db.store.jobs(None, 3, Some("queued")).await.unwrap();
    let second = db.store.jobs(first.next.as_deref(), 3, Some("queued")).await.unwrap();
    let ids: Vec<String> = first.items.into_iter().chain(second.items).map(|row| row.id).collect();
    assert!(ids.len() == 5 && ids.is_sorted_by(|a, b| a > b) && second.next.is_none());
    assert!(db.store.jobs(None, 3, Some("failed")).await.unwrap().items.is_empty());
    assert!(matches!(db.store.jobs(Some("' OR 1"), 3, None).await, Err(Error::BadCursor(_))));
}

async fn an_import_goes_on_where_it_stopped(db: Db) {
    assert_eq!(db.store.import_position("dump").await.unwrap(), 0);
    db.store.set_import_position("dump", 500).await.unwrap();
    db.store.set_import_position("dump", 1_000).await.unwrap();
    assert_eq!(db.store.import_position("dump").await.unwrap(), 1_000);
}

fn output(name: &str) -> NewJob {
    NewJob { output: Some(name.to_owned()), ..job(None) }
}

async fn two_jobs_that_are_not_done_never_share_an_output(db: Db) {
    let (first, _) = db.store.enqueue(output("a/b"), MOST).await.unwrap();
    assert!(
        matches!(db.store.enqueue(output("a/b"), MOST).await, Err(Error::OutputQueued(name)) if name == "a/b")
    );
    db.store.enqueue(output("a/c"), MOST).await.unwrap();
    let taken = take(&db.store, 60).await.unwrap();
    assert!(db.store.enqueue(output("a/b"), MOST).await.is_err());

    db.store.finish(&taken.hold(), json!({})).await.unwrap();

    assert_eq!(taken.id, first.id);
    db.store.enqueue(output("a/b"), MOST).await.unwrap();
}

async fn a_full_queue_takes_no_more(db: Db) {
    db.store.enqueue(job(Some("k")), 1).await.unwrap();
    assert!(matches!(db.store.enqueue(job(None), 1).await, Err(Error::QueueFull { most: 1 })));
    assert!(!db.store.enqueue(job(Some("k")), 1).await.unwrap().1, "a repeated request is still answered");
}

async fn one_callers_jobs_leave_room_for_those_of_others(db: Db) {
    let each = Limits::default().queued_jobs_each;
    let named = |name: &str| db.store.seen_by(Viewer { name: Some(name.to_owned()), ..Viewer::default() });
    let (alice, bob, nobody) = (named("Alice"), named("bob"), db.store.seen_by(Viewer::default()));
    for _ in 0..each {
        alice.enqueue(job(None), MOST).await.unwrap();
        nobody.enqueue(job(None), MOST).await.unwrap();
    }

    for caller in [&alice, &nobody, &named("alice")] {
        let refused = caller.enqueue(job(None), MOST).await.unwrap_err();
        assert!(matches!(refused, Error::QueuedEnough { most } if most == each), "{refused}");
        assert_eq!(refused.class(), Class::TooMany);
    }
    bob.enqueue(job(None), MOST).await.unwrap();
    db.store.enqueue(job(None), MOST).await.unwrap();
    db.store
        .seen_by(Viewer { name: Some("root".to_owned()), ..Viewer::house() })
        .enqueue(job(None), MOST)
        .await
        .unwrap();
    take(&db.store, 60).await.unwrap();
    assert!(alice.enqueue(job(None), MOST).await.is_err(), "what runs counts too");
    let (mine, _) = bob.enqueue(job(Some("k")), MOST).await.unwrap();
    assert_eq!(
        bob.enqueue(job(Some("k")), 1).await.unwrap().0.id,
        mine.id,
        "a repeated request is still answered"
    );
}

async fn a_job_given_back_waits_as_if_it_had_never_been_taken(db: Db) {
    queue(&db.store).await;
    let taken = take(&db.store, 60).await.unwrap();
    db.store.give_back(&taken.hold()).await.unwrap();
    let again = take(&db.store, 60).await.unwrap();
    assert_eq!((&again.id, again.attempts), (&taken.id, 1));
    assert!(matches!(db.store.give_back(&taken.hold()).await, Err(Error::LeaseLost(_))));
}

async fn a_cancelled_job_given_back_has_ended_and_frees_its_output(db: Db) {
    db.store.enqueue(output("a/b"), MOST).await.unwrap();
    let taken = take(&db.store, 60).await.unwrap();
    db.store.cancel(&taken.id).await.unwrap();

    db.store.give_back(&taken.hold()).await.unwrap();

    let row = db.store.job(&taken.id).await.unwrap().unwrap();
    assert_eq!((row.state.as_str(), row.finished_at.is_some()), ("cancelled", true));
    assert!(db.store.enqueue(output("a/b"), MOST).await.unwrap().1);
}

async fn a_cancelled_job_of_a_dead_worker_frees_its_output_while_others_wait(db: Db) {
    let wanted = || NewJob { output: Some("o/out".to_owned()), ..job(None) };
    db.store.enqueue(wanted(), MOST).await.unwrap();
    let dead = take(&db.store, -1).await.unwrap();
    assert!(db.store.cancel(&dead.id).await.unwrap());
    for _ in 0..2 {
        queue(&db.store).await;
    }

    take(&db.store, 60).await.unwrap();

    assert_eq!(db.store.job(&dead.id).await.unwrap().unwrap().state, "cancelled");
    assert!(db.store.enqueue(wanted(), MOST).await.unwrap().1);
}
