//! Words of a column that this program does not know: an error, never the first that it does.

use domain::Gating;
use sea_orm::{ConnectionTrait as _, Database};
use serde_json::json;
use store::{AccountKind, Error, GrantState, NewJob, Openness, RefKind, RefRow, Result, Scope, TokenRow};

use crate::{
    access::{account, close},
    common::{Db, db_test, files_only},
};

db_test!(a_stored_word_that_is_unknown_is_an_error);

async fn a_stored_word_that_is_unknown_is_an_error(db: Db) {
    let store = &db.store;
    let (_, oid) = store.publish_commit(files_only("org/m", Vec::new())).await.unwrap();
    let model = close(&db, "org/m", Openness { private: None, gated: Some(Some(Gating::Auto)) }).await;
    store.create_ref(model, &RefRow { kind: RefKind::Tag, name: "v1".to_owned(), oid }).await.unwrap();
    store.ask_access((model, "bob"), Gating::Manual).await.unwrap();
    account(&db, "ann", AccountKind::User).await;
    let token = TokenRow {
        id: 0,
        owner: "ann".to_owned(),
        label: String::new(),
        scope: Scope::Read,
        created_at: 0,
        expires_at: None,
        last_used_on: None,
    };
    store.add_token("secret", &token).await.unwrap();
    let job = NewJob { kind: "k".to_owned(), payload: json!({}), idempotency_key: None, output: None };
    let job = store.enqueue(job, 9).await.unwrap().0;
    let connection = Database::connect(&db.url).await.unwrap();
    for set in [
        "tokens SET scope = 'own'",
        "accounts SET kind = 'own'",
        "grants SET state = 'own'",
        "refs SET kind = 'own' WHERE kind = 'tag'",
        "jobs SET state = 'own'",
        "models SET gated = 'own'",
    ] {
        connection.execute_unprepared(&format!("UPDATE {set}")).await.unwrap();
    }
    connection.close().await.unwrap();

    let unread = [
        unread(store.token("secret").await),
        unread(store.tokens((None, 9)).await),
        unread(store.account("ann").await),
        unread(store.grant_of(model, "bob").await),
        unread(store.ask_access((model, "bob"), Gating::Manual).await),
        unread(store.refs(model, 9).await),
        unread(store.job(&job.id).await),
        unread(store.jobs(None, 9, None).await),
        unread(store.model(model).await),
    ];

    let told: Vec<&str> = unread.iter().map(String::as_str).collect();
    let (scope, account, request) = ("scope", "kind of account", "state of a request");
    let (job, gate) = ("state of a job", "gate");
    assert_eq!(told, [scope, scope, account, request, request, "kind of ref", job, job, gate]);
    assert!(store.access_of(model, GrantState::Pending, 9).await.unwrap().is_empty());
}

/// What could not be read.
fn unread<T>(answer: Result<T>) -> String {
    match answer.err() {
        Some(Error::Stored { what, detail }) if detail.contains("`own`") => what.to_owned(),
        other => format!("{other:?}"),
    }
}
