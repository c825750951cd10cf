//! What the storage does when its disk or its database fails under it.

use std::time::Duration;

use domain::Digest;
use sea_orm::{
    ConnectionTrait as _, Database, DbBackend, SqliteTransactionMode, TransactionOptions,
    TransactionTrait as _,
};
use store::{Holder, Store};

use crate::common::{Db, card_claim, db_test, named, sqlite};

/// Key of the lock that writers take turns at on PostgreSQL.
const WRITERS: i64 = 0x7374_656d_6d61_0001;

db_test!(readers_are_answered_however_many_writers_wait);

async fn readers_are_answered_however_many_writers_wait(db: Db) {
    let other = Database::connect(&db.url).await.unwrap();
    let alone = TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    };
    let turn = other.begin_with_options(alone).await.unwrap();
    if turn.get_database_backend() == DbBackend::Postgres {
        let lock = format!("SELECT pg_advisory_xact_lock({WRITERS})");
        turn.execute_unprepared(&lock).await.unwrap();
    }
    let pin = |number: u8| {
        let store = db.store.clone();
        tokio::spawn(async move { store.pin(&Holder::new(), &Digest::of(&[number])).await })
    };
    let writers: Vec<_> = (0..40).map(pin).collect();
    let answered = async || tokio::time::timeout(Duration::from_secs(5), db.store.change_counter()).await;

    for _ in 0..40 {
        answered().await.unwrap().unwrap();
        tokio::task::yield_now().await;
    }

    assert!(!writers.iter().any(|writer| writer.is_finished()));
    turn.rollback().await.unwrap();
    for writer in writers {
        writer.await.unwrap().unwrap();
    }
}

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
