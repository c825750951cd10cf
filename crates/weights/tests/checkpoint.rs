//! Shards, indexes, folders, and the way out again.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;

use domain::{Fault, Limits, RelativePath, files::Beginning};
use safetensors::SafeTensors;
use support::{file, held, one, tensors};
use weights::{
    Checkpoint, Error, Folder, LocalFile, ReadAt, TensorSource, assemble, survey, tensor_digest,
    write_safetensors,
};

type Files = Vec<(RelativePath, Arc<dyn ReadAt>)>;

fn repo(files: &[(&str, Vec<u8>)]) -> Files {
    files.iter().map(|(name, bytes)| (RelativePath::parse(name).unwrap(), held(bytes.clone()))).collect()
}

fn shards() -> [(&'static str, Vec<u8>); 2] {
    [
        ("one.safetensors", tensors(&[("a", &[1], &[1.0])])),
        ("two.safetensors", tensors(&[("b", &[1], &[2.0])])),
    ]
}

fn with_index(index: &str) -> Result<Option<Checkpoint>, Error> {
    let [one, two] = shards();
    assemble(
        &repo(&[one, two, ("model.safetensors.index.json", index.as_bytes().to_vec())]),
        &Limits::default(),
    )
}

#[test]
fn an_index_gathers_its_shards() {
    let index = r#"{"metadata":{"total_size":8},"weight_map":{"a":"one.safetensors","b":"two.safetensors"}}"#;
    let checkpoint = with_index(index).unwrap().unwrap();
    let mut value = [0.0];
    checkpoint.read_f32(checkpoint.position("b").unwrap(), 0, &mut value).unwrap();
    assert_eq!(
        (value[0], checkpoint.shard_of(0), checkpoint.shard_of(1)),
        (2.0, "one.safetensors", "two.safetensors")
    );
    assert_eq!(checkpoint.byte_range(1).end - checkpoint.byte_range(1).start, 4);
}

#[test]
fn an_index_that_contradicts_its_files_is_refused() {
    for (map, code) in [
        (r#""a":"../../secret.safetensors","b":"two.safetensors""#, "bad_shard_path"),
        (r#""a":"/etc/passwd""#, "bad_shard_path"),
        (r#""a":"one.safetensors","b":"three.safetensors""#, "missing_shard"),
        (r#""a":"one.safetensors","b":"two.safetensors","a":"one.safetensors""#, "duplicate_key"),
        (r#""a":"two.safetensors","b":"one.safetensors""#, "shard_mismatch"),
        (r#""a":"one.safetensors","b":"one.safetensors""#, "shard_mismatch"),
        (r#""b":"one.safetensors""#, "shard_mismatch"),
        (r#""a":"one.safetensors","b":"two.safetensors","c":"two.safetensors""#, "shard_mismatch"),
        (r#""a":7"#, "invalid_index"),
    ] {
        let error = with_index(&format!(r#"{{"weight_map":{{{map}}}}}"#)).unwrap_err();
        assert_eq!(error.code(), code, "{map}: {error}");
    }
    assert_eq!(with_index("{}").unwrap_err().code(), "missing_field");
}

#[test]
fn a_file_the_index_does_not_name_is_refused_when_given() {
    let [one, two] = shards();
    let files = [one, two].map(|(name, bytes)| (name.to_owned(), held(bytes))).to_vec();
    let index = br#"{"weight_map":{"a":"one.safetensors"}}"#;
    let error = Checkpoint::open_files(files, Some(index), &Limits::default()).unwrap_err();
    assert_eq!(error.code(), "unlisted_shard");
}

#[test]
fn the_weights_of_a_repository_are_found_by_name() {
    let a = || tensors(&[("a", &[1], &[1.0])]);
    let b = || tensors(&[("b", &[1], &[1.0])]);
    let found =
        |files: &[(&str, Vec<u8>)]| {
            let checkpoint = assemble(&repo(files), &Limits::default()).map_err(|error| error.code())?;
            Ok::<_, &str>(checkpoint.map(|c| {
                (0..c.tensors().len()).map(|i| c.shard_of(i).to_owned()).collect::<Vec<_>>().join(" ")
            }))
        };
    let first = "model-00001-of-00002.safetensors";
    let second = "model-00002-of-00002.safetensors";
    assert_eq!(
        found(&[("model.safetensors", a()), ("other.safetensors", b())]),
        Ok(Some("model.safetensors".into()))
    );
    assert_eq!(found(&[(second, b()), (first, a())]), Ok(Some(format!("{first} {second}"))));
    assert_eq!(found(&[(first, a())]), Err("missing_shard"));
    assert_eq!(found(&[(first, a()), (second, a())]), Err("duplicate_tensor"));
    assert_eq!(
        found(&[("adapter_model.safetensors", a()), ("x.safetensors", b())]),
        Ok(Some("adapter_model.safetensors".into()))
    );
    assert_eq!(found(&[("sub/model.safetensors", a()), ("README.md", vec![])]), Ok(None));
    assert_eq!(found(&[("weights.safetensors", a())]), Ok(Some("weights.safetensors".into())));
    let [one, two] = [1, 2].map(|shard| format!("diffusion-model-0000{shard}-of-00002.safetensors"));
    let (one, two) = (one.as_str(), two.as_str());
    assert_eq!(found(&[(one, a()), (two, b())]), Ok(Some(format!("{one} {two}"))));
    assert_eq!(found(&[(one, a()), (first, a()), (second, b())]), Ok(Some(format!("{first} {second}"))));
    let other = "text-00001-of-00001.safetensors";
    assert_eq!(found(&[(one, a()), (two, b()), (other, a())]), Ok(None), "which of the two is meant?");
}

#[test]
fn reads_outside_a_tensor_and_of_opaque_formats_are_refused() {
    let checkpoint =
        one(support::file(r#"{"a":{"dtype":"I32","shape":[1],"data_offsets":[0,4]}}"#, &[1, 0, 0, 0]));
    assert_eq!(checkpoint.read_f32(0, 0, &mut [0.0]).unwrap_err().code(), "unsupported_dtype");
    assert_eq!(checkpoint.read_bytes(0, 1, &mut [0; 4]).unwrap_err().code(), "out_of_range");
    assert_eq!(checkpoint.read_bytes(0, u64::MAX, &mut [0; 4]).unwrap_err().code(), "out_of_range");
    assert_eq!(checkpoint.read_bytes(1, 0, &mut []).unwrap_err().code(), "out_of_range");
}

#[test]
fn what_is_written_the_safetensors_crate_reads_back() {
    let long: Vec<f32> = (0..600_000).map(|i| i as f32).collect();
    let source = one(tensors(&[
        ("z", &[2], &[1.0, f32::NAN]),
        ("m", &[600_000], &long),
        ("e", &[0, 3], &[]),
        ("a", &[], &[5.0]),
    ]));
    let mut out = Vec::new();
    let told = std::sync::atomic::AtomicU64::new(0);
    let count = |bytes| {
        told.fetch_add(bytes, std::sync::atomic::Ordering::Relaxed);
        Ok(())
    };
    let written = write_safetensors(&source, &mut out, &count).unwrap();
    assert_eq!((written.bytes, written.digest), (out.len() as u64, domain::Digest::of(&out)));
    assert_eq!(told.into_inner(), 600_003 * 4);
    let read = SafeTensors::deserialize(&out).unwrap();
    assert_eq!(read.tensor("a").unwrap().data(), 5f32.to_le_bytes());
    assert_eq!(
        read.tensor("m").unwrap().data(),
        long.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>()
    );
    assert_eq!(read.tensor("e").unwrap().shape(), [0, 3]);
    let (_, header) = SafeTensors::read_metadata(&out).unwrap();
    assert_eq!(header.metadata().as_ref().unwrap()["format"], "pt");
    let again = one(out.clone());
    let mut second = Vec::new();
    write_safetensors(&again, &mut second, &|_| Ok(())).unwrap();
    assert_eq!(out, second, "our own output is a fixed point");
}

#[test]
fn a_caller_that_stops_ends_the_work() {
    let source = one(tensors(&[("a", &[1], &[1.0])]));
    let stop = |_| Err(Error::Stopped);
    assert!(matches!(write_safetensors(&source, &mut Vec::new(), &stop), Err(Error::Stopped)));
    assert!(matches!(survey(&source, 64, &stop), Err(Error::Stopped)));
}

#[test]
fn a_survey_digests_stored_bytes_and_counts_what_is_not_finite() {
    let source = one(tensors(&[("a", &[3], &[3.0, f32::NAN, -4.0])]));
    let facts = survey(&source, 64, &|_| Ok(())).unwrap().remove(0);
    let bytes: Vec<u8> = [3.0, f32::NAN, -4.0].iter().flat_map(|v| v.to_le_bytes()).collect();
    assert_eq!(facts.digest, domain::Digest::of(&bytes));
    assert_eq!(facts.digest, tensor_digest(&source, 0).unwrap());
    let stats = facts.stats.unwrap();
    assert_eq!((stats.l2(), stats.nans, stats.range()), (5.0, 1, Some((-4.0, 3.0))));
}

#[test]
fn a_folder_gives_its_documents_and_its_weights() {
    let home = tempfile::tempdir().unwrap();
    let put = |name: &str, bytes: &[u8]| fs_err::write(home.path().join(name), bytes).unwrap();
    put("config.json", br#"{"model_type":"llama"}"#);
    put("README.md", b"# hello");
    put("tokenizer.json", b"{}");
    put("model.safetensors", &tensors(&[("a", &[1], &[1.0])]));
    fs_err::create_dir_all(home.path().join(".git/objects")).unwrap();
    fs_err::create_dir(home.path().join("onnx")).unwrap();
    put(".git/config", b"x");
    put("onnx/model.onnx", b"x");
    let limits = Limits::default();
    let folder = Folder::open(home.path(), &limits).unwrap();
    let paths: Vec<_> = folder.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths, ["README.md", "config.json", "model.safetensors", "onnx/model.onnx", "tokenizer.json"]);
    assert_eq!(folder.config.as_ref().unwrap()["model_type"], "llama");
    assert_eq!(
        (folder.readme, folder.tokenizer.len()),
        (Some(Beginning { bytes: b"# hello".to_vec(), size: 7 }), 1)
    );
    let short = Folder::open(home.path(), &Limits { card_bytes: 3, ..limits }).unwrap();
    assert_eq!(short.readme, Some(Beginning { bytes: b"# h".to_vec(), size: 7 }));
    put("config.json", br#"{"a":1,"a":2}"#);
    assert_eq!(Folder::open(home.path(), &limits).unwrap_err().code(), "duplicate_key");
    let few = Limits { files: 3, ..limits };
    assert_eq!(Folder::open(home.path(), &few).unwrap_err().code(), "too_many_files");
}

#[test]
fn symbolic_links_are_refused_as_file_in_a_folder_and_as_folder() {
    let home = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    let (real, link) = (outside.path().join("real.safetensors"), home.path().join("model.safetensors"));
    fs_err::write(&real, tensors(&[("a", &[1], &[1.0])])).unwrap();
    std::os::unix::fs::symlink(&real, &link).unwrap();
    assert!(LocalFile::open(&real).is_ok());
    assert_eq!(LocalFile::open(&link).unwrap_err().code(), "not_a_plain_file");
    assert_eq!(Folder::open(home.path(), &Limits::default()).unwrap_err().code(), "not_a_plain_file");
    fs_err::remove_file(&link).unwrap();
    std::os::unix::fs::symlink(outside.path(), home.path().join("sub")).unwrap();
    assert_eq!(Folder::open(home.path(), &Limits::default()).unwrap_err().code(), "not_a_plain_file");
    assert_eq!(LocalFile::open(home.path()).unwrap_err().code(), "not_a_plain_file");
}

#[test]
fn a_tensor_of_an_unknown_dtype_is_listed_copied_and_not_read_as_numbers() {
    let header = r#"{"a":{"dtype":"F6_E9","shape":[4],"data_offsets":[0,3]},"b":{"dtype":"F4","shape":[2],"data_offsets":[3,4]}}"#;
    let source = one(file(header, &[1, 2, 3, 4]));

    let mut out = Vec::new();
    write_safetensors(&source, &mut out, &|_| Ok(())).unwrap();
    let again = one(out);
    let facts = survey(&again, 64, &|_| Ok(())).unwrap();

    let listed = &again.tensors()[0];
    assert_eq!((listed.dtype.name(), listed.bytes(), &listed.shape[..]), ("F6_E9", 3, &[4][..]));
    assert_eq!(again.tensors(), source.tensors());
    assert_eq!(facts[0].digest, domain::Digest::of(&[1, 2, 3]));
    assert!(facts[0].stats.is_none() && facts[0].sketch.is_none());
    let refused = again.read_f32(0, 0, &mut [0.0; 4]).unwrap_err();
    assert_eq!(refused.code(), "unsupported_dtype", "{refused}");
}
