//! Reductions and selections against the plain loops they stand for.
#![allow(clippy::unwrap_used)]

use kernels::{DiffSums, Dtype, Encoded, Gram, PairSums, Sketch, Stats, encode, kth, splitmix_unit};
use proptest::prelude::*;

fn noise(key: u64, n: usize) -> Vec<f32> {
    (0..n as u64).map(|i| (splitmix_unit(key, i) * 2.0 - 1.0) as f32).collect()
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-11 * (1.0 + a.abs().max(b.abs()))
}

fn naive(a: &[f32], b: &[f32]) -> PairSums {
    let mut s = PairSums::default();
    for (&a, &b) in a.iter().zip(b) {
        let (a, b) = (f64::from(a), f64::from(b));
        let apart = (a - b) * (a - b);
        s.add(&PairSums { n: 1, ab: a * b, aa: a * a, bb: b * b, sa: a, sb: b, apart });
    }
    s
}

fn bytes_of(dtype: Dtype, values: &[f32]) -> Vec<u8> {
    let mut bytes = vec![0; values.len() * dtype.bits() as usize / 8];
    encode(dtype, values, &mut bytes);
    bytes
}

/// The Gram matrix of vectors: that of their deltas from zero.
fn gram(vectors: &[&[f32]]) -> Gram {
    let base = vec![0; vectors[0].len() * 4];
    let bytes: Vec<Vec<u8>> = vectors.iter().map(|values| bytes_of(Dtype::F32, values)).collect();
    let stored = |bytes| Encoded { dtype: Dtype::F32, bytes };
    let mut gram = Gram::new(vectors.len());
    gram.add_deltas(stored(&base), &bytes.iter().map(|bytes| stored(bytes)).collect::<Vec<_>>());
    gram
}

fn pair_sums(a: &[f32], b: &[f32]) -> PairSums {
    gram(&[a, b]).pair(0, 1)
}

/// Sums whose terms cancel are only as exact as the terms are large, which Cauchy and Schwarz bound.
fn same(a: &PairSums, b: &PairSums) -> bool {
    let within = |x: f64, y: f64, size: f64| (x - y).abs() <= 1e-12 * (1.0 + size);
    let n = a.n as f64;
    a.n == b.n
        && within(a.ab, b.ab, (b.aa * b.bb).sqrt())
        && within(a.aa, b.aa, b.aa)
        && within(a.bb, b.bb, b.bb)
        && within(a.sa, b.sa, (n * b.aa).sqrt())
        && within(a.sb, b.sb, (n * b.bb).sqrt())
        && (a.apart - b.apart).abs() <= 1e-11 * b.apart
}

fn vectors(length: usize) -> impl Strategy<Value = (Vec<f32>, Vec<f32>)> {
    prop::collection::vec((-100f32..100.0, -100f32..100.0), 0..length)
        .prop_map(|pairs| pairs.into_iter().unzip())
}

proptest! {
    #[test]
    fn pair_sums_are_the_naive_sums((a, b) in vectors(9_000)) {
        prop_assert!(same(&pair_sums(&a, &b), &naive(&a, &b)));
    }

    #[test]
    fn a_gram_matrix_holds_the_sums_of_every_pair((a, b) in vectors(9_000), cut in 0usize..9_000) {
        let cut = cut.min(a.len());
        let c: Vec<f32> = a.iter().map(|x| x * 0.5 + 1.0).collect();
        let mut gram = gram(&[&a[..cut], &b[..cut], &c[..cut]]);
        gram.merge(&self::gram(&[&a[cut..], &b[cut..], &c[cut..]]));
        prop_assert_eq!(gram.elements(), a.len() as u64);
        let all = [&a, &b, &c];
        for i in 0..3 {
            for j in 0..3 {
                prop_assert!(same(&gram.pair(i, j), &naive(all[i], all[j])));
            }
        }
    }

    #[test]
    fn the_kth_magnitude_is_the_one_sorting_finds(raw in prop::collection::vec(any::<f32>(), 1..400), few in 1u32..4, k in 1u64..400) {
        // Coarse values make ties the normal case.
        let values: Vec<f32> = raw.iter().map(|x| if x.is_nan() { 0.5 } else { f32::from_bits(x.to_bits() >> (8 * few) << (8 * few)) }).collect();
        let mut sorted: Vec<f32> = values.iter().map(|x| x.abs()).collect();
        sorted.sort_by(|x, y| y.total_cmp(x));
        let found = kth::threshold(&values, k);
        prop_assert_eq!(found.map(|t| t.value()), sorted.get(k as usize - 1).copied());
        let Some(threshold) = found else { return Ok(()) };
        prop_assert_eq!(threshold.above, sorted.iter().filter(|x| **x > threshold.value()).count() as u64);

        prop_assert_eq!(threshold.above + threshold.ties(k), k);
        let equal = sorted.iter().filter(|x| **x == threshold.value()).count() as u64;
        prop_assert_eq!(threshold.ties_in(&values), equal);
        prop_assert!(equal >= threshold.ties(k));
    }

    #[test]
    fn statistics_cover_the_finite_values_and_count_the_others(raw in prop::collection::vec(any::<f32>(), 0..500)) {
        let values: Vec<f32> = raw.into_iter().map(|x| if x.is_finite() { x % 1000.0 } else { x }).collect();
        let mut stats = Stats::default();
        for block in values.chunks(100) {
            let mut one = Stats::default();
            one.add_block(block);
            stats.merge(&one);
        }
        let finite: Vec<f64> = values.iter().filter(|x| x.is_finite()).map(|x| f64::from(*x)).collect();
        prop_assert_eq!(stats.n - stats.nans - stats.infs, finite.len() as u64);
        prop_assert_eq!(stats.finite(), finite.len() == values.len());
        prop_assert_eq!(stats.zeros, finite.iter().filter(|x| **x == 0.0).count() as u64);
        let mean = finite.iter().sum::<f64>() / finite.len().max(1) as f64;
        prop_assert!(close(stats.mean(), mean));
        let moment = |power: i32| finite.iter().map(|x| (x - mean).powi(power)).sum::<f64>() / finite.len() as f64;
        if finite.len() > 2 && moment(2) > 1.0 {
            let near = |got: Option<f64>, want: f64| got.is_some_and(|got| (got - want).abs() < 1e-6 * (1.0 + want.abs()));
            prop_assert!(near(stats.skewness(), moment(3) / moment(2).powf(1.5)));
            prop_assert!(near(stats.kurtosis(), moment(4) / moment(2).powi(2) - 3.0));
        }
        prop_assert!(close(stats.l2(), finite.iter().map(|x| x * x).sum::<f64>().sqrt()));
        let range = finite.iter().copied().reduce(f64::min).zip(finite.iter().copied().reduce(f64::max));
        prop_assert_eq!(stats.range(), range);
    }

    #[test]
    fn difference_sums_are_the_naive_ones((a, mut b) in vectors(9_000), every in 1usize..5) {
        b.iter_mut().zip(&a).step_by(every).for_each(|(b, a)| *b = *a);
        let mut sums = DiffSums::default();
        sums.add_block(&a, &b);
        let gaps = a.iter().zip(&b).map(|(a, b)| f64::from(*a) - f64::from(*b));
        prop_assert!(close(sums.diff_sq, gaps.clone().map(|x| x * x).sum()));
        prop_assert_eq!(sums.max_abs, gaps.map(f64::abs).fold(0.0, f64::max));
        prop_assert_eq!(sums.equal, a.iter().zip(&b).filter(|(a, b)| a == b).count() as u64);
    }
}

/// Deltas of models stored in each dtype against the naive sums of the decoded values.
#[test]
fn sums_of_deltas_in_any_dtypes_are_the_naive_ones() {
    let formats = [Dtype::Bf16, Dtype::F16, Dtype::F32, Dtype::F64, Dtype::F8E4M3, Dtype::F8E5M2];
    let length = kernels::BLOCK + 77;
    let base = noise(1, length);
    for of_base in formats {
        for (first, second, third) in [(of_base, of_base, of_base), (Dtype::F16, Dtype::Bf16, of_base)] {
            let tuned = |key: u64| -> Vec<f32> {
                base.iter().zip(noise(key, length)).map(|(base, noise)| base + 0.05 * noise).collect()
            };
            let formats = [of_base, first, second, third];
            let values = [base.clone(), tuned(2), tuned(3), tuned(4)];
            let bytes: Vec<Vec<u8>> = formats.iter().zip(&values).map(|(d, v)| bytes_of(*d, v)).collect();
            let decoded: Vec<Vec<f32>> = formats
                .iter()
                .zip(&bytes)
                .map(|(dtype, bytes)| {
                    let mut out = vec![0.0; length];
                    kernels::decode(*dtype, bytes, &mut out);
                    out
                })
                .collect();
            for models in [2, 3] {
                let stored: Vec<Encoded<'_>> = formats
                    .iter()
                    .zip(&bytes)
                    .map(|(dtype, bytes)| Encoded { dtype: *dtype, bytes })
                    .collect();
                let mut gram = Gram::new(models);
                gram.add_deltas(stored[0], &stored[1..=models]);
                for i in 0..models {
                    for j in i..models {
                        let mut exact = PairSums::default();
                        for (base, (a, b)) in
                            decoded[0].iter().zip(decoded[i + 1].iter().zip(&decoded[j + 1]))
                        {
                            let (a, b) = (f64::from(*a) - f64::from(*base), f64::from(*b) - f64::from(*base));
                            let apart = (a - b) * (a - b);
                            exact.add(&PairSums {
                                n: 1,
                                ab: a * b,
                                aa: a * a,
                                bb: b * b,
                                sa: a,
                                sb: b,
                                apart,
                            });
                        }
                        let got = gram.pair(i, j);
                        let near = |x: f64, y: f64| (x - y).abs() < 1e-9;
                        assert!(near(got.cosine().unwrap(), exact.cosine().unwrap()), "{formats:?} {i} {j}");
                        assert!(
                            near(got.pearson().unwrap(), exact.pearson().unwrap()),
                            "{formats:?} {i} {j}"
                        );
                        assert!(
                            near(
                                got.euclidean() / exact.euclidean().max(1.0),
                                exact.euclidean() / exact.euclidean().max(1.0)
                            ),
                            "{formats:?} {i} {j}"
                        );
                    }
                }
                let square: f64 = decoded[0].iter().map(|x| f64::from(*x) * f64::from(*x)).sum();
                assert!((gram.base_square() / square - 1.0).abs() < 1e-6);
            }
        }
    }
}

#[test]
fn the_distance_of_near_copies_is_that_of_the_models_to_nine_digits() {
    for (dtype, length) in [
        (Dtype::F32, kernels::BLOCK + 77),
        (Dtype::F32, 1_000),
        (Dtype::Bf16, kernels::BLOCK + 77),
        (Dtype::F16, kernels::BLOCK + 77),
        (Dtype::F64, kernels::BLOCK + 77),
    ] {
        for copies in [2, 5] {
            let base = noise(1, length);
            let tuned: Vec<f32> = base.iter().zip(noise(2, length)).map(|(x, d)| x + 0.3 * d).collect();
            let copy = |at: usize| -> Vec<f32> {
                let moved = |(i, x): (usize, &f32)| if i % 997 == at { x * 1.000_5 } else { *x };
                tuned.iter().enumerate().map(moved).collect()
            };
            let values: Vec<Vec<f32>> = [base.clone()].into_iter().chain((0..copies).map(copy)).collect();
            let bytes: Vec<Vec<u8>> = values.iter().map(|values| bytes_of(dtype, values)).collect();
            let views: Vec<Encoded<'_>> = bytes.iter().map(|bytes| Encoded { dtype, bytes }).collect();
            let mut gram = Gram::new(copies);

            gram.add_deltas(views[0], &views[1..]);

            let decoded = |at: usize| {
                let mut out = vec![0.0; length];
                kernels::decode_f64(dtype, &bytes[at + 1], &mut out);
                out
            };
            let gaps = decoded(0).into_iter().zip(decoded(1)).map(|(a, b)| (a - b) * (a - b));
            let (exact, got) = (gaps.sum::<f64>().sqrt(), gram.pair(0, 1).euclidean());
            assert!(exact > 0.0 || dtype == Dtype::Bf16, "{dtype:?}");
            assert!((got - exact).abs() <= 1e-9 * exact, "{dtype:?} {length} {copies}: {got} {exact}");
            assert_eq!(gram.pair(1, 0).euclidean(), got);
        }
    }
}

#[test]
fn numbers_at_the_ends_of_the_f32_range_are_summed_all_the_same() {
    for scale in [1e-30f32, 1e30] {
        let values = |key| -> Vec<f32> { noise(key, kernels::BLOCK).iter().map(|x| x * scale).collect() };
        let (base, a, b) = (values(1), values(2), values(3));
        let bytes = [&base, &a, &b].map(|values| bytes_of(Dtype::F32, values));
        let stored = |at: usize| Encoded { dtype: Dtype::F32, bytes: &bytes[at] };
        let mut gram = Gram::new(2);

        gram.add_deltas(stored(0), &[stored(1), stored(2)]);

        let delta = |values: &[f32]| -> Vec<f64> {
            values.iter().zip(&base).map(|(x, base)| f64::from(*x) - f64::from(*base)).collect()
        };
        let (a, b) = (delta(&a), delta(&b));
        let exact = inner(&a, &b) / (inner(&a, &a) * inner(&b, &b)).sqrt();
        assert!((gram.pair(0, 1).cosine().unwrap() - exact).abs() < 1e-9, "{scale}");
        assert!(gram.base_square() > 0.0 && gram.base_square().is_finite());
    }
}

#[test]
fn an_unchanged_model_has_a_delta_of_exactly_zero() {
    let values = noise(1, kernels::BLOCK);
    let bytes = [bytes_of(Dtype::Bf16, &values), bytes_of(Dtype::Bf16, &noise(2, kernels::BLOCK))];
    let stored = |at: usize| Encoded { dtype: Dtype::Bf16, bytes: &bytes[at] };
    let mut gram = Gram::new(2);

    gram.add_deltas(stored(0), &[stored(0), stored(1)]);

    assert_eq!((gram.dot(0, 0), gram.sum(0)), (0.0, 0.0));
    assert_eq!(gram.pair(0, 1).cosine(), None);
}

#[test]
fn a_value_that_is_not_finite_is_not_summed_away() {
    let mut values = noise(1, kernels::BLOCK);
    values[7] = f32::NAN;
    for (base, a) in [(noise(2, kernels::BLOCK), values.clone()), (values, noise(2, kernels::BLOCK))] {
        let bytes = [bytes_of(Dtype::Bf16, &base), bytes_of(Dtype::Bf16, &a)];
        let stored = |at: usize| Encoded { dtype: Dtype::Bf16, bytes: &bytes[at] };
        let mut gram = Gram::new(2);

        gram.add_deltas(stored(0), &[stored(1), stored(1)]);

        assert!(gram.dot(0, 1).is_nan());
    }
}

#[test]
fn similarities_of_known_vectors_are_known() {
    let sums = pair_sums(&[3.0, 0.0], &[3.0, 4.0]);
    assert_eq!(sums.cosine(), Some(0.6));
    assert_eq!(sums.euclidean(), 4.0);
    assert_eq!(pair_sums(&[1.0, 2.0, 3.0], &[-1.0, -3.0, -5.0]).pearson(), Some(-1.0));
    assert_eq!(pair_sums(&[0.1; 999], &noise(5, 999)).pearson(), None, "a constant correlates with nothing");
    assert_eq!(pair_sums(&[0.0; 4], &[1.0; 4]).cosine(), None);
    assert_eq!(pair_sums(&[f32::NAN], &[1.0]).cosine(), None);
    assert_eq!(pair_sums(&[], &[]).pearson(), None);
    let a = noise(6, 10_000);
    assert_eq!((pair_sums(&a, &a).cosine(), pair_sums(&a, &a).euclidean()), (Some(1.0), 0.0));
}

#[test]
fn pairs_that_are_not_finite_are_counted_and_left_out() {
    let mut sums = DiffSums::default();
    sums.add_block(&[1.0, f32::NAN, 3.0, f32::INFINITY], &[1.0, f32::NAN, 5.0, 2.0]);
    assert_eq!((sums.n, sums.equal, sums.nonfinite, sums.diff_sq, sums.max_abs), (4, 2, 2, 4.0, 2.0));
}

#[test]
fn a_rank_nobody_holds_has_no_threshold() {
    assert_eq!(kth::threshold(&[1.0, 2.0], 0), None);
    assert_eq!(kth::threshold(&[1.0, 2.0], 3), None);
    assert_eq!(kth::threshold(&[], 1), None);
}

fn sketch(key: u64, values: &[f32], cells: usize) -> Sketch {
    let mut sketch = Sketch::new(key, values.len() as u64, cells);
    sketch.add_block(0, values);
    sketch
}

fn inner(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[test]
fn a_sketch_is_linear_and_does_not_depend_on_its_blocks() {
    let a: Vec<f32> = (0..5_000).map(|i| (i % 17) as f32 - 8.0).collect();
    let b: Vec<f32> = (0..5_000).map(|i| (i % 5) as f32).collect();
    let both: Vec<f32> = a.iter().zip(&b).map(|(a, b)| a - b).collect();

    let (whole, other) = (sketch(7, &a, 256), sketch(7, &b, 256));
    let mut pieces = Sketch::new(7, 5_000, 256);
    for (at, block) in a.chunks(96).enumerate() {
        pieces.add_block(at as u64 * 96, block);
    }

    assert_eq!(pieces, whole);
    let difference: Vec<f64> = whole.cells().iter().zip(other.cells()).map(|(a, b)| a - b).collect();
    assert_eq!(difference, sketch(7, &both, 256).cells());
}

#[test]
fn a_short_vector_is_kept_whole() {
    let (a, b) = (noise(1, 1_000), noise(2, 1_000));
    let (x, y) = (sketch(9, &a, 1_024), sketch(9, &b, 1_024));
    assert!(x.is_exact() && y.is_exact());
    assert!(close(inner(x.cells(), y.cells()), pair_sums(&a, &b).ab));
    assert!(sketch(9, &[], 1_024).cells().is_empty());
}

#[test]
fn estimates_scatter_as_the_formula_says() {
    const CELLS: usize = 1_024;
    for share in [0.0, 0.3, 0.8] {
        let (mut squares, mut expected) = (0.0, 0.0);
        for seed in 0..60 {
            let common = noise(seed, 40_000);
            let mix = |own: u64| -> Vec<f32> {
                noise(own, 40_000)
                    .iter()
                    .zip(&common)
                    .map(|(own, c)| own * (1.0 - share) + c * share)
                    .collect()
            };
            let (a, b) = (mix(seed + 1_000), mix(seed + 2_000));
            let (x, y) = (sketch(seed, &a, CELLS), sketch(seed, &b, CELLS));
            let norm = |s: &Sketch| inner(s.cells(), s.cells()).sqrt();
            let estimate = inner(x.cells(), y.cells()) / (norm(&x) * norm(&y));
            let exact = pair_sums(&a, &b).cosine().unwrap();
            squares += (estimate - exact).powi(2) / 60.0;
            expected += (1.0 - exact * exact) / f64::from(CELLS as u32).sqrt() / 60.0;
        }
        let ratio = squares.sqrt() / expected;
        assert!((0.7..1.3).contains(&ratio), "{share}: {ratio}");
    }
}
