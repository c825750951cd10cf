//! Adapters as operands: read as their base with them applied, not rounded before the merge is.

use std::sync::Arc;

use domain::Limits;
use kernels::Dtype;
use serde_json::json;
use weights::{Baked, Rounded, TensorSource};

use super::{
    Input, Inputs,
    tests::{inputs, merge},
};
use crate::testing::{Fixture, noise, values};

const SIDE: usize = 40;

/// A base of ones, whose format rounds what the adapter adds, and an adapter of rank 1.
fn adapted() -> (Vec<f64>, Arc<dyn TensorSource>) {
    let (down, up) = (noise(1, SIDE), noise(2, SIDE));
    let side = SIDE as u64;
    let base = Fixture::empty().with("q.weight", Dtype::Bf16, &[side, side], &[1.0; SIDE * SIDE]);
    let adapter = Fixture::empty()
        .with("base_model.model.q.lora_A.weight", Dtype::F32, &[1, side], &down)
        .with("base_model.model.q.lora_B.weight", Dtype::F32, &[side, 1], &up);
    let read = |name: &str| values(&adapter, name).into_iter().map(f64::from).collect::<Vec<f64>>();
    let down = read("base_model.model.q.lora_A.weight");
    let up = read("base_model.model.q.lora_B.weight");
    let exact = up.iter().flat_map(|up| down.iter().map(move |down| 1.0 + 1e-3 * (up * down))).collect();
    let config = json!({"peft_type": "LORA", "r": 1, "lora_alpha": 1e-3});
    (exact, Arc::new(Baked::new(base.share(), adapter.share(), &config, &Limits::default()).unwrap()))
}

fn with(adapted: Arc<dyn TensorSource>) -> Inputs {
    let other = Fixture::empty().with("q.weight", Dtype::Bf16, &[SIDE as u64; 2], &[3.0; SIDE * SIDE]);
    let mut all = inputs(&[("o/other", other)]);
    all.insert(
        "o/adapted".to_owned(),
        Input { source: adapted, content: "adapted".to_owned(), config: None },
    );
    all
}

#[test]
fn what_an_adapter_adds_is_rounded_once_with_the_result() {
    let (exact, adapted) = adapted();
    let all = with(adapted);
    let yaml = "{merge_method: linear, dtype: float32, models: [{model: o/adapted, parameters: {weight: 0.5}}, {model: o/other, parameters: {weight: 0.5}}]}";

    let got = values(&merge(yaml, &all), "q.weight");

    let wanted: Vec<f32> = exact.iter().map(|value| (0.5 * value + 1.5) as f32).collect();
    assert_eq!(got, wanted);
    assert!(wanted.iter().any(|value| *value != 2.0), "the adapter changes something");
}

#[test]
fn without_a_dtype_the_result_has_the_one_of_the_base_of_an_adapter() {
    let all = with(adapted().1);
    let yaml = "{merge_method: ties, base_model: o/other, models: [{model: o/adapted, parameters: {weight: 1, density: 0.5}}]}";

    let merged = merge(yaml, &all);

    assert_eq!(merged.tensors()[0].dtype, Dtype::Bf16);
    assert!(values(&merged, "q.weight").iter().any(|value| *value != 3.0));
}

#[test]
fn an_adapter_that_is_rounded_first_is_rounded_like_a_copy_on_disk() {
    let (exact, adapted) = adapted();
    let all = with(Arc::new(Rounded::new(adapted, Dtype::Bf16)));
    let yaml = "{merge_method: linear, dtype: float32, models: [{model: o/adapted, parameters: {weight: 0.5}}, {model: o/other, parameters: {weight: 0.5}}]}";

    let got = values(&merge(yaml, &all), "q.weight");

    let stored = Fixture::empty().with("q.weight", Dtype::Bf16, &[SIDE as u64; 2], &exact);
    let rounded = values(&stored, "q.weight");
    let wanted: Vec<f32> = rounded.iter().map(|value| 0.5 * value + 1.5).collect();
    assert_eq!(got, wanted);
    let unrounded: Vec<f32> = exact.iter().map(|value| (0.5 * value + 1.5) as f32).collect();
    assert_ne!(got, unrounded);
}

#[test]
fn a_format_that_an_adapted_model_leaves_is_refused_by_the_name_of_the_tensor() {
    let wide = Fixture::empty().with("q.weight", Dtype::F32, &[2], &[1.0, 1e6]);
    let rounded = Rounded::new(wide.share(), Dtype::F16);

    let read = rounded.read_bytes(0, 0, &mut [0; 4]);

    let message = read.unwrap_err().to_string();
    assert!(message.starts_with("1 values of tensor `q.weight` leave the range of F16"), "{message}");
    assert!(rounded.read_bytes(0, 0, &mut [0; 2]).is_ok(), "the other element fits");
}
