//! Filling a registry with many batches: the same rows as one by one, and every index afterwards.

use futures::TryStreamExt as _;
use sea_orm::{ConnectionTrait as _, Database, DbBackend, Statement};
use store::Store;

use crate::common::{Db, card_claim, db_test, named};

db_test!(
    what_was_filled_in_bulk_is_read_as_what_came_one_by_one,
    a_bulk_that_was_killed_leaves_no_index_out_once_the_store_is_opened_again,
    rows_with_gaps_in_their_numbers_are_all_read_in_order,
);

/// The indexes that have a text; PostgreSQL's are never left out.
async fn indexes(db: &Db) -> Vec<String> {
    if db.url.starts_with("postgres") {
        return Vec::new();
    }
    let sql = "SELECT name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL ORDER BY name";
    let connection = Database::connect(&db.url).await.unwrap();
    let rows = connection.query_all_raw(Statement::from_string(DbBackend::Sqlite, sql)).await.unwrap();
    rows.iter().map(|row| row.try_get("", "name").unwrap()).collect()
}

async fn what_was_filled_in_bulk_is_read_as_what_came_one_by_one(db: Db) {
    let before = indexes(&db).await;
    let batch: Vec<_> = (0..40)
        .map(|n| (named(&format!("org/m{n}")), vec![card_claim(&format!("org/m{}", n / 2))]))
        .collect();

    let bulk = db.store.begin_bulk().await.unwrap();
    let meanwhile = indexes(&db).await;
    let first = bulk.upsert(&batch[..30]).await.unwrap();
    let second = bulk.upsert(&batch[20..]).await.unwrap();
    bulk.end_bulk().await.unwrap();

    assert!(meanwhile.len() < before.len() || before.is_empty(), "{meanwhile:?}");
    assert_eq!((first.inserted, first.updated, first.edges), (30, 0, 30));
    assert_eq!((second.inserted, second.updated, second.edges), (10, 10, 20));
    assert_eq!(indexes(&db).await, before);
    let counts = db.store.count_models().await.unwrap();
    assert_eq!((counts.models, counts.ghosts, counts.edges), (40, 0, 39));
}

async fn a_bulk_that_was_killed_leaves_no_index_out_once_the_store_is_opened_again(db: Db) {
    let before = indexes(&db).await;
    let bulk = db.store.begin_bulk().await.unwrap();
    bulk.upsert(&[(named("a/b"), vec![card_claim("c/d")])]).await.unwrap();
    drop(bulk);

    let again = Store::open(&db.url, db.folder.path().join("blobs").to_str().unwrap()).await.unwrap();
    again.migrate().await.unwrap();

    assert_eq!(indexes(&db).await, before);
    let filled = again.begin_bulk().await.unwrap();
    assert_eq!(indexes(&db).await, before, "a registry with models keeps its indexes");
    filled.end_bulk().await.unwrap();
}

async fn rows_with_gaps_in_their_numbers_are_all_read_in_order(db: Db) {
    let batch: Vec<_> = (0..9_000).map(|n| (named(&format!("org/m{n}")), vec![])).collect();
    db.store.upsert(&batch).await.unwrap();
    let connection = Database::connect(&db.url).await.unwrap();
    connection.execute_unprepared("DELETE FROM models WHERE id > 3000 AND id < 8995").await.unwrap();

    let nodes = db.store.forest_nodes().try_concat().await.unwrap();
    let rows = db.store.catalogue_parts().try_concat().await.unwrap();

    let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
    let expected: Vec<i64> = (1..=3_000).chain(8_995..=9_000).collect();
    assert_eq!(ids, expected);
    assert_eq!(nodes.iter().map(|node| node.id).collect::<Vec<_>>(), expected);
    assert!(rows.iter().zip(&nodes).all(|(row, node)| row.key == node.name && !row.ghost && !node.ghost));
}
