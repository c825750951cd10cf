//! Every way a header can lie, and the code it is refused with.
#![allow(clippy::unwrap_used)]

mod support;

use domain::Limits;
use proptest::prelude::*;
use support::{file, tensors, verdict};
use weights::{Bytes, Header};

fn entry(name: &str, dtype: &str, shape: &str, offsets: &str) -> String {
    format!(r#""{name}":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}"#)
}

fn with(entries: &[String], data: usize) -> &'static str {
    verdict(file(&format!("{{{}}}", entries.join(",")), &vec![0; data]), &Limits::default())
}

#[test]
fn a_plain_file_is_read_and_its_tensors_come_sorted_with_absolute_ranges() {
    let bytes = tensors(&[("b", &[2], &[1.0, 2.0]), ("a", &[], &[3.0])]);
    let end = bytes.len() as u64;
    let header = Header::read(&Bytes(bytes), "x", &Limits::default()).unwrap();
    let seen: Vec<_> =
        header.tensors.iter().map(|(info, range)| (info.name.as_str(), range.clone())).collect();
    assert_eq!(seen, [("a", end - 4..end), ("b", end - 12..end - 4)]);
}

#[test]
fn every_cut_of_a_file_and_every_added_byte_is_refused() {
    let whole = tensors(&[("a", &[4], &[1.0; 4]), ("b", &[2, 3], &[2.0; 6])]);
    for length in 0..whole.len() {
        let code = verdict(whole[..length].to_vec(), &Limits::default());
        let expected = if length < 8 { "header_too_short" } else { "truncated" };
        assert_eq!(code, expected, "cut to {length}");
    }
    let longer = [whole.clone(), vec![0]].concat();
    assert_eq!(verdict(longer, &Limits::default()), "trailing_data");
    assert_eq!(verdict(whole, &Limits::default()), "ok");
}

#[test]
fn header_lengths_that_cannot_be_are_refused_before_anything_is_read() {
    let claim = |length: u64| [length.to_le_bytes().as_slice(), b"{}"].concat();
    let limits = Limits::default();
    assert_eq!(verdict(claim(u64::MAX), &limits), "header_too_large");
    assert_eq!(verdict(claim(limits.header_bytes + 1), &limits), "header_too_large");
    assert_eq!(verdict(claim(limits.header_bytes), &limits), "truncated");
    assert_eq!(verdict(claim(3), &limits), "truncated");
    assert_eq!(verdict(claim(1), &limits), "header_too_short");
    assert_eq!(verdict(claim(2), &limits), "ok");
}

#[test]
fn keys_that_occur_twice_are_refused_at_every_level() {
    let same = entry("a", "U8", "[1]", "[0,1]");
    assert_eq!(with(&[same.clone(), same.clone()], 1), "duplicate_key");
    assert_eq!(with(&[same.clone(), entry("a", "U8", "[1,1]", "[0,1]")], 1), "duplicate_key");
    assert_eq!(with(&[same.clone(), entry(r"\u0061", "U8", "[1]", "[0,1]")], 1), "duplicate_key");
    let meta = r#""__metadata__":{"k":"1"}"#.to_owned();
    assert_eq!(with(&[meta.clone(), same.clone()], 1), "ok");
    assert_eq!(with(&[meta.clone(), same.clone(), meta], 1), "duplicate_key");
    assert_eq!(with(&[r#""__metadata__":{"k":"1","k":"2"}"#.to_owned(), same], 1), "duplicate_key");
    let twice = r#""a":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}"#.to_owned();
    assert_eq!(with(&[twice], 1), "duplicate_key");
}

#[test]
fn layouts_with_overlap_hole_or_reversed_offsets_are_refused() {
    let u8s = |name: &str, length: usize, offsets: &str| entry(name, "U8", &format!("[{length}]"), offsets);
    assert_eq!(with(&[u8s("a", 4, "[0,4]"), u8s("b", 4, "[4,8]")], 8), "ok");
    assert_eq!(with(&[u8s("b", 4, "[4,8]"), u8s("a", 4, "[0,4]")], 8), "ok");
    assert_eq!(with(&[u8s("a", 4, "[0,4]"), u8s("b", 4, "[3,7]")], 7), "overlap");
    assert_eq!(with(&[u8s("a", 4, "[0,4]"), u8s("b", 4, "[0,4]")], 4), "overlap");
    assert_eq!(with(&[u8s("a", 4, "[0,4]"), u8s("b", 0, "[2,2]")], 4), "overlap");
    assert_eq!(with(&[u8s("a", 4, "[0,4]"), u8s("b", 4, "[5,9]")], 9), "hole");
    assert_eq!(with(&[u8s("a", 4, "[1,5]")], 5), "hole");
    assert_eq!(with(&[u8s("a", 4, "[4,0]")], 4), "bad_offsets");
    assert_eq!(with(&[u8s("a", 4, "[0,3]")], 3), "size_mismatch");
    assert_eq!(with(&[u8s("a", 4, "[18446744073709551612,18446744073709551615]")], 4), "size_mismatch");
    assert_eq!(with(&[u8s("a", 4, "[-4,0]")], 4), "invalid_header");
    assert_eq!(with(&[u8s("a", 4, "[0.0,4.0]")], 4), "invalid_header");
    assert_eq!(with(&[u8s("a", 4, "[0,4,8]")], 4), "invalid_header");
}

#[test]
fn shapes_and_dtypes_that_cannot_be_are_refused() {
    let top = u64::MAX;
    assert_eq!(with(&[entry("a", "F32", &format!("[{top},{top}]"), "[0,4]")], 4), "bad_shape");
    assert_eq!(with(&[entry("a", "F32", &format!("[{top}]"), "[0,4]")], 4), "bad_shape");
    assert_eq!(with(&[entry("a", "F32", &format!("[{top},0]"), "[0,0]")], 0), "bad_shape");
    assert_eq!(with(&[entry("a", "F32", "[4294967296,4294967296,0]", "[0,0]")], 0), "bad_shape");
    assert_eq!(
        with(&[entry("a", "U8", "[4294967297,0]", "[0,0]")], 0),
        "bad_shape",
        "though it can be counted"
    );
    assert_eq!(with(&[entry("a", "U8", "[0,4294967296]", "[0,0]")], 0), "ok");
    assert_eq!(with(&[entry("a", "F32", "[0,5]", "[0,0]")], 0), "ok");
    assert_eq!(with(&[entry("a", "F32", "[]", "[0,4]")], 4), "ok");
    assert_eq!(with(&[entry("a", "F32", &format!("[{}1]", "1,".repeat(16)), "[0,4]")], 4), "rank_too_high");
    assert_eq!(with(&[entry("a", "F32", &format!("[{}1]", "1,".repeat(15)), "[0,4]")], 4), "ok");
    assert_eq!(with(&[entry("a", "F4", "[3]", "[0,2]")], 2), "misaligned_dtype");
    assert_eq!(with(&[entry("a", "F4", "[4]", "[0,2]")], 2), "ok");
    assert_eq!(with(&[entry("a", "C64", "[1]", "[0,8]")], 8), "ok", "opaque, yet stored");
}

#[test]
fn a_dtype_of_the_future_is_kept_and_a_word_that_is_no_dtype_is_refused() {
    assert_eq!(with(&[entry("a", "F6_E9", "[4]", "[0,3]")], 3), "ok");
    assert_eq!(with(&[entry("a", "F99", "[0]", "[0,0]")], 0), "ok");
    assert_eq!(with(&[entry("a", "F99", "[25]", "[0,3]")], 3), "size_mismatch", "under a bit each");
    assert_eq!(with(&[entry("a", "F99", "[8]", "[0,4]")], 3), "truncated");
    assert_eq!(with(&[entry("a", "F99", "[8]", "[4,0]")], 4), "bad_offsets");
    for word in ["", "<script>", "F 9", "ü", &"F".repeat(25)] {
        assert_eq!(with(&[entry("a", word, "[1]", "[0,1]")], 1), "unknown_dtype", "{word:?}");
    }
}

#[test]
fn names_that_could_harm_a_reader_are_refused() {
    for bad in [
        "",
        "../../etc/passwd",
        "a/./b",
        r"a\u0000",
        r"a\n",
        "<script>",
        "a b",
        r"a\\b",
        "ü",
        "\u{feff}a",
        "a'b",
    ] {
        assert_eq!(with(&[entry(bad, "U8", "[1]", "[0,1]")], 1), "bad_tensor_name", "{bad:?}");
    }
    assert_eq!(with(&[entry(&"n".repeat(513), "U8", "[1]", "[0,1]")], 1), "bad_tensor_name");
    for good in ["model.layers.0.q_proj.weight", "a/b:0", "x..y", &"n".repeat(512)] {
        assert_eq!(with(&[entry(good, "U8", "[1]", "[0,1]")], 1), "ok", "{good:?}");
    }
    assert_eq!(with(&[entry(r"\ud800", "U8", "[1]", "[0,1]")], 1), "invalid_header");
}

#[test]
fn headers_of_another_form_are_refused() {
    let limits = Limits::default();
    assert_eq!(verdict(file(" {}", b""), &limits), "invalid_header");
    assert_eq!(verdict(file("{}    ", b""), &limits), "ok", "padding after the object is usual");
    assert_eq!(verdict(file("[]", b""), &limits), "invalid_header");
    assert_eq!(verdict(file("{}{}", b""), &limits), "invalid_header");
    assert_eq!(verdict(file(&format!("{{\"a\":{}", "[".repeat(100_000)), b""), &limits), "invalid_header");
    assert_eq!(with(&[r#""__metadata__":{"k":1}"#.to_owned()], 0), "invalid_header");
    assert_eq!(with(&[r#""a":{"dtype":"U8","shape":[1]}"#.to_owned()], 1), "missing_field");
    assert_eq!(
        with(&[r#""a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":1}"#.to_owned()], 1),
        "unknown_field"
    );
    let mut bytes = file("{\"a\"}", b"");
    bytes[10] = 0xFF;
    assert_eq!(verdict(bytes, &limits), "not_utf8");
}

#[test]
fn more_tensors_than_allowed_are_refused() {
    let limits = Limits { tensors: 2, ..Limits::default() };
    let names = ["a", "b", "c"].map(|name| entry(name, "U8", "[0]", "[0,0]"));
    assert_eq!(verdict(file(&format!("{{{}}}", names.join(",")), b""), &limits), "too_many_tensors");
    assert_eq!(verdict(file(&format!("{{{}}}", names[..2].join(",")), b""), &limits), "ok");
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        verdict(bytes, &Limits::default());
    }

    #[test]
    fn a_file_with_one_byte_changed_is_read_or_refused_without_panic(at in 0usize..200, value in any::<u8>()) {
        let mut bytes = tensors(&[("a", &[4], &[1.0; 4]), ("b", &[2, 3], &[2.0; 6])]);
        let at = at % bytes.len();
        bytes[at] = value;
        if let Ok(header) = Header::read(&Bytes(bytes.clone()), "x", &Limits::default()) {
            let opaque = header.tensors.iter().any(|(info, _)| matches!(info.dtype, weights::Dtype::Opaque(_)));
            let common = opaque || safetensors::SafeTensors::deserialize(&bytes).is_ok();
            prop_assert!(common, "the common reader refuses more than unknown dtypes");
            prop_assert_eq!(header.tensors.len(), 2);
        }
    }
}
