//! What the storage does when its disk or its database fails under it.

use sea_orm::{ConnectionTrait as _, Database};
use store::Store;

use crate::common::{card_claim, named, sqlite};

/// SQLite ends a transaction by itself on a full disk, as it does where a trigger says so.
const REFUSE: &str = "CREATE TRIGGER full BEFORE INSERT ON edges BEGIN SELECT RAISE(ROLLBACK, 'full'); END";

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_acknowledged_after_the_disk_was_full_is_kept() {
    let db = sqlite().await;
    let other = Database::connect(&db.url).await.unwrap();
    other.execute_unprepared(REFUSE).await.unwrap();
    for n in 0..12 {
        db.store.upsert(&[(named(&format!("a/m{n}")), vec![card_claim("c/d")])]).await.unwrap_err();
    }
    other.execute_unprepared("DROP TRIGGER full").await.unwrap();
    for n in 0..24 {
        db.store.upsert(&[(named(&format!("a/m{n}")), vec![card_claim("c/d")])]).await.unwrap();
    }

    let again = Store::open(&db.url, db.folder.path().join("blobs").to_str().unwrap()).await.unwrap();

    for n in 0..24 {
        assert!(again.model_by_id(&format!("a/m{n}")).await.unwrap().is_some(), "a/m{n}");
    }
}

#[tokio::test]
async fn a_storage_that_cannot_be_written_is_not_well() {
    let db = sqlite().await;
    let url = db.url.replace("mode=rwc", "mode=ro");

    let only_read = Store::open(&url, db.folder.path().join("blobs").to_str().unwrap()).await.unwrap();

    let error = only_read.check().await.unwrap_err().to_string();
    assert!(error.contains("read but not written"), "{error}");
}

#[tokio::test]
async fn a_database_that_somebody_writes_to_is_well() {
    let db = sqlite().await;
    let other = Database::connect(&db.url).await.unwrap();
    other.execute_unprepared("BEGIN IMMEDIATE").await.unwrap();

    db.store.check().await.unwrap();
}

#[tokio::test]
async fn a_registry_of_a_later_version_is_named_as_such() {
    let db = sqlite().await;
    let other = Database::connect(&db.url).await.unwrap();
    let later = "INSERT INTO seaql_migrations (version, applied_at) VALUES ('m2099_later', 0)";
    other.execute_unprepared(later).await.unwrap();

    let error = db.store.migrate().await.unwrap_err().to_string();

    assert!(error.starts_with("this registry was written by a newer Stemma"), "{error}");
}
