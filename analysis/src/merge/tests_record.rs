//! What a merge says of itself: warnings of its recipe, and how each tensor was made.

use kernels::Dtype;
use weights::{Account, TensorSource};

use super::{
    MergeSource,
    references::Case,
    tests::{inputs, merge},
};
use crate::testing::Fixture;

fn cautions(merged: &MergeSource, code: &str) -> usize {
    merged.warnings().iter().filter(|item| item.message.starts_with(code)).count()
}

fn account(merged: &MergeSource) -> Account {
    let mut bytes = vec![0; merged.tensors()[0].bytes() as usize];
    merged.read_bytes(0, 0, &mut bytes).unwrap();
    merged.account(0)
}

fn number(account: &Account, fact: &str) -> f64 {
    account[fact][0].as_f64().unwrap()
}

#[test]
fn dividing_by_signed_weights_that_nearly_cancel_is_warned_of() {
    let case = Case::new();
    let ties =
        |weights: [&str; 3], shared: &str| cautions(&case.merged("ties", &weights, shared), "signed_divisor");

    // What agrees may be all three together, or two of them.
    let some = ties(["weight: 1", "weight: -0.5", "weight: -0.5"], "density: 0.5");
    let two = ties(["weight: 1", "weight: -0.9999", "weight: 5"], "density: 0.5");
    let apart = ties(["weight: 1", "weight: -0.5", "weight: 5"], "density: 0.5");
    let absolute = ties(["weight: 1", "weight: -0.9999", "weight: 5"], "density: 0.5, divisor: abs");
    let undivided = ties(["weight: 1", "weight: -0.9999", "weight: 5"], "density: 0.5, normalize: false");

    assert_eq!([some, two, apart, absolute, undivided], [1, 1, 0, 0, 0]);
}

#[test]
fn shares_beyond_the_models_are_warned_of() {
    let case = Case::new();
    let warned = |method: &str, own: &[&str], shared: &str| {
        cautions(&case.merged(method, own, shared), "extrapolation")
    };

    let linear =
        [["weight: 3", "weight: -1"], ["weight: 3", "weight: 1"]].map(|own| warned("linear", &own, ""));
    let nuslerp =
        [["weight: 3", "weight: -1"], ["weight: 3", "weight: 1"]].map(|own| warned("nuslerp", &own, ""));
    let slerp = ["t: 1.5", "t: 0.5"].map(|t| warned("slerp", &[""], t));

    assert_eq!((linear, nuslerp, slerp), ([1, 0], [1, 0], [1, 0]));
}

#[test]
fn the_record_says_what_share_of_a_delta_was_kept_and_of_its_squared_norm() {
    let case = Case::new();
    let delta = &case.deltas()[0];
    let own = ["weight: 1"];
    let of = |method: &str, shared: &str| {
        let out = case.run(method, &own, &format!("{shared}, rescale: false"));
        let moved: Vec<f64> = out.iter().zip(&case.base).map(|(out, base)| out - base).collect();
        let squares = |values: &[f64]| values.iter().map(|value| value * value).sum::<f64>();
        let kept = moved.iter().filter(|by| **by != 0.0).count() as f64 / moved.len() as f64;
        (kept, squares(&moved) / squares(delta))
    };

    for (method, shared) in [
        ("dare_linear", "density: 0.4"),
        ("della_linear", "density: 0.5, epsilon: 0.2"),
        ("breadcrumbs", "density: 0.6, gamma: 0.1"),
        ("ties", "density: 0.3, normalize: false"),
    ] {
        let told = account(&case.merged(method, &own, &format!("{shared}, rescale: true")));
        let alone = account(&case.merged(method, &own, &format!("{shared}, rescale: false")));

        let (kept, energy) = of(method, shared);
        assert_eq!((number(&told, "kept"), number(&alone, "kept")), (kept, kept), "{method}");
        assert!((number(&told, "energy") - energy).abs() < 1e-9, "{method}: {told:?}, {energy}");
    }
}

#[test]
fn nearswap_records_how_many_elements_its_distance_holds_back() {
    let case = Case::new();
    let beyond = case.deltas()[0].iter().filter(|delta| delta.abs() > 0.1).count() as f64;

    let told = account(&case.merged("nearswap", &[""], "t: 0.1"));

    assert_eq!(told["saturation"].as_f64(), Some(beyond / case.base.len() as f64));
}

#[test]
fn sce_records_what_it_selected_and_the_weights_it_found() {
    let case = Case::new();

    let told = account(&case.merged("sce", &["", "", ""], "select_topk: 0.5"));

    assert_eq!(told["kept"].as_f64(), Some(0.5));
    let weights: f64 = told["weights"].as_array().unwrap().iter().filter_map(|w| w.as_f64()).sum();
    assert!((weights - 1.0).abs() < 1e-12);
    assert!(told["energy"].as_array().unwrap().iter().all(|e| (0.0..1.0).contains(&e.as_f64().unwrap())));
}

#[test]
fn values_that_become_0_in_the_format_of_the_result_are_counted_once() {
    let of = |small: f64| {
        let mut values = vec![small; 100_000];
        values[..7].fill(1.0);
        values[7..9].fill(0.0);
        Fixture::empty().with("w", Dtype::F32, &[100_000], &values)
    };
    let models = inputs(&[("o/a", of(1e-9)), ("o/b", of(3e-9))]);
    let read = |dtype: &str| {
        let yaml = format!(
            "{{merge_method: linear, models: [{{model: o/a}}, {{model: o/b}}], parameters: {{weight: 1}}, dtype: {dtype}}}"
        );
        let merged = merge(&yaml, &models);
        account(&merged);
        account(&merged)
    };

    assert_eq!(read("float16")["underflow"], 100_000 - 9);
    assert!(!read("bfloat16").contains_key("underflow"));
}

#[test]
fn a_result_in_8_bits_that_nobody_asked_for_is_warned_of() {
    let of = |dtype| Fixture::empty().with("w", dtype, &[4], &[1.0, 2.0, 3.0, 4.0]);
    let models = inputs(&[("o/a", of(Dtype::F8E4M3)), ("o/b", of(Dtype::Bf16))]);
    let warned = |first: &str, second: &str, more: &str| {
        let yaml = format!(
            "{{merge_method: linear, models: [{{model: {first}}}, {{model: {second}}}], parameters: {{weight: 1}}{more}}}"
        );
        cautions(&merge(&yaml, &models), "the result is stored in 8 bits, like `o/a`")
    };

    let told =
        [warned("o/a", "o/b", ""), warned("o/a", "o/b", ", dtype: bfloat16"), warned("o/b", "o/a", "")];

    assert_eq!(told, [1, 0, 0]);
}
