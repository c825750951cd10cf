//! Whom an advisory reaches.

use domain::{Claim, EdgeStatus, Evidence, Limits, Metadata, Relation, RepoId, Source};
use jobs::{Filing, Registry};
use store::{AdvisoryKind, Severity};
use tempfile::TempDir;

/// Generations below the root.
const DEPTH: usize = 120;

/// A line `o/m0` → `o/m1` → … in a registry whose trees are narrow.
async fn line() -> (Registry, TempDir) {
    let (folder, registry) = crate::common::registry(Limits { traversal: 10, ..Limits::default() }).await;
    let batch: Vec<(Metadata, Vec<Claim>)> = (1..=DEPTH)
        .map(|at| {
            let [child, parent] = [at, at - 1].map(|at| RepoId::parse(&format!("o/m{at}")).unwrap());
            let evidence =
                vec![Evidence { source: Source::Card, detail: parent.to_string(), confidence: 1.0 }];
            let claim = Claim {
                as_written: parent.to_string(),
                parent,
                relation: Relation::Finetune,
                status: EdgeStatus::Accepted,
                evidence,
            };
            (Metadata::named(child), vec![claim])
        })
        .collect();
    registry.store.upsert(&batch).await.unwrap();
    (registry, folder)
}

fn filing() -> Filing {
    Filing {
        model: Some("o/m0".to_owned()),
        digest: None,
        kind: AdvisoryKind::Recall,
        severity: Severity::High,
        summary: "recalled".to_owned(),
        details: String::new(),
        link: None,
        person: "somebody".to_owned(),
    }
}

#[tokio::test]
async fn an_advisory_reaches_every_descendant_however_far_below_and_tells_the_ends_of_a_long_way() {
    let (registry, _folder) = line().await;
    let id = jobs::file_advisory(&registry, filing()).await.unwrap().id;

    let first = jobs::affected(&registry, &id, (None, 100)).await.unwrap();
    let rest = jobs::affected(&registry, &id, (first.next.as_deref(), 100)).await.unwrap();
    let lowest = registry.store.model_by_id(&format!("o/m{DEPTH}")).await.unwrap().unwrap();
    let threats = jobs::advisories_of(&registry, &lowest).await.unwrap();

    assert_eq!((first.total, first.items.len(), rest.items.len()), (DEPTH + 1, 100, DEPTH - 99));
    assert_eq!((rest.next, first.items[3].path.hidden), (None, 0));
    let last = rest.items.last().unwrap();
    assert_eq!((last.model.as_str(), last.steps), ("o/m120", DEPTH));
    assert_eq!((last.path.names.len(), last.path.hidden), (64, DEPTH + 1 - 64));
    assert_eq!((last.path.names[31].as_str(), last.path.names[32].as_str()), ("o/m31", "o/m89"));
    assert_eq!((threats.items.len(), threats.hidden), (1, 0));
    assert_eq!((threats.items[0].through.as_str(), &threats.items[0].path), ("o/m0", &last.path));
}
