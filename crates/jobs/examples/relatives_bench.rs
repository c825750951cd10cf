//! How long the nearest of 100,000 signatures take, beside a plain sum over the same bytes.
//!
//! `cargo run --release -p stemma-jobs --example relatives_bench`

use std::time::{Duration, Instant};

use analysis::kinship::{Indexed, SIGNATURE_CELLS, Signature, SignatureIndex};
use domain::Digest;

const MODELS: usize = 100_000;
const ROUNDS: usize = 20;

fn main() {
    let mut state = 1u64;
    let mut signature = |model: usize| {
        let mut cells: Vec<f32> = (0..SIGNATURE_CELLS)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
            })
            .collect();
        let norm = cells.iter().map(|cell| cell * cell).sum::<f32>().sqrt();
        cells.iter_mut().for_each(|cell| *cell /= norm);
        Signature { layout: Digest::of(&(model % 100).to_le_bytes()), cells }
    };
    let mut index = SignatureIndex::default();
    let mut plain = Vec::with_capacity(MODELS * SIGNATURE_CELLS);
    for model in 0..MODELS {
        let signature = signature(model);
        plain.extend_from_slice(&signature.cells);
        index.insert(Indexed { model: model as i64, revision: model as i64 }, &signature);
    }
    let own = signature(0);

    let scan = fastest(|| index.nearest(&own, 20, None).searched);
    let sum = fastest(|| {
        let halves = plain.split_at(plain.len() / 2);
        std::thread::scope(|scope| {
            let left = scope.spawn(|| total(halves.0));
            let right = total(halves.1);
            left.join().unwrap_or_default() + right
        })
    });
    let bytes = (plain.len() * 4) as f64 / 1e6;
    println!(
        "{MODELS} signatures, {bytes:.0} MB, {} threads",
        std::thread::available_parallelism().map_or(1, usize::from)
    );
    for (what, time) in
        [("nearest 20", scan), ("sum on one thread", fastest(|| total(&plain))), ("sum on two threads", sum)]
    {
        println!(
            "{what:20} {:6.1} ms  {:5.1} GB/s",
            time.as_secs_f64() * 1e3,
            bytes / time.as_secs_f64() / 1e3
        );
    }
}

fn fastest<T>(mut work: impl FnMut() -> T) -> Duration {
    let once = |_| {
        let begin = Instant::now();
        std::hint::black_box(work());
        begin.elapsed()
    };
    (0..ROUNDS).map(once).min().unwrap_or_default()
}

fn total(values: &[f32]) -> f32 {
    let mut sums = [0.0f32; 16];
    for lane in values.as_chunks::<16>().0 {
        sums.iter_mut().zip(lane).for_each(|(sum, value)| *sum += value);
    }
    sums.iter().sum()
}
