//! Searches for recipes: scores are final and all or none, and a generation is left once.

use serde_json::{Value, json};
use store::{Error, NewCandidate, NewSearch, SearchRow, Step, Store};
use ulid::Ulid;

use crate::common::{Db, db_test};

db_test!(
    a_search_is_read_back_with_its_first_candidates,
    a_score_told_again_is_no_change_and_another_one_is_refused,
    scores_are_written_all_or_none,
    of_many_who_move_a_generation_on_one_does,
    an_ended_search_takes_no_scores_and_does_not_move_on,
    the_best_candidate_is_the_first_of_the_best_scores,
    searches_and_candidates_are_listed_in_pages,
    of_many_who_begin_a_search_with_one_key_one_does,
);

fn proposed(names: &[&str]) -> Vec<NewCandidate> {
    let candidate = |name: &&str| NewCandidate {
        recipe: format!("merge_method: linear # {name}\n"),
        model: (*name).to_owned(),
        about: json!({ "reason": "a test" }),
    };
    names.iter().map(candidate).collect()
}

async fn created(store: &Store, lower: &str) -> SearchRow {
    let id = Ulid::generate().to_string();
    let new = NewSearch {
        id: id.clone(),
        basis: json!({ "config": { "models": ["a", "b"] } }),
        progress: json!({ "bits": [u64::MAX, 0] }),
        lower: lower == "lower",
        candidates: proposed(&["s/m-1", "s/m-2", "s/m-3"]),
        request: json!({ "models": ["a", "b"] }),
        idempotency_key: None,
    };
    assert_eq!(store.create_search(new).await.unwrap(), id);
    store.recipe_search(&id).await.unwrap().unwrap()
}

async fn a_search_is_read_back_with_its_first_candidates(db: Db) {
    let row = created(&db.store, "higher").await;

    let candidates = db.store.generation(&row.id, 0).await.unwrap();

    assert_eq!((row.state.as_str(), row.generation, row.proposed, row.scored), ("running", 0, 3, 0));
    assert_eq!(row.progress, json!({ "bits": [u64::MAX, 0] }));
    assert!(row.created_at > 0 && row.finished_at.is_none() && !row.lower);
    let numbers: Vec<u64> = candidates.iter().map(|candidate| candidate.number).collect();
    assert_eq!(numbers, [1, 2, 3]);
    assert_eq!(candidates[1].model, "s/m-2");
    assert_eq!(db.store.recipe_search("nowhere").await.unwrap(), None);
}

async fn a_score_told_again_is_no_change_and_another_one_is_refused(db: Db) {
    let row = created(&db.store, "higher").await;
    let exact = 0.1 + 0.2;
    db.store.score(&row.id, &[(1, exact)]).await.unwrap();
    let before = db.store.candidate(&row.id, 1).await.unwrap().unwrap();

    db.store.score(&row.id, &[(1, exact), (1, exact)]).await.unwrap();
    let other = db.store.score(&row.id, &[(1, 0.3)]).await;

    assert!(matches!(other, Err(Error::Scored { number: 1, .. })), "{other:?}");
    let after = db.store.candidate(&row.id, 1).await.unwrap().unwrap();
    assert_eq!(after.score.map(f64::to_bits), Some(exact.to_bits()));
    assert_eq!(after, before);
}

async fn scores_are_written_all_or_none(db: Db) {
    let row = created(&db.store, "higher").await;

    let told = db.store.score(&row.id, &[(1, 0.5), (9, 0.5)]).await;

    assert!(matches!(told, Err(Error::NoCandidate { ref numbers, .. }) if *numbers == [9]), "{told:?}");
    assert_eq!(db.store.recipe_search(&row.id).await.unwrap().unwrap().scored, 0);
}

async fn of_many_who_move_a_generation_on_one_does(db: Db) {
    let row = created(&db.store, "higher").await;

    let steps: Vec<_> = (0..8)
        .map(|_| {
            let (store, row) = (db.store.clone(), row.clone());
            let step = Step::Propose(proposed(&["s/m-4", "s/m-5"]));
            tokio::spawn(async move { store.advance(&row, &json!(1), step).await.unwrap() })
        })
        .collect();
    let mut moved = 0;
    for step in steps {
        moved += u32::from(step.await.unwrap());
    }

    let after = db.store.recipe_search(&row.id).await.unwrap().unwrap();
    assert_eq!((moved, after.generation, after.proposed), (1, 1, 5));
    let numbers: Vec<u64> =
        db.store.generation(&row.id, 1).await.unwrap().iter().map(|candidate| candidate.number).collect();
    assert_eq!(numbers, [4, 5]);
}

async fn an_ended_search_takes_no_scores_and_does_not_move_on(db: Db) {
    let row = created(&db.store, "higher").await;
    db.store.score(&row.id, &[(1, 0.5)]).await.unwrap();

    assert!(db.store.end_search(&row.id, "cancelled", "enough").await.unwrap());

    assert!(!db.store.end_search(&row.id, "finished", "again").await.unwrap());
    assert!(!db.store.advance(&row, &json!(1), Step::Finish("done".to_owned())).await.unwrap());
    assert!(matches!(db.store.score(&row.id, &[(2, 0.5)]).await, Err(Error::SearchEnded(_))));
    db.store.score(&row.id, &[(1, 0.5)]).await.unwrap();
    let after = db.store.recipe_search(&row.id).await.unwrap().unwrap();
    assert_eq!((after.state.as_str(), after.reason.as_deref()), ("cancelled", Some("enough")));
    assert!(after.finished_at.is_some());
}

async fn the_best_candidate_is_the_first_of_the_best_scores(db: Db) {
    for (better, number) in [("higher", 2), ("lower", 1)] {
        let row = created(&db.store, better).await;
        assert_eq!(db.store.best_candidate(&row).await.unwrap(), None);
        db.store.score(&row.id, &[(1, -0.5), (2, 0.5), (3, 0.5)]).await.unwrap();

        let best = db.store.best_candidate(&row).await.unwrap();

        assert_eq!(best.map(|best| best.number), Some(number), "{better}");
    }
}

async fn searches_and_candidates_are_listed_in_pages(db: Db) {
    let first = created(&db.store, "higher").await;
    let second = created(&db.store, "higher").await;
    let mut ids = [first.id.clone(), second.id];
    ids.sort();

    let page = db.store.searches(None, 1).await.unwrap();
    let rest = db.store.searches(page.next.as_deref(), 1).await.unwrap();
    assert_eq!([rest.items[0].id.clone(), page.items[0].id.clone()], ids);
    assert_eq!(rest.next, None);

    let page = db.store.candidates(&first.id, None, 2).await.unwrap();
    let rest = db.store.candidates(&first.id, page.next.as_deref(), 2).await.unwrap();
    assert_eq!((page.items.len(), rest.items[0].number, rest.next), (2, 3, None));
    assert!(matches!(db.store.candidates(&first.id, Some("x"), 2).await, Err(Error::BadCursor(_))));
}

async fn of_many_who_begin_a_search_with_one_key_one_does(db: Db) {
    let new = |models: Value| NewSearch {
        id: Ulid::generate().to_string(),
        basis: json!({}),
        progress: json!({}),
        lower: false,
        candidates: proposed(&["s/m-1"]),
        request: json!({ "models": models, "budget": 3 }),
        idempotency_key: Some("key".to_owned()),
    };
    let begin = |_| {
        let (store, new) = (db.store.clone(), new(json!(["a", "b"])));
        tokio::spawn(async move { store.create_search(new).await.unwrap() })
    };

    let begun: Vec<_> = (0..8).map(begin).collect();
    let mut ids = Vec::new();
    for id in begun {
        ids.push(id.await.unwrap());
    }

    ids.dedup();
    assert_eq!(ids.len(), 1);
    let asked = json!({ "budget": 3, "models": ["a", "b"] });
    assert_eq!(db.store.known_search("key", &asked).await.unwrap().as_deref(), Some(ids[0].as_str()));
    assert_eq!(db.store.known_search("other", &asked).await.unwrap(), None);
    let other = db.store.create_search(new(json!(["c"]))).await.unwrap_err();
    assert!(matches!(other, Error::IdempotencyMismatch(_)), "{other}");
    assert_eq!(db.store.searches(None, 10).await.unwrap().items.len(), 1);
}
