//! What the settings of a recipe come to, tensor by tensor.

use kernels::Dtype;
use serde_json::json;

use super::{
    Explained, MergeSource,
    tests::{inputs, merge},
};
use crate::testing::Fixture;

fn deep(layers: u32, value: f64) -> Fixture {
    let layer = |made: Fixture, at: u32| {
        made.with(&format!("model.layers.{at}.mlp.up_proj.weight"), Dtype::F32, &[1], &[value]).with(
            &format!("model.layers.{at}.self_attn.q_proj.weight"),
            Dtype::F32,
            &[1],
            &[value],
        )
    };
    let all = (0..layers).fold(Fixture::empty(), layer);
    all.with("model.embed_tokens.weight", Dtype::F32, &[1], &[value]).with(
        "lm_head.weight",
        Dtype::F32,
        &[1],
        &[value],
    )
}

fn of(merged: &MergeSource, tensor: &str) -> Explained {
    merged.explain().find(|told| told.tensor == tensor).unwrap()
}

#[test]
fn a_gradient_is_told_as_the_value_of_each_layer_and_of_what_is_around_them() {
    let models = inputs(&[("o/a", deep(4, 1.0)), ("o/b", deep(4, 2.0))]);
    let yaml = |more: &str| {
        format!(
            "{{merge_method: slerp, base_model: o/a, models: [{{model: o/b}}], parameters: {{t: [0, 1]}}{more}}}"
        )
    };
    let t = |merged: &MergeSource, tensor: &str| of(merged, tensor).parameters["t"].as_f64().unwrap();

    let (first, last) = (merge(&yaml(""), &models), merge(&yaml(", post_t: 1"), &models));

    let along = [0, 1, 2, 3].map(|at| t(&first, &format!("model.layers.{at}.mlp.up_proj.weight")));
    for (got, expected) in along.iter().zip([0.0, 1.0 / 3.0, 2.0 / 3.0, 1.0]) {
        assert!((got - expected).abs() < 1e-12, "{along:?}");
    }
    assert_eq!([t(&first, "lm_head.weight"), t(&last, "lm_head.weight")], [0.0, 1.0]);
    assert_eq!(t(&last, "model.embed_tokens.weight"), 0.0);
}

#[test]
fn filters_words_and_the_tensors_of_other_layers_are_told_model_by_model() {
    let models = inputs(&[("o/base", deep(3, 0.0)), ("o/a", deep(3, 1.0)), ("o/b", deep(3, 2.0))]);
    let yaml = "
merge_method: ties
base_model: o/base
exclude: [lm_head]
slices:
  - sources:
      - {model: o/base, layer_range: [0, 1]}
      - {model: o/a, layer_range: [0, 1], parameters: {weight: [{filter: mlp, value: 0.25}, {value: 0.5}]}}
      - {model: o/b, layer_range: [1, 2], parameters: {density: 0.4}}
parameters: {weight: 1, normalize: false}
";

    let merged = merge(yaml, &models);

    let told = json!(of(&merged, "model.layers.0.mlp.up_proj.weight"));
    assert_eq!(told["made"], "merged");
    assert_eq!(told["parameters"]["normalize"], false);
    assert_eq!(told["parameters"]["election"], "sum");
    let up = |layer: u32| format!("model.layers.{layer}.mlp.up_proj.weight");
    assert_eq!(told["base"], json!({ "model": "o/base", "tensor": up(0) }));
    assert_eq!(
        told["models"],
        json!([
            { "model": "o/a", "tensor": up(0), "parameters": { "weight": 0.25, "density": 1.0 } },
            { "model": "o/b", "tensor": up(1), "parameters": { "weight": 1.0, "density": 0.4 } },
        ])
    );
    let other = of(&merged, "model.layers.0.self_attn.q_proj.weight");
    assert_eq!(other.models[0].parameters["weight"], 0.5);
    let head = of(&merged, "lm_head.weight");
    assert_eq!((head.made, head.policy.as_deref()), ("copied", Some("exclude")));
    assert_eq!((head.models.len(), head.models[0].model.as_str()), (1, "o/base"));
    let names: Vec<String> = merged.explain().map(|told| told.tensor).collect();
    assert!(names.is_sorted() && names.len() == 4, "{names:?}");
}
