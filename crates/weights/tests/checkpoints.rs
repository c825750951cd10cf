//! Checkpoints written in one go, and in several.
#![allow(clippy::unwrap_used)]

use std::{
    path::Path,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use domain::{Digest, Limits};
use weights::{
    Checkpoint, Checkpointed, Error, Folder, Layout, Place, Step, TensorSource, tensor_digest,
    write_checkpoint,
};

mod support;
use support::tensors;

fn source() -> Checkpoint {
    let long: Vec<f32> = (0..700_000).map(|i| i as f32).collect();
    let file = tensors(&[
        ("a", &[4], &[1.0; 4]),
        ("b", &[2], &[2.0; 2]),
        ("c", &[700_000], &long),
        ("d", &[0], &[]),
        ("e", &[700_000], &long),
        ("f", &[1], &[4.0]),
        ("g", &[0, 2], &[]),
    ]);
    support::one(file)
}

fn place(at: &Path, most: u64) -> Place {
    fs_err::create_dir_all(at.join("out")).unwrap();
    Place {
        folder: at.join("out"),
        journal: at.join("journal"),
        layout: Layout { stem: "model", most },
        identity: "one".to_owned(),
    }
}

fn files(place: &Place) -> Vec<(String, Digest)> {
    let mut files: Vec<_> = fs_err::read_dir(&place.folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            (path.file_name().unwrap().to_str().unwrap().to_owned(), Digest::of(&fs_err::read(path).unwrap()))
        })
        .collect();
    files.sort();
    files
}

/// Writes until more than `most` bytes are written.
fn stopped_after(source: &Checkpoint, place: &Place, most: u64) {
    let told = AtomicU64::new(0);
    let stop = |step| match step {
        Step::Written(bytes) if told.fetch_add(bytes, Relaxed) + bytes > most => Err(Error::Stopped),
        _ => Ok(()),
    };
    assert!(matches!(write_checkpoint(source, place, &stop), Err(Error::Stopped)));
}

fn whole(source: &Checkpoint, place: &Place) -> (Checkpointed, u64) {
    let told = AtomicU64::new(0);
    let count = |step| {
        if let Step::Written(bytes) = step {
            told.fetch_add(bytes, Relaxed);
        }
        Ok(())
    };
    let done = write_checkpoint(source, place, &count).unwrap();
    (done, told.into_inner())
}

#[test]
fn a_checkpoint_is_cut_into_shards_in_name_order_and_reads_back_the_same() {
    let source = support::one(tensors(&[
        ("a", &[4], &[1.0; 4]),
        ("b", &[2], &[2.0; 2]),
        ("c", &[9], &[3.0; 9]),
        ("d", &[1], &[4.0]),
    ]));
    let at = tempfile::tempdir().unwrap();
    let place = place(at.path(), 24);

    let done = write_checkpoint(&source, &place, &|_| Ok(())).unwrap();
    let limits = Limits::default();
    let again = Folder::open(&place.folder, &limits).unwrap().checkpoint(&limits).unwrap().unwrap();

    let shard = |n| format!("model-{n:05}-of-00003.safetensors");
    assert_eq!(done.names, [shard(1), shard(2), shard(3), "model.safetensors.index.json".to_owned()]);
    let places: Vec<_> = (0..4).map(|tensor| again.shard_of(tensor).to_owned()).collect();
    assert_eq!(places, [shard(1), shard(1), shard(2), shard(3)]);
    assert_eq!(again.tensors(), source.tensors());
    for tensor in 0..4 {
        assert_eq!(tensor_digest(&again, tensor).unwrap(), tensor_digest(&source, tensor).unwrap());
        assert_eq!(done.digests[tensor], tensor_digest(&source, tensor).unwrap());
    }
    let index = fs_err::read_to_string(place.folder.join("model.safetensors.index.json")).unwrap();
    let index: serde_json::Value = serde_json::from_str(&index).unwrap();
    assert_eq!(index["metadata"]["total_size"], 64);
}

#[test]
fn a_small_checkpoint_is_one_file_without_an_index() {
    let source = support::one(tensors(&[("a", &[4], &[1.0; 4]), ("b", &[2], &[2.0; 2])]));
    let at = tempfile::tempdir().unwrap();

    let done = write_checkpoint(&source, &place(at.path(), 24), &|_| Ok(())).unwrap();

    assert_eq!((done.names, done.kept), (vec!["model.safetensors".to_owned()], 0));
    assert_eq!(fs_err::read_dir(at.path().join("out")).unwrap().count(), 1);
}

#[test]
fn what_was_stopped_anywhere_goes_on_and_ends_with_the_same_bytes() {
    let source = source();
    let total: u64 = source.tensors().iter().map(weights::TensorInfo::bytes).sum();
    for shard_bytes in [u64::MAX, 3_000_000] {
        let (calm, at) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let wanted = place(calm.path(), shard_bytes);
        let (undisturbed, _) = whole(&source, &wanted);
        for most in [0, 20, 1 << 20, 3 << 20, 5 << 20] {
            let place = place(&at.path().join(most.to_string()), shard_bytes);
            stopped_after(&source, &place, most);

            let (done, written) = whole(&source, &place);

            assert_eq!(files(&place), files(&wanted), "after {most} bytes");
            assert_eq!((&done.names, &done.digests), (&undisturbed.names, &undisturbed.digests));
            assert_eq!(done.kept + written, total, "after {most} bytes");
            assert_eq!(done.kept >= 2_800_000, most >= 3 << 20, "{} are kept after {most}", done.kept);
        }
    }
}

#[test]
fn what_is_finished_is_not_computed_again() {
    let (source, at) = (source(), tempfile::tempdir().unwrap());
    let place = place(at.path(), 3_000_000);
    let (first, _) = whole(&source, &place);

    let (again, written) = whole(&source, &place);

    assert_eq!((again.names, again.digests, written), (first.names, first.digests, 0));
}

#[test]
fn what_is_not_what_the_journal_says_is_written_anew() {
    let source = source();
    let calm = tempfile::tempdir().unwrap();
    let wanted = place(calm.path(), 3_000_000);
    whole(&source, &wanted);
    let first = "model-00001-of-00002.safetensors";
    type Spoil = fn(&Place);
    let spoils: [(&str, Spoil); 7] = [
        ("a byte of a tensor", |place| {
            let path = place.folder.join("model-00001-of-00002.safetensors");
            let mut bytes = fs_err::read(&path).unwrap();
            let last = bytes.len() - 5;
            bytes[last] ^= 1;
            fs_err::write(path, bytes).unwrap();
        }),
        ("a byte of a header", |place| {
            let path = place.folder.join("model-00001-of-00002.safetensors");
            let mut bytes = fs_err::read(&path).unwrap();
            bytes[12] ^= 1;
            fs_err::write(path, bytes).unwrap();
        }),
        ("a file cut short", |place| {
            let path = place.folder.join("model-00001-of-00002.safetensors");
            let bytes = fs_err::read(&path).unwrap();
            fs_err::write(path, &bytes[..bytes.len() / 2]).unwrap();
        }),
        ("a file gone", |place| {
            fs_err::remove_file(place.folder.join("model-00001-of-00002.safetensors")).unwrap();
        }),
        ("a journal that goes on", |place| {
            let text = fs_err::read_to_string(&place.journal).unwrap();
            let last = text.lines().last().unwrap();
            fs_err::write(&place.journal, format!("{text}{}", format!("{last}\n").repeat(9))).unwrap();
        }),
        ("a journal that is none", |place| fs_err::write(&place.journal, b"\xFF\n{}").unwrap()),
        ("a file nobody asked for", |place| fs_err::write(place.folder.join("more"), b"x").unwrap()),
    ];
    for (what, spoil) in spoils {
        let at = tempfile::tempdir().unwrap();
        let place = place(at.path(), 3_000_000);
        stopped_after(&source, &place, 4 << 20);
        assert!(place.folder.join(first).is_file());
        spoil(&place);

        whole(&source, &place);

        assert_eq!(files(&place), files(&wanted), "{what}");
    }
}

#[test]
fn a_journal_of_something_else_counts_for_nothing() {
    let (source, at) = (source(), tempfile::tempdir().unwrap());
    let first = place(at.path(), u64::MAX);
    whole(&source, &first);
    let other = Place { identity: "other".to_owned(), ..first.clone() };
    let total: u64 = source.tensors().iter().map(weights::TensorInfo::bytes).sum();

    let (done, written) = whole(&source, &other);

    assert_eq!((done.kept, written), (0, total));
    let (cut, written) = whole(&source, &place(at.path(), 3_000_000));
    assert_eq!((cut.kept, written), (0, total));
}
