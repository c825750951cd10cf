//! Users and organisations: how they come, are listed and are let in, and what they leave when they go.

use domain::{Act, Gating, Role, Viewer};
use serde_json::json;
use store::{
    AccountKind, AccountRow, Error, FileRow, GrantState, Holder, MemberRow, NewJob, NewSearch, Openness,
    Scope, TokenRow,
};
use ulid::Ulid;

use crate::{
    access::{account, close, hide},
    common::{Db, db_test, files_only, named},
};

db_test!(
    a_user_is_added_with_a_token_or_not_at_all,
    lists_of_people_come_page_by_page,
    an_account_has_a_name_of_its_own,
    access_is_asked_for_and_decided,
    whoever_comes_by_a_removed_name_inherits_nothing,
);

async fn a_user_is_added_with_a_token_or_not_at_all(db: Db) {
    let user = |name: &str| AccountRow {
        name: name.to_owned(),
        kind: AccountKind::User,
        admin: false,
        created_at: 0,
    };
    let token = |owner: &str| TokenRow {
        id: 0,
        owner: owner.to_owned(),
        label: "first".to_owned(),
        scope: Scope::Write,
        created_at: 0,
        expires_at: None,
        last_used_on: None,
    };

    db.store.add_user(&user("ann"), ("secret", &token("ann"))).await.unwrap();
    // A secret is kept once, so this token cannot be.
    let refused = db.store.add_user(&user("bob"), ("secret", &token("bob"))).await;

    assert_eq!(db.store.token("secret").await.unwrap().unwrap().owner, "ann");
    assert!(refused.is_err());
    assert!(
        db.store.account("bob").await.unwrap().is_none(),
        "a user without a token could not be added again"
    );
    let taken = db.store.add_user(&user("Ann"), ("other", &token("Ann"))).await;
    assert!(matches!(taken, Err(Error::NameTaken(_))));
    assert!(db.store.token("other").await.unwrap().is_none());
}

/// Every row of a list read in pages of two.
async fn pages<T>(read: impl AsyncFn(Option<&str>) -> store::Result<store::Page<T>>) -> Vec<T> {
    let (mut rows, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let page = read(cursor.as_deref()).await.unwrap();
        assert!(page.items.len() == 2 || page.next.is_none());
        rows.extend(page.items);
        cursor = page.next;
        if cursor.is_none() {
            return rows;
        }
    }
}

async fn lists_of_people_come_page_by_page(db: Db) {
    let names = ["ann", "Bob", "cay", "dan", "eve"];
    for (at, name) in names.iter().enumerate() {
        account(&db, name, AccountKind::User).await;
        account(&db, &format!("org{at}"), AccountKind::Org).await;
    }
    for (at, person) in names.iter().enumerate() {
        for org in ["org0".to_owned(), format!("org{at}")] {
            let new = MemberRow { org, person: person.to_ascii_lowercase(), role: Role::Write };
            db.store.set_member(&new).await.unwrap();
        }
        let org = format!("org{at}");
        db.store.set_member(&MemberRow { org, person: "ann".into(), role: Role::Admin }).await.unwrap();
        for n in 0..2 {
            let token = TokenRow {
                id: 0,
                owner: (*person).to_owned(),
                label: format!("{n}"),
                scope: Scope::Read,
                created_at: 0,
                expires_at: None,
                last_used_on: None,
            };
            db.store.add_token(&format!("{person}{n}"), &token).await.unwrap();
        }
    }
    let store = &db.store;

    let users = pages(async |after| store.accounts(Some(AccountKind::User), (after, 2)).await).await;
    let members = pages(async |after| store.members_of("ORG0", (after, 2)).await).await;
    let own = pages(async |after| store.memberships("Ann", (after, 2)).await).await;
    assert_eq!(pages(async |after| store.tokens((after, 2)).await).await.len(), 10);
    let anns = store.tokens_of("Ann", (None, 10)).await.unwrap().items;
    let older = store.tokens_of("Ann", (Some(&anns[0].id.to_string()), 10)).await.unwrap();

    assert_eq!(users.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(), names);
    assert_eq!(
        members.iter().map(|row| row.person.as_str()).collect::<Vec<_>>(),
        ["ann", "bob", "cay", "dan", "eve"]
    );
    assert_eq!(
        own.iter().map(|row| row.org.as_str()).collect::<Vec<_>>(),
        ["org0", "org1", "org2", "org3", "org4"]
    );
    assert_eq!(anns.iter().map(|row| row.label.as_str()).collect::<Vec<_>>(), ["1", "0"]);
    assert_eq!((older.items.len(), older.items[0].id), (1, anns[1].id));
    assert!(store.owns_token("ANN", anns[0].id).await.unwrap());
    assert!(!store.owns_token("bob", anns[0].id).await.unwrap());
    assert!(matches!(store.tokens((Some("x"), 2)).await, Err(Error::BadCursor(_))));
}

async fn an_account_has_a_name_of_its_own(db: Db) {
    account(&db, "Acme", AccountKind::Org).await;
    let token = TokenRow {
        id: 0,
        owner: "Carl".into(),
        label: String::new(),
        scope: Scope::Read,
        created_at: 0,
        expires_at: None,
        last_used_on: None,
    };
    db.store.add_token("secret", &token).await.unwrap();
    let org =
        |name: &str| AccountRow { name: name.into(), kind: AccountKind::Org, admin: false, created_at: 0 };

    let again = db.store.add_account(&org("ACME")).await;
    let bearer = db.store.add_account(&org("carl")).await;

    assert!(matches!(again, Err(Error::NameTaken(_))) && matches!(bearer, Err(Error::NameTaken(_))));
    assert_eq!(db.store.accounts(None, (None, 10)).await.unwrap().items.len(), 1);
    assert!(db.store.seen_by(Viewer::default()).may(Act::Write, "acme/x").await.is_err());
    let token = store::TokenRow { id: 0, owner: "Acme".to_owned(), ..token };
    db.store.add_token("its own", &token).await.unwrap();
    assert!(db.store.remove_account("acme").await.unwrap());
    assert_eq!(db.store.token("its own").await.unwrap(), None, "a namesake would come by it");
    assert!(db.store.seen_by(Viewer::default()).may(Act::Write, "acme/x").await.is_ok());
}

async fn access_is_asked_for_and_decided(db: Db) {
    db.store.upsert(&[(named("org/m"), vec![])]).await.unwrap();
    let model = close(&db, "org/m", Openness { private: None, gated: Some(Some(Gating::Manual)) }).await;
    let bob = db.store.seen_by(Viewer { name: Some("Bob".into()), ..Viewer::default() });
    let reads = async || bob.may(Act::Read, "org/m").await.is_ok();

    assert!(!reads().await);
    assert_eq!(db.store.ask_access((model, "Bob"), Gating::Manual).await.unwrap(), GrantState::Pending);
    assert!(!reads().await);
    db.store.decide_access((model, "bob"), GrantState::Accepted, Some("ann")).await.unwrap();
    assert!(reads().await);
    db.store.decide_access((model, "bob"), GrantState::Rejected, Some("ann")).await.unwrap();
    assert!(!reads().await);
    assert_eq!(db.store.ask_access((model, "bob"), Gating::Auto).await.unwrap(), GrantState::Rejected);
    db.store.ask_access((model, "dora"), Gating::Manual).await.unwrap();
    assert_eq!(db.store.ask_access((model, "dora"), Gating::Auto).await.unwrap(), GrantState::Accepted);
    assert_eq!(db.store.ask_access((model, "carl"), Gating::Auto).await.unwrap(), GrantState::Accepted);
    assert_eq!(db.store.access_of(model, GrantState::Rejected, 9).await.unwrap()[0].person, "bob");
    assert!(matches!(bob.may(Act::Read, "org/m").await, Err(Error::Gated(_))));
    db.store.delete_model(model).await.unwrap();
}

async fn whoever_comes_by_a_removed_name_inherits_nothing(db: Db) {
    account(&db, "Carl_x", AccountKind::User).await;
    db.store.upsert(&[(named("org/gated"), vec![]), (named("carl_x/own"), vec![])]).await.unwrap();
    let gated = close(&db, "org/gated", Openness { private: None, gated: Some(Some(Gating::Manual)) }).await;
    db.store.decide_access((gated, "carl_x"), GrantState::Accepted, None).await.unwrap();
    let (secret, size) = db.store.put_bytes(&Holder::upload_of(Some("Carl_x")), b"secret").await.unwrap();
    db.store.put_bytes(&Holder::upload_of(Some("carlyx")), b"secret").await.unwrap();
    let file = FileRow { path: "a.txt".to_owned(), size, digest: secret };
    db.store.publish(files_only("org/secret", vec![file])).await.unwrap();
    hide(&db, "org/secret").await;
    hide(&db, "carl_x/own").await;
    let carl = async || {
        let viewer = db.store.viewer_named("Carl_x", Role::Admin).await.unwrap();
        db.store.seen_by(viewer)
    };
    let job = || NewJob { kind: "k".into(), payload: json!({}), idempotency_key: None, output: None };
    let (open, _) = carl().await.enqueue(job(), 9).await.unwrap();
    let first = db.store.claim(&["k"], "w", 60).await.unwrap().unwrap();
    db.store.finish(&first.hold(), json!({})).await.unwrap();
    let before = carl().await;
    before.model_by_id("carl_x/own").await.unwrap().unwrap();
    let (closed, _) = before.enqueue(job(), 9).await.unwrap();
    let search = NewSearch {
        id: Ulid::generate().to_string(),
        basis: json!({}),
        progress: json!({}),
        lower: true,
        candidates: vec![],
        request: json!({}),
        idempotency_key: None,
    };
    let search = before.create_search(search).await.unwrap();

    assert!(db.store.remove_account("CARL_X").await.unwrap());
    account(&db, "carl_x", AccountKind::User).await;

    let namesake = carl().await;
    assert!(matches!(namesake.may(Act::Read, "org/gated").await, Err(Error::Gated(_))));
    assert!(!namesake.may_have(&secret).await.unwrap());
    let other = Viewer { name: Some("carlyx".into()), ..Viewer::default() };
    assert!(db.store.seen_by(other).may_have(&secret).await.unwrap(), "another name's uploads stay");
    let seen = namesake.jobs(None, 9, None).await.unwrap().items;
    assert_eq!(seen.iter().map(|job| &job.id).collect::<Vec<_>>(), [&open.id], "what everybody may see");
    assert_eq!(db.store.job(&closed.id).await.unwrap().unwrap().state, "cancelled");
    assert!(db.store.claim(&["k"], "w", 60).await.unwrap().is_none());
    assert!(namesake.recipe_search(&search).await.unwrap().is_none());
    assert_eq!(db.store.recipe_search(&search).await.unwrap().unwrap().state, "cancelled");
    for id in [&open.id, &closed.id] {
        assert_eq!(db.store.asker(id).await.unwrap(), None);
    }
}
