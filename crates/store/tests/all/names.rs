//! Older names of models.

use domain::{EdgeStatus, RepoId};
use futures::TryStreamExt as _;

use crate::common::{Db, card_claim, db_test, id, named};

db_test!(
    a_renamed_model_is_found_under_its_older_names,
    edges_to_a_ghost_move_to_the_model_it_was_renamed_to,
    a_circle_of_names_ends_somewhere,
    an_imported_model_keeps_its_own_name,
);

async fn alias(db: &Db, from: &str, to: &str) {
    let [from, to]: [RepoId; 2] = [id(from), id(to)];
    db.store.add_alias(&from, &to).await.unwrap();
}

async fn a_renamed_model_is_found_under_its_older_names(db: Db) {
    db.store.upsert(&[(named("new/Name"), vec![])]).await.unwrap();
    alias(&db, "oldest/name", "older/name").await;
    alias(&db, "older/name", "new/name").await;
    for name in ["Oldest/Name", "older/name", "NEW/name"] {
        assert_eq!(db.store.model_by_id(name).await.unwrap().unwrap().name, "new/Name");
    }
    db.store.upsert(&[(named("a/child"), vec![card_claim("oldest/name")])]).await.unwrap();
    let parent = db.store.model_by_id("new/name").await.unwrap().unwrap();
    assert_eq!(db.store.edges_to(parent.id).await.unwrap()[0].as_written, "oldest/name");
    assert_eq!(db.store.count_models().await.unwrap().ghosts, 0);
}

async fn edges_to_a_ghost_move_to_the_model_it_was_renamed_to(db: Db) {
    let both = vec![card_claim("old/base"), card_claim("new/base")];
    let own = vec![card_claim("old/base")];
    db.store.upsert(&[(named("a/child"), both), (named("b/child"), own.clone())]).await.unwrap();
    db.store.upsert(&[(named("new/base"), own)]).await.unwrap();
    alias(&db, "old/base", "new/base").await;
    let base = db.store.model_by_id("old/base").await.unwrap().unwrap();
    assert_eq!(base.name, "new/base");
    let edges = db.store.edges_to(base.id).await.unwrap();
    assert_eq!(edges.len(), 3);
    let own = edges.iter().find(|edge| edge.child == base.id).unwrap();
    assert_eq!(own.status, EdgeStatus::RejectedSelf);
    assert_eq!(edges.iter().map(|edge| edge.evidence.len()).max(), Some(2), "both spellings are evidence");
    assert_eq!(db.store.count_models().await.unwrap().ghosts, 0);
}

async fn a_circle_of_names_ends_somewhere(db: Db) {
    db.store.upsert(&[(named("a/child"), vec![card_claim("x/one")])]).await.unwrap();
    alias(&db, "x/one", "x/two").await;
    alias(&db, "x/two", "x/three").await;
    alias(&db, "x/three", "x/one").await;
    alias(&db, "x/one", "x/one").await;
    db.store.upsert(&[(named("b/child"), vec![card_claim("x/two")])]).await.unwrap();
    assert!(db.store.model_by_id("x/nobody").await.unwrap().is_none());
    assert_eq!(db.store.forest_edges().try_concat().await.unwrap().len(), 2);
}

async fn an_imported_model_keeps_its_own_name(db: Db) {
    db.store.upsert(&[(named("a/one"), vec![]), (named("a/two"), vec![])]).await.unwrap();
    alias(&db, "a/one", "a/two").await;
    assert_eq!(db.store.model_by_id("a/one").await.unwrap().unwrap().name, "a/one");
}
