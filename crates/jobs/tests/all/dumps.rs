//! What an import of a dump tells of rows that contradict earlier ones, of models that are odd, and of a file that ends early.

use domain::{Fault as _, Limits};
use jobs::{DumpReport, Registry, import_dump};
use tempfile::TempDir;

async fn imported(text: &str, name: &str) -> (TempDir, Registry, DumpReport) {
    let (place, registry) = crate::common::registry(Limits::default()).await;
    let path = place.path().join(name);
    fs_err::write(&path, text).unwrap();
    let report = import_dump(&registry, &path, &|_, _, _| {}).await.unwrap();
    (place, registry, report)
}

#[tokio::test]
async fn a_former_name_of_two_models_is_taken_as_the_first_of_them() {
    let (_place, _registry, report) = imported("from,to\no/old,o/a\no/old,o/a\nO/Old,o/b\n", "x.csv").await;

    assert_eq!((report.aliases, report.skipped), (2, 1));
    assert!(report.skipped_rows[0].reason.contains("the former name of another model"));
}

#[tokio::test]
async fn a_table_of_edges_gives_a_child_no_more_parents_than_a_card_may() {
    let rows: String = (0..101).map(|n| format!("o/p{n},kid/one\n")).collect();
    let again = "o/p0,kid/one\no/p1,kid/two\n";

    let (_place, registry, report) = imported(&format!("parent,child\n{rows}{again}"), "x.csv").await;

    let kid = registry.store.model_by_id("kid/one").await.unwrap().unwrap();
    assert_eq!(registry.store.edges_of(kid.id).await.unwrap().len(), 100);
    assert_eq!((report.skipped, report.skipped_rows[0].line), (1, 102));
}

#[tokio::test]
async fn models_with_odd_metadata_are_counted_by_the_code_of_their_notes() {
    let rows = [
        r#"{"id":"o/a","base_model":"o/p"}"#,
        r#"{"id":"o/b","base_model":["klue/bert<br","x y"]}"#,
        r#"{"id":"o/c","base_model":"o/p@main","foo":1}"#,
    ];

    let (_place, _registry, report) = imported(&rows.join("\n"), "x.jsonl").await;

    let noted = &report.notes["not_an_id"];
    assert_eq!((noted.models, noted.line, report.edges), (1, 2, 2));
    assert!(noted.detail.contains("klue/bert<br"), "{}", noted.detail);
    assert_eq!(report.unread_columns, ["foo"]);
}

#[tokio::test]
async fn a_file_that_breaks_off_has_a_report_all_the_same() {
    let rows = r#"[{"id":"o/a"},{"id":"../b"},{"id":"o/c"},{"id":"o/"#;

    let (_place, registry, report) = imported(rows, "x.json").await;

    assert_eq!(report.fault().unwrap().code(), "dump_broken");
    assert_eq!((report.rows, report.models_inserted, report.skipped_rows.len()), (3, 2, 1));
    assert!(registry.store.model_by_id("o/c").await.unwrap().is_some());
}
