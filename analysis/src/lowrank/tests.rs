//! Truncated decompositions of matrices with known singular values, and adapters extracted from planted changes.

use std::sync::Arc;

use domain::{Fault as _, Limits};
use kernels::Dtype;
use serde_json::{Value, json};
use weights::{Baked, Bytes, TensorSource};

use super::{ExtractOptions, Extracted, Extraction, Factors, Rank, Shaping, matrix::Matrix, svd::decompose};
use crate::{
    Error,
    diff::DiffSource,
    testing::{Fixture, noise, values},
};

/// The difference `values − 0` of one matrix.
fn delta(shape: [u64; 2], values: &[f64]) -> DiffSource {
    let zeros = vec![0.0; values.len()];
    let of = |values: &[f64]| Fixture::empty().with("w", Dtype::F64, &shape, values).share();
    DiffSource::new(of(values), of(&zeros)).unwrap()
}

/// `factors` in blocks of seven rows.
fn factored(diff: &DiffSource, rank: Rank) -> Result<Factors, Error> {
    let mut matrix = Matrix::of(diff, 0).unwrap();
    matrix.step = 7;
    decompose(&matrix, rank, &|_| Ok(()))
}

/// `Σₖ up[:, k]·down[k, :]`, row-major.
fn product(factors: &Factors) -> Vec<f64> {
    let columns = factors.down.len() / factors.rank;
    let rows = factors.up.chunks(factors.rank);
    let cell = |row: &[f64], column: usize| -> f64 {
        row.iter().zip(factors.down.chunks(columns)).map(|(up, down)| up * down[column]).sum()
    };
    rows.flat_map(|row| (0..columns).map(move |column| cell(row, column))).collect()
}

/// A matrix of `rank`, with entries around `size`.
pub(super) fn planted((rows, columns, rank): (usize, usize, usize), size: f64) -> Vec<f64> {
    let even = |seed, len| noise(seed, len).into_iter().map(|v| v.signum() * (1.0 + v.abs().min(1.0)));
    let (left, right): (Vec<f64>, Vec<f64>) =
        (even(5, rows * rank).collect(), even(6, columns * rank).collect());
    let cell = |at: usize| -> f64 {
        (0..rank).map(|k| left[at / columns * rank + k] * right[at % columns * rank + k]).sum::<f64>() * size
    };
    (0..rows * columns).map(cell).collect()
}

#[test]
fn a_matrix_of_low_rank_is_found_exactly_and_its_zero_singular_values_are_dropped() {
    let values = planted((40, 90, 3), 1.0);

    let factors = factored(&delta([40, 90], &values), Rank::Fixed(8)).unwrap();

    assert_eq!(factors.rank, 3);
    assert!(factors.energy() > 1.0 - 1e-12, "{}", factors.energy());
    for (got, wanted) in product(&factors).iter().zip(&values) {
        assert!((got - wanted).abs() < 1e-10, "{got} against {wanted}");
    }
}

#[test]
fn the_fewest_singular_values_with_the_energy_are_kept() {
    let mut values = vec![0.0; 30 * 20];
    for (at, s) in [4.0, -2.0, 1.0].into_iter().enumerate() {
        values[at * 20 + at] = s;
    }
    let diff = delta([30, 20], &values);
    let rank = |energy, most| factored(&diff, Rank::Energy { energy, most }).unwrap().rank;

    let ranks = [rank(0.7, 9), rank(0.9, 9), rank(0.96, 9), rank(1.0, 9), rank(1.0, 2)];

    assert_eq!(ranks, [1, 2, 3, 3, 2]);
    let singular = factored(&diff, Rank::Fixed(3)).unwrap().singular;
    for (got, wanted) in singular.iter().zip([4.0, 2.0, 1.0]) {
        assert!((got - wanted).abs() < 1e-12, "{got} against {wanted}");
    }
}

#[test]
fn the_energy_is_what_the_product_leaves_of_the_norm_and_more_rank_never_holds_less() {
    let values = noise(9, 60 * 45);
    let diff = delta([60, 45], &values);
    let norm_sq: f64 = values.iter().map(|v| v * v).sum();
    let mut before = 0.0;

    for rank in [1, 4, 16, 45] {
        let factors = factored(&diff, Rank::Fixed(rank)).unwrap();

        let lost: f64 = product(&factors).iter().zip(&values).map(|(a, b)| (a - b) * (a - b)).sum();
        assert!((factors.energy() - (1.0 - lost / norm_sq)).abs() < 1e-9, "rank {rank}");
        assert!(factors.energy() >= before, "rank {rank}");
        before = factors.energy();
    }
    assert!(before > 1.0 - 1e-12);
}

#[test]
fn the_largest_entry_of_every_left_singular_vector_is_positive() {
    let factors = factored(&delta([33, 21], &noise(3, 33 * 21)), Rank::Fixed(5)).unwrap();

    for k in 0..5 {
        let column = factors.up.iter().skip(k).step_by(5);
        let largest = column.max_by(|a, b| a.abs().total_cmp(&b.abs())).unwrap();
        assert!(*largest > 0.0, "vector {k}");
    }
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let diff = delta([50, 70], &noise(4, 3_500));
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| factored(&diff, Rank::Fixed(6)).unwrap())
    };

    let (one, four) = (on(1), on(4));

    assert_eq!(one, four);
}

#[test]
fn a_zero_matrix_has_factors_of_zeros_and_nan_is_refused_where_it_is() {
    let zero = factored(&delta([3, 4], &[0.0; 12]), Rank::Fixed(2)).unwrap();
    let mut values = [1.0; 12];
    values[6] = f64::NAN;

    let error = factored(&delta([3, 4], &values), Rank::Fixed(2)).unwrap_err().to_string();

    assert_eq!((zero.energy(), zero.rank), (1.0, 1));
    assert!(error.contains("`w` is NaN at row 1, column 2"), "{error}");
}

pub(super) const Q: &str = "model.layers.0.self_attn.q_proj.weight";
const K: &str = "model.layers.0.self_attn.k_proj.weight";
pub(super) const EMBED: &str = "model.embed_tokens.weight";
const NORM: &str = "model.norm.weight";

/// A bf16 model of weights around 0.02; `changes` are added before rounding.
pub(super) fn llama(changes: &[(&str, Vec<f64>)]) -> Fixture {
    let shapes: [(&str, &[u64]); 5] = [
        (Q, &[48, 32]),
        (K, &[24, 32]),
        ("model.layers.0.self_attn.k_proj.bias", &[24]),
        (EMBED, &[50, 32]),
        (NORM, &[32]),
    ];
    shapes.into_iter().zip(1..).fold(Fixture::empty(), |model, ((name, shape), seed)| {
        let len = shape.iter().product::<u64>() as usize;
        let mut values: Vec<f64> = noise(seed, len).into_iter().map(|v| 0.02 + v / 1000.0).collect();
        for (_, change) in changes.iter().filter(|(changed, _)| *changed == name) {
            values.iter_mut().zip(change).for_each(|(value, change)| *value += change);
        }
        model.with(name, Dtype::Bf16, shape, &values)
    })
}

pub(super) fn options(rank: Rank) -> ExtractOptions {
    ExtractOptions { rank, dtype: Dtype::F32, shaping: Shaping::default(), include: None, exclude: None }
}

pub(super) fn extract(
    base: &Fixture,
    tuned: &Fixture,
    options: ExtractOptions,
) -> Result<(Extracted, Vec<u8>), Error> {
    let (base, tuned) = (base.clone().share(), tuned.clone().share());
    let mut scratch = Vec::new();
    let extracted = Extraction::new(base, tuned, options)?.run(None, &mut scratch, &|_| Ok(()))?;
    Ok((extracted, scratch))
}

/// The adapter applied to `base` by the reader of adapters, and its configuration.
pub(super) fn applied(base: &Fixture, (extracted, scratch): (Extracted, Vec<u8>)) -> (Baked, Value) {
    let config = Value::Object(extracted.config);
    let adapter = Arc::new(extracted.plan.open(Arc::new(Bytes(scratch))));
    (Baked::new(base.clone().share(), adapter, &config, &Limits::default()).unwrap(), config)
}

fn within_one_ulp(got: &dyn TensorSource, wanted: &dyn TensorSource) {
    for info in wanted.tensors() {
        for (got, wanted) in values(got, &info.name).iter().zip(values(wanted, &info.name)) {
            let ulp = f32::from_bits((wanted.to_bits() & 0x7F80_0000).max(0x0080_0000)) / 128.0;
            assert!((got - wanted).abs() <= ulp, "{}: {got} against {wanted}", info.name);
        }
    }
}

#[test]
fn an_adapter_of_full_rank_gives_the_fine_tune_back() {
    let base = llama(&[]);
    let tuned = llama(&[
        (Q, noise(20, 48 * 32).iter().map(|v| v / 500.0).collect()),
        (K, noise(21, 24 * 32).iter().map(|v| v / 500.0).collect()),
        ("model.layers.0.self_attn.k_proj.bias", vec![0.5; 24]),
        (EMBED, noise(22, 50 * 32)),
        (NORM, vec![0.25; 32]),
    ]);

    let extracted = extract(&base, &tuned, options(Rank::Fixed(1_000))).unwrap();
    let (baked, config) = applied(&base, extracted);

    within_one_ulp(&baked, &tuned);
    assert_eq!(config["rank_pattern"], json!({ "model.layers.0.self_attn.k_proj": 24 }));
    assert_eq!((&config["r"], &config["lora_alpha"]), (&json!(32), &json!(32)));
    assert_eq!(config["modules_to_save"], json!(["model.embed_tokens", "model.norm"]));
    assert_eq!((&config["target_modules"], &config["bias"]), (&json!(["k_proj", "q_proj"]), &json!("all")));
}

#[test]
fn a_planted_change_of_low_rank_is_captured_and_unchanged_modules_are_left_out() {
    let base = llama(&[]);
    let tuned = llama(&[(Q, planted((48, 32, 4), 0.05))]);

    let (extracted, _) = extract(&base, &tuned, options(Rank::Fixed(4))).unwrap();

    assert_eq!((extracted.modules.len(), extracted.unchanged), (1, 4));
    assert!(extracted.energy > 0.999, "{}", extracted.energy);
    assert_eq!(extracted.modules[0].module, "model.layers.0.self_attn.q_proj");
    let least = extract(&base, &tuned, options(Rank::Energy { energy: 0.999, most: 32 })).unwrap().0;
    assert_eq!(least.modules[0].rank, 4);
}

#[test]
fn patterns_choose_modules_and_nothing_to_extract_is_an_error() {
    let change = |len| (0..len).map(|i| f64::from(i) / 100.0).collect::<Vec<f64>>();
    let (base, tuned) = (llama(&[]), llama(&[(Q, change(48 * 32)), (K, change(24 * 32))]));
    let pattern = |text| Some(ExtractOptions::pattern(text, "/include").unwrap());

    let only_k = ExtractOptions { include: pattern("k_proj"), ..options(Rank::Fixed(2)) };
    let no_k = ExtractOptions { exclude: pattern("k_proj"), ..options(Rank::Fixed(2)) };
    let modules = |options| extract(&base, &tuned, options).unwrap().0.modules;

    assert!(modules(only_k)[0].module.ends_with("k_proj"));
    assert!(modules(no_k)[0].module.ends_with("q_proj"));
    let error = extract(&base, &base, options(Rank::Fixed(2))).err().unwrap().to_string();
    assert!(error.contains("nothing to extract"), "{error}");
    assert_eq!(ExtractOptions::pattern("(", "/exclude").unwrap_err().items()[0].pointer, "/exclude");
    for (options, pointer) in [
        (ExtractOptions { include: pattern("zzz"), ..options(Rank::Fixed(2)) }, "/include"),
        (ExtractOptions { exclude: pattern("."), ..options(Rank::Fixed(2)) }, "/exclude"),
    ] {
        let error = extract(&base, &tuned, options).err().unwrap();
        assert_eq!(error.items()[0].pointer, pointer, "{error}");
    }
    let same = ExtractOptions { include: pattern("norm"), ..options(Rank::Fixed(2)) };
    let error = extract(&base, &tuned, same).err().unwrap().to_string();
    assert!(error.contains("that the patterns select"), "{error}");
}

#[test]
fn a_head_that_one_side_ties_is_its_embedding_table() {
    let head =
        |model: Fixture, seed| model.with("lm_head.weight", Dtype::Bf16, &[50, 32], &noise(seed, 50 * 32));
    let table = |seed| {
        Fixture::empty().with(EMBED, Dtype::Bf16, &[50, 32], &noise(seed, 50 * 32)).with(
            NORM,
            Dtype::Bf16,
            &[32],
            &noise(seed, 32),
        )
    };

    let untied_base = extract(&head(table(1), 2), &table(3), options(Rank::Fixed(2))).unwrap();
    let (baked, _) = applied(&head(table(1), 2), untied_base);
    let equal = extract(&table(1), &head(table(3), 3), options(Rank::Fixed(2))).map(|(made, _)| made.whole);
    let other = extract(&table(1), &head(table(3), 4), options(Rank::Fixed(2))).err().unwrap().to_string();

    assert_eq!(values(&baked, "lm_head.weight"), values(&table(3), EMBED));
    assert_eq!(equal.unwrap(), ["model.embed_tokens", "model.norm"]);
    let (tied, _) = extract(&table(1), &table(3), options(Rank::Fixed(2))).unwrap();
    assert_eq!(tied.config.get("ensure_weight_tying"), Some(&json!(true)), "PEFT leaves the head else");
    assert!(other.contains("cannot untie"), "{other}");
}

#[test]
fn transposed_layers_keep_their_meaning() {
    let weights =
        |values: &[f64]| Fixture::empty().with("h.0.attn.c_attn.weight", Dtype::F32, &[6, 9], values);
    let (base, tuned) = (weights(&[0.5; 54]), weights(&planted((6, 9, 2), 1.0)));
    let config = json!({ "model_type": "gpt2", "architectures": ["GPT2LMHeadModel"] });
    let mut scratch = Vec::new();
    let extraction =
        Extraction::new(base.clone().share(), tuned.clone().share(), options(Rank::Fixed(6))).unwrap();

    let made = extraction.run(Some(&config), &mut scratch, &|_| Ok(())).unwrap();
    let (baked, config) = applied(&base, (made, scratch));

    assert_eq!(config["fan_in_fan_out"], true);
    for (got, wanted) in
        values(&baked, "h.0.attn.c_attn.weight").iter().zip(values(&tuned, "h.0.attn.c_attn.weight"))
    {
        assert!((got - wanted).abs() < 1e-5, "{got} against {wanted}");
    }
}
