//! Tests of dumps that break off, and of pages one after the other.

use std::io::Write as _;

use super::{Place, ids, pairs};
use crate::Error;

fn lines(models: u64) -> String {
    (1..=models).map(|i| format!("{{\"id\":\"o/m{}\"}}\n", i * 7_919)).collect()
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(text).unwrap();
    packer.finish().unwrap()
}

#[test]
fn a_packed_dump_that_breaks_off_says_where_after_the_rows_before() {
    let text = lines(50_000);
    let table = format!("id,tags\n{}", text.replace("{\"id\":\"", "").replace("\"}", ",x"));
    let zstd = zstd::encode_all(text.as_bytes(), 3).unwrap();
    for (name, packed) in
        [("x.jsonl.zst", zstd), ("x.jsonl.gz", gzip(text.as_bytes())), ("x.csv.gz", gzip(table.as_bytes()))]
    {
        let mut dump = Place::new().open(name, &packed[..packed.len() * 2 / 3]).unwrap();

        let rows = dump.by_ref().count() as u64;

        let broken = dump.broken().unwrap();
        assert!(rows > 1_000 && broken.position > rows, "{name}: {rows} {broken:?}");
        assert!(broken.reason.contains("cannot be read on"), "{name}: {broken:?}");
    }
}

#[test]
fn a_record_that_is_cut_off_at_the_end_of_a_file_ends_it_as_broken() {
    for (name, text, last) in [
        ("x.jsonl", "{\"id\":\"a/b\"}\n{\"id\":\"c/d\",\"tags\":[\"x", 2),
        ("x.csv", "id,tags,likes\na/b,x,1\nc/d,y", 3),
        ("x.csv", "id,tags,likes\na/b,x,1\nc/d,\"y, z", 3),
    ] {
        let mut dump = Place::new().open(name, text).unwrap();

        let rows: Vec<_> = dump.by_ref().collect();

        assert_eq!((rows.len(), rows[1].outcome.is_err()), (2, true), "{text}");
        assert_eq!(dump.broken().map(|broken| broken.position), Some(last), "{text}");
    }
    for (name, text) in [
        ("x.jsonl", "{\"id\":\"a/b\"}\n{\"id\":\"c/d\"}"),
        ("x.jsonl", "{\"id\":\"a/b\"}\n{\"id\" 3}"),
        ("x.csv", "id,tags\na/b,x\nc/d,y"),
        ("x.csv", "id,tags\na/b,x\nc/d\n"),
    ] {
        let mut dump = Place::new().open(name, text).unwrap();

        assert_eq!((dump.by_ref().count(), dump.broken()), (2, None), "{text}");
    }
}

#[test]
fn a_list_that_is_cut_off_says_where_after_the_rows_before() {
    let whole = format!("[{}]", lines(2_000).trim_end().replace('\n', ","));
    let packed = gzip(whole.as_bytes());
    let (cut, packed) = (&whole.as_bytes()[..whole.len() / 2], &packed[..packed.len() / 2]);

    for (name, bytes) in [("x.json", cut), ("x.json.gz", packed)] {
        let mut dump = Place::new().open(name, bytes).unwrap();

        let rows = dump.by_ref().count() as u64;

        assert!(rows > 100, "{name}: {rows}");
        assert_eq!(dump.broken().map(|broken| broken.position), Some(rows + 1), "{name}");
    }
    let map = Place::new().open("x.json", "{\"models\":[{\"id\":\"a/b\"},{\"id\"").err().unwrap();
    assert!(matches!(map, Error::Damaged { .. }), "{map}");
}

#[test]
fn a_quote_that_is_open_to_the_end_of_the_file_costs_its_own_row() {
    let rows = Place::new().rows("x.csv", "id,tags\na/f,x\na/g,\"c/d\na/h,y\na/i,z\n");

    assert_eq!(ids(&rows), pairs(&[(2, "a/f"), (3, "-"), (4, "a/h"), (5, "a/i")]));
}

#[test]
fn pages_of_the_hub_are_read_one_after_the_other() {
    let pages = "[{\"id\":\"a/b\"},{\"id\":\"c/d\"}]\n[]\n[{\"id\":\"e/f\"}]\n";
    let together = "[{\"id\":\"a/b\"},\n{\"id\":\"c/d\"}][{\"id\":\"e/f\"}]";
    let record_first = "{\"id\":\"a/b\"}\n[{\"id\":\"c/d\"},{\"id\":\"e/f\"}]";
    let expected = pairs(&[(1, "a/b"), (2, "c/d"), (3, "e/f")]);

    for (name, text) in
        [("x.jsonl", pages), ("x.json", pages), ("x.json", together), ("x.json", record_first)]
    {
        assert_eq!(ids(&Place::new().rows(name, text)), expected, "{name}: {text}");
    }
}
