//! Adapters whose factors are shaped: small singular values cut, tables of tokens factored, one side bare.

use domain::Fault as _;
use kernels::Dtype;
use serde_json::json;
use weights::TensorSource;

use super::{
    ExtractOptions, Rank, Shaping,
    tests::{EMBED, Q, applied, extract, llama, options, planted},
};
use crate::testing::{Fixture, noise, values};

fn shaped(rank: usize, shaping: Shaping) -> ExtractOptions {
    ExtractOptions { shaping, ..options(Rank::Fixed(rank)) }
}

fn close(got: &dyn TensorSource, wanted: &dyn TensorSource, most: f32) {
    for info in wanted.tensors() {
        for (got, wanted) in values(got, &info.name).iter().zip(values(wanted, &info.name)) {
            assert!((got - wanted).abs() <= most, "{}: {got} against {wanted}", info.name);
        }
    }
}

#[test]
fn singular_values_that_are_rounding_of_the_weights_are_cut_where_asked() {
    let of = |values: &[f64]| Fixture::empty().with(Q, Dtype::F32, &[40, 30], values);
    let base = noise(7, 1_200);
    let tuned: Vec<f64> = base.iter().zip(planted((40, 30, 8), 0.05)).map(|(a, b)| a + b).collect();
    let rank = |sv_epsilon| {
        let shaping = Shaping { sv_epsilon, ..Shaping::default() };
        extract(&of(&base), &of(&tuned), shaped(30, shaping)).unwrap().0.modules[0].clone()
    };

    let (all, cut, none) = (rank(0.0), rank(1e-5), rank(1e9));

    assert!(all.rank > 8, "{all:?}");
    assert_eq!((cut.rank, none.rank), (8, 1));
    assert!(cut.energy > 1.0 - 1e-9 && none.energy < cut.energy, "{cut:?} {none:?}");
    for bad in [-1.0, f64::NAN] {
        let shaping = Shaping { sv_epsilon: bad, ..Shaping::default() };
        let error = extract(&of(&base), &of(&tuned), shaped(3, shaping)).err().unwrap();
        assert_eq!(error.items()[0].pointer, "/sv_epsilon");
    }
}

#[test]
fn tables_of_tokens_and_the_head_get_factors_where_asked() {
    let head = |model: Fixture, add: f64| {
        let values: Vec<f64> = noise(30, 50 * 32).iter().map(|v| v / 100.0 + add).collect();
        model.with("lm_head.weight", Dtype::Bf16, &[50, 32], &values)
    };
    let changes = [(EMBED, planted((50, 32, 3), 0.05)), (Q, planted((48, 32, 3), 0.05))];
    let (base, tuned) = (head(llama(&[]), 0.0), head(llama(&changes), 0.5));
    let shaping = Shaping { embed_lora: true, ..Shaping::default() };

    let (made, scratch) = extract(&base, &tuned, shaped(32, shaping)).unwrap();
    let modules: Vec<&str> = made.modules.iter().map(|module| module.module.as_str()).collect();
    assert_eq!(modules, ["lm_head", "model.embed_tokens", "model.layers.0.self_attn.q_proj"]);
    assert!(made.whole.is_empty(), "{:?}", made.whole);
    let (baked, config) = applied(&base, (made, scratch));

    close(&baked, &tuned, 0.005);
    assert_eq!(config["target_modules"], json!(["embed_tokens", "lm_head", "q_proj"]));
    let (tied, _) = extract(&llama(&[]), &llama(&changes), shaped(4, shaping)).unwrap();
    assert_eq!(tied.config["ensure_weight_tying"], true);
    assert!(tied.config["target_modules"].as_array().unwrap().contains(&json!("embed_tokens")));
}

#[test]
fn the_singular_values_can_be_all_in_one_factor_of_the_same_product() {
    let (base, tuned) = (llama(&[]), llama(&[(Q, planted((48, 32, 4), 0.05))]));
    let shaping = Shaping { distribute_scale: false, ..Shaping::default() };

    let even = extract(&base, &tuned, shaped(4, Shaping::default())).unwrap();
    let uneven = extract(&base, &tuned, shaped(4, shaping)).unwrap();
    let up: Vec<f32> = uneven
        .1
        .chunks_exact(4)
        .skip(4 * 32)
        .map(|four| f32::from_le_bytes(four.try_into().unwrap()))
        .collect();
    let (even, uneven) = (applied(&base, even).0, applied(&base, uneven).0);

    close(&even, &uneven, 1e-3);
    assert_eq!(up.len(), 48 * 4);
    for column in 0..4 {
        let length: f32 = up.iter().skip(column).step_by(4).map(|value| value * value).sum();
        assert!((length - 1.0).abs() < 1e-5, "column {column}: {length}");
    }
}
