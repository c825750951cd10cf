//! The schema goes up, down and up again; several processes may start at once.

use store::Store;

use crate::common::{Db, card_claim, db_test, named};

db_test!(
    migrations_go_up_down_and_up_again,
    several_processes_may_migrate_at_once,
    the_store_says_whether_it_can_be_used,
);

async fn migrations_go_up_down_and_up_again(db: Db) {
    db.store.upsert(&[(named("a/b"), vec![card_claim("c/d")])]).await.unwrap();
    db.store.migrate().await.unwrap();
    assert!(db.store.model_by_id("a/b").await.unwrap().is_some(), "a second run changes nothing");
    db.store.unmigrate().await.unwrap();
    assert!(db.store.model_by_id("a/b").await.is_err());
    db.store.migrate().await.unwrap();
    assert_eq!(db.store.count_models().await.unwrap(), store::Counts::default());
    db.store.upsert(&[(named("a/b"), vec![card_claim("c/d")])]).await.unwrap();
}

async fn several_processes_may_migrate_at_once(db: Db) {
    db.store.unmigrate().await.unwrap();
    let starts: Vec<_> = (0..3)
        .map(|_| {
            let (url, blobs) = (db.url.clone(), db.folder.path().join("blobs").display().to_string());
            tokio::spawn(async move { Store::open(&url, &blobs).await.unwrap().migrate().await })
        })
        .collect();
    for start in starts {
        start.await.unwrap().unwrap();
    }
    db.store.upsert(&[(named("a/b"), vec![])]).await.unwrap();
}

async fn the_store_says_whether_it_can_be_used(db: Db) {
    // What was found well a moment ago is not asked again: another one asks first.
    let blobs = db.folder.path().join("blobs");
    let other = Store::open(&db.url, blobs.to_str().unwrap()).await.unwrap();
    other.check().await.unwrap();
    fs_err::remove_dir_all(blobs).unwrap();
    assert!(db.store.check().await.is_err());
}
