//! Who holds a tensor of a name, where only headers are known; lines of a job's log.

use serde_json::json;
use store::{NewJob, ShapeRow};

use crate::common::{Db, db_test, named};

db_test!(
    tensors_known_by_their_headers_are_found_by_name_page_by_page,
    the_end_of_a_log_is_read_in_its_order_and_jobs_before_one_are_counted,
);

fn shape(name: &str) -> ShapeRow {
    ShapeRow {
        name: name.to_owned(),
        dtype: "BF16".to_owned(),
        shape: vec![2, 3],
        bytes: 12,
        file: "model.safetensors".to_owned(),
    }
}

async fn tensors_known_by_their_headers_are_found_by_name_page_by_page(db: Db) {
    let names = ["a/one", "a/two", "a/three"];
    for name in names {
        db.store.upsert(&[(named(name), vec![])]).await.unwrap();
        let row = db.store.model_by_id(name).await.unwrap().unwrap();
        db.store.set_shapes(row.id, &[shape("head.weight"), shape("norm.weight")]).await.unwrap();
    }

    let first = db.store.holders("head.weight", None, 2).await.unwrap();
    let rest = db.store.holders("head.weight", first.next.as_deref(), 2).await.unwrap();
    let around = db.store.tensor_names_around("head").await.unwrap();
    let two = db.store.model_by_id("a/two").await.unwrap().unwrap();
    db.store.set_shapes(two.id, &[shape("other.weight")]).await.unwrap();
    let three = db.store.model_by_id("a/three").await.unwrap().unwrap();
    db.store.delete_model(three.id).await.unwrap();
    let left = db.store.holders("head.weight", None, 9).await.unwrap();
    let wrong = db.store.holders("head.weight", Some("elsewhere.1"), 9).await;

    let listed: Vec<&str> = first.items.iter().chain(&rest.items).map(|row| row.name.as_str()).collect();
    assert_eq!(listed, ["a/three", "a/two", "a/one"], "the latest first");
    assert_eq!((first.items.len(), rest.next), (2, None));
    assert_eq!(around, ["head.weight", "norm.weight"]);
    assert_eq!(left.items.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(), ["a/one"]);
    assert!(wrong.is_err());
}

async fn the_end_of_a_log_is_read_in_its_order_and_jobs_before_one_are_counted(db: Db) {
    let new = || NewJob { kind: "k".to_owned(), payload: json!({}), idempotency_key: None, output: None };
    let (first, _) = db.store.enqueue(new(), 9).await.unwrap();
    let (second, _) = db.store.enqueue(new(), 9).await.unwrap();
    let lines: Vec<String> = (0..5).map(|line| format!("line {line}")).collect();
    db.store.log_job(&first.id, &lines).await.unwrap();
    db.store.log_job(&second.id, &["another's".to_owned()]).await.unwrap();

    let end = db.store.job_log(&first.id, 3).await.unwrap();

    assert_eq!(end.iter().map(|line| line.line.as_str()).collect::<Vec<_>>(), ["line 2", "line 3", "line 4"]);
    let (before, none) =
        (db.store.jobs_before(&second.id).await.unwrap(), db.store.jobs_before(&first.id).await.unwrap());
    assert_eq!((before, none), (1, 0));
}
