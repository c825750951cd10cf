//! What is hidden from whom: conditions in SQL and the one decision agree.

use domain::{Act, Gating, Relation, Role, Source, Viewer};
use futures::TryStreamExt as _;
use serde_json::json;
use store::{
    AccountKind, AccountRow, Decision, Error, FileRow, Founding, Holder, MemberRow, NewCommit, NewDecision,
    NewJob, Openness, Publish, Scope, SearchQuery, Store, TokenRow,
};

use crate::{
    common::{Db, card_claim, claim, db_test, files_only, id, named},
    revisions::publish,
};

db_test!(
    lists_show_what_the_decision_allows,
    a_token_lends_the_roles_of_its_user_and_a_read_only_one_no_more_than_reading,
    of_a_hidden_parent_nothing_is_said,
    a_name_that_a_private_model_has_is_a_ghost_to_whoever_names_it,
    a_model_that_begins_private_leaves_the_ghost_of_its_name_to_others,
    a_renamed_or_deleted_private_model_leaves_no_trace_of_its_name,
    a_hidden_name_is_refused_as_an_absent_one_is,
    a_person_who_names_a_private_parent_hears_what_is_said_of_an_absent_one,
    totals_are_of_what_the_viewer_sees,
    a_job_that_met_a_private_model_is_its_askers_alone,
    what_weights_say_of_an_open_edge_names_no_hidden_model,
    what_a_job_made_is_for_its_asker_and_for_those_who_may_read_its_inputs,
    a_blob_that_nothing_names_is_open_to_whoever_uploaded_it_alone,
);

pub async fn account(db: &Db, name: &str, kind: AccountKind) {
    let new = AccountRow { name: name.to_owned(), kind, admin: false, created_at: 0 };
    db.store.add_account(&new).await.unwrap();
}

pub async fn close(db: &Db, name: &str, wanted: Openness) -> i64 {
    let row = db.store.model_by_id(name).await.unwrap().unwrap();
    db.store.set_openness(row.id, wanted).await.unwrap();
    row.id
}

pub async fn hide(db: &Db, name: &str) -> i64 {
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
        last_used_on: None,
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

/// A child of another namespace that names `org/base`, published after that was made private.
async fn with_a_stranger(db: &Db) -> i64 {
    db.store.upsert(&[(named("org/base"), vec![])]).await.unwrap();
    let parent = hide(db, "org/base").await;
    db.store.upsert(&[(named("a/b"), vec![card_claim("Org/Base")])]).await.unwrap();
    parent
}

/// What the store says of a parent to somebody who names it.
async fn told(store: &Store, parent: &str) -> String {
    let row = store.model_by_id(parent).await.unwrap().unwrap();
    let children: Vec<i64> =
        store.edges_to(row.id).await.unwrap().into_iter().map(|edge| edge.child).collect();
    let children = store.models_by_ids(&children).await.unwrap();
    let children: Vec<&str> = children.iter().map(|row| row.name.as_str()).collect();
    let found = SearchQuery { text: Some(parent.into()), limit: 9, ..SearchQuery::default() };
    let found = store.search(found).await.unwrap().items;
    let below = SearchQuery { child_of: vec![(None, parent.into())], limit: 9, ..SearchQuery::default() };
    let below = store.search(below).await.unwrap().items;
    let nodes = store.forest_nodes().try_concat().await.unwrap();
    let node = nodes.iter().find(|node| node.id == row.id).unwrap();
    format!(
        "{} {} {:?} {} {} {} {}",
        row.name.to_lowercase(),
        row.ghost,
        row.created_at,
        children.join(","),
        found.len(),
        below.len(),
        node.ghost
    )
}

async fn a_name_that_a_private_model_has_is_a_ghost_to_whoever_names_it(db: Db) {
    let parent = with_a_stranger(&db).await;
    db.store.upsert(&[(named("a/c"), vec![card_claim("org/none")])]).await.unwrap();
    let outside = db.store.seen_by(Viewer::default());
    let inside = db.store.seen_by(member(Role::Read));

    let (closed, absent) = (told(&outside, "org/base").await, told(&outside, "org/none").await);
    for text in ["!", "base!", "org/base!"] {
        let query = SearchQuery { text: Some(text.into()), limit: 9, ..SearchQuery::default() };
        assert!(outside.search(query).await.unwrap().items.is_empty(), "{text}");
    }
    let mut listed = SearchQuery { sort: store::Sort::Name, limit: 1, ..SearchQuery::default() };
    let mut names = Vec::new();
    loop {
        let page = outside.search(listed.clone()).await.unwrap();
        names.extend(page.items.into_iter().map(|row| row.name.to_lowercase()));
        let Some(next) = page.next else { break };
        assert!(!next.contains('!'), "{next}");
        listed.cursor = Some(next);
    }
    assert_eq!(names, ["a/b", "a/c", "org/base", "org/none"]);

    assert_eq!(closed.replace("org/base", "org/none").replace("a/b", "a/c"), absent);
    assert_eq!(inside.model_by_id("org/base").await.unwrap().unwrap().id, parent);
    assert!(inside.edges_to(parent).await.unwrap().is_empty(), "a name elsewhere is only a name");
    let kin = vec![card_claim("org/base")];
    let made = claim("org/base", Relation::Merge, Source::Recipe, 1.0);
    db.store.upsert(&[(named("org/kin"), kin), (named("a/made"), vec![made])]).await.unwrap();
    assert_eq!(inside.edges_to(parent).await.unwrap().len(), 2, "its own, and what was made of it here");
    let open = Openness { private: Some(false), gated: None };
    close(&db, "org/base", open).await;
    assert_eq!(outside.edges_to(parent).await.unwrap().len(), 3);
    assert_eq!(outside.model_by_id("org/base").await.unwrap().unwrap().id, parent);
    assert_eq!(db.store.count_models().await.unwrap().ghosts, 1, "only org/none is left");
}

async fn a_model_that_begins_private_leaves_the_ghost_of_its_name_to_others(db: Db) {
    db.store
        .upsert(&[
            (named("a/b"), vec![card_claim("org/base")]),
            (named("org/own"), vec![card_claim("org/base")]),
        ])
        .await
        .unwrap();
    let outside = db.store.seen_by(Viewer::default());
    let before = outside.model_by_id("org/base").await.unwrap().unwrap();

    let commit = NewCommit { founds: Some(Founding::Private), ..NewCommit::default() };
    let new = Publish { commit, ..publish(named("org/base"), Vec::new()) };
    db.store.publish(new).await.unwrap();

    let after = outside.model_by_id("org/base").await.unwrap().unwrap();
    assert_eq!((after.name, after.ghost), (before.name, true));
    let inside = db.store.seen_by(member(Role::Read)).model_by_id("org/base").await.unwrap().unwrap();
    assert!(inside.private && !inside.ghost);
    let names = async |parent: i64| {
        let edges = db.store.edges_to(parent).await.unwrap();
        let rows = db.store.models_by_ids(&edges.iter().map(|edge| edge.child).collect::<Vec<_>>()).await;
        rows.unwrap().into_iter().map(|row| row.name).collect::<Vec<_>>()
    };
    assert_eq!((names(after.id).await, names(inside.id).await), (vec!["a/b".into()], vec!["org/own".into()]));
}

async fn a_renamed_or_deleted_private_model_leaves_no_trace_of_its_name(db: Db) {
    let parent = with_a_stranger(&db).await;
    db.store.upsert(&[(named("a/c"), vec![card_claim("org/next")])]).await.unwrap();
    let outside = db.store.seen_by(Viewer::default());
    let is_ghost = async |name: &str| {
        outside.model_by_id(name).await.unwrap().is_some_and(|row| row.ghost && row.name == name)
    };
    let [from, to] = ["org/base", "org/next"].map(id);

    db.store.rename_model((parent, &from), &to).await.unwrap();

    assert_eq!(db.store.model_by_id("org/base").await.unwrap().unwrap().id, parent);
    assert!(is_ghost("Org/Base").await || is_ghost("org/base").await);
    assert!(is_ghost("org/next").await, "its name was a ghost's, and is one to others");
    db.store.delete_model(parent).await.unwrap();
    assert!(is_ghost("org/next").await);
    assert_eq!(db.store.model_by_id("org/next").await.unwrap().map(|row| row.ghost), Some(true));
}

async fn a_hidden_name_is_refused_as_an_absent_one_is(db: Db) {
    for name in ["free/base", "bare", "old/name"] {
        db.store.upsert(&[(named(name), vec![])]).await.unwrap();
    }
    let moved = hide(&db, "old/name").await;
    let [from, to] = ["old/name", "new/name"].map(id);
    db.store.rename_model((moved, &from), &to).await.unwrap();
    for name in ["free/base", "bare"] {
        hide(&db, name).await;
    }
    let outside = db.store.seen_by(Viewer { name: Some("bob".into()), ..Viewer::default() });

    let pairs =
        [("free/base", "free/none"), ("bare", "none"), ("old/name", "old/none"), ("new/name", "new/none")];
    for (closed, absent) in pairs {
        for act in [Act::Write, Act::Govern, Act::Close] {
            let told = async |name: &str| {
                outside.may(act, name).await.err().map(|error| error.to_string().replace(name, ""))
            };

            let (closed, absent) = (told(closed).await, told(absent).await);

            assert!(closed.is_some() && closed == absent, "{act:?} {closed:?} {absent:?}");
        }
    }
    assert!(outside.may(Act::Write, "elsewhere/x").await.is_ok());
}

async fn a_person_who_names_a_private_parent_hears_what_is_said_of_an_absent_one(db: Db) {
    db.store
        .upsert(&[(named("org/base"), vec![]), (named("a/b"), vec![]), (named("a/c"), vec![])])
        .await
        .unwrap();
    hide(&db, "org/base").await;
    let outside = db.store.seen_by(Viewer::default());
    let child = async |name: &str| outside.model_by_id(name).await.unwrap().unwrap().id;
    let decide = async |name: &str, parent: &str, decision| {
        let new = NewDecision {
            child: child(name).await,
            parent: id(parent),
            decision,
            relation: None,
            person: "ann".into(),
            reason: String::new(),
        };
        outside.decide(&new).await.err().map(|error| error.to_string().replace(parent, ""))
    };

    for (name, parent) in [("a/b", "org/base"), ("a/c", "org/none")] {
        assert!(decide(name, parent, Decision::Confirm).await.is_some());
        assert_eq!(decide(name, parent, Decision::Add).await, None);
    }

    let said = async |name: &str, parent: &str| {
        let edge = outside.edges_of(child(name).await).await.unwrap().remove(0);
        let row = outside.model(edge.parent).await.unwrap().unwrap();
        format!("{} {} {} {:?}", row.name, row.ghost, edge.as_written, edge.evidence).replace(parent, "")
    };
    assert_eq!(said("a/b", "org/base").await, said("a/c", "org/none").await);
}

async fn totals_are_of_what_the_viewer_sees(db: Db) {
    db.store
        .upsert(&[
            (named("org/closed"), vec![card_claim("org/gone")]),
            (named("a/open"), vec![card_claim("org/closed")]),
        ])
        .await
        .unwrap();
    hide(&db, "org/closed").await;
    let bob = db.store.seen_by(Viewer { name: Some("bob".into()), ..Viewer::default() });
    let ann = db.store.seen_by(member(Role::Read));
    ann.model_by_id("org/closed").await.unwrap().unwrap();
    let job = NewJob { kind: "k".into(), payload: json!({}), idempotency_key: None, output: None };
    ann.enqueue(job, 9).await.unwrap();
    let totals = async |store: &Store| {
        let counts = store.count_models().await.unwrap();
        (counts.models, counts.ghosts, counts.edges, counts.jobs_queued)
    };

    assert_eq!(totals(&bob).await, (1, 1, 1, 0));
    assert_eq!(totals(&ann).await, (2, 1, 2, 1));
    assert_eq!(totals(&db.store).await, (2, 1, 2, 1));
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
    let older = NewJob { payload: json!({"yaml": "model: A/Open\n"}), ..job() };
    let (older, _) = db.store.enqueue(older, 9).await.unwrap();
    assert!(nobody.job(&older.id).await.unwrap().is_some());
    hide(&db, "a/open").await;
    assert!(nobody.job(&older.id).await.unwrap().is_none(), "it speaks of a model that was closed since");
    assert_eq!(nobody.jobs(None, 9, None).await.unwrap().items.len(), 1);
}

async fn a_blob_that_nothing_names_is_open_to_whoever_uploaded_it_alone(db: Db) {
    let nobody = db.store.seen_by(Viewer::default());
    let [ann, bob] =
        ["Ann", "bob"].map(|name| db.store.seen_by(Viewer { name: Some(name.into()), ..Viewer::default() }));
    let (sent, _) =
        db.store.put_bytes(&Holder::upload_of(Some("ann")), b"for a private model").await.unwrap();
    let (kept, size) = db.store.put_bytes(&Holder::new(), b"behind a gate").await.unwrap();
    let file = FileRow { path: "a.txt".to_owned(), size, digest: kept };
    db.store.publish(files_only("org/gated", vec![file])).await.unwrap();
    let open = nobody.may_have(&kept).await.unwrap();
    let model = close(&db, "org/gated", Openness { private: None, gated: Some(Some(Gating::Manual)) }).await;

    let gated = nobody.may_have(&kept).await.unwrap();
    db.store.delete_model(model).await.unwrap();

    assert_eq!((open, gated), (true, false));
    for viewer in [&nobody, &ann, &bob] {
        assert!(!viewer.may_have(&kept).await.unwrap(), "the model that held it was gated");
    }
    assert!(ann.may_have(&sent).await.unwrap());
    for other in [&nobody, &bob] {
        assert!(!other.may_have(&sent).await.unwrap(), "it is not committed yet, and hers");
    }
    assert!(db.store.may_have(&kept).await.unwrap(), "the house sees all");
}

async fn what_weights_say_of_an_open_edge_names_no_hidden_model(db: Db) {
    let mut told = claim("a/parent", Relation::Finetune, Source::Weights, 0.9);
    let said = "a finetune; told from `a/parent` in 3.5 bits, from `org/rival` in 4.3; one step";
    told.evidence[0].detail = said.to_owned();
    let mut card = card_claim("a/parent");
    card.evidence[0].detail = "trained like org/rival".to_owned();
    db.store.upsert(&[(named("org/rival"), vec![]), (named("a/parent"), vec![])]).await.unwrap();
    db.store.upsert(&[(named("a/b"), vec![told, card])]).await.unwrap();
    let child = db.store.model_by_id("a/b").await.unwrap().unwrap().id;
    let details = async |viewer| {
        let edge = db.store.seen_by(viewer).edges_of(child).await.unwrap().remove(0);
        edge.evidence.into_iter().map(|told| told.detail).collect::<Vec<_>>()
    };

    let before = details(Viewer::default()).await;
    hide(&db, "org/rival").await;

    assert_eq!(before, [said, "trained like org/rival"]);
    assert_eq!(details(Viewer::default()).await, ["a finetune; one step", "trained like org/rival"]);
    assert_eq!(details(member(Role::Read)).await, before);
}

async fn what_a_job_made_is_for_its_asker_and_for_those_who_may_read_its_inputs(db: Db) {
    db.store.upsert(&[(named("org/tuned"), vec![]), (named("a/base"), vec![])]).await.unwrap();
    let bob = db.store.seen_by(Viewer { name: Some("bob".into()), ..Viewer::default() });
    let nobody = db.store.seen_by(Viewer::default());
    let reader = db.store.seen_by(member(Role::Read));
    let payload = json!({"pins": {"org/tuned@sha256:00": "", "a/base": ""}});
    let new = NewJob { kind: "diff".into(), payload, idempotency_key: None, output: None };
    bob.enqueue(new, 9).await.unwrap();
    let taken = db.store.claim(&["diff"], "worker", 60).await.unwrap().unwrap();
    let (made, _) = db.store.put_bytes(&Holder::new(), b"difference").await.unwrap();
    db.store.keep_result(&taken.hold(), &made).await.unwrap();
    let may = async || {
        let of = async |store: &Store| store.may_have(&made).await.unwrap();
        [of(&bob).await, of(&reader).await, of(&nobody).await]
    };

    let open = may().await;
    close(&db, "org/tuned", Openness { private: None, gated: Some(Some(Gating::Manual)) }).await;
    let gated = may().await;
    let row = hide(&db, "org/tuned").await;
    let private = may().await;
    db.store.delete_model(row).await.unwrap();

    assert_eq!(open, [true; 3]);
    assert_eq!([gated, private], [[true, true, false]; 2]);
    assert_eq!(may().await, [true, false, false], "it would be open once more");
}
