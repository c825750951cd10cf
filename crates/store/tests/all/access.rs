//! What is hidden from whom: conditions in SQL and the one decision agree.

use domain::{Act, Gating, Role, Viewer};
use serde_json::json;
use store::{
    AccountKind, AccountRow, Error, GrantState, MemberRow, NewJob, Openness, Scope, SearchQuery, TokenRow,
};

use crate::common::{Db, card_claim, db_test, named};

db_test!(
    lists_show_what_the_decision_allows,
    a_token_lends_the_roles_of_its_user_and_a_read_only_one_no_more_than_reading,
    of_a_hidden_parent_nothing_is_said,
    a_job_that_met_a_private_model_is_its_askers_alone,
    an_account_has_a_name_of_its_own,
    access_is_asked_for_and_decided,
);

async fn account(db: &Db, name: &str, kind: AccountKind) {
    let new = AccountRow { name: name.to_owned(), kind, admin: false, created_at: 0 };
    db.store.add_account(&new).await.unwrap();
}

async fn close(db: &Db, name: &str, wanted: Openness) -> i64 {
    let row = db.store.model_by_id(name).await.unwrap().unwrap();
    db.store.set_openness(row.id, wanted).await.unwrap();
    row.id
}

async fn hide(db: &Db, name: &str) -> i64 {
    close(db, name, Openness { private: Some(true), gated: None }).await
}

fn member(role: Role) -> Viewer {
    Viewer { name: Some("Ann".into()), roles: [("org".to_owned(), role)].into(), everywhere: None }
}

async fn lists_show_what_the_decision_allows(db: Db) {
    let names = ["Org/open", "Org/closed", "other/open", "other/closed", "bare"];
    for name in names {
        db.store.upsert(&[(named(name), vec![])]).await.unwrap();
    }
    for name in ["Org/closed", "other/closed", "bare"] {
        hide(&db, name).await;
    }
    for viewer in [Viewer::default(), member(Role::Read), member(Role::Admin), Viewer::house()] {
        let seen = db.store.seen_by(viewer.clone());

        let page = seen.search(SearchQuery { limit: 100, ..SearchQuery::default() }).await.unwrap();

        for name in names {
            let allowed = seen.may(Act::See, name).await.is_ok();
            let row = db.store.model_by_id(name).await.unwrap().unwrap();
            assert_eq!(page.items.iter().any(|row| row.name == name), allowed, "{name} for {viewer:?}");
            assert_eq!(seen.model_by_id(name).await.unwrap().is_some(), allowed, "{name} for {viewer:?}");
            assert_eq!(seen.light_models(&[row.id]).await.unwrap().len(), usize::from(allowed));
            assert_eq!(!seen.hidden().await.unwrap().contains(&row.id), allowed, "{name} for {viewer:?}");
        }
    }
}

async fn a_token_lends_the_roles_of_its_user_and_a_read_only_one_no_more_than_reading(db: Db) {
    account(&db, "Org", AccountKind::Org).await;
    let new = MemberRow { org: "org".into(), person: "Ann".into(), role: Role::Admin };
    db.store.set_member(&new).await.unwrap();
    let boss = AccountRow { name: "boss".into(), kind: AccountKind::User, admin: true, created_at: 0 };
    db.store.add_account(&boss).await.unwrap();
    let token = |owner: &str, scope| TokenRow {
        id: 0,
        owner: owner.into(),
        label: String::new(),
        scope,
        created_at: 0,
        expires_at: None,
    };
    let of = async |owner: &str, scope| db.store.viewer_of(&token(owner, scope)).await.unwrap();

    let (write, read) = (of("ann", Scope::Write).await, of("Ann", Scope::Read).await);

    assert_eq!(
        [write.role_in(Some("ORG")), read.role_in(Some("org"))],
        [Some(Role::Admin), Some(Role::Read)]
    );
    assert_eq!(
        [write.role_in(Some("Ann")), read.role_in(Some("ann"))],
        [Some(Role::Admin), Some(Role::Read)]
    );
    assert_eq!(write.role_in(Some("boss")), None);
    assert_eq!(of("boss", Scope::Write).await.everywhere, Some(Role::Admin));
    assert_eq!(of("boss", Scope::Read).await.everywhere, Some(Role::Read));
    assert!(db.store.remove_member("ORG", "ANN").await.unwrap());
    assert_eq!(of("ann", Scope::Write).await.role_in(Some("org")), None);
    let nowhere = db.store.set_member(&MemberRow { org: "boss".into(), ..new }).await;
    assert!(matches!(nowhere, Err(Error::NoOrg(_))));
}

async fn of_a_hidden_parent_nothing_is_said(db: Db) {
    db.store
        .upsert(&[(named("org/base"), vec![]), (named("a/b"), vec![card_claim("org/base")])])
        .await
        .unwrap();
    let parent = hide(&db, "org/base").await;
    let child = db.store.model_by_id("a/b").await.unwrap().unwrap().id;
    let outside = db.store.seen_by(Viewer::default());

    let edge = outside.edges_of(child).await.unwrap().remove(0);

    assert_eq!((edge.as_written, edge.evidence), (format!("private model {parent}"), vec![]));
    let inside = db.store.seen_by(member(Role::Read)).edges_of(child).await.unwrap().remove(0);
    assert_eq!((inside.as_written.as_str(), inside.evidence.len()), ("org/base", 1));
    hide(&db, "a/b").await;
    assert!(outside.edges_to(parent).await.unwrap().is_empty());
}

async fn a_job_that_met_a_private_model_is_its_askers_alone(db: Db) {
    db.store.upsert(&[(named("org/closed"), vec![]), (named("a/open"), vec![])]).await.unwrap();
    hide(&db, "org/closed").await;
    let job = || NewJob { kind: "k".into(), payload: json!({}), idempotency_key: None, output: None };
    let (ann, nobody) = (db.store.seen_by(member(Role::Read)), db.store.seen_by(Viewer::default()));
    let bob = db.store.seen_by(Viewer { name: Some("bob".into()), ..Viewer::default() });

    let (open, _) = ann.enqueue(job(), 9).await.unwrap();
    ann.model_by_id("org/closed").await.unwrap().unwrap();
    let (closed, _) = ann.unveiled().enqueue(job(), 9).await.unwrap();
    let about = NewJob { payload: json!({"model": "org/closed@main"}), ..job() };
    let (owed, _) = db.store.enqueue(about, 9).await.unwrap();

    for other in [&nobody, &bob] {
        let listed = other.jobs(None, 9, None).await.unwrap().items;
        assert_eq!(listed.iter().map(|job| &job.id).collect::<Vec<_>>(), [&open.id]);
        assert!(other.job(&closed.id).await.unwrap().is_none());
    }
    assert_eq!(db.store.seen_by(member(Role::Read)).jobs(None, 9, None).await.unwrap().items.len(), 2);
    assert!(db.store.job(&owed.id).await.unwrap().is_some(), "the house sees all");
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
    };
    db.store.add_token("secret", &token).await.unwrap();
    let org =
        |name: &str| AccountRow { name: name.into(), kind: AccountKind::Org, admin: false, created_at: 0 };

    let again = db.store.add_account(&org("ACME")).await;
    let bearer = db.store.add_account(&org("carl")).await;

    assert!(matches!(again, Err(Error::NameTaken(_))) && matches!(bearer, Err(Error::NameTaken(_))));
    assert_eq!(db.store.accounts().await.unwrap().len(), 1);
    assert!(db.store.seen_by(Viewer::default()).may(Act::Write, "acme/x").await.is_err());
    assert!(db.store.remove_account("acme").await.unwrap());
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
    assert_eq!(db.store.ask_access((model, "carl"), Gating::Auto).await.unwrap(), GrantState::Accepted);
    assert_eq!(db.store.access_of(model, GrantState::Rejected, 9).await.unwrap()[0].person, "bob");
    assert!(matches!(bob.may(Act::Read, "org/m").await, Err(Error::Gated(_))));
    db.store.delete_model(model).await.unwrap();
}
