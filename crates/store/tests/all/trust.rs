//! Edges that weights propose, verdicts on claims, and what people decide about both.

use domain::{Digest, EdgeStatus, Relation, Source};
use store::{
    AdvisoryKind, Decision, EdgeRow, Error, Findings, NewAdvisory, NewCommit, NewDecision, Publish, Severity,
    Store, VerdictRow, VerdictWord, WeightEdge,
};

use crate::common::{Db, card_claim, db_test, id, named};

db_test!(
    what_weights_say_is_replaced_and_what_people_declare_is_not,
    a_look_at_one_model_leaves_the_parents_of_others_alone,
    what_outweighs_a_contradicted_claim_is_a_sure_parent_until_a_person_decides,
    a_contradicted_claim_is_known_by_its_edge_until_a_person_decides,
    findings_of_a_revision_that_is_gone_are_dropped,
    a_person_outranks_cards_and_machines_and_every_decision_is_kept,
    contradictions_come_in_pages_until_a_person_settles_them,
    an_edge_that_nobody_declared_can_only_be_added,
    advisories_are_withdrawn_and_never_deleted,
    an_advisory_about_a_digest_finds_whoever_has_it,
);

/// A model with a revision, whatever it holds.
async fn published(db: &Db, name: &str, claims: &[&str]) -> (i64, i64) {
    let publish = Publish {
        metadata: named(name),
        claims: claims.iter().map(|claim| card_claim(claim)).collect(),
        files: Vec::new(),
        tensors: Vec::new(),
        sketches: Vec::new(),
        signature: None,
        weights_of: None,
        survey: None,
        recipe: None,
        provenance: None,
        fence: None,
        commit: NewCommit::default(),
    };
    let row = db.store.publish(publish).await.unwrap();
    (row.id, row.revision.unwrap())
}

fn verdict(child: i64, parent: i64, verdict: VerdictWord) -> VerdictRow {
    VerdictRow {
        id: 0,
        child,
        parent,
        verdict,
        claimed: "t/base".into(),
        instead: None,
        cosine: 0.01,
        standard_error: 0.002,
        log10_p: -40.5,
        sentence: "no common origin".into(),
        computed_at: 0,
    }
}

fn proposal((parent, name): (i64, &str), confidence: f64) -> WeightEdge {
    let (relation, sentence) = (Relation::Merge, "told by the weights".to_owned());
    WeightEdge { parent, name: name.into(), relation, confidence, sentence }
}

async fn edge(store: &Store, child: i64, parent: i64) -> Option<EdgeRow> {
    store.edges_of(child).await.unwrap().into_iter().find(|edge| edge.parent == parent)
}

async fn what_weights_say_is_replaced_and_what_people_declare_is_not(db: Db) {
    let (base, _) = published(&db, "t/base", &[]).await;
    let (other, _) = published(&db, "t/other", &[]).await;
    let (child, revision) = published(&db, "t/child", &["t/base"]).await;
    let mut found = Findings {
        model: child,
        revision,
        edges: vec![proposal((base, "t/base"), 0.9), proposal((other, "t/other"), 0.7)],
        verdicts: vec![verdict(child, base, VerdictWord::Verified)],
    };

    assert!(db.store.record_findings(&found).await.unwrap());
    let (declared, proposed) =
        (edge(&db.store, child, base).await.unwrap(), edge(&db.store, child, other).await);
    let counter = db.store.change_counter().await.unwrap();
    db.store.record_findings(&found).await.unwrap();

    assert_eq!((declared.status, declared.relation), (EdgeStatus::Accepted, Relation::Finetune));
    assert_eq!(
        declared.evidence.iter().map(|e| e.source).collect::<Vec<_>>(),
        [Source::Card, Source::Weights]
    );
    let proposed = proposed.unwrap();
    assert_eq!((proposed.status, proposed.relation), (EdgeStatus::Proposed, Relation::Merge));
    assert_eq!(db.store.change_counter().await.unwrap(), counter, "the same again changes nothing");

    found.edges.truncate(1);
    found.verdicts.clear();
    db.store.record_findings(&found).await.unwrap();
    assert!(edge(&db.store, child, other).await.is_none());
    assert!(db.store.verdicts_of(&[child]).await.unwrap().is_empty());

    db.store.add_edges(&[(id("t/other"), card_claim("t/child"))]).await.unwrap();
    found.edges.push(proposal((other, "t/other"), 0.7));
    db.store.record_findings(&found).await.unwrap();
    db.store.add_edges(&[(id("t/child"), card_claim("t/other"))]).await.unwrap();
    let accepted = edge(&db.store, child, other).await.unwrap();
    assert_eq!((accepted.status, accepted.relation), (EdgeStatus::Accepted, Relation::Finetune));
}

async fn a_look_at_one_model_leaves_the_parents_of_others_alone(db: Db) {
    let (base, of_base) = published(&db, "t/base", &[]).await;
    let (child, revision) = published(&db, "t/child", &[]).await;
    let edges = vec![proposal((base, "t/base"), 0.9)];
    let found = Findings { model: child, revision, edges, verdicts: vec![] };
    db.store.record_findings(&found).await.unwrap();

    let other = Findings { model: base, revision: of_base, edges: vec![], verdicts: vec![] };
    db.store.record_findings(&other).await.unwrap();

    assert!(edge(&db.store, child, base).await.is_some());
}

async fn findings_of_a_revision_that_is_gone_are_dropped(db: Db) {
    let (base, _) = published(&db, "t/base", &[]).await;
    let (child, revision) = published(&db, "t/child", &[]).await;
    let edges = vec![proposal((base, "t/base"), 0.9)];
    let found = Findings { model: child, revision: revision + 100, edges, verdicts: vec![] };

    assert!(!db.store.record_findings(&found).await.unwrap());

    assert!(edge(&db.store, child, base).await.is_none());
}

async fn a_person_outranks_cards_and_machines_and_every_decision_is_kept(db: Db) {
    let (base, _) = published(&db, "t/base", &[]).await;
    let (child, revision) = published(&db, "t/child", &["t/base"]).await;
    let decide = async |decision, reason: &str| {
        let (person, reason) = ("ann".to_owned(), reason.to_owned());
        let relation = (decision == Decision::Confirm).then_some(Relation::Adapter);
        let parent = id("T/Base");
        db.store.decide(&NewDecision { child, parent, decision, relation, person, reason }).await.unwrap();
    };

    decide(Decision::Reject, "not mine").await;
    let edges = vec![proposal((base, "t/base"), 0.9)];
    let found = Findings { model: child, revision, edges, verdicts: vec![] };
    db.store.record_findings(&found).await.unwrap();
    published(&db, "t/child", &["t/base"]).await;
    let rejected = edge(&db.store, child, base).await.unwrap();
    decide(Decision::Confirm, "it is").await;
    let confirmed = edge(&db.store, child, base).await.unwrap();

    assert_eq!(rejected.status, EdgeStatus::RejectedPerson);
    assert!(rejected.evidence.iter().any(|e| e.source == Source::Card));
    assert_eq!((confirmed.status, confirmed.relation), (EdgeStatus::Accepted, Relation::Adapter));
    assert!(
        confirmed
            .evidence
            .iter()
            .any(|e| e.source == Source::Person && e.detail == "confirmed by ann: it is")
    );
    let history = db.store.decisions_of(child, 10).await.unwrap().remove(&base).unwrap();
    let said: Vec<_> = history.latest.iter().map(|row| (row.decision, row.reason.as_str())).collect();
    assert_eq!(said, [(Decision::Confirm, "it is"), (Decision::Reject, "not mine")]);
    assert_eq!(history.older, 0);
    let last = db.store.decisions_of(child, 1).await.unwrap().remove(&base).unwrap();
    assert_eq!((last.latest[0].decision, last.latest.len(), last.older), (Decision::Confirm, 1, 1));
}

async fn what_outweighs_a_contradicted_claim_is_a_sure_parent_until_a_person_decides(db: Db) {
    let (base, _) = published(&db, "t/base", &[]).await;
    let (other, _) = published(&db, "t/other", &[]).await;
    let (child, revision) = published(&db, "t/child", &["t/base"]).await;
    let against = VerdictRow { instead: Some(other), ..verdict(child, base, VerdictWord::Contradicted) };
    let edges = vec![proposal((other, "t/other"), 0.9)];
    let found = Findings { model: child, revision, edges, verdicts: vec![against.clone()] };
    let claim = edge(&db.store, child, base).await.unwrap().id;

    db.store.record_findings(&found).await.unwrap();

    assert_eq!(db.store.outweighed_edges(0.8).await.unwrap(), [claim]);
    assert!(db.store.outweighed_edges(0.95).await.unwrap().is_empty());
    let counter = db.store.change_counter().await.unwrap();
    let verified = Findings { verdicts: vec![verdict(child, base, VerdictWord::Verified)], ..found.clone() };
    db.store.record_findings(&verified).await.unwrap();
    assert!(db.store.outweighed_edges(0.8).await.unwrap().is_empty());
    assert_ne!(db.store.change_counter().await.unwrap(), counter, "forests are built anew");
    db.store.record_findings(&found).await.unwrap();
    let (person, reason, relation) = ("ann".to_owned(), String::new(), None);
    let decision = Decision::Confirm;
    let parent = id("t/base");
    db.store.decide(&NewDecision { child, parent, decision, relation, person, reason }).await.unwrap();
    assert!(db.store.outweighed_edges(0.8).await.unwrap().is_empty());
}

async fn a_contradicted_claim_is_known_by_its_edge_until_a_person_decides(db: Db) {
    let (base, _) = published(&db, "t/base", &[]).await;
    let (other, _) = published(&db, "t/other", &[]).await;
    let (child, revision) = published(&db, "t/child", &["t/base", "t/other"]).await;
    let verdicts =
        vec![verdict(child, base, VerdictWord::Contradicted), verdict(child, other, VerdictWord::Verified)];
    let found = Findings { model: child, revision, edges: vec![], verdicts };
    let claim = edge(&db.store, child, base).await.unwrap().id;

    let before = db.store.contradicted_edges().await.unwrap();
    db.store.record_findings(&found).await.unwrap();
    let told = db.store.contradicted_edges().await.unwrap();
    let counter = db.store.change_counter().await.unwrap();
    let (person, reason, relation) = ("ann".to_owned(), String::new(), None);
    let (decision, parent) = (Decision::Confirm, id("t/base"));
    db.store.decide(&NewDecision { child, parent, decision, relation, person, reason }).await.unwrap();

    assert_eq!((before, told), (vec![], vec![claim]));
    assert!(db.store.contradicted_edges().await.unwrap().is_empty());
    assert_ne!(db.store.change_counter().await.unwrap(), counter, "forests are built anew");
}

async fn contradictions_come_in_pages_until_a_person_settles_them(db: Db) {
    let (base, _) = published(&db, "t/base", &[]).await;
    let mut children = Vec::new();
    for name in ["t/a", "t/b", "t/c"] {
        let (child, revision) = published(&db, name, &["t/base"]).await;
        let verdicts = vec![verdict(child, base, VerdictWord::Contradicted)];
        let found = Findings { model: child, revision, edges: vec![], verdicts };
        db.store.record_findings(&found).await.unwrap();
        children.push(child);
    }

    let first = db.store.contradictions(None, 2).await.unwrap();
    let last = db.store.contradictions(first.next.as_deref(), 2).await.unwrap();
    let (child, parent) = (children[0], id("t/base"));
    let (person, reason, relation) = ("ann".to_owned(), String::new(), None);
    let decision = Decision::Reject;
    db.store.decide(&NewDecision { child, parent, decision, relation, person, reason }).await.unwrap();

    let listed = |page: &store::Page<VerdictRow>| page.items.iter().map(|row| row.child).collect::<Vec<_>>();
    assert_eq!((listed(&first), listed(&last)), (vec![children[2], children[1]], vec![children[0]]));
    assert!(last.next.is_none());
    assert_eq!(listed(&db.store.contradictions(None, 9).await.unwrap()), [children[2], children[1]]);
    assert!(matches!(db.store.contradictions(Some("x"), 9).await, Err(Error::BadCursor(_))));
    db.store.delete_model(children[1]).await.unwrap();
    assert_eq!(listed(&db.store.contradictions(None, 9).await.unwrap()), [children[2]]);
}

async fn an_edge_that_nobody_declared_can_only_be_added(db: Db) {
    db.store.upsert(&[(named("t/child"), vec![])]).await.unwrap();
    let child = db.store.model_by_id("t/child").await.unwrap().unwrap().id;
    let decide = async |decision, parent: &str| {
        let (person, reason, relation) = ("ann".to_owned(), String::new(), None);
        db.store.decide(&NewDecision { child, parent: id(parent), decision, relation, person, reason }).await
    };

    let confirmed = decide(Decision::Confirm, "t/new").await;
    let own = decide(Decision::Add, "t/child").await;
    decide(Decision::Add, "t/new").await.unwrap();

    assert!(matches!(confirmed, Err(Error::NoEdge(_))) && matches!(own, Err(Error::OwnParent(_))));
    let edges = db.store.edges_of(child).await.unwrap();
    assert_eq!((edges.len(), edges[0].status), (1, EdgeStatus::Accepted));
}

fn advisory(model: Option<i64>, digest: Option<Digest>) -> NewAdvisory {
    NewAdvisory {
        model,
        digest,
        kind: AdvisoryKind::Recall,
        severity: Severity::High,
        summary: "leaks".into(),
        details: "all of it".into(),
        link: Some("https://example.org".into()),
        person: "ann".into(),
    }
}

async fn advisories_are_withdrawn_and_never_deleted(db: Db) {
    let (model, _) = published(&db, "t/base", &[]).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(db.store.file_advisory(&advisory(Some(model), None)).await.unwrap());
    }
    ids.sort();

    assert!(db.store.withdraw_advisory(&ids[1], ("bob", "a mistake")).await.unwrap());
    assert!(db.store.withdraw_advisory(&ids[1], ("eve", "mine")).await.unwrap());
    let missing = db.store.withdraw_advisory("STM-0", ("bob", "")).await.unwrap();

    let row = db.store.advisory(&ids[1]).await.unwrap().unwrap();
    assert!(!missing && row.withdrawn_at.is_some());
    assert_eq!(
        (row.withdrawn_by.as_deref(), row.withdrawn_reason.as_deref()),
        (Some("bob"), Some("a mistake"))
    );
    let first = db.store.advisories(None, 2).await.unwrap();
    let last = db.store.advisories(first.next.as_deref(), 2).await.unwrap();
    let listed: Vec<_> = first.items.iter().chain(&last.items).map(|row| row.id.clone()).collect();
    assert_eq!(listed, [ids[2].clone(), ids[1].clone(), ids[0].clone()]);
    assert!(last.next.is_none() && db.store.advisories(Some("7"), 2).await.is_err());
    let about = db.store.advisories_about(&[model]).await.unwrap();
    assert_eq!(
        about.iter().map(|(_, row)| row.id.clone()).collect::<Vec<_>>(),
        [ids[2].clone(), ids[0].clone()]
    );
}

async fn an_advisory_about_a_digest_finds_whoever_has_it(db: Db) {
    let (model, _) = published(&db, "t/base", &[]).await;
    let digest = db.store.model(model).await.unwrap().unwrap().digest.unwrap();
    db.store.file_advisory(&advisory(None, Some(digest))).await.unwrap();
    db.store.file_advisory(&advisory(None, Some(Digest::of(b"elsewhere")))).await.unwrap();

    let about = db.store.advisories_about(&[model, model + 1_000]).await.unwrap();

    assert_eq!(about.iter().map(|(about, _)| *about).collect::<Vec<_>>(), [model]);
    assert_eq!(db.store.models_with(&digest).await.unwrap(), [model]);
}
