//! Tests of columns that mean something else than their names say at first.

use domain::{Limits, Relation};

use super::{Entry, Place, Row, ids, open, pairs, reasons};
use crate::Error;

fn parents(row: &Row) -> Vec<(String, Option<Relation>)> {
    let Ok(Entry::Model(metadata)) = &row.outcome else { panic!("row {row:?} is no model") };
    metadata.parents.iter().map(|parent| (parent.raw.clone(), parent.relation)).collect()
}

#[test]
fn an_edge_list_with_the_columns_from_and_to_is_no_table_of_names() {
    let place = Place::new();
    for column in ["relation", "Type", "label", "weight"] {
        let text = format!("from,to,{column}\norg/base,org/ft,finetune\n");

        let refused = place.open("x.csv", text).err().unwrap();

        assert!(matches!(refused, Error::NotADump { .. }), "{refused}");
        assert!(refused.to_string().contains("an edge list names its columns parent and child"), "{refused}");
    }
    assert_eq!(ids(&place.rows("x.csv", "from,to\no/a,o/b\n")), pairs(&[(2, "o/a is o/b")]));
}

#[test]
fn numbers_of_rows_are_no_names_and_hide_none() {
    let place = Place::new();

    let table = place.rows("a.csv", "id,model_id,base_model\n1,a/b,c/d\n2,c/d,\n");
    let objects = place.rows("b.jsonl", "{\"id\":\"65e1a9ab0000000000000000\",\"modelId\":\"a/b\"}");
    let integers = place.rows("c.jsonl", "{\"id\":1,\"model_id\":\"a/b\"}\n{\"id\":2}");
    let edges = place.rows("d.csv", "parent_id,child_id\n1,2\na/b,c/d\n");
    let bare = place.rows("e.csv", "author,model_name\nmeta-llama,Llama-2-7b\n,gpt2\n");

    assert_eq!(ids(&table), pairs(&[(2, "a/b"), (3, "c/d")]));
    assert_eq!(ids(&objects), pairs(&[(1, "a/b")]));
    assert_eq!(ids(&integers), pairs(&[(1, "a/b"), (2, "-")]));
    assert_eq!(
        reasons(&integers),
        [(2, "the id is 2, the number of a row; the name of a model is expected")]
    );
    assert_eq!(ids(&edges), pairs(&[(2, "-"), (3, "a/b finetune c/d")]));
    assert_eq!(ids(&bare), pairs(&[(2, "meta-llama/Llama-2-7b"), (3, "gpt2")]));
}

#[test]
fn fields_of_json_that_nothing_reads_are_gathered_as_its_records_come() {
    let place = Place::new();
    let unread = |name: &str, text: &str| {
        let mut dump = place.open(name, text).unwrap();
        assert_eq!(dump.by_ref().count(), 2);
        dump.unread_columns()
    };

    assert_eq!(
        unread("x.jsonl", "{\"id\":\"a/b\",\"foo\":1}\n{\"id\":\"c/d\",\"foo\":2,\"bar\":3}"),
        ["foo", "bar"]
    );
    assert_eq!(
        unread("x.json", "[{\"id\":\"a/b\"},{\"child\":\"a/b\",\"parent\":\"c/d\",\"x\\n\":1}]"),
        ["x "]
    );
    let many: String = (0..150).map(|n| format!(",\"k{n}\":1")).collect();
    let many = format!("{{\"id\":\"a/b\"{many}}}\n{{\"id\":\"c/d\"}}");
    assert_eq!(unread("x.jsonl", &many).len(), 100);
}

#[test]
fn parents_in_a_list_beside_a_relation_are_read() {
    let text = r#"[{"id":"o/a","parents":[],"relation":"base"},{"id":"o/b","parents":["o/a"],"relation":"finetune"},
        {"id":"o/c","parent":"o/a","relation":"continued"}]"#;

    let rows = Place::new().rows("x.json", text);

    assert!(parents(&rows[0]).is_empty());
    assert_eq!(parents(&rows[1]), [("o/a".to_owned(), Some(Relation::Finetune))]);
    assert_eq!(parents(&rows[2]), [("o/a".to_owned(), None)]);
    let Ok(Entry::Model(told)) = &rows[2].outcome else { panic!("no model") };
    assert_eq!(told.notes[0].code, "bad_relation");
    assert!(matches!(&rows[0].outcome, Ok(Entry::Model(told)) if told.notes.is_empty()));
}

#[test]
fn data_sets_and_spaces_are_no_models() {
    let records = [
        r#"{"id":"o/data","tags":["task_categories:text-generation","size_categories:n>1T"]}"#,
        r#"{"id":"o/more","tags":["library:datasets"],"pipeline_tag":null}"#,
        r#"{"id":"o/space","sdk":"gradio","subdomain":"o-space"}"#,
        r#"{"id":"o/model","tags":["task_categories:x"],"pipeline_tag":"text-generation"}"#,
    ];

    let rows = Place::new().rows("x.jsonl", records.join("\n"));

    assert_eq!(ids(&rows), pairs(&[(1, "-"), (2, "-"), (3, "-"), (4, "o/model")]));
    assert_eq!(reasons(&rows)[2], (3, "the record is of a Space, not of a model"));
}

#[test]
fn what_no_terminal_should_see_is_taken_out_of_what_is_read() {
    let record =
        r#"{"id":"x/a","license":"\u001b[31mmit","tags":["a\u0000b"],"base_model_relation":"z\u0007z"}"#;
    let bad = r#"{"id":"bad\u001b]0;x\u0007id"}"#;
    let place = Place::new();

    let rows: Vec<Row> =
        open(&place.file("x.jsonl", format!("{record}\n{bad}\n")), &Limits::default()).unwrap().collect();

    let Ok(Entry::Model(told)) = &rows[0].outcome else { panic!("no model") };
    assert_eq!((told.license.as_deref(), &*told.tags), (Some("[31mmit"), &["a b".to_owned()][..]));
    assert!(told.notes.iter().all(|note| !note.detail.contains(char::is_control)), "{:?}", told.notes);
    let reason = rows[1].outcome.as_ref().unwrap_err();
    assert!(!reason.contains(char::is_control), "{reason:?}");
}
