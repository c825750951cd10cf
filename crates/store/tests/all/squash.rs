//! History given up: branches begun anew, and files taken out of what came before.

use domain::Digest;
use store::{Error, FileRow, Holder, MAIN, NewCommit, NewJob, Publish, RefKind, RefRow, Store};

use crate::common::{Db, db_test, files_only};

db_test!(
    a_squashed_branch_is_one_commit_and_what_only_its_history_showed_goes,
    what_a_tag_shows_or_a_job_reads_outlasts_a_squash,
    a_file_is_taken_out_of_the_commits_before_and_never_of_a_head,
);

/// Commits a model of one file, and gives the commit.
async fn commit(store: &Store, text: &str) -> String {
    let holder = Holder::new();
    let (digest, size) = store.put_bytes(&holder, text.as_bytes()).await.unwrap();
    let files = vec![FileRow { path: "weights.bin".to_owned(), size, digest }];
    let commit = NewCommit { title: text.to_owned(), ..NewCommit::default() };
    let (_, oid) = store.publish_commit(Publish { commit, ..files_only("a/b", files) }).await.unwrap();
    store.release(&holder).await.unwrap();
    oid
}

async fn model(store: &Store) -> i64 {
    store.model_by_id("a/b").await.unwrap().unwrap().id
}

fn squashed() -> NewCommit {
    NewCommit { title: "all of it".to_owned(), ..NewCommit::default() }
}

async fn titles(store: &Store, oid: &str) -> Vec<String> {
    let (commits, _) = store.history(model(store).await, oid, (0, 10)).await.unwrap();
    commits.into_iter().map(|commit| commit.title).collect()
}

async fn held(store: &Store, text: &str) -> bool {
    let files = store.held_files(model(store).await, (0, 10)).await.unwrap();
    files.iter().any(|file| file.digest == Digest::of(text.as_bytes()))
}

/// Whether a blob is stored once everything was swept that nobody needs.
async fn stored(store: &Store, text: &str) -> bool {
    store.sweep().await.unwrap();
    store.has(&Digest::of(text.as_bytes())).await.unwrap()
}

async fn a_squashed_branch_is_one_commit_and_what_only_its_history_showed_goes(db: Db) {
    let first = commit(&db.store, "one").await;
    commit(&db.store, "two").await;
    commit(&db.store, "three").await;
    let model = model(&db.store).await;
    assert!(held(&db.store, "one").await);

    let oid = db.store.squash(model, &squashed()).await.unwrap().unwrap();

    assert_eq!(titles(&db.store, &oid).await, ["all of it"]);
    assert_eq!(db.store.commit(model, MAIN).await.unwrap().unwrap().oid, oid);
    assert!(db.store.commit(model, &first).await.unwrap().is_none());
    assert!(!stored(&db.store, "one").await && !stored(&db.store, "two").await);
    assert!(stored(&db.store, "three").await && held(&db.store, "three").await);
    let branch = NewCommit { branch: "nothing".to_owned(), ..squashed() };
    assert_eq!(db.store.squash(model, &branch).await.unwrap(), None);
    assert_ne!(commit(&db.store, "four").await, oid, "it goes on from there");
}

async fn what_a_tag_shows_or_a_job_reads_outlasts_a_squash(db: Db) {
    for text in ["one", "two", "three"] {
        let oid = commit(&db.store, text).await;
        if text == "one" {
            let tag = RefRow { kind: RefKind::Tag, name: "v1".to_owned(), oid };
            db.store.create_ref(model(&db.store).await, &tag).await.unwrap();
        }
    }
    let model = model(&db.store).await;
    let head = db.store.commit(model, MAIN).await.unwrap().unwrap();
    let commits = db.store.history(model, &head.oid, (0, 10)).await.unwrap().0;
    let payload = serde_json::json!({ "pins": { "a/b": commits[1].digest } });
    let job = NewJob { kind: "merge".to_owned(), payload, idempotency_key: None, output: None };
    let (job, _) = db.store.enqueue(job, 10).await.unwrap();

    db.store.squash(model, &squashed()).await.unwrap().unwrap();

    assert_eq!(db.store.commit(model, "v1").await.unwrap().unwrap().title, "one");
    assert!(stored(&db.store, "one").await && stored(&db.store, "two").await);
    db.store.cancel(&job.id).await.unwrap();
    db.store.squash(model, &squashed()).await.unwrap().unwrap();
    assert!(stored(&db.store, "one").await && !stored(&db.store, "two").await);
}

async fn a_file_is_taken_out_of_the_commits_before_and_never_of_a_head(db: Db) {
    commit(&db.store, "one").await;
    commit(&db.store, "secret").await;
    let head = commit(&db.store, "three").await;
    let model = model(&db.store).await;
    let (secret, shown) = (Digest::of(b"secret"), Digest::of(b"three"));

    let refused = db.store.forget_contents(model, &[secret, shown]).await.unwrap_err();
    assert!(matches!(&refused, Error::StillShown { path, .. } if path == "weights.bin"), "{refused}");
    assert!(held(&db.store, "secret").await, "all of it or nothing");
    db.store.forget_contents(model, &[secret]).await.unwrap();

    assert_eq!(titles(&db.store, &head).await, ["three", "one"]);
    assert!(!held(&db.store, "secret").await && !stored(&db.store, "secret").await);
    assert!(stored(&db.store, "one").await);
}
