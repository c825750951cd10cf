//! Models and edges: what an upsert adds, keeps and never erases; search.

use std::collections::HashSet;

use domain::{Class, EdgeStatus, Evidence, Fault as _, Limits, Note, Relation, Source};
use futures::TryStreamExt as _;
use serde_json::Value;
use store::{Decision, Draft, Error, NewDecision, NewJob, SearchQuery, Sort};

use crate::common::{Db, card_claim, claim, db_test, id, named};

db_test!(
    an_unknown_parent_is_a_ghost_until_it_is_imported,
    what_a_later_source_does_not_know_stays_known,
    evidence_from_several_sources_is_united,
    one_batch_may_hold_a_model_twice_and_many_rows,
    a_model_that_is_its_own_parent_is_rejected_as_such,
    pages_follow_each_other_without_gap_or_repeat_while_rows_arrive,
    filters_narrow_a_search_and_wildcards_are_literal,
    a_cursor_of_another_list_is_refused,
    concurrent_batches_of_the_same_models_both_succeed,
    counts_and_forest_rows_follow_every_change,
    a_forest_does_not_overrule_what_a_person_rejected,
    a_search_over_a_limit_is_refused_by_its_name,
    a_change_is_remembered_by_the_models_it_touched,
    a_nul_in_what_was_asked_for_is_no_fault_of_the_database,
    a_newer_record_takes_back_what_its_sources_said,
    an_older_record_changes_nothing_and_is_counted,
);

async fn an_unknown_parent_is_a_ghost_until_it_is_imported(db: Db) {
    let done = db.store.upsert(&[(named("a/child"), vec![card_claim("Meta/Base")])]).await.unwrap();
    assert_eq!((done.inserted, done.updated, done.edges), (1, 0, 1));
    let ghost = db.store.model_by_id("meta/base").await.unwrap().unwrap();
    assert!(ghost.ghost);
    assert_eq!(ghost.name, "Meta/Base");

    let mut real = named("meta/Base");
    real.downloads = Some(7);
    let done = db.store.upsert(&[(real, vec![])]).await.unwrap();
    assert_eq!((done.inserted, done.updated), (1, 0));
    let row = db.store.model_by_id("META/BASE").await.unwrap().unwrap();
    assert_eq!(
        (row.id, row.ghost, row.name.as_str(), row.downloads),
        (ghost.id, false, "meta/Base", Some(7))
    );
    let edges = db.store.edges_to(row.id).await.unwrap();
    assert_eq!((edges.len(), edges[0].as_written.as_str()), (1, "Meta/Base"));
}

async fn what_a_later_source_does_not_know_stays_known(db: Db) {
    let mut full = named("a/b");
    full.license = Some("mit".to_owned());
    full.tags = vec!["x".to_owned()];
    full.card = Some("hello\0world".to_owned());
    full.config = Some(serde_json::json!({"model_type": "llama"}));
    full.notes = vec![Note { code: "odd".to_owned(), detail: "one".to_owned() }];
    db.store.upsert(&[(full, vec![])]).await.unwrap();
    let mut later = named("a/b");
    later.downloads = Some(3);
    let done = db.store.upsert(&[(later, vec![])]).await.unwrap();
    assert_eq!((done.inserted, done.updated), (0, 1));
    let row = db.store.model_by_id("a/b").await.unwrap().unwrap();
    assert_eq!((row.license.as_deref(), row.downloads), (Some("mit"), Some(3)));
    assert_eq!((row.tags, row.card.as_deref()), (vec!["x".to_owned()], Some("helloworld")));
    assert_eq!(row.config.unwrap()["model_type"], "llama");
    assert!(db.store.notes_of(row.id).await.unwrap().is_empty(), "notes are replaced");
}

async fn evidence_from_several_sources_is_united(db: Db) {
    let weak = claim("b/base", Relation::Finetune, Source::Inferred, 0.3);
    let strong = claim("B/Base", Relation::Adapter, Source::AdapterConfig, 0.9);
    let again = claim("b/base", Relation::Merge, Source::Inferred, 0.4);
    for stated in [vec![weak], vec![strong], vec![again]] {
        db.store.upsert(&[(named("a/b"), stated)]).await.unwrap();
    }
    db.store.add_edges(&[(id("A/B"), claim("b/base", Relation::Adapter, Source::Table, 0.9))]).await.unwrap();
    let child = db.store.model_by_id("a/b").await.unwrap().unwrap();
    let edges = db.store.edges_of(child.id).await.unwrap();
    assert_eq!(edges.len(), 1);
    assert_eq!(edges[0].relation, Relation::Adapter);
    let heard: Vec<_> = edges[0].evidence.iter().map(|e| (e.source, e.confidence)).collect();
    assert_eq!(heard, [(Source::Inferred, 0.4), (Source::AdapterConfig, 0.9), (Source::Table, 0.9)]);
}

async fn one_batch_may_hold_a_model_twice_and_many_rows(db: Db) {
    let mut batch: Vec<_> = (0..1_500)
        .map(|n| (named(&format!("org/m{n}")), vec![card_claim(&format!("org/m{}", n / 2))]))
        .collect();
    let mut twice = named("ORG/m7");
    twice.likes = Some(9);
    batch.push((twice, vec![card_claim("org/other")]));
    let done = db.store.upsert(&batch).await.unwrap();
    assert_eq!((done.inserted, done.updated, done.edges), (1_500, 0, 1_501));
    let row = db.store.model_by_id("org/m7").await.unwrap().unwrap();
    assert_eq!((row.name.as_str(), row.likes), ("ORG/m7", Some(9)));
    assert_eq!(db.store.edges_of(row.id).await.unwrap().len(), 2);
    let ids: Vec<i64> =
        db.store.forest_nodes().try_concat().await.unwrap().iter().rev().map(|node| node.id).collect();
    let found: Vec<i64> = db.store.models_by_ids(&ids).await.unwrap().iter().map(|row| row.id).collect();
    assert_eq!(found, ids);
}

async fn a_model_that_is_its_own_parent_is_rejected_as_such(db: Db) {
    db.store.upsert(&[(named("a/b"), vec![card_claim("A/B")])]).await.unwrap();
    let row = db.store.model_by_id("a/b").await.unwrap().unwrap();
    assert_eq!(db.store.edges_of(row.id).await.unwrap()[0].status, EdgeStatus::RejectedSelf);
}

async fn pages_follow_each_other_without_gap_or_repeat_while_rows_arrive(db: Db) {
    let batch: Vec<_> = (0..50)
        .map(|n| {
            let mut metadata = named(&format!("org/m{n:02}"));
            metadata.downloads = (n % 3 > 0).then_some(n % 5);
            metadata.created_at = Some(n % 4);
            (metadata, vec![])
        })
        .collect();
    db.store.upsert(&batch).await.unwrap();
    let first: HashSet<i64> =
        db.store.forest_nodes().try_concat().await.unwrap().iter().map(|node| node.id).collect();
    for (round, sort) in [Sort::Downloads, Sort::Created, Sort::Likes, Sort::Name].into_iter().enumerate() {
        let mut seen = Vec::new();
        let mut cursor = None;
        loop {
            let query = SearchQuery { sort, cursor, limit: 7, ..SearchQuery::default() };
            let page = db.store.search(query).await.unwrap();
            seen.extend(page.items.iter().map(|row| row.id));
            let mut newcomer = named(&format!("new/{round}-{}", seen.len()));
            newcomer.downloads = Some(i64::try_from(seen.len() % 6).unwrap());
            db.store.upsert(&[(newcomer, vec![])]).await.unwrap();
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        let distinct: HashSet<i64> = seen.iter().copied().collect();
        assert_eq!(distinct.len(), seen.len(), "{sort:?} repeats a row");
        assert!(first.is_subset(&distinct), "{sort:?} leaves a row out");
    }
}

async fn filters_narrow_a_search_and_wildcards_are_literal(db: Db) {
    let mut one = named("Org/my_model-7B");
    one.license = Some("MIT".to_owned());
    one.library = Some("transformers".to_owned());
    let two = named("org/myXmodel-13b");
    db.store.upsert(&[(one, vec![card_claim("base/b")]), (two, vec![])]).await.unwrap();
    let names = async |query: SearchQuery| -> Vec<String> {
        let page = db.store.search(SearchQuery { limit: 10, ..query }).await.unwrap();
        page.items.into_iter().map(|row| row.name).collect()
    };
    let any = SearchQuery::default;
    assert_eq!(names(SearchQuery { text: Some("MY_ 7b".to_owned()), ..any() }).await, ["Org/my_model-7B"]);
    assert!(names(SearchQuery { text: Some("100%".to_owned()), ..any() }).await.is_empty());
    assert_eq!(names(SearchQuery { org: Some("ORG".to_owned()), ..any() }).await.len(), 2);
    assert_eq!(names(SearchQuery { license: Some("mit".to_owned()), ..any() }).await.len(), 1);
    assert_eq!(names(SearchQuery { library: Some("transformers".to_owned()), ..any() }).await.len(), 1);
    assert_eq!(names(SearchQuery { relation: Some(Relation::Finetune), ..any() }).await, ["Org/my_model-7B"]);
    assert!(names(SearchQuery { relation: Some(Relation::Merge), ..any() }).await.is_empty());
    assert!(names(SearchQuery { has_weights: Some(true), ..any() }).await.is_empty());
    assert_eq!(names(SearchQuery { has_weights: Some(false), ..any() }).await.len(), 3);
}

async fn a_cursor_of_another_list_is_refused(db: Db) {
    for (sort, cursor) in [(Sort::Name, "downloads.1.2"), (Sort::Likes, "likes.x.2"), (Sort::Created, "")] {
        let query = SearchQuery { sort, cursor: Some(cursor.to_owned()), limit: 5, ..SearchQuery::default() };
        assert!(matches!(db.store.search(query).await, Err(Error::BadCursor(_))), "{cursor}");
    }
}

async fn concurrent_batches_of_the_same_models_both_succeed(db: Db) {
    let writers: Vec<_> = (0..8)
        .map(|n| {
            let store = db.store.clone();
            tokio::spawn(async move {
                for round in 0..5 {
                    let mut models: Vec<_> = (0..20)
                        .map(|m| (named(&format!("x/{m}")), vec![card_claim(&format!("p/{}", m + round))]))
                        .collect();
                    if n % 2 == 0 {
                        models.reverse();
                    }
                    store.upsert(&models).await.unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let counts = db.store.count_models().await.unwrap();
    assert_eq!((counts.models, counts.ghosts, counts.edges), (20, 24, 100));
}

async fn counts_and_forest_rows_follow_every_change(db: Db) {
    let before = db.store.change_counter().await.unwrap();
    db.store.upsert(&[(named("a/b"), vec![card_claim("c/d")])]).await.unwrap();
    let after = db.store.change_counter().await.unwrap();
    assert!(after > before);
    let edges = db.store.forest_edges().try_concat().await.unwrap();
    let stale = db.store.set_edge_status(before, &[(edges[0].id, EdgeStatus::RejectedCycle)]).await.unwrap();
    assert!(!stale && db.store.forest_edges().try_concat().await.unwrap()[0].status == EdgeStatus::Accepted);
    assert!(db.store.set_edge_status(after, &[(edges[0].id, EdgeStatus::RejectedCycle)]).await.unwrap());
    assert!(db.store.change_counter().await.unwrap() > after);
    assert_eq!(db.store.forest_edges().try_concat().await.unwrap()[0].status, EdgeStatus::RejectedCycle);
    // Hearing of the edge again does not overrule the forest.
    db.store.upsert(&[(named("a/b"), vec![card_claim("c/d")])]).await.unwrap();
    assert_eq!(db.store.forest_edges().try_concat().await.unwrap()[0].status, EdgeStatus::RejectedCycle);
    let counts = db.store.count_models().await.unwrap();
    assert_eq!((counts.models, counts.ghosts, counts.edges, counts.with_weights), (1, 1, 0, 0));
}

async fn a_forest_does_not_overrule_what_a_person_rejected(db: Db) {
    db.store.upsert(&[(named("a/b"), vec![card_claim("c/d")])]).await.unwrap();
    let (edge, child) = {
        let edges = db.store.forest_edges().try_concat().await.unwrap();
        (edges[0].id, edges[0].child)
    };
    let (person, reason, relation) = ("ann".to_owned(), String::new(), None);
    let decision = Decision::Reject;
    let said = NewDecision { child, parent: id("c/d"), decision, relation, person, reason };
    db.store.decide(&said).await.unwrap();

    for status in [EdgeStatus::Accepted, EdgeStatus::RejectedCycle] {
        let at = db.store.change_counter().await.unwrap();
        assert!(db.store.set_edge_status(at, &[(edge, status)]).await.unwrap());
        let stored = db.store.forest_edges().try_concat().await.unwrap()[0].status;
        assert_eq!(stored, EdgeStatus::RejectedPerson, "not {status:?}");
    }
}

async fn a_search_over_a_limit_is_refused_by_its_name(db: Db) {
    let over =
        |text: String, org: Option<String>| SearchQuery { text: Some(text), org, ..SearchQuery::default() };
    for (query, limit) in [
        (over("a ".repeat(1_000), None), "search_bytes"),
        (over("w ".repeat(40), None), "search_words"),
        (over("x".repeat(60_000), None), "search_bytes"),
        (over(String::new(), Some("o".repeat(60_000))), "search_bytes"),
    ] {
        let refused = db.store.search(query).await.unwrap_err();

        assert!(refused.class() == Class::Invalid && refused.to_string().contains(limit), "{refused}");
    }
    for (count, length, limit) in [(1_001, 1, "search_words"), (1, 60_000, "search_bytes")] {
        let datasets = vec!["d".repeat(length); count];
        let child_of: Vec<_> = datasets.iter().map(|name| (None, name.clone())).collect();
        let of_data = SearchQuery { datasets, ..SearchQuery::default() };
        let of_parents = SearchQuery { child_of, ..SearchQuery::default() };
        for query in [of_data, of_parents] {
            let refused = db.store.search(query).await.unwrap_err();
            assert!(refused.class() == Class::Invalid && refused.to_string().contains(limit), "{refused}");
        }
    }
    let wide = db.store.clone().limited(Limits { search_words: 50, ..Limits::default() });
    wide.search(over("w ".repeat(40), None)).await.unwrap();
}

async fn a_nul_in_what_was_asked_for_is_no_fault_of_the_database(db: Db) {
    db.store.upsert(&[(named("a/b"), vec![])]).await.unwrap();
    let nul = || Some("a\0".to_owned());
    let query = SearchQuery {
        text: nul(),
        org: nul(),
        license: nul(),
        pipeline_tag: nul(),
        library: nul(),
        ..SearchQuery::default()
    };

    assert!(db.store.search(query).await.unwrap().items.is_empty());
    let cursor = SearchQuery {
        sort: Sort::Name,
        cursor: Some("name.\0".to_owned()),
        limit: 5,
        ..SearchQuery::default()
    };
    assert_eq!(db.store.search(cursor).await.unwrap().items.len(), 1);
    assert!(db.store.model_by_id("a/b\0").await.unwrap().is_some());
    assert!(db.store.job("\0").await.unwrap().is_none() && !db.store.cancel("\0").await.unwrap());
    assert!(db.store.jobs(None, 5, Some("\0")).await.unwrap().items.is_empty());
    let keyed =
        || NewJob { kind: "k".to_owned(), payload: Value::Null, idempotency_key: nul(), output: None };
    let (job, _) = db.store.enqueue(keyed(), 5).await.unwrap();
    assert_eq!(db.store.known(&keyed()).await.unwrap(), Some(job));
}

async fn a_change_is_remembered_by_the_models_it_touched(db: Db) {
    let from = db.store.change_counter().await.unwrap();
    db.store
        .upsert(&[(named("a/child"), vec![card_claim("b/base")]), (named("c/other"), vec![])])
        .await
        .unwrap();
    let middle = db.store.change_counter().await.unwrap();
    let id = |name: &'static str| async { db.store.model_by_id(name).await.unwrap().unwrap().id };
    let (child, base, other) = (id("a/child").await, id("b/base").await, id("c/other").await);
    db.store.delete_model(other).await.unwrap();
    let end = db.store.change_counter().await.unwrap();

    let mut want = vec![child, base, other];
    want.sort_unstable();
    assert_eq!(db.store.touched((from, end)).await.unwrap(), Some(want));
    assert_eq!(db.store.touched((middle, end)).await.unwrap(), Some(vec![other]));
    assert_eq!(db.store.touched((end, end)).await.unwrap(), Some(vec![]));
    assert_eq!(db.store.touched((from, end + 1)).await.unwrap(), None, "a change that nobody noted");
    let mut kinds: Vec<_> = db
        .store
        .catalogue_parts()
        .try_concat()
        .await
        .unwrap()
        .into_iter()
        .map(|row| (row.key, row.relations))
        .collect();
    kinds.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(kinds, [("a/child".to_owned(), vec![Relation::Finetune]), ("b/base".to_owned(), vec![])]);
}

/// The parents that a model's edges name, with the sources that speak for each.
async fn parents(db: &Db, child: &str) -> Vec<(String, Vec<Source>)> {
    let child = db.store.model_by_id(child).await.unwrap().unwrap().id;
    let mut found = Vec::new();
    for edge in db.store.edges_of(child).await.unwrap() {
        found.push((edge.as_written, edge.evidence.into_iter().map(|evidence| evidence.source).collect()));
    }
    found.sort();
    found
}

async fn a_newer_record_takes_back_what_its_sources_said(db: Db) {
    let speaking = |sources: &[Source]| domain::Metadata { sources: sources.to_vec(), ..named("o/c") };
    let tag = |parent: &str| claim(parent, Relation::Finetune, Source::Tag, 0.9);
    let listed = domain::Claim { evidence: vec![Evidence::listed()], ..tag("o/listed") };
    let first = vec![card_claim("o/a"), tag("o/a"), claim("o/a", Relation::Merge, Source::Inferred, 0.6)];
    let measured = claim("o/a", Relation::Finetune, Source::Weights, 0.95);
    db.store.upsert(&[(speaking(&[Source::Card, Source::Tag]), first)]).await.unwrap();
    db.store.add_edges(&[(id("o/c"), listed), (id("o/c"), card_claim("o/only"))]).await.unwrap();

    let second = vec![card_claim("o/b"), tag("o/b")];
    db.store.upsert(&[(speaking(&[Source::Card, Source::Tag, Source::Table]), second)]).await.unwrap();

    let [card, tagged, table] = [Source::Card, Source::Tag, Source::Table];
    let now = [("o/b".to_owned(), vec![card, tagged]), ("o/listed".to_owned(), vec![table])];
    assert_eq!(parents(&db, "o/c").await, now);
    db.store.upsert(&[(named("o/c"), vec![])]).await.unwrap();
    assert_eq!(parents(&db, "o/c").await, now, "a record that says nothing of parents takes nothing back");
    db.store.add_edges(&[(id("o/c"), measured)]).await.unwrap();
    let again =
        vec![(speaking(&[Source::Card]), vec![card_claim("o/a")]), (speaking(&[card, tagged]), vec![])];
    db.store.upsert(&again).await.unwrap();
    let left = [("o/a".to_owned(), vec![Source::Weights]), ("o/listed".to_owned(), vec![table])];
    assert_eq!(parents(&db, "o/c").await, left);
    let child = db.store.model_by_id("o/c").await.unwrap().unwrap().id;
    let edges = db.store.edges_of(child).await.unwrap();
    let measured = edges.iter().find(|edge| edge.as_written == "o/a").unwrap();
    assert_eq!(measured.status, EdgeStatus::Proposed, "only the weights are left to say so");
}

async fn an_older_record_changes_nothing_and_is_counted(db: Db) {
    let record = |at: Option<i64>, downloads: i64, parent: &str| {
        let sources = vec![Source::Card];
        let said =
            domain::Metadata { last_modified: at, downloads: Some(downloads), sources, ..named("o/c") };
        (said, vec![card_claim(parent)])
    };
    let (old, new) = (record(Some(10), 50, "o/a"), record(Some(20), 7, "o/b"));

    let both = db.store.upsert_draft(Draft::dated([new.clone(), old.clone()]).unwrap()).await.unwrap();
    let again = db.store.upsert_draft(Draft::dated([old.clone()]).unwrap()).await.unwrap();

    assert_eq!((both.inserted, both.updated, both.older), (1, 0, 1));
    assert_eq!((again.inserted, again.updated, again.edges, again.older), (0, 0, 0, 1));
    let row = db.store.model_by_id("o/c").await.unwrap().unwrap();
    assert_eq!((row.downloads, row.last_modified), (Some(7), Some(20)));
    assert_eq!(parents(&db, "o/c").await, [("o/b".to_owned(), vec![Source::Card])]);
    let undated = record(None, 9, "o/d");
    let done = db.store.upsert_draft(Draft::dated([undated]).unwrap()).await.unwrap();
    assert_eq!((done.updated, done.older), (1, 0), "one without a date is taken as it comes");
    let asked = db.store.upsert(&[old]).await.unwrap();
    assert_eq!((asked.updated, asked.older), (1, 0), "outside of dumps the last word holds");
}
