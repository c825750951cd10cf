//! Tests of tables as studies of the Hub publish them.

use domain::{Metadata, Relation, Source};

use super::{Entry, Place, Row};

fn model(row: &Row) -> &Metadata {
    let Ok(Entry::Model(metadata)) = &row.outcome else { panic!("row {row:?} is no model") };
    metadata
}

/// A table of one model, its cells in quotes.
fn one(cells: &[(&str, &str)]) -> Metadata {
    let quoted = |cell: &str| format!("\"{}\"", cell.replace('"', "\"\""));
    let header: Vec<&str> = cells.iter().map(|(column, _)| *column).collect();
    let row: Vec<String> = cells.iter().map(|(_, cell)| quoted(cell)).collect();
    let rows = Place::new().rows("x.csv", format!("{}\n{}\n", header.join(","), row.join(",")));
    model(&rows[0]).clone()
}

#[test]
fn the_columns_of_the_ecosystem_study_are_read() {
    let read = one(&[
        ("model_id", "a/b"),
        ("licenses", "['apache-2.0']"),
        ("languages", "['en', 'de']"),
        ("datasets", "['d/one', 'd/two']"),
        ("parent_model", "['o/base', 'o/other']"),
        ("finetune_parent", "['o/base']"),
        ("quantized_parent", "[]"),
        ("adapter_parent", "nan"),
        ("merge_parent", "['o/other']"),
        ("modelCard", "---\nlicense: mit\n---\n# A model"),
    ]);

    let parents: Vec<_> =
        read.parents.iter().map(|parent| (parent.raw.as_str(), parent.relation, parent.source)).collect();
    assert_eq!(
        parents,
        [
            ("o/base", None, Source::Table),
            ("o/other", None, Source::Table),
            ("o/other", Some(Relation::Merge), Source::Table),
            ("o/base", Some(Relation::Finetune), Source::Table),
        ]
    );
    assert_eq!(read.license.as_deref(), Some("apache-2.0"));
    assert_eq!(
        (read.languages, read.datasets),
        (vec!["en".to_owned(), "de".to_owned()], vec!["d/one".to_owned(), "d/two".to_owned()])
    );
    assert_eq!(read.card.as_deref(), Some("# A model"));
}

#[test]
fn counts_that_a_table_wrote_with_a_fraction_are_counts() {
    let read = one(&[("id", "a/b"), ("downloads", "537.0"), ("likes", "5.0"), ("createdAt", "1714979289")]);

    assert_eq!((read.downloads, read.likes, read.created_at), (Some(537), Some(5), Some(1_714_979_289)));
    assert!(read.notes.is_empty(), "{:?}", read.notes);
}

#[test]
fn words_for_what_is_missing_are_no_values() {
    for word in ["nan", "NaN", "None", "null", "NaT", "<NA>", "n/a"] {
        let columns = [
            "license",
            "pipeline_tag",
            "library_name",
            "language",
            "datasets",
            "createdAt",
            "downloads",
            "likes",
            "gated",
            "private",
        ];
        let mut cells = vec![("id", "a/b")];
        cells.extend(columns.map(|column| (column, word)));

        let read = one(&cells);

        assert_eq!(read, Metadata { sources: Vec::new(), ..Metadata::named(read.id.clone()) }, "{word}");
    }
    assert_eq!(one(&[("id", "a/b"), ("tags", "['x', None, 'nan']")]).tags, ["x"]);
}

#[test]
fn lists_and_dictionaries_in_cells_are_read_as_python_and_numpy_print_them() {
    let read = one(&[
        ("id", "a/b"),
        ("tags", "['transformers' 'it\\'s, fine'\n 'merge']"),
        ("safetensors", "{'parameters': {'BF16': 7.0e9, 'F32': None}, 'total': 7000000000.0}"),
        ("config", "{'model_type': 'llama', 'architectures': ['LlamaForCausalLM'], 'x': None}"),
        (
            "baseModels",
            "{'relation': 'merge', 'models': array([{'_id': '1', 'id': 'o/p'}, {'_id': '2', 'id': 'o/q'}],\n      dtype=object)}",
        ),
        ("siblings", "[RepoSibling(rfilename='a.gguf', size=None), {'rfilename': 'README.md'}]"),
        ("cardData", "{'license': 'mit', 'datasets': ['d/x'], 'base_model': None}"),
    ]);

    assert_eq!(read.tags, ["transformers", "it's, fine", "merge"]);
    assert_eq!((read.parameters, read.dtype.as_deref()), (Some(7_000_000_000), Some("BF16")));
    assert_eq!(
        (read.model_type.as_deref(), read.architecture.as_deref()),
        (Some("llama"), Some("LlamaForCausalLM"))
    );
    let parents: Vec<_> = read.parents.iter().map(|parent| (parent.raw.as_str(), parent.relation)).collect();
    assert_eq!(parents, [("o/p", Some(Relation::Merge)), ("o/q", Some(Relation::Merge))]);
    assert_eq!(read.files, ["a.gguf", "README.md"]);
    assert_eq!((read.license.as_deref(), read.datasets), (Some("mit"), vec!["d/x".to_owned()]));
}

#[test]
fn json_in_cells_is_decoded_with_its_escapes() {
    let read = one(&[
        ("id", "a/b"),
        ("tags", r#"["caf\u00e9", "a, b", "\"q\""]"#),
        ("siblings", r#"[{"rfilename": "a.bin"}, "b.bin"]"#),
        ("baseModels", r#"["o/p"]"#),
    ]);

    assert_eq!(read.tags, ["café", "a, b", "\"q\""]);
    assert_eq!(read.files, ["a.bin", "b.bin"]);
    assert_eq!(read.parents[0].raw, "o/p");
}

#[test]
fn columns_that_nothing_reads_are_told() {
    let place = Place::new();
    let unread = |text: &str| place.open("x.csv", text).unwrap().unread_columns().to_vec();

    assert_eq!(unread("id,regions,tags,trendingScore\na/b,us,x,1\n"), ["regions", "trendingScore"]);
    assert_eq!(unread("child,parent,relation,confidence\na/b,c/d,merge,1\n"), ["confidence"]);
    assert!(unread("modelId,createdAt,base_model\na/b,,\n").is_empty());
}

#[test]
fn a_relation_that_is_none_of_ours_keeps_the_parent_of_a_tag() {
    let rows = Place::new().rows("x.jsonl", "{\"id\":\"a/b\",\"tags\":[\"base_model:cousin:o/p\"]}");

    let read = model(&rows[0]);

    assert_eq!((read.parents[0].raw.as_str(), read.parents[0].relation), ("o/p", None));
    assert_eq!(read.notes[0].code, "bad_relation");
}
