//! Commits, branches and tags; repositories renamed and taken away; tokens.

use std::sync::Arc;

use domain::{Gating, Relation, Source};
use sea_orm::{ConnectionTrait as _, Database};
use store::{
    Attach, Decision, Error, FileRow, Founding, Holder, NewCommit, NewDecision, Openness, Publish, RefKind,
    RefRow, Scope, Store, TokenRow,
};

use crate::common::{Db, card_claim, claim, db_test, files_only, id, named};

db_test!(
    every_publish_is_a_commit_and_the_same_content_is_none,
    a_commit_on_a_branch_that_moved_is_refused,
    of_two_commits_on_one_head_one_wins,
    a_parent_is_named_by_its_first_digits_too,
    the_last_commit_of_a_file_is_found_however_long_ago_it_was,
    a_branch_is_no_tag_and_no_commit,
    a_commit_that_is_here_already_takes_nothing_from_the_history,
    of_many_who_found_a_model_one_does_and_opens_its_name_at_once,
    another_branch_leaves_the_model_as_it_is,
    names_of_commits_are_taken_once_and_given_back,
    weights_are_attached_once_and_taken_over_where_they_are_the_same,
    a_renamed_model_is_found_by_both_names,
    a_name_that_is_taken_is_not_given_again,
    a_deleted_model_stays_behind_as_a_ghost_only_where_it_is_a_parent,
    a_deleted_model_takes_along_the_ghosts_that_only_it_named_and_its_gate,
    tokens_end_when_they_expire_or_are_revoked,
    the_key_of_an_upload_is_of_its_token_and_ends_with_it,
    an_address_with_a_nul_names_no_commit,
    a_token_tells_the_day_of_its_last_use_also_by_a_session,
);

async fn file(store: &Store, path: &str, bytes: &[u8]) -> FileRow {
    let (digest, size) = store.put_bytes(&Holder::new(), bytes).await.unwrap();
    FileRow { path: path.to_owned(), size, digest }
}

async fn publish(store: &Store, name: &str, (content, commit): (&str, NewCommit)) -> Result<String, Error> {
    let files = vec![file(store, "notes.txt", content.as_bytes()).await];
    let publish = Publish { commit, ..files_only(name, files) };
    store.publish_commit(publish).await.map(|(_, oid)| oid)
}

fn titled(title: &str) -> NewCommit {
    NewCommit { title: title.to_owned(), ..NewCommit::default() }
}

async fn model(store: &Store, name: &str) -> i64 {
    store.model_by_id(name).await.unwrap().unwrap().id
}

async fn every_publish_is_a_commit_and_the_same_content_is_none(db: Db) {
    let first = publish(&db.store, "a/b", ("1", titled("one"))).await.unwrap();
    let second = publish(&db.store, "a/b", ("2", titled("two"))).await.unwrap();
    let again = publish(&db.store, "a/b", ("2", titled("three"))).await.unwrap();
    let back = publish(&db.store, "a/b", ("1", titled("back"))).await.unwrap();
    let model = model(&db.store, "a/b").await;

    assert_eq!(again, second);
    assert!(first.len() == 40 && first.bytes().all(|b| b.is_ascii_hexdigit()), "{first}");
    let (all, total) = db.store.history(model, &back, (0, 10)).await.unwrap();
    assert_eq!(total, 3);
    assert_eq!(all.iter().map(|c| c.title.as_str()).collect::<Vec<_>>(), ["back", "two", "one"]);
    assert_eq!(all[0].parent.as_ref(), Some(&second));
    let (page, total) = db.store.history(model, &back, (1, 1)).await.unwrap();
    assert_eq!((page[0].oid.as_str(), total), (second.as_str(), 3));
    for name in ["main", &back] {
        assert_eq!(db.store.commit(model, name).await.unwrap().unwrap().oid, back, "{name}");
    }
    let digest = all[1].digest;
    for name in [digest.to_string(), digest.hex()] {
        assert_eq!(db.store.commit(model, &name).await.unwrap().unwrap().oid, second, "{name}");
    }
    assert!(db.store.commit(model, "nothing").await.unwrap().is_none());
}

async fn a_commit_on_a_branch_that_moved_is_refused(db: Db) {
    let first = publish(&db.store, "a/b", ("1", titled("one"))).await.unwrap();
    publish(&db.store, "a/b", ("2", titled("two"))).await.unwrap();
    let seen = NewCommit { parent: Some(first), ..titled("late") };

    let refused = publish(&db.store, "a/b", ("3", seen)).await;

    assert!(matches!(refused, Err(Error::StaleParent { .. })), "{refused:?}");
    let row = db.store.model_by_id("a/b").await.unwrap().unwrap();
    assert_eq!(db.store.commit(row.id, "main").await.unwrap().unwrap().title, "two");
}

async fn of_two_commits_on_one_head_one_wins(db: Db) {
    let head = publish(&db.store, "a/b", ("0", titled("zero"))).await.unwrap();
    let store = Arc::new(db.store.clone());
    let tries: Vec<_> = (1..=4)
        .map(|n| {
            let (store, head) = (Arc::clone(&store), head.clone());
            tokio::spawn(async move {
                let commit = NewCommit { parent: Some(head), ..titled(&format!("try {n}")) };
                publish(&store, "a/b", (&n.to_string(), commit)).await
            })
        })
        .collect();

    let mut won = 0;
    for one in tries {
        match one.await.unwrap() {
            Ok(_) => won += 1,
            Err(Error::StaleParent { .. }) => {}
            Err(other) => panic!("{other}"),
        }
    }

    assert_eq!(won, 1);
}

async fn a_parent_is_named_by_its_first_digits_too(db: Db) {
    let first = publish(&db.store, "a/b", ("1", titled("one"))).await.unwrap();
    let onto = |parent: &str| NewCommit { parent: Some(parent.to_owned()), ..titled("next") };

    let second = publish(&db.store, "a/b", ("2", onto(&first[..7].to_uppercase()))).await.unwrap();

    let model = model(&db.store, "a/b").await;
    let head = db.store.commit(model, "main").await.unwrap().unwrap();
    assert_eq!((head.oid, head.parent), (second.clone(), Some(first.clone())));
    for stale in [&first[..7], &second[..6], "", &format!("{second}0"), "\u{e9}\u{e9}\u{e9}\u{e9}"] {
        let refused = publish(&db.store, "a/b", ("3", onto(stale))).await;
        assert!(matches!(refused, Err(Error::StaleParent { .. })), "{stale}: {refused:?}");
    }
}

async fn the_last_commit_of_a_file_is_found_however_long_ago_it_was(db: Db) {
    let file = |path: &'static str, bytes: String| {
        let store = db.store.clone();
        async move { file(&store, path, bytes.as_bytes()).await }
    };
    // Contents of `old`, `new`, `back` and `again` after each commit.
    let states: Vec<[Option<String>; 4]> = (0..205)
        .map(|n| {
            let back = if (100..103).contains(&n) { "other" } else { "same" };
            let again = (n != 50).then(|| "same".to_owned());
            [Some("old".to_owned()), Some(n.to_string()), Some(back.to_owned()), again]
        })
        .collect();
    let mut oids = Vec::new();
    for state in states {
        let mut files = Vec::new();
        for (path, content) in ["old", "new", "back", "again"].into_iter().zip(state) {
            if let Some(content) = content {
                files.push(file(path, content).await);
            }
        }
        let publish = Publish { commit: titled("next"), ..files_only("a/b", files) };
        oids.push(db.store.publish_commit(publish).await.unwrap().1);
    }
    let model = model(&db.store, "a/b").await;
    let paths = ["old", "new", "back", "again", "none"].map(str::to_owned);

    let told = db.store.last_commits(model, &oids[204], &paths).await.unwrap();

    let of = |path: &str| told.get(path).map(|commit| commit.oid.clone());
    assert_eq!(of("old").as_ref(), Some(&oids[0]));
    assert_eq!(of("new").as_ref(), Some(&oids[204]));
    assert_eq!(of("back").as_ref(), Some(&oids[103]), "changed, and changed back");
    assert_eq!(of("again").as_ref(), Some(&oids[51]), "taken away, and put back");
    assert_eq!(of("none"), None);
    let early = db.store.last_commits(model, &oids[101], &paths).await.unwrap();
    assert_eq!(early["back"].oid, oids[100]);
}

async fn a_branch_is_no_tag_and_no_commit(db: Db) {
    let oid = publish(&db.store, "a/b", ("1", titled("one"))).await.unwrap();
    let id = model(&db.store, "a/b").await;
    let tag = RefRow { kind: RefKind::Tag, name: "v1".to_owned(), oid: oid.clone() };
    db.store.create_ref(id, &tag).await.unwrap();

    assert_eq!(db.store.branch(id, "main").await.unwrap().unwrap().oid, oid);
    for name in ["v1", &oid, "refs/heads/main", "ma\0in"] {
        assert!(db.store.branch(id, name).await.unwrap().is_none(), "{name}");
    }
}

async fn a_commit_that_is_here_already_takes_nothing_from_the_history(db: Db) {
    let elsewhere = |title: &str| NewCommit { oid: Some("a".repeat(40)), ..titled(title) };
    let imported = publish(&db.store, "a/b", ("1", elsewhere("import"))).await.unwrap();
    let edited = publish(&db.store, "a/b", ("2", titled("edit"))).await.unwrap();

    let again = publish(&db.store, "a/b", ("1", elsewhere("import again"))).await.unwrap();
    let same = publish(&db.store, "a/b", ("1", elsewhere("once more"))).await.unwrap();

    let id = model(&db.store, "a/b").await;
    let head = db.store.commit(id, "main").await.unwrap().unwrap();
    let (history, _) = db.store.history(id, &head.oid, (0, 9)).await.unwrap();
    let oids: Vec<&String> = history.iter().map(|one| &one.oid).collect();
    assert_eq!(oids, [&again, &edited, &imported]);
    assert_eq!((same, head.digest), (again, history[2].digest));
    let onto = NewCommit { parent: Some(imported), ..elsewhere("late") };
    let late = publish(&db.store, "a/b", ("1", onto)).await;
    assert!(matches!(late, Err(Error::StaleParent { .. })), "{late:?}");
}

async fn of_many_who_found_a_model_one_does_and_opens_its_name_at_once(db: Db) {
    let founds = |founding| NewCommit { founds: Some(founding), ..NewCommit::default() };
    publish(&db.store, "a/b", ("1", founds(Founding::Private))).await.unwrap();
    let child = (named("a/child"), vec![card_claim("a/b")]);
    db.store.upsert(&[child]).await.unwrap();
    db.store.delete_model(model(&db.store, "a/b").await).await.unwrap();
    let ghost = db.store.model_by_id("a/b").await.unwrap().unwrap();
    assert!(ghost.ghost && ghost.private);

    let tries = (0..6).map(|_| {
        let store = db.store.clone();
        tokio::spawn(async move {
            let publish = Publish { commit: founds(Founding::Open), ..files_only("a/b", Vec::new()) };
            store.publish(publish).await
        })
    });
    let mut made = Vec::new();
    for one in futures::future::join_all(tries).await {
        match one.unwrap() {
            Ok(row) => made.push(row),
            Err(Error::OutputTaken(key)) => assert_eq!(key, "a/b"),
            Err(other) => panic!("{other}"),
        }
    }

    assert_eq!(made.len(), 1);
    let stored = db.store.model(made[0].id).await.unwrap().unwrap();
    assert_eq!((made[0].private, stored.private, stored.ghost), (false, false, false));
    let late = Publish { commit: founds(Founding::Private), ..files_only("a/b", Vec::new()) };
    assert!(matches!(db.store.publish(late).await, Err(Error::OutputTaken(_))));
    assert!(!db.store.model_by_id("a/b").await.unwrap().unwrap().private);
}

async fn another_branch_leaves_the_model_as_it_is(db: Db) {
    let main = publish(&db.store, "a/b", ("1", titled("one"))).await.unwrap();
    let id = model(&db.store, "a/b").await;
    let dev = RefRow { kind: RefKind::Branch, name: "dev".to_owned(), oid: main.clone() };
    db.store.create_ref(id, &dev).await.unwrap();
    let before = db.store.model_by_id("a/b").await.unwrap().unwrap();

    let commit = NewCommit { branch: "dev".to_owned(), ..titled("there") };
    let there = publish(&db.store, "a/b", ("2", commit)).await.unwrap();

    let after = db.store.model_by_id("a/b").await.unwrap().unwrap();
    assert_eq!((after.revision, after.digest), (before.revision, before.digest));
    assert_eq!(db.store.commit(id, "dev").await.unwrap().unwrap().oid, there);
    assert_eq!(db.store.commit(id, "main").await.unwrap().unwrap().oid, main);
    assert_eq!(db.store.history(id, &there, (0, 9)).await.unwrap().1, 2);
}

async fn names_of_commits_are_taken_once_and_given_back(db: Db) {
    let oid = publish(&db.store, "a/b", ("1", titled("one"))).await.unwrap();
    let id = model(&db.store, "a/b").await;
    let tag = RefRow { kind: RefKind::Tag, name: "v1".to_owned(), oid: oid.clone() };

    db.store.create_ref(id, &tag).await.unwrap();

    assert!(matches!(db.store.create_ref(id, &tag).await, Err(Error::RefExists { .. })));
    assert_eq!(db.store.refs(id, 10).await.unwrap().0.len(), 2);
    let (first, total) = db.store.refs(id, 1).await.unwrap();
    assert_eq!((first[0].name.as_str(), first.len(), total), ("main", 1, 2));
    let names = db.store.refs_at(id, &[&oid], 10).await.unwrap();
    assert_eq!(names.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["main", "v1"]);
    assert!(db.store.refs_at(id, &["none"], 10).await.unwrap().is_empty());
    assert_eq!(db.store.commit(id, "v1").await.unwrap().unwrap().oid, oid);
    assert!(db.store.delete_ref(id, (RefKind::Tag, "v1")).await.unwrap());
    assert!(!db.store.delete_ref(id, (RefKind::Tag, "v1")).await.unwrap());
    assert!(db.store.commit(id, "v1").await.unwrap().is_none());
}

async fn weights_are_attached_once_and_taken_over_where_they_are_the_same(db: Db) {
    publish(&db.store, "a/b", ("1", titled("one"))).await.unwrap();
    let row = db.store.model_by_id("a/b").await.unwrap().unwrap();
    let tensor = crate::revisions::tensor("w");
    let found = Attach {
        revision: row.revision.unwrap(),
        tensors: vec![tensor.clone()],
        sketches: vec![crate::revisions::sketch(0)],
        signature: Some(crate::revisions::signature(0.5)),
        parameters: Some(6),
        notes: vec![domain::Note { code: "told".to_owned(), detail: "so".to_owned() }],
        fence: None,
    };

    db.store.attach(found.clone()).await.unwrap();
    db.store.attach(found).await.unwrap();

    let known = db.store.model_by_id("a/b").await.unwrap().unwrap();
    assert!(known.has_weights && known.parameters == Some(6));
    assert_eq!(db.store.notes_of(known.id).await.unwrap().len(), 1);
    assert_eq!(db.store.tensor_count(row.revision.unwrap()).await.unwrap(), 1);

    let files = vec![file(&db.store, "notes.txt", b"2").await];
    let (weights_of, commit) = (row.revision, titled("card only"));
    let publish = Publish { weights_of, commit, ..files_only("a/b", files) };
    let next = db.store.publish(publish).await.unwrap();

    assert!(next.has_weights && next.revision != row.revision);
    let tensors = db.store.tensors(next.revision.unwrap()).await.unwrap();
    assert_eq!((tensors.len(), tensors[0].name.as_str(), tensors[0].digest), (1, "w", tensor.digest));
    assert_eq!(db.store.signatures(&[next.revision.unwrap()]).await.unwrap().len(), 1);
}

async fn a_renamed_model_is_found_by_both_names(db: Db) {
    publish(&db.store, "a/old", ("1", titled("one"))).await.unwrap();
    db.store.upsert(&[(named("c/child"), vec![card_claim("a/new")])]).await.unwrap();
    let before = model(&db.store, "a/old").await;

    db.store.rename_model((before, &id("a/old")), &id("a/New")).await.unwrap();

    for name in ["a/old", "a/new"] {
        let row = db.store.model_by_id(name).await.unwrap().unwrap();
        assert_eq!((row.id, row.name.as_str(), row.ghost), (before, "a/New", false), "{name}");
    }
    let child = model(&db.store, "c/child").await;
    assert_eq!(db.store.edges_of(child).await.unwrap()[0].parent, before, "the ghost became the model");
}

async fn a_name_that_is_taken_is_not_given_again(db: Db) {
    publish(&db.store, "a/b", ("1", titled("one"))).await.unwrap();
    publish(&db.store, "a/c", ("1", titled("one"))).await.unwrap();
    let first = model(&db.store, "a/b").await;

    let refused = db.store.rename_model((first, &id("a/b")), &id("A/C")).await;

    assert!(matches!(refused, Err(Error::NameTaken(_))), "{refused:?}");
    assert_eq!(db.store.model_by_id("a/b").await.unwrap().unwrap().id, first);
}

async fn a_deleted_model_stays_behind_as_a_ghost_only_where_it_is_a_parent(db: Db) {
    publish(&db.store, "a/parent", ("1", titled("one"))).await.unwrap();
    publish(&db.store, "a/alone", ("2", titled("one"))).await.unwrap();
    db.store.upsert(&[(named("c/child"), vec![card_claim("a/parent")])]).await.unwrap();
    let (parent, alone) = (model(&db.store, "a/parent").await, model(&db.store, "a/alone").await);
    let digest =
        db.store.files(db.store.model(alone).await.unwrap().unwrap().revision.unwrap()).await.unwrap();

    db.store.delete_model(parent).await.unwrap();
    db.store.delete_model(alone).await.unwrap();

    assert!(db.store.model_by_id("a/alone").await.unwrap().is_none());
    let ghost = db.store.model_by_id("a/parent").await.unwrap().unwrap();
    assert!(ghost.ghost && ghost.revision.is_none() && !ghost.has_weights);
    assert!(db.store.refs(parent, 10).await.unwrap().0.is_empty());
    assert!(db.store.has(&digest[0].digest).await.unwrap(), "held by the upload still");
    publish(&db.store, "a/parent", ("3", titled("again"))).await.unwrap();
    assert!(!db.store.model_by_id("a/parent").await.unwrap().unwrap().ghost);
}

async fn a_deleted_model_takes_along_the_ghosts_that_only_it_named_and_its_gate(db: Db) {
    let listed = claim("g/listed", Relation::Finetune, Source::Tag, 0.5);
    let kept = claim("g/kept", Relation::Finetune, Source::Tag, 0.5);
    let batch = [
        (named("a/parent"), vec![]),
        (named("a/child"), vec![listed, kept.clone(), card_claim("a/parent")]),
        (named("a/other"), vec![kept, card_claim("a/parent")]),
    ];
    db.store.upsert(&batch).await.unwrap();
    let (parent, child) = (model(&db.store, "a/parent").await, model(&db.store, "a/child").await);
    let ghost = model(&db.store, "g/listed").await;
    let (person, reason, relation) = ("ann".to_owned(), String::new(), None);
    let said = NewDecision { child, parent: id("g/said"), decision: Decision::Add, relation, person, reason };
    db.store.decide(&said).await.unwrap();
    let gated = Openness { private: None, gated: Some(Some(Gating::Manual)) };
    db.store.set_openness(parent, gated).await.unwrap();
    let before = db.store.change_counter().await.unwrap();

    db.store.delete_model(child).await.unwrap();
    let after = db.store.change_counter().await.unwrap();
    let touched = db.store.touched((before, after)).await.unwrap();
    db.store.delete_model(parent).await.unwrap();

    for name in ["a/child", "g/listed", "g/said"] {
        assert!(db.store.model_by_id(name).await.unwrap().is_none(), "{name}");
    }
    assert!(touched.unwrap().contains(&ghost), "the forest forgets it too");
    assert!(db.store.model_by_id("g/kept").await.unwrap().unwrap().ghost);
    let left = db.store.model_by_id("a/parent").await.unwrap().unwrap();
    assert_eq!((left.ghost, left.gated), (true, None));
}

async fn an_address_with_a_nul_names_no_commit(db: Db) {
    let oid = publish(&db.store, "a/b", ("1", titled("first"))).await.unwrap();
    let model = model(&db.store, "a/b").await;
    let branch = RefRow { kind: RefKind::Branch, name: "x/\u{e9}".to_owned(), oid };
    db.store.create_ref(model, &branch).await.unwrap();

    let along = async |path: &str| db.store.commit_along(model, path).await.unwrap().map(|(_, rest)| rest);

    assert_eq!(along("x/\u{e9}/f").await.as_deref(), Some("f"));
    assert_eq!(along("main/a\0b").await.as_deref(), Some("a\0b"));
    for path in ["\0x/\u{e9}/f", "x/\u{e9}\0/f", "\0\0\0x/\u{e9}", "ma\0in/f", "\0"] {
        assert_eq!(along(path).await, None, "{path:?}");
    }
    assert!(db.store.commit(model, "ma\0in").await.unwrap().is_none());
}

async fn the_key_of_an_upload_is_of_its_token_and_ends_with_it(db: Db) {
    let new = TokenRow {
        id: 0,
        owner: "alice".to_owned(),
        label: "upload".to_owned(),
        scope: Scope::Write,
        created_at: 0,
        expires_at: None,
        last_used_on: None,
    };
    db.store.add_token("secret", &new).await.unwrap();
    let token = db.store.token("secret").await.unwrap().unwrap();

    let key = db.store.upload_key(&token, "secret").await.unwrap();
    let again = db.store.upload_key(&token, "secret").await.unwrap();

    assert_eq!(key, again);
    let known = db.store.token(&key).await.unwrap().unwrap();
    assert_eq!((known.id, known.owner.as_str(), known.scope), (token.id, "alice", Scope::Upload));
    assert_eq!(db.store.tokens((None, 9)).await.unwrap().items.len(), 1);
    assert_eq!(db.store.tokens_of("alice", (None, 9)).await.unwrap().items.len(), 1);
    assert!(db.store.revoke_token(token.id).await.unwrap());
    assert!(db.store.token(&key).await.unwrap().is_none());
}

async fn tokens_end_when_they_expire_or_are_revoked(db: Db) {
    let token = |expires_at| TokenRow {
        id: 0,
        owner: "alice".to_owned(),
        label: "test".to_owned(),
        scope: Scope::Write,
        created_at: 0,
        expires_at,
        last_used_on: None,
    };
    db.store.add_token("lasting", &token(None)).await.unwrap();
    db.store.add_token("ended", &token(Some(1))).await.unwrap();

    let known = db.store.token("lasting").await.unwrap().unwrap();

    assert_eq!((known.owner.as_str(), known.scope), ("alice", Scope::Write));
    assert!(db.store.token("ended").await.unwrap().is_none());
    assert!(db.store.token("never made").await.unwrap().is_none());
    assert_eq!(db.store.tokens((None, 10)).await.unwrap().items.len(), 2);
    assert!(db.store.revoke_token(known.id).await.unwrap());
    assert!(!db.store.revoke_token(known.id).await.unwrap());
    assert!(db.store.token("lasting").await.unwrap().is_none());
}

async fn a_token_tells_the_day_of_its_last_use_also_by_a_session(db: Db) {
    let token = |label: &str| TokenRow {
        id: 0,
        owner: "alice".to_owned(),
        label: label.to_owned(),
        scope: Scope::Write,
        created_at: 0,
        expires_at: None,
        last_used_on: None,
    };
    for label in ["used", "idle", "browser"] {
        db.store.add_token(label, &token(label)).await.unwrap();
    }
    let browser = db
        .store
        .tokens((None, 9))
        .await
        .unwrap()
        .items
        .into_iter()
        .find(|row| row.label == "browser")
        .unwrap();
    db.store.open_session("session", &browser).await.unwrap();

    for secret in ["used", "used", "session", "none of them"] {
        db.store.token(secret).await.unwrap();
    }

    let days = async || -> Vec<(String, Option<i64>)> {
        let rows = db.store.tokens_of("alice", (None, 9)).await.unwrap().items.into_iter().rev();
        rows.map(|row| (row.label, row.last_used_on)).collect()
    };
    let told = days().await;
    let today = told[0].1.unwrap();
    let expected = [("used", Some(today)), ("idle", None), ("browser", Some(today))];
    assert_eq!(told, expected.map(|(label, day)| (label.to_owned(), day)));
    assert!(today % 86_400 == 0 && today > browser.created_at - 2 * 86_400);

    let connection = Database::connect(&db.url).await.unwrap();
    let earlier = format!("UPDATE tokens SET last_used_on = {} WHERE label = 'used'", today - 86_400);
    connection.execute_unprepared(&earlier).await.unwrap();
    db.store.token("used").await.unwrap();
    assert!(days().await[0].1 >= Some(today), "a use on a later day is told");
}
