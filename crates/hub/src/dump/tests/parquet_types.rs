//! Tests of the types and codecs of Parquet files.

use std::sync::Arc;

use domain::{Gating, Metadata};
use parquet::{
    basic::{BrotliLevel, Compression, GzipLevel, ZstdLevel},
    data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int32Type, Int64Type},
    file::{
        properties::WriterProperties,
        writer::{SerializedFileWriter, SerializedRowGroupWriter},
    },
    schema::parser::parse_message_type,
};

use super::{Entry, Place, ids, pairs};

type Group<'a> = SerializedRowGroupWriter<'a, Vec<u8>>;

fn column<T: DataType>(group: &mut Group<'_>, value: T::T) {
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<T>().write_batch(&[value], None, None).unwrap();
    column.close().unwrap();
}

/// A file of one row of required columns.
fn file(schema: &str, codec: Compression, fill: impl FnOnce(&mut Group<'_>)) -> Vec<u8> {
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let properties = WriterProperties::builder().set_compression(codec).build();
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties)).unwrap();
    let mut group = writer.next_row_group().unwrap();
    fill(&mut group);
    group.close().unwrap();
    writer.into_inner().unwrap()
}

fn model(bytes: &[u8]) -> Metadata {
    let mut rows = Place::new().rows("x.parquet", bytes);
    let Ok(Entry::Model(metadata)) = rows.remove(0).outcome else { panic!("a model was expected") };
    metadata
}

fn text(text: &str) -> ByteArray {
    ByteArray::from(text)
}

#[test]
fn who_may_see_a_model_of_a_parquet_file_is_read() {
    let schema = "message m { required binary id (UTF8); required boolean private; required binary gated (UTF8); \
        required boolean disabled; required binary license (UTF8); required binary license_name (UTF8); \
        required binary new_version (UTF8); }";

    let read = model(&file(schema, Compression::UNCOMPRESSED, |group| {
        column::<ByteArrayType>(group, text("a/b"));
        column::<BoolType>(group, true);
        column::<ByteArrayType>(group, text("manual"));
        column::<BoolType>(group, true);
        column::<ByteArrayType>(group, text("other"));
        column::<ByteArrayType>(group, text("my-licence"));
        column::<ByteArrayType>(group, text("a/c"));
    }));

    assert!(read.private);
    assert_eq!((read.gated, read.new_version.as_deref()), (Some(Gating::Manual), Some("a/c")));
    assert_eq!(read.notes[0].code, "disabled");
}

#[test]
fn days_decimals_and_floats_are_numbers() {
    let schema = "message m { required binary id (UTF8); required int32 createdAt (DATE); \
        required int64 downloads (DECIMAL(18,2)); required binary likes (DECIMAL(20,0)); \
        required group safetensors { required double total; } }";

    let read = model(&file(schema, Compression::UNCOMPRESSED, |group| {
        column::<ByteArrayType>(group, text("a/b"));
        column::<Int32Type>(group, 19_849);
        column::<Int64Type>(group, 53_700);
        column::<ByteArrayType>(group, ByteArray::from(vec![1, 4]));
        column::<DoubleType>(group, 7_241_797_632.0);
    }));

    assert_eq!(read.created_at, Some(1_714_953_600));
    assert_eq!((read.downloads, read.likes, read.parameters), (Some(537), Some(260), Some(7_241_797_632)));
}

#[test]
fn edges_are_read_under_every_name_of_their_columns() {
    for [parent, child] in [["parent_id", "child_id"], ["base", "derived"], ["parent", "child"]] {
        let schema =
            format!("message m {{ required binary {parent} (UTF8); required binary {child} (UTF8); }}");

        let bytes = file(&schema, Compression::UNCOMPRESSED, |group| {
            column::<ByteArrayType>(group, text("a/x"));
            column::<ByteArrayType>(group, text("b/y"));
        });

        assert_eq!(
            ids(&Place::new().rows("x.parquet", bytes)),
            pairs(&[(1, "a/x finetune b/y")]),
            "{parent}"
        );
    }
}

#[test]
fn files_of_every_codec_are_read() {
    for codec in [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(GzipLevel::default()),
        Compression::BROTLI(BrotliLevel::default()),
        Compression::LZ4,
        Compression::LZ4_RAW,
        Compression::ZSTD(ZstdLevel::default()),
    ] {
        let bytes = file("message m { required binary id (UTF8); required int32 x; }", codec, |group| {
            column::<ByteArrayType>(group, text("a/b"));
            column::<Int32Type>(group, 1);
        });
        let mut dump = Place::new().open("x.parquet", bytes).unwrap();

        assert_eq!(ids(&dump.by_ref().collect::<Vec<_>>()), pairs(&[(1, "a/b")]), "{codec:?}");
        assert_eq!(dump.unread_columns(), ["x"]);
    }
}
