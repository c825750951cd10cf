//! Which edges are more than claimed, and names without an organisation.

use domain::{Evidence, Part, Relation, Source};
use migrations::{Migrator, MigratorTrait as _};
use sea_orm::Database;
use store::{Decision, NewDecision};

use crate::common::{Db, card_claim, claim, db_test, id, named};

db_test!(
    registries_of_before_the_index_answer_the_same_through_it,
    recipes_and_people_stand_above_claims_and_a_recipe_leads_to_its_base,
    a_bare_name_that_is_here_is_meant_before_what_it_meant_once,
);

/// What stands above claims: two recipes run here, one of a card, and a person's word beside a claim.
async fn fill(db: &Db) {
    let part = |parent: &str, source: Source, part: Part| {
        let mut claim = claim(parent, Relation::Merge, source, 1.0);
        claim.evidence[0].detail = Evidence::detail_of(parent, part);
        claim
    };
    let batch = [
        (
            named("o/made"),
            vec![
                part("o/b", Source::Recipe, Part::Base),
                part("o/a", Source::Recipe, Part::Nth(1)),
                part("o/t", Source::MergeConfig, Part::Base),
            ],
        ),
        (
            named("o/read"),
            vec![
                part("o/b", Source::MergeConfig, Part::Nth(1)),
                part("o/a", Source::MergeConfig, Part::Nth(2)),
            ],
        ),
        (named("o/given"), vec![part("o/t", Source::Recipe, Part::Tokenizer)]),
        (named("o/told"), vec![card_claim("o/a")]),
    ];
    db.store.upsert(&batch).await.unwrap();
    db.store.decide(&stated(db, Decision::Add).await).await.unwrap();
}

/// A person's word on one edge.
async fn stated(db: &Db, decision: Decision) -> NewDecision {
    NewDecision {
        child: number(db, "o/told").await,
        parent: id("o/b"),
        decision,
        relation: None,
        person: "p".to_owned(),
        reason: String::new(),
    }
}

async fn number(db: &Db, name: &str) -> i64 {
    db.store.model_by_id(name).await.unwrap().unwrap().id
}

async fn registries_of_before_the_index_answer_the_same_through_it(db: Db) {
    fill(&db).await;
    let now = db.store.standings().await.unwrap();
    let connection = Database::connect(&db.url).await.unwrap();
    let since = Migrator::migrations().iter().filter(|step| step.name() >= "m0024").count();
    Migrator::down(&connection, u32::try_from(since).ok()).await.unwrap();
    let before = db.store.standings().await.unwrap();

    db.store.migrate().await.unwrap();

    assert_eq!(before, now);
    assert_eq!(db.store.standings().await.unwrap(), now);
    assert_eq!((now.leading.len(), now.made.len(), now.stated.len()), (2, 3, 1));
    db.store.decide(&stated(&db, Decision::Reject).await).await.unwrap();
    assert!(db.store.standings().await.unwrap().stated.is_empty());
}

async fn recipes_and_people_stand_above_claims_and_a_recipe_leads_to_its_base(db: Db) {
    fill(&db).await;

    let found = db.store.standings().await.unwrap();

    let mut named = Vec::new();
    for child in ["o/made", "o/read", "o/given", "o/told"] {
        for edge in db.store.edges_of(number(&db, child).await).await.unwrap() {
            let marks = [("leading", &found.leading), ("made", &found.made), ("stated", &found.stated)];
            let marks = marks.iter().filter(|(_, edges)| edges.contains(&edge.id)).map(|(word, _)| *word);
            let marks = marks.collect::<Vec<_>>().join(" ");
            named.push(format!("{child} {} {marks}", edge.as_written).trim_end().to_owned());
        }
    }
    named.sort();
    assert_eq!(
        named,
        [
            "o/given o/t made",
            "o/made o/a made",
            "o/made o/b leading made",
            "o/made o/t",
            "o/read o/a",
            "o/read o/b leading",
            "o/told o/a",
            "o/told o/b stated",
        ]
    );
}

async fn a_bare_name_that_is_here_is_meant_before_what_it_meant_once(db: Db) {
    let mut written = card_claim("openai-community/gpt2");
    written.as_written = "gpt2".to_owned();
    let mut resolved = card_claim("google-bert/bert-base-cased");
    resolved.as_written = "google-bert/bert-base-cased".to_owned();
    db.store.upsert(&[(named("o/before"), vec![written.clone()])]).await.unwrap();
    db.store.upsert(&[(named("gpt2"), Vec::new()), (named("bert-base-cased"), Vec::new())]).await.unwrap();
    db.store.upsert(&[(named("o/after"), vec![written, resolved])]).await.unwrap();

    let mut parents = Vec::new();
    for child in ["o/before", "o/after"] {
        let child = db.store.model_by_id(child).await.unwrap().unwrap().id;
        for edge in db.store.edges_of(child).await.unwrap() {
            parents.push(db.store.model(edge.parent).await.unwrap().unwrap().name);
        }
    }

    parents.sort();
    assert_eq!(parents, ["google-bert/bert-base-cased", "gpt2", "openai-community/gpt2"]);
}
