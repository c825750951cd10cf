//! Lists of relatives and ways between models, page by page and however long.

use std::collections::BTreeSet;

use crate::support::Place;
use domain::{Claim, EdgeStatus, Evidence, Limits, Metadata, Relation, RepoId, Source};
use serde_json::Value;

/// Puts in models with a parent each.
async fn knows(place: &Place, edges: &[(String, String, Relation)]) {
    let batch: Vec<(Metadata, Vec<Claim>)> = edges
        .iter()
        .map(|(child, parent, relation)| {
            let evidence = vec![Evidence { source: Source::Card, detail: parent.clone(), confidence: 1.0 }];
            let claim = Claim {
                parent: RepoId::parse(parent).unwrap(),
                as_written: parent.clone(),
                relation: *relation,
                status: EdgeStatus::Accepted,
                evidence,
            };
            (Metadata::named(RepoId::parse(child).unwrap()), vec![claim])
        })
        .collect();
    place.registry.store.upsert(&batch).await.unwrap();
}

/// Every item of a list, page by page; each page says how many there are.
async fn all(place: &Place, path: &str, total: usize) -> Vec<Value> {
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = place.get(&format!("/api/v1/models/{path}limit=7{cursor}")).await.body;
        assert_eq!(page["total"], total, "{path}: {page}");
        found.extend(page["items"].as_array().unwrap().iter().cloned());
        let Some(next) = page["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(names(&found).len(), found.len(), "{path}");
    assert_eq!(found.len(), total, "{path}");
    found
}

fn names(items: &[Value]) -> BTreeSet<String> {
    items.iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

#[actix_web::test]
async fn descendants_and_siblings_are_listed_once_page_by_page_and_filtered_by_relation() {
    let place = Place::new().await;
    let kind = |at: usize| [Relation::Finetune, Relation::Quantized][at % 2];
    let mut edges: Vec<(String, String, Relation)> =
        (0..30).map(|at| (format!("o/child-{at}"), "o/root".to_owned(), kind(at))).collect();
    edges.extend((0..10).map(|at| (format!("o/grand-{at}"), "o/child-7".to_owned(), Relation::Adapter)));
    knows(&place, &edges).await;

    let below = all(&place, "o/root/descendants?", 40).await;
    let adapters = all(&place, "o/root/descendants?relation=adapter&", 10).await;
    let siblings = all(&place, "o/child-7/siblings?", 29).await;
    let alike = all(&place, "o/child-7/siblings?relation=quantized&", 14).await;
    let others = all(&place, "o/child-7/siblings?relation=finetune&", 15).await;
    let root = place.get("/api/v1/models/o/root/siblings").await.body;

    assert_eq!((&below[0]["generations"], &below[30]["generations"]), (&1.into(), &2.into()));
    assert!(adapters.iter().all(|item| item["parent"] == "o/child-7" && item["relation"] == "adapter"));
    assert!([siblings, alike, others].iter().all(|list| !names(list).contains("o/child-7")));
    assert!(root["parent"].is_null() && root["total"] == 0, "{root}");
}

#[actix_web::test]
async fn a_path_is_found_however_long_it_is_and_tells_what_of_it_is_not_listed() {
    let limits = Limits { traversal: 5, tree_nodes: 10, tree_nodes_max: 10, ..Limits::default() };
    let place = Place::with(limits).await;
    let edges: Vec<(String, String, Relation)> =
        (1..=50).map(|at| (format!("o/m{at}"), format!("o/m{}", at - 1), Relation::Finetune)).collect();
    knows(&place, &edges).await;

    let path = place.get("/api/v1/path?from=o/m50&to=o/m0").await.body;
    let short = place.get("/api/v1/path?from=o/m4&to=o/m0").await.body;
    let lineage = place.get("/api/v1/models/o/m50/lineage").await.body;

    let names: Vec<&str> =
        path["steps"].as_array().unwrap().iter().map(|step| step["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["o/m50", "o/m49", "o/m48", "o/m47", "o/m46", "o/m4", "o/m3", "o/m2", "o/m1", "o/m0"]);
    assert_eq!((&path["length"], &path["hidden"], &path["meets"]), (&50.into(), &41.into(), &"o/m0".into()));
    assert_eq!((&short["length"], &short["hidden"]), (&4.into(), &0.into()));
    assert_eq!(lineage["ancestors"], 50);
}

#[actix_web::test]
async fn every_family_stands_on_one_page_of_the_list() {
    let place = Place::new().await;
    let edge = |family: &str| (format!("{family}/child"), format!("{family}/root"), Relation::Finetune);
    knows(&place, &["a", "b", "c"].map(edge)).await;
    let (mut roots, mut next) = (Vec::new(), Some("0".to_owned()));

    while let Some(cursor) = next {
        let page = place.get(&format!("/api/v1/families?limit=2&cursor={cursor}")).await;
        assert_eq!(page.body["total"], 3, "{page:?}");
        let items = page.body["items"].as_array().unwrap();
        roots.extend(items.iter().map(|item| item["root"].as_str().unwrap().to_owned()));
        next = page.body["next"].as_str().map(str::to_owned);
    }

    roots.sort_unstable();
    assert_eq!(roots, ["a/root", "b/root", "c/root"]);
    let beyond = place.get("/api/v1/families?cursor=9").await;
    assert_eq!(
        (&beyond.body["items"], &beyond.body["next"]),
        (&serde_json::json!([]), &serde_json::Value::Null)
    );
}

#[actix_web::test]
async fn what_is_typed_is_told_by_either_name() {
    let place = Place::new().await;
    place.know("o/model", "mit").await;

    let (search, q) =
        (place.get("/api/v1/typeahead?search=mod").await, place.get("/api/v1/typeahead?q=mod").await);

    assert_eq!(search.body[0]["id"], "o/model", "{search:?}");
    assert_eq!(search.body, q.body);
    let neither = place.get("/api/v1/typeahead").await;
    assert!(neither.is_problem(400, "bad_request"), "{neither:?}");
    assert_eq!(neither.body["errors"][0]["parameter"], "search");
}
