//! Bytes per second of every kernel, beside a plain sum of the same bytes. `cargo bench -p stemma-kernels`.
#![allow(clippy::unwrap_used)]

use divan::{Bencher, black_box, counter::BytesCount};
use kernels::{
    DiffSums, Dtype, Encoded, Gram, Sketch, Stats,
    bracket::{Bracket, Range},
    kth,
    prune::{Row, Slope},
    task::{self, By, Divisor, Election, ZeroSign},
    wide::{Common, Term, weighted_sum},
};

/// Bytes of one input: three of them leave any cache.
const INPUT: usize = 96 << 20;
/// Elements of one reduction block.
const BLOCK: usize = kernels::BLOCK;

fn main() {
    divan::main();
}

/// Weights as they are: normal-sized numbers of standard deviation about 0.02, never twice the same.
fn weights(key: u64, dtype: Dtype) -> Vec<u8> {
    let elements = INPUT * 8 / dtype.bits() as usize;
    let mut bytes = vec![0; INPUT];
    let values: Vec<f32> =
        (0..elements as u64).map(|i| (kernels::splitmix_unit(key, i) as f32 - 0.5) * 0.07).collect();
    kernels::encode(dtype, &values, &mut bytes);
    bytes
}

fn blocks(bytes: &[u8], dtype: Dtype) -> impl Iterator<Item = Encoded<'_>> {
    bytes.chunks(BLOCK * dtype.bits() as usize / 8).map(move |bytes| Encoded { dtype, bytes })
}

/// The limit of what reads memory: the words of the inputs added up, in the order in which the kernels read them.
#[divan::bench(args = [3, 9])]
fn plain_sum_of_words(bencher: Bencher<'_, '_>, inputs: usize) {
    let inputs: Vec<Vec<u8>> = (0..inputs as u64).map(|key| weights(key, Dtype::Bf16)).collect();
    bencher.counter(BytesCount::new(INPUT * inputs.len())).bench_local(|| {
        let mut total = 0u64;
        for at in (0..INPUT).step_by(2 * BLOCK) {
            for input in &inputs {
                let words = input[at..(at + 2 * BLOCK).min(INPUT)].as_chunks::<8>().0;
                total = words.iter().fold(total, |sum, word| sum.wrapping_add(u64::from_le_bytes(*word)));
            }
        }
        black_box(total)
    });
}

fn gram(bencher: Bencher<'_, '_>, dtype: Dtype, models: usize) {
    let base = weights(0, dtype);
    let tuned: Vec<Vec<u8>> = (1..=models as u64).map(|key| weights(key, dtype)).collect();
    bencher.counter(BytesCount::new(INPUT * (models + 1))).bench_local(|| {
        let mut gram = Gram::new(models);
        let mut tuned: Vec<_> = tuned.iter().map(|bytes| blocks(bytes, dtype)).collect();
        for base in blocks(&base, dtype) {
            let models: Vec<Encoded<'_>> = tuned.iter_mut().map(|blocks| blocks.next().unwrap()).collect();
            gram.add_deltas(base, &models);
        }
        black_box(gram)
    });
}

#[divan::bench(args = [Dtype::Bf16, Dtype::F16, Dtype::F32, Dtype::F64, Dtype::F8E4M3])]
fn gram_of_2_deltas(bencher: Bencher<'_, '_>, dtype: Dtype) {
    gram(bencher, dtype, 2);
}

#[divan::bench(args = [3, 8, 32])]
fn gram_of_deltas_in_bf16(bencher: Bencher<'_, '_>, models: usize) {
    gram(bencher, Dtype::Bf16, models);
}

fn values(key: u64) -> Vec<f32> {
    let mut values = vec![0.0; INPUT / 4];
    kernels::decode(Dtype::F32, &weights(key, Dtype::F32), &mut values);
    values
}

#[divan::bench(args = [Dtype::Bf16, Dtype::F16, Dtype::F32, Dtype::F8E4M3])]
fn decode(bencher: Bencher<'_, '_>, dtype: Dtype) {
    let bytes = weights(0, dtype);
    let mut out = vec![0.0; BLOCK];
    bencher.counter(BytesCount::new(INPUT)).bench_local(|| {
        for block in blocks(&bytes, dtype) {
            let out = &mut out[..block.bytes.len() * 8 / dtype.bits() as usize];
            kernels::decode(dtype, block.bytes, out);
            black_box(&out);
        }
    });
}

#[divan::bench(args = [Dtype::Bf16, Dtype::F16, Dtype::F32, Dtype::F8E4M3])]
fn encode_from_f64(bencher: Bencher<'_, '_>, dtype: Dtype) {
    let values: Vec<f64> = values(0).into_iter().map(f64::from).collect();
    let mut out = vec![0; BLOCK * dtype.bits() as usize / 8];
    bencher.counter(BytesCount::new(INPUT / 4 * dtype.bits() as usize / 8)).bench_local(|| {
        for block in values.chunks(BLOCK) {
            let out = &mut out[..block.len() * dtype.bits() as usize / 8];
            black_box(kernels::encode_f64(dtype, block, out));
        }
    });
}

#[divan::bench]
fn statistics(bencher: Bencher<'_, '_>) {
    let values = values(0);
    bencher.counter(BytesCount::new(INPUT)).bench_local(|| {
        let mut stats = Stats::default();
        values.chunks(BLOCK).for_each(|block| stats.add_block(block));
        black_box(stats)
    });
}

#[divan::bench]
fn sketch(bencher: Bencher<'_, '_>) {
    let values = values(0);
    bencher.counter(BytesCount::new(INPUT)).bench_local(|| {
        let mut sketch = Sketch::new(1, values.len() as u64, 4_096);
        sketch.add_block(0, &values);
        black_box(sketch)
    });
}

#[divan::bench]
fn difference(bencher: Bencher<'_, '_>) {
    let (a, b) = (values(0), values(1));
    bencher.counter(BytesCount::new(2 * INPUT)).bench_local(|| {
        let mut sums = DiffSums::default();
        a.chunks(BLOCK).zip(b.chunks(BLOCK)).for_each(|(a, b)| sums.add_block(a, b));
        black_box(sums)
    });
}

#[divan::bench]
fn kth_magnitude(bencher: Bencher<'_, '_>) {
    let values = values(0);
    let keep = values.len() as u64 / 5;
    bencher.counter(BytesCount::new(INPUT)).bench_local(|| black_box(kth::threshold(&values, keep)));
}

#[divan::bench(args = [Dtype::Bf16, Dtype::F16, Dtype::F32])]
fn weighted_sum_of_3(bencher: Bencher<'_, '_>, dtype: Dtype) {
    let inputs = [0, 1, 2].map(|key| weights(key, dtype));
    let size = dtype.bits() as usize / 8;
    let mut out = vec![0; BLOCK * size];
    bencher.counter(BytesCount::new(inputs.iter().map(Vec::len).sum::<usize>())).bench_local(|| {
        for at in (0..inputs[0].len()).step_by(BLOCK * size) {
            let end = inputs[0].len().min(at + BLOCK * size);
            let terms = inputs
                .each_ref()
                .map(|bytes| Term { factor: 0.3, values: Encoded { dtype, bytes: &bytes[at..end] } });
            black_box(weighted_sum(&terms, Common::Blended, (dtype, &mut out[..end - at])));
        }
    });
}

#[divan::bench]
fn random_mask(bencher: Bencher<'_, '_>) {
    let mut values: Vec<f64> = values(0).into_iter().map(f64::from).collect();
    bencher.counter(BytesCount::new(8 * values.len())).bench_local(|| {
        kernels::keep_random(1, 0, 0.5, &mut values);
        black_box(&values);
    });
}

#[divan::bench]
fn bracketed_threshold(bencher: Bencher<'_, '_>) {
    let values = values(0);
    bencher.counter(BytesCount::new(INPUT)).bench_local(|| {
        let mut bracket = Bracket::new(Range::new(0x3BF8_0000, 0x3C00_0000, 0x3C08_0000));
        values.chunks(BLOCK).for_each(|block| {
            bracket.add_block(block);
        });
        black_box(bracket)
    });
}

#[divan::bench]
fn elected_sum_of_3(bencher: Bencher<'_, '_>) {
    let inputs =
        [0, 1, 2, 3].map(|key| values(key).into_iter().take(INPUT / 16).map(f64::from).collect::<Vec<f64>>());
    let election = Election {
        shares: &[1.0; 3],
        by: By::Sum,
        divisor: Divisor::Agreeing,
        zero: ZeroSign::Plus,
        scale: 1.0,
    };
    let (mut factors, mut out) = (vec![0.0; 3 * BLOCK], vec![0.0; BLOCK]);
    bencher.counter(BytesCount::new(8 * inputs.iter().map(Vec::len).sum::<usize>())).bench_local(|| {
        for at in (0..inputs[0].len()).step_by(BLOCK) {
            let place = at..inputs[0].len().min(at + BLOCK);
            let [base, models @ ..] = inputs.each_ref().map(|values| &values[place.clone()]);
            let strip = task::Strip { base, models: &models };
            let factors = &mut factors[..3 * place.len()];
            factors.fill(1.0);
            task::elect(strip, election, factors);
            task::add_deltas(strip, factors, &mut out[..place.len()]);
        }
        black_box(&out);
    });
}

#[divan::bench]
fn pruned_rows(bencher: Bencher<'_, '_>) {
    let values: Vec<f64> = values(0).into_iter().take(INPUT / 16).map(f64::from).collect();
    let slope = Slope { density: 0.5, epsilon: 0.15 };
    bencher.counter(BytesCount::new(8 * values.len())).bench_local(|| {
        let (mut row, mut kept) = (Row::default(), vec![false; 4_096]);
        for values in values.chunks(4_096) {
            row.prune(values, slope, (1, 0), &mut kept[..values.len()]);
        }
        black_box(&kept);
    });
}
