//! Which edges are more than claimed, and names without an organisation.

use domain::{Evidence, Part, Relation, Source};
use store::{Decision, NewDecision};

use crate::common::{Db, card_claim, claim, db_test, id, named};

db_test!(
    recipes_and_people_stand_above_claims_and_a_recipe_leads_to_its_base,
    a_bare_name_that_is_here_is_meant_before_what_it_meant_once,
);

async fn recipes_and_people_stand_above_claims_and_a_recipe_leads_to_its_base(db: Db) {
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
    let number = async |name: &str| db.store.model_by_id(name).await.unwrap().unwrap().id;
    let decision = NewDecision {
        child: number("o/told").await,
        parent: id("o/b"),
        decision: Decision::Add,
        relation: None,
        person: "p".to_owned(),
        reason: String::new(),
    };
    db.store.decide(&decision).await.unwrap();

    let found = db.store.standings().await.unwrap();

    let mut named = Vec::new();
    for child in ["o/made", "o/read", "o/given", "o/told"] {
        for edge in db.store.edges_of(number(child).await).await.unwrap() {
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
