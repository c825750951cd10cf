//! Models whose lineage is still to be told.

use store::{CurrentRevision, Mark};

use crate::common::{Db, db_test, files_only};

db_test!(a_mark_that_is_made_during_a_look_outlasts_it, only_marks_on_what_models_hold_are_told);

async fn revision(db: &Db, name: &str) -> CurrentRevision {
    let row = db.store.publish(files_only(name, Vec::new())).await.unwrap();
    CurrentRevision { model: row.id, revision: row.revision.unwrap() }
}

async fn a_mark_that_is_made_during_a_look_outlasts_it(db: Db) {
    let of = [revision(&db, "a/one").await, revision(&db, "a/two").await];
    db.store.mark_due(&of).await.unwrap();
    let seen = db.store.due().await.unwrap().looks;
    assert_eq!(seen.iter().map(|look| look.of).collect::<Vec<_>>(), of);

    db.store.mark_due(&of[..1]).await.unwrap();
    db.store.settle_due(&seen).await.unwrap();

    let left = db.store.due().await.unwrap().looks;
    assert_eq!(left.iter().map(|look| look.of).collect::<Vec<_>>(), of[..1]);
    assert_eq!(db.store.mark_of(of[0].model).await.unwrap(), Some(left[0]));
    assert_eq!(db.store.mark_of(of[1].model).await.unwrap(), None);
    db.store.settle_due(&left).await.unwrap();
    assert!(db.store.due().await.unwrap().looks.is_empty());
}

async fn only_marks_on_what_models_hold_are_told(db: Db) {
    let (one, other) = (revision(&db, "a/one").await, revision(&db, "a/two").await);
    let gone = CurrentRevision { revision: one.revision + 1_000, ..one };
    db.store.mark_due(&[gone, other]).await.unwrap();
    assert_eq!(db.store.mark_of(one.model).await.unwrap(), None);

    db.store.settle_due(&[Mark { of: other, marked_at: 0 }]).await.unwrap();

    let left = db.store.due().await.unwrap().looks;
    assert_eq!(left.iter().map(|look| look.of).collect::<Vec<_>>(), [other], "that is another mark");
}
