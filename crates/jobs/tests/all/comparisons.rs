//! Comparisons of models: what is not read of them, and who may see one that was computed before.

use std::{path::Path, sync::Arc};

use domain::{Limits, RepoId};
use jobs::{Access, Reading, Registry, ingest_folder};

const SIDE: usize = 32;

/// A safetensors file of matrices, each of one value a seed.
fn file(seeds: &[u64]) -> Vec<u8> {
    let size = SIDE * SIDE * 4;
    let entry = |at: usize| {
        let offsets = [at * size, (at + 1) * size];
        format!(r#""w{at}":{{"dtype":"F32","shape":[{SIDE},{SIDE}],"data_offsets":{offsets:?}}}"#)
    };
    let header = format!("{{{}}}", (0..seeds.len()).map(entry).collect::<Vec<_>>().join(","));
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.into_bytes());
    let values = |seed: &u64| {
        let seed = *seed;
        (0..SIDE * SIDE).map(move |at| kernels::splitmix_unit(seed, at as u64) as f32)
    };
    bytes.extend(seeds.iter().flat_map(values).flat_map(f32::to_le_bytes));
    bytes
}

async fn ingest(registry: &Registry, id: &str, seeds: &[u64]) {
    let folder = tempfile::tempdir().unwrap();
    fs_err::write(folder.path().join("model.safetensors"), file(seeds)).unwrap();
    fs_err::write(folder.path().join("config.json"), r#"{"architectures":["X"]}"#).unwrap();
    ingest_folder(registry, folder.path(), &RepoId::parse(id).unwrap(), &|_, _| {}).await.unwrap();
}

/// Overwrites the values of every stored file of weights, whose headers stay.
fn spoil(folder: &Path) {
    for entry in fs_err::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            spoil(&path);
        } else if entry.metadata().unwrap().len() > 4_096 {
            let mut bytes = fs_err::read(&path).unwrap();
            let data = bytes.len() - 1_024;
            bytes[data..].fill(0);
            let mut permissions = fs_err::metadata(&path).unwrap().permissions();
            std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o644);
            fs_err::set_permissions(&path, permissions).unwrap();
            fs_err::write(&path, bytes).unwrap();
        }
    }
}

#[tokio::test]
async fn a_comparison_is_computed_once_and_what_is_equal_by_its_digest_is_never_read() {
    // Files are not held against their digests when they are opened, so that only reads of tensors count.
    let (place, registry) = crate::common::registry(Limits { check_bytes: 0, ..Limits::default() }).await;
    ingest(&registry, "o/one", &[1, 2, 9]).await;
    ingest(&registry, "o/two", &[1, 3, 9]).await;
    let fresh = Registry::new(registry.store.clone(), registry.limits, place.path().join("scratch"));
    let of = async |registry: &Registry| {
        jobs::compare(registry, ["o/one", "o/two"], (&Access::registry(), Reading::Stored)).await.unwrap()
    };

    let first = of(&registry).await;
    spoil(&place.path().join("blobs"));
    let [again, anew] = [of(&registry).await, of(&fresh).await];

    assert!(Arc::ptr_eq(&first, &again));
    assert!(!Arc::ptr_eq(&first, &anew));
    // The last tensor of both has other values by now.
    let told = |report: &analysis::diff::DiffReport| format!("{:?}", report.tensors);
    assert_eq!(told(&first), told(&anew));
    assert_eq!(first.tensors.iter().map(|tensor| tensor.identical).collect::<Vec<_>>(), [true, false, true]);
    assert!(
        first.verdict.starts_with("The same architecture, X; 1 of 3 tensors differ"),
        "{}",
        first.verdict
    );
}

#[tokio::test]
async fn where_much_differs_sketches_answer_unless_exact_numbers_are_asked_for() {
    let limits = Limits { compare_bytes: 1, sketch_cells: 256, ..Limits::default() };
    let (_place, registry) = crate::common::registry(limits).await;
    ingest(&registry, "o/one", &[1, 2]).await;
    ingest(&registry, "o/two", &[1, 3]).await;
    let of = async |reading| {
        jobs::compare(&registry, ["o/one", "o/two"], (&Access::registry(), reading)).await.unwrap()
    };

    let estimated = of(Reading::Stored).await;
    let exact = of(Reading::Weights).await;
    let again = of(Reading::Stored).await;

    assert_eq!((estimated.exact, exact.exact), (false, true));
    assert!(Arc::ptr_eq(&exact, &again), "exact numbers that are there answer the next time");
    let (told, read) = (&estimated.tensors[1], &exact.tensors[1]);
    let off = told.relative_l2.unwrap() - read.relative_l2.unwrap();
    assert!(off != 0.0 && off.abs() < 5.0 * told.error.unwrap(), "{told:?} {read:?}");
    assert_eq!((told.max_abs, told.unchanged_share), (None, None));
    assert!(estimated.tensors[0].identical && estimated.verdict.contains("estimated from sketches"));
}

#[tokio::test]
async fn a_model_that_has_got_other_weights_is_compared_anew() {
    let (_place, registry) = crate::common::registry(Limits::default()).await;
    ingest(&registry, "o/one", &[1, 2]).await;
    ingest(&registry, "o/two", &[1, 3]).await;
    let of = async || {
        jobs::compare(&registry, ["o/one", "o/two"], (&Access::registry(), Reading::Stored)).await.unwrap()
    };

    let before = of().await;
    ingest(&registry, "o/two", &[1, 2]).await;
    let after = of().await;

    assert_eq!((before.totals.identical, after.totals.identical), (1, 2));
}
