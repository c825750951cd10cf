//! What a survey costs beside the digest of the same bytes: `cargo bench -p stemma-weights --bench survey`.
#![allow(clippy::unwrap_used)]

use std::sync::{Arc, LazyLock};

use divan::{Bencher, black_box, counter::BytesCount};
use domain::Limits;
use kernels::Dtype;
use rayon::prelude::*;
use weights::{Checkpoint, LocalFile, TensorSource, survey, tensor_digest};

const TENSORS: usize = 64;
const ELEMENTS: usize = 2 << 20;

fn main() {
    divan::main();
}

/// One file of bf16 tensors, in the page cache.
static FILE: LazyLock<tempfile::NamedTempFile> = LazyLock::new(|| {
    let file = tempfile::NamedTempFile::new().unwrap();
    let bytes = ELEMENTS * 2;
    let entry = |at: usize| {
        let (begin, end) = (at * bytes, (at + 1) * bytes);
        format!(
            r#""model.layers.{at:02}.weight":{{"dtype":"BF16","shape":[1024,2048],"data_offsets":[{begin},{end}]}}"#
        )
    };
    let header = format!("{{{}}}", (0..TENSORS).map(entry).collect::<Vec<_>>().join(","));
    let mut content = (header.len() as u64).to_le_bytes().to_vec();
    content.extend_from_slice(header.as_bytes());
    for at in 0..TENSORS {
        let values: Vec<f32> = (0..ELEMENTS as u64)
            .map(|index| (kernels::splitmix_unit(at as u64, index) as f32 - 0.5) * 0.07)
            .collect();
        let mut encoded = vec![0; bytes];
        kernels::encode(Dtype::Bf16, &values, &mut encoded);
        content.extend_from_slice(&encoded);
    }
    fs_err::write(file.path(), content).unwrap();
    file
});

fn checkpoint() -> Checkpoint {
    let file = LocalFile::open(FILE.path()).unwrap();
    Checkpoint::open_files(vec![("model.safetensors".into(), Arc::new(file))], None, &Limits::default())
        .unwrap()
}

#[divan::bench]
fn digest_alone(bencher: Bencher<'_, '_>) {
    let checkpoint = checkpoint();
    bencher.counter(BytesCount::new(TENSORS * ELEMENTS * 2)).bench_local(|| {
        let digests =
            (0..checkpoint.tensors().len()).into_par_iter().map(|at| tensor_digest(&checkpoint, at).unwrap());
        black_box(digests.collect::<Vec<_>>())
    });
}

#[divan::bench]
fn digest_statistics_and_sketch(bencher: Bencher<'_, '_>) {
    let (checkpoint, cells) = (checkpoint(), Limits::default().sketch_cells);
    bencher
        .counter(BytesCount::new(TENSORS * ELEMENTS * 2))
        .bench_local(|| black_box(survey(&checkpoint, cells, &|_| Ok(())).unwrap()));
}
