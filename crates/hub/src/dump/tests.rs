//! Tests of the dump readers on generated files.

use std::{collections::BTreeSet, io::Write as _, path::PathBuf, sync::Arc};

use domain::{Limits, Relation, Source};
use parquet::{
    data_type::{ByteArray, ByteArrayType, Int64Type},
    file::writer::SerializedFileWriter,
    schema::parser::parse_message_type,
};

use super::{Dump, Entry, Row, open};
use crate::Error;

mod broken;
mod columns;
mod parquet_types;
mod tables;

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        fs_err::write(&path, bytes).unwrap();
        path
    }

    fn open(&self, name: &str, bytes: impl AsRef<[u8]>) -> crate::Result<Dump> {
        open(&self.file(name, bytes), &Limits::default())
    }

    fn rows(&self, name: &str, bytes: impl AsRef<[u8]>) -> Vec<Row> {
        self.open(name, bytes).unwrap().collect()
    }
}

fn ids(rows: &[Row]) -> Vec<(u64, String)> {
    let word = |row: &Row| match &row.outcome {
        Ok(Entry::Model(metadata)) => metadata.id.to_string(),
        Ok(Entry::Edge { parent, child, relation, .. }) => format!("{parent} {relation} {child}"),
        Ok(Entry::Alias { from, to }) => format!("{from} is {to}"),
        Err(_) => "-".to_owned(),
    };
    rows.iter().map(|row| (row.position, word(row))).collect()
}

fn pairs(expected: &[(u64, &str)]) -> Vec<(u64, String)> {
    expected.iter().map(|&(position, text)| (position, text.to_owned())).collect()
}

#[test]
fn lines_are_read_one_by_one_and_bad_ones_reported_with_their_number() {
    let text = "{\"id\":\"a/b\"}\n\n{broken\n{\"id\":\"../x\"}\n\"c/d\"\n{\"parent\":\"a/b\",\"child\":\"e/f\",\"relation\":\"merge\"}\r\n{\"from\":\"old/x\",\"to\":\"new/x\"}";
    let rows = Place::new().rows("x.jsonl", text);

    let expected = [(1, "a/b"), (3, "-"), (4, "-"), (5, "c/d"), (6, "a/b merge e/f"), (7, "old/x is new/x")];
    assert_eq!(ids(&rows), pairs(&expected));
}

#[test]
fn an_overlong_line_is_passed_over() {
    let place = Place::new();
    let long = format!("{{\"id\":\"{}\"}}", "x".repeat(100));
    let text = format!("{long}\n{{\"id\":\"a/b\"}}\n{long}\n{{\"id\":\"c/d\"}}\n");
    let limits = Limits { row_bytes: 64, ..Limits::default() };

    let rows: Vec<Row> = open(&place.file("x.ndjson", text), &limits).unwrap().collect();

    assert_eq!(ids(&rows), pairs(&[(1, "-"), (2, "a/b"), (3, "-"), (4, "c/d")]));
    assert!(rows[2].outcome.as_ref().unwrap_err().contains("longer than 64"));
}

#[test]
fn a_packed_dump_can_be_resumed_after_any_row() {
    let text: String = (1..=50).map(|i| format!("{{\"id\":\"o/m{i}\"}}\n")).collect();
    let packed = zstd::encode_all(text.as_bytes(), 3).unwrap();
    let mut dump = Place::new().open("x.jsonl.zst", &packed).unwrap();

    dump.skip_to(48);

    assert_eq!(ids(&dump.by_ref().collect::<Vec<_>>()), pairs(&[(49, "o/m49"), (50, "o/m50")]));
    assert_eq!((dump.bytes_read(), dump.total_bytes()), (packed.len() as u64, packed.len() as u64));
}

#[test]
fn documents_hold_lists_clusters_single_records_or_resolutions() {
    let place = Place::new();

    assert_eq!(
        ids(&place.rows("a.json", r#"[{"id":"a/b"},{"id":"c/d"}]"#)),
        pairs(&[(1, "a/b"), (2, "c/d")])
    );
    assert_eq!(
        ids(&place.rows("b.json", r#"[["a/b","c/d"],["e/f"]]"#)),
        pairs(&[(1, "a/b"), (2, "c/d"), (3, "e/f")])
    );
    assert_eq!(ids(&place.rows("c.json", r#"{"id":"a/b"}"#)), pairs(&[(1, "a/b")]));
    let resolutions = r#"{"policy":{},"resolutions":{"x/y":{"fixed_hf_model_id":"X/Y"},
        "old/m":{"fixed_hf_model_id":"new/m"},"gone/m":{"fixed_hf_model_id":null}}}"#;
    assert_eq!(
        ids(&place.rows("d.json", resolutions)),
        pairs(&[(1, "X/Y"), (2, "old/m is new/m"), (3, "-")])
    );
}

#[test]
fn a_bad_record_of_a_document_is_reported_and_the_rest_read() {
    let place = Place::new();
    let long = "x".repeat(100);
    let text = format!(
        r#"{{"n": 1, "models": [{{"id":"a/b","loss":NaN}}, {{"id":"{long}"}}, {{"id" 3}}, ["c/d"]]}}"#
    );
    let limits = Limits { row_bytes: 64, ..Limits::default() };

    let rows: Vec<Row> = open(&place.file("a.json", text), &limits).unwrap().collect();

    assert_eq!(ids(&rows), pairs(&[(1, "a/b"), (2, "-"), (3, "-"), (4, "c/d")]));
    assert!(rows[1].outcome.as_ref().unwrap_err().contains("longer than 64"));
    assert_eq!(
        ids(&place.rows("b.json", "{\"id\":\"a/b\"} {\"id\":\"c/d\"}\n3")),
        pairs(&[(1, "a/b"), (2, "c/d"), (3, "-")])
    );
    for text in ["[{\"id\":\"a/b\"},{", "[{\"id\":\"a/b\"}]]"] {
        let mut dump = place.open("c.json", text).unwrap();
        assert_eq!(
            (dump.by_ref().count(), dump.broken().map(|broken| broken.position)),
            (1, Some(2)),
            "{text}"
        );
    }
    for text in ["[{\"id\":\"a/b\"}", "{\"models\":[1]", "[1 2]"] {
        assert!(matches!(place.open("c.json", text).err(), Some(Error::Damaged { .. })), "{text}");
    }
}

#[test]
fn byte_order_marks_and_pythons_numbers_do_no_harm() {
    let place = Place::new();
    let marked = |text: &str| format!("\u{feff}{text}");

    let lines = place
        .rows("x.jsonl", marked("{\"id\":\"a/b\",\"x\":[NaN,-Infinity]}\n{\"id\":\"NaN/x\",\"y\":Infinity}"));
    let document = place.rows("x.json", marked("[{\"id\":\"a/b\"}]"));
    let table = place.rows("x.csv", marked("\"id\"\na/b\n"));

    assert_eq!(ids(&lines), pairs(&[(1, "a/b"), (2, "NaN/x")]));
    assert_eq!(ids(&document), pairs(&[(1, "a/b")]));
    assert_eq!(ids(&table), pairs(&[(2, "a/b")]));
}

#[test]
fn tables_of_models_and_of_edges_are_told_apart_by_their_columns() {
    let place = Place::new();
    let models = "modelId,createdAt,base_model\na/b,2024-07-23 15:36:34,c/d\nbad id,,\n";
    let rows = place.rows("a.csv", models);
    assert_eq!(ids(&rows), pairs(&[(2, "a/b"), (3, "-")]));
    let Ok(Entry::Model(metadata)) = &rows[0].outcome else { panic!("a model was expected") };
    assert_eq!(metadata.created_at, Some(1_721_748_994));
    assert_eq!(metadata.parents[0].raw, "c/d");

    let edges = "Base Model,Relation,Derived Model\nTiny_Base-1,qtz,The_Quant_1\na/b,,c/d\na/b,odd,c/d\n";
    let rows = place.rows("b.csv", edges);
    let expected =
        [(2, "Tiny/Base-1 quantized The/Quant_1"), (3, "a/b finetune c/d"), (4, "a/b finetune c/d")];
    assert_eq!(ids(&rows), pairs(&expected));
    let unknown = |row: &Row| match &row.outcome {
        Ok(Entry::Edge { unknown, .. }) => unknown.clone(),
        _ => None,
    };
    assert_eq!(rows.iter().map(unknown).collect::<Vec<_>>(), [None, None, Some("odd".to_owned())]);
}

#[test]
fn a_quote_that_never_closes_does_not_fill_the_memory() {
    let place = Place::new();
    let text = format!("id\n\"a/b{}", "x".repeat(400_000));
    let limits = Limits { row_bytes: 1_000, ..Limits::default() };

    let rows: Vec<Row> = open(&place.file("x.csv", text), &limits).unwrap().collect();

    assert_eq!(rows.len(), 1);
    assert!(rows[0].outcome.is_err());
}

#[test]
fn an_overlong_record_of_a_table_is_passed_over() {
    let place = Place::new();
    let long = "x\n".repeat(100);
    let text = format!("id,\"base_model\"\r\n\r\na/b,\"c\"\"/\nd\"\n\"{long}\",1\nc/d,e\"f\n\"g/h\",");
    let limits = Limits { row_bytes: 64, ..Limits::default() };

    let rows: Vec<Row> = open(&place.file("x.csv", text), &limits).unwrap().collect();

    assert_eq!(ids(&rows), pairs(&[(3, "a/b"), (5, "-"), (106, "c/d"), (107, "g/h")]));
    assert!(rows[1].outcome.as_ref().unwrap_err().contains("longer than 64"));
    let Ok(Entry::Model(metadata)) = &rows[0].outcome else { panic!("a model was expected") };
    let parents: Vec<&str> = metadata.parents.iter().map(|parent| parent.raw.as_str()).collect();
    assert_eq!(parents, ["c\"/", "d"]);
}

#[test]
fn files_without_metadata_are_refused_naming_what_was_looked_for() {
    let place = Place::new();
    for (name, text) in [
        ("a.csv", "license_name,spdx_id\nMIT,MIT\n"),
        ("a.jsonl", "{\"x\":1}\n"),
        ("b.jsonl", ""),
        ("a.json", "[]"),
        ("b.json", "{\"x\":1}"),
        ("c.json", "3"),
    ] {
        let error = place.open(name, text).err().unwrap();
        assert!(matches!(error, Error::NotADump { .. }), "{name}: {error}");
        assert!(error.to_string().contains("modelId"), "{error}");
    }
    assert!(matches!(place.open("a.xlsx", "PK").err(), Some(Error::UnknownFormat { .. })));
    assert!(matches!(place.open("a.json", "{").err(), Some(Error::Damaged { .. })));
    assert!(matches!(place.open("a.parquet", "PAR1").err(), Some(Error::Damaged { .. })));
    assert!(matches!(open(&place.0.path().join("none.csv"), &Limits::default()), Err(Error::Io { .. })));
}

#[test]
fn parquet_rows_carry_lists_structs_and_times() {
    let parquet = parquet_file(
        "message m { optional binary id (UTF8); optional int64 createdAt (TIMESTAMP(MICROS,false)); optional int64 downloads; }",
        &["a/b", "c/d"],
    );
    let mut dump = Place::new().open("x.parquet", &parquet).unwrap();
    let rows: Vec<Row> = dump.by_ref().collect();

    assert_eq!(ids(&rows), pairs(&[(1, "a/b"), (2, "c/d")]));
    let Ok(Entry::Model(metadata)) = &rows[0].outcome else { panic!("a model was expected") };
    assert_eq!((metadata.created_at, metadata.downloads), (Some(1_700_000_000), Some(5)));
    assert_eq!(dump.bytes_read(), dump.total_bytes());
}

#[test]
fn a_damaged_parquet_file_never_panics() {
    let place = Place::new();
    let schema =
        "message m { optional binary id (UTF8); optional int64 createdAt; optional int64 downloads; }";
    let whole = parquet_file(schema, &["a/b", "c/d"]);
    for at in (0..whole.len()).step_by(3) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x55;
        if let Ok(dump) = place.open("x.parquet", &bytes) {
            assert!(dump.take(100).count() <= 100);
        }
    }
}

#[test]
fn a_parquet_row_that_would_fill_the_memory_is_refused_unread() {
    let place = Place::new();
    let limits = Limits { dump_row_values: 1_000, ..Limits::default() };
    let few = place.file("few.parquet", parquet_list(999));
    let many = place.file("many.parquet", parquet_list(1_001));

    let Ok(Entry::Model(metadata)) = open(&few, &limits).unwrap().next().unwrap().outcome else { panic!() };
    let error = open(&many, &limits).err().unwrap().to_string();

    assert_eq!(metadata.tags.len(), 1);
    assert!(error.contains("a row holds 1001 items of `tags.list.element`; at most 1000"), "{error}");
    let narrow = Limits { dump_page_bytes: 50 * 999, ..limits };
    let error = open(&few, &narrow).err().unwrap().to_string();
    assert!(error.contains("999 items of `tags.list.element` with 60 bytes each"), "{error}");
}

#[test]
fn parquet_pages_that_unpack_to_too_much_are_refused_unread() {
    let place = Place::new();
    let limits = Limits { dump_page_bytes: 50, ..Limits::default() };
    let path = place.file("x.parquet", parquet_list(10));

    let error = open(&path, &limits).err().unwrap().to_string();

    assert!(error.contains("bytes at a time; at most 50 are accepted"), "{error}");
}

#[test]
fn edges_have_a_default_relation() {
    let rows = Place::new().rows("x.csv", "parent,child\na/b,c/d\n");
    assert!(matches!(rows[0].outcome, Ok(Entry::Edge { relation: Relation::Finetune, .. })));
}

#[test]
fn the_demo_dump_names_the_same_parents_in_its_tags_and_in_base_models() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../stemma/demo/hub-models.jsonl.zst");
    let mut edges = [Source::Api, Source::Tag].map(|source| (source, BTreeSet::new()));
    let mut models = 0;
    for row in open(&path, &Limits::default()).unwrap() {
        let Ok(Entry::Model(metadata)) = row.outcome else { panic!("row {} is no model", row.position) };
        models += 1;
        for parent in metadata.parents {
            let (_, set) = edges.iter_mut().find(|(source, _)| *source == parent.source).unwrap();
            set.extend(parent.relation.map(|relation| (metadata.id.to_string(), parent.raw, relation)));
        }
    }

    assert_eq!(models, 4_167);
    assert_eq!(edges[0].1.len(), 5_201);
    assert_eq!(edges[0].1, edges[1].1);
}

#[test]
fn a_dump_may_travel_between_threads() {
    let dump = Place::new().open("x.jsonl", "{\"id\":\"a/b\"}").unwrap();
    assert_eq!(std::thread::spawn(move || dump.count()).join().unwrap(), 1);
}

fn parquet_file(schema: &str, names: &[&str]) -> Vec<u8> {
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let mut out = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut out, schema, Arc::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let levels = vec![1; names.len()];
    let mut column = group.next_column().unwrap().unwrap();
    let texts: Vec<ByteArray> = names.iter().map(|name| ByteArray::from(*name)).collect();
    column.typed::<ByteArrayType>().write_batch(&texts, Some(&levels), None).unwrap();
    column.close().unwrap();
    for number in [1_700_000_000_000_000, 5] {
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<Int64Type>().write_batch(&vec![number; names.len()], Some(&levels), None).unwrap();
        column.close().unwrap();
    }
    group.close().unwrap();
    writer.close().unwrap();
    out.flush().unwrap();
    out
}

/// One model with one tag of 60 bytes, written `items` times.
fn parquet_list(items: usize) -> Vec<u8> {
    let schema = "message m { required binary id (UTF8); optional group tags (LIST) { repeated group list { optional binary element (UTF8); } } }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let mut out = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut out, schema, Arc::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<ByteArrayType>().write_batch(&[ByteArray::from("a/b")], None, None).unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    let tag = "t".repeat(60);
    let tags = vec![ByteArray::from(tag.as_str()); items];
    let repeated: Vec<i16> = (0..items).map(|at| i16::from(at > 0)).collect();
    column.typed::<ByteArrayType>().write_batch(&tags, Some(&vec![3; items]), Some(&repeated)).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
    out
}

/// Why rows could not be used, by position.
fn reasons(rows: &[Row]) -> Vec<(u64, &str)> {
    rows.iter().filter_map(|row| Some((row.position, row.outcome.as_ref().err()?.as_str()))).collect()
}

#[test]
fn a_quote_that_is_not_closed_costs_its_own_row_and_no_other() {
    for end in ["\n", "\r\n"] {
        let lines =
            ["id,tags,downloads", "z/d,x,5", "z/e,\"unclosed,7", "z/f,x,8", "z/g,\"a, b\",9", "z/h,\"open,1"];
        let text = lines.join(end);

        let rows = Place::new().rows("q.csv", &text);

        let expected = [(2, "z/d"), (3, "-"), (4, "z/f"), (5, "z/g"), (6, "-")];
        assert_eq!(ids(&rows), pairs(&expected), "{end:?}");
        assert!(reasons(&rows).iter().all(|(_, reason)| reason.contains("a quote is opened")));
    }
}

#[test]
fn a_row_with_more_or_fewer_cells_than_the_header_is_told() {
    let text = "id,tags,downloads\nz/b,x,6\nz/c,5\nz/d,a,b,c\nz/e,x,7,,\nz/f,\"two\nlines\",8\n";

    let rows = Place::new().rows("q.csv", text);

    assert_eq!(ids(&rows), pairs(&[(2, "z/b"), (3, "-"), (4, "-"), (5, "z/e"), (6, "z/f")]));
    assert_eq!(
        reasons(&rows),
        [(3, "the row has 2 cells, the header has 3"), (4, "the row has 4 cells, the header has 3")]
    );
}

#[test]
fn a_packed_dump_is_read_whatever_its_name_ends_in() {
    let text = b"{\"id\":\"a/b\"}\n{\"id\":\"c/d\"}\n";
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(text).unwrap();
    let gzip = packer.finish().unwrap();
    let zstd = zstd::encode_all(text.as_slice(), 1).unwrap();

    for (name, bytes) in
        [("x.jsonl", &gzip), ("x.jsonl.gz", &gzip), ("x.jsonl", &zstd), ("x.jsonl.zst", &zstd)]
    {
        assert_eq!(ids(&Place::new().rows(name, bytes)), pairs(&[(1, "a/b"), (2, "c/d")]), "{name}");
    }
}

#[test]
fn one_document_under_the_name_of_lines_is_read_as_what_it_is() {
    let list = "[{\"id\":\"a/b\"},{\"id\":\"c/d\"}]";
    let list_of_lines = "[\n {\"id\":\"a/b\"},\n {\"id\":\"c/d\"}\n]\n";
    let indented = "{\n  \"id\": \"a/b\"\n}\n{\n  \"id\": \"c/d\"\n}\n";

    for text in [list, list_of_lines, indented] {
        assert_eq!(ids(&Place::new().rows("x.jsonl", text)), pairs(&[(1, "a/b"), (2, "c/d")]), "{text}");
    }
    let lines = "[1,2,3]\n{\"id\":\"a/b\"}\n";
    assert_eq!(ids(&Place::new().rows("x.jsonl", lines)), pairs(&[(1, "-"), (2, "a/b")]));
}

#[test]
fn text_in_utf_16_is_refused_with_what_to_do() {
    let wide: Vec<u8> = "{\"id\":\"a/b\"}\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let marked = [&[0xff, 0xfe], wide.as_slice()].concat();

    for (name, bytes) in [("x.jsonl", &wide), ("x.csv", &marked), ("x.json", &marked)] {
        let refused = Place::new().open(name, bytes).err().unwrap().to_string();
        assert!(refused.contains("UTF-16") && refused.contains("iconv"), "{refused}");
    }
}

#[test]
fn another_name_without_the_present_one_is_told_as_such() {
    let text = "{\"from\":\"q/1\",\"to\":\"a/b\"}\n{\"from\":\"q/2\"}\n{\"from\":\"q/3\",\"to\":\"\"}\n{\"to\":\"a/b\"}\n";

    let rows = Place::new().rows("x.jsonl", text);

    assert_eq!(
        reasons(&rows),
        [
            (2, "another name has `from` and no `to`, the present name"),
            (3, "`to` is empty; the id of a model is expected"),
            (4, "another name has `to` and no `from`, the former name"),
        ]
    );
}
