//! What people say of edges where it would close a cycle.

use domain::{Claim, EdgeStatus, Evidence, Fault as _, Limits, Metadata, Part, Relation, RepoId, Source};
use jobs::{Ground, Registry, Ruling};
use store::Decision;
use tempfile::TempDir;

/// A registry with `o/base` → `o/made` → `o/again` by recipes and `o/base` → `o/told` by a card.
async fn registry() -> (Registry, TempDir) {
    let (folder, registry) = crate::common::registry(Limits::default()).await;
    let batch = [
        ("o/base", "o/root", Source::Card),
        ("o/made", "o/base", Source::Recipe),
        ("o/again", "o/made", Source::Recipe),
        ("o/told", "o/base", Source::Card),
    ];
    let batch = batch.map(|(child, parent, source)| {
        let claim = Claim {
            parent: RepoId::parse(parent).unwrap(),
            as_written: parent.to_owned(),
            relation: Relation::Merge,
            status: EdgeStatus::Accepted,
            evidence: vec![Evidence { source, detail: parent.to_owned(), confidence: 1.0 }],
        };
        (Metadata::named(RepoId::parse(child).unwrap()), vec![claim])
    });
    registry.store.upsert(&batch).await.unwrap();
    (registry, folder)
}

fn said(child: &str, parent: &str) -> Ruling {
    Ruling {
        child: child.to_owned(),
        parent: parent.to_owned(),
        decision: Decision::Add,
        relation: None,
        person: "ann".to_owned(),
        reason: String::new(),
    }
}

async fn statuses(registry: &Registry, child: &str) -> Vec<(String, EdgeStatus)> {
    let row = registry.store.model_by_id(child).await.unwrap().unwrap();
    let edges = registry.store.edges_of(row.id).await.unwrap();
    edges.into_iter().map(|edge| (edge.as_written, edge.status)).collect()
}

#[tokio::test]
async fn what_would_break_a_recipe_is_refused_with_the_cycle_and_leaves_nothing_behind() {
    let (registry, _folder) = registry().await;

    let refused = jobs::rule(&registry, said("o/base", "o/again")).await.unwrap_err();

    assert_eq!(refused.code(), "closes_cycle");
    assert!(refused.to_string().contains("o/base → o/made → o/again → o/base"), "{refused}");
    assert_eq!(statuses(&registry, "o/base").await, [("o/root".to_owned(), EdgeStatus::Accepted)]);
    assert_eq!(statuses(&registry, "o/made").await, [("o/base".to_owned(), EdgeStatus::Accepted)]);
}

#[tokio::test]
async fn a_cycle_is_found_below_ten_thousand_children() {
    let (registry, _folder) = registry().await;
    let made = |child: String, parent: &str| {
        let claim = Claim {
            parent: RepoId::parse(parent).unwrap(),
            as_written: parent.to_owned(),
            relation: Relation::Merge,
            status: EdgeStatus::Accepted,
            evidence: vec![Evidence { source: Source::Recipe, detail: parent.to_owned(), confidence: 1.0 }],
        };
        (Metadata::named(RepoId::parse(&child).unwrap()), vec![claim])
    };
    let children = (0..10_000).map(|at| made(format!("many/c{at}"), "o/base"));
    let batch: Vec<_> = children.chain([made("many/last".to_owned(), "many/c0")]).collect();
    registry.store.upsert(&batch).await.unwrap();

    let refused = jobs::rule(&registry, said("o/base", "many/last")).await.unwrap_err();

    assert_eq!(refused.code(), "closes_cycle");
    assert!(refused.to_string().contains("o/base → many/c0 → many/last → o/base"), "{refused}");
}

#[tokio::test]
async fn a_claim_of_a_card_gives_way_to_what_a_person_says() {
    let (registry, _folder) = registry().await;

    let status = jobs::rule(&registry, said("o/base", "o/told")).await.unwrap();

    assert_eq!(status, EdgeStatus::Accepted);
    assert_eq!(statuses(&registry, "o/told").await, [("o/base".to_owned(), EdgeStatus::RejectedCycle)]);
    let forest = registry.forests.current().await.unwrap();
    let id = async |name: &str| registry.store.model_by_id(name).await.unwrap().unwrap().id;
    assert!(forest.declares(id("o/base").await, id("o/told").await));
}

#[tokio::test]
async fn two_people_who_say_the_opposite_are_told_so() {
    let (registry, _folder) = registry().await;
    jobs::rule(&registry, said("o/told", "o/again")).await.unwrap();

    let refused = jobs::rule(&registry, said("o/again", "o/told")).await.unwrap_err();
    let withdrawn = Ruling { decision: Decision::Reject, ..said("o/told", "o/again") };
    let rejected = jobs::rule(&registry, withdrawn).await.unwrap();

    assert_eq!(refused.code(), "closes_cycle");
    assert_eq!(rejected, EdgeStatus::RejectedPerson);
    assert_eq!(jobs::rule(&registry, said("o/again", "o/told")).await.unwrap(), EdgeStatus::Accepted);
}

#[tokio::test]
async fn a_model_made_here_hangs_under_its_base_whoever_is_better_known() {
    let (registry, _folder) = registry().await;
    let claim = |parent: &str, part: Part| Claim {
        parent: RepoId::parse(parent).unwrap(),
        as_written: parent.to_owned(),
        relation: Relation::Transfer,
        status: EdgeStatus::Accepted,
        evidence: vec![Evidence {
            source: Source::Recipe,
            detail: Evidence::detail_of("sha256:00", part),
            confidence: 1.0,
        }],
    };
    let known = Metadata { downloads: Some(9), ..Metadata::named(RepoId::parse("a/donor").unwrap()) };
    let made = vec![claim("a/donor", Part::Tokenizer), claim("o/base", Part::Base)];
    let batch = [(known, Vec::new()), (Metadata::named(RepoId::parse("me/new").unwrap()), made)];
    registry.store.upsert(&batch).await.unwrap();

    let forest = registry.forests.current().await.unwrap();

    let id = async |name: &str| registry.store.model_by_id(name).await.unwrap().unwrap().id;
    assert_eq!(forest.primary_parent(id("me/new").await), Some(id("o/base").await));
}

#[tokio::test]
async fn claims_on_younger_parents_are_listed_until_a_person_confirms_them() {
    let (registry, _folder) = registry().await;
    let (named, day) = (|name: &str| Metadata::named(RepoId::parse(name).unwrap()), 86_400);
    let claim = |parent: &str| Claim {
        parent: RepoId::parse(parent).unwrap(),
        as_written: parent.to_owned(),
        relation: Relation::Finetune,
        status: EdgeStatus::Accepted,
        evidence: vec![Evidence { source: Source::Api, detail: parent.to_owned(), confidence: 0.9 }],
    };
    let dated = |name: &str, days: i64| Metadata { created_at: Some(days * day), ..named(name) };
    let batch = [
        (dated("d/base", 9), vec![]),
        (dated("d/one", 7), vec![claim("d/base")]),
        (dated("d/fine", 10), vec![claim("d/base")]),
        (dated("d/two", 8), vec![claim("d/base"), claim("d/fine")]),
    ];
    registry.store.upsert(&batch).await.unwrap();
    let listed = async |cursor: Option<&str>, limit| {
        let page = jobs::contradictions(&registry, Ground::Dates, (cursor, limit)).await.unwrap();
        let rows = page.items.into_iter().map(|row| (row.model, row.base, row.days.unwrap()));
        let mut rows: Vec<_> = rows.collect();
        rows.sort();
        (rows, page.next)
    };
    let row = |model: &str, base: &str, days| (model.to_owned(), base.to_owned(), days);

    let (first, next) = listed(None, 1).await;
    let (second, last) = listed(next.as_deref(), 1).await;

    assert_eq!(first, [row("d/two", "d/base", 1), row("d/two", "d/fine", 2)], "one model's stay together");
    assert_eq!((second, last), (vec![row("d/one", "d/base", 2)], None));
    let model = registry.store.model_by_id("d/one").await.unwrap().unwrap();
    let notes = jobs::notes(&registry, &model).await.unwrap();
    assert!(notes[0].detail.contains("2 days after"), "{notes:?}");
    let ruling = Ruling {
        child: "d/one".into(),
        parent: "d/base".into(),
        decision: Decision::Confirm,
        relation: None,
        person: "ann".into(),
        reason: "moved".into(),
    };
    jobs::rule(&registry, ruling).await.unwrap();
    assert_eq!(listed(None, 9).await.0.len(), 2);
    assert!(jobs::contradictions(&registry, Ground::Dates, (Some("x"), 9)).await.is_err());
}

#[tokio::test]
async fn notes_tell_of_younger_parents_and_of_cycles_and_successors_are_followed_to_the_last() {
    let (registry, _folder) = registry().await;
    let named = |name: &str| Metadata::named(RepoId::parse(name).unwrap());
    let day = 86_400;
    let claim = |parent: &str| Claim {
        parent: RepoId::parse(parent).unwrap(),
        as_written: parent.to_owned(),
        relation: Relation::Finetune,
        status: EdgeStatus::Accepted,
        evidence: vec![Evidence { source: Source::Card, detail: parent.to_owned(), confidence: 0.8 }],
    };
    let next = |name: &str| Some(name.to_owned());
    let batch = [
        (Metadata { created_at: Some(3 * day), new_version: next("n/two"), ..named("n/one") }, vec![]),
        (
            Metadata { created_at: Some(day), new_version: next("N/three"), ..named("n/two") },
            vec![claim("n/one")],
        ),
        (Metadata { new_version: next("n/two"), ..named("n/three") }, vec![claim("n/four")]),
        (named("n/four"), vec![claim("n/three")]),
    ];
    registry.store.upsert(&batch).await.unwrap();
    let row = async |name: &str| registry.store.model_by_id(name).await.unwrap().unwrap();
    let notes = async |name: &str| jobs::notes(&registry, &row(name).await).await.unwrap();

    assert!(notes("n/one").await.is_empty());
    let [younger] = notes("n/two").await.try_into().unwrap();
    assert_eq!((younger.code.as_str(), younger.detail.contains("2 days")), ("older_than_parent", true));
    for name in ["n/three", "n/four"] {
        assert_eq!(notes(name).await[0].code, "cycle");
    }
    let newest = async |name: &str| jobs::newest_version(&registry, &row(name).await).await.unwrap();
    assert_eq!(newest("n/one").await.as_deref(), Some("N/three"));
    assert_eq!(newest("n/four").await, None);
}
