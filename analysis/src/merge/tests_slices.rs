//! Slices: which layers of which model go where, and with which settings.

use domain::{Fault, Limits};
use kernels::Dtype;
use weights::TensorSource;

use super::{
    Inputs, parse,
    tests::{check, inputs, merge},
};
use crate::testing::{Fixture, bytes, values};

/// Layer `i` holds `100 * model + i`; an embedding, a norm and a head hold `100 * model` and 90, 91 or 92.
fn stack(model: u32, layers: u32) -> Fixture {
    let value = |at: u32| [f64::from(100 * model + at)];
    let made = (0..layers).fold(Fixture::empty(), |made, layer| {
        made.with(&format!("model.layers.{layer}.mlp.weight"), Dtype::F32, &[1], &value(layer)).with(
            &format!("model.layers.{layer}.attn.weight"),
            Dtype::F32,
            &[1],
            &value(layer),
        )
    });
    made.with("model.embed_tokens.weight", Dtype::F32, &[1], &value(90))
        .with("model.norm.weight", Dtype::F32, &[1], &value(91))
        .with("lm_head.weight", Dtype::F32, &[1], &value(92))
}

fn pair() -> Inputs {
    inputs(&[("o/a", stack(1, 4)), ("o/b", stack(2, 6))])
}

fn layers(source: &dyn TensorSource, part: &str) -> Vec<f32> {
    let count =
        source.tensors().iter().filter(|info| info.name.ends_with(&format!(".{part}.weight"))).count();
    (0..count).map(|layer| values(source, &format!("model.layers.{layer}.{part}.weight"))[0]).collect()
}

fn faults(yaml: &str, inputs: &Inputs) -> String {
    match parse(yaml).and_then(|config| check(&config, inputs)) {
        Ok(_) => String::new(),
        Err(error) => format!("{:?}", error.items()),
    }
}

#[test]
fn slices_are_stacked_and_their_layers_numbered_consecutively() {
    let yaml = "
merge_method: passthrough
slices:
  - sources: [{model: o/a, layer_range: [0, 3]}]
  - sources: [{model: o/b, layer_range: [4, 6]}]
  - sources: [{model: o/a, layer_range: [2, 4]}]
";

    let merged = merge(yaml, &pair());

    assert_eq!(layers(&merged, "mlp"), [100.0, 101.0, 102.0, 204.0, 205.0, 102.0, 103.0]);
    let names: Vec<&str> = merged.tensors().iter().map(|info| info.name.as_str()).collect();
    assert!(names.is_sorted() && names.len() == 17, "{names:?}");
    let from: Vec<(&str, u64)> =
        merged.stacked()[0].layers.iter().map(|(name, layer)| (name.as_str(), *layer)).collect();
    assert_eq!(from[2..5], [("o/a", 2), ("o/b", 4), ("o/b", 5)]);
}

#[test]
fn tensors_before_the_layers_come_from_the_first_slice_and_those_after_from_the_last() {
    let yaml = "
merge_method: passthrough
slices:
  - sources: [{model: o/a, layer_range: [0, 1]}]
  - sources: [{model: o/b, layer_range: [1, 2]}]
";

    let merged = merge(yaml, &pair());

    assert_eq!(values(&merged, "model.embed_tokens.weight"), [190.0]);
    assert_eq!(values(&merged, "model.norm.weight"), [291.0]);
    assert_eq!(values(&merged, "lm_head.weight"), [292.0]);
}

#[test]
fn a_slice_listed_twice_is_written_twice() {
    let slice = "{sources: [{model: o/a, layer_range: [1, 3]}]}";
    let merged = merge(&format!("{{merge_method: passthrough, slices: [{slice}, {slice}]}}"), &pair());

    assert_eq!(layers(&merged, "attn"), [101.0, 102.0, 101.0, 102.0]);
    let at = |name: &str| merged.position(name).unwrap();
    assert_eq!(
        bytes(&merged, at("model.layers.0.mlp.weight")),
        bytes(&merged, at("model.layers.2.mlp.weight"))
    );
}

#[test]
fn a_model_is_merged_with_other_layers_of_itself() {
    let yaml = "
merge_method: linear
slices:
  - sources: [{model: o/a, layer_range: [0, 2]}, {model: o/a, layer_range: [2, 4]}]
parameters: {weight: 1}
";

    let merged = merge(yaml, &pair());

    assert_eq!(layers(&merged, "mlp"), [101.0, 102.0]);
}

#[test]
fn settings_of_a_source_outrank_those_of_its_slice_and_those_the_top_level() {
    let yaml = "
merge_method: linear
parameters: {weight: 1, normalize: false}
slices:
  - sources:
      - model: o/a
        layer_range: [0, 1]
        parameters: {weight: [{filter: attn, value: 3}]}
      - {model: o/b, layer_range: [0, 1]}
    parameters: {weight: [{filter: layers, value: 2}]}
  - sources: [{model: o/a, layer_range: [1, 2]}, {model: o/b, layer_range: [1, 2]}]
";

    let merged = merge(yaml, &pair());

    assert_eq!(layers(&merged, "attn"), [3.0 * 100.0 + 2.0 * 200.0, 101.0 + 201.0]);
    assert_eq!(layers(&merged, "mlp"), [2.0 * 300.0, 302.0]);
    assert_eq!(values(&merged, "model.embed_tokens.weight"), [190.0 + 290.0]);
}

#[test]
fn a_gradient_runs_along_its_slice_and_gives_its_first_value_to_all_other_tensors() {
    let slice = |range: &str| format!("{{sources: [{{model: o/a, layer_range: {range}}}]}}");
    let yaml = format!(
        "{{merge_method: passthrough, slices: [{}, {}, {}], parameters: {{scale: [2, 0, 1]}}}}",
        slice("[0, 3]"),
        slice("[0, 2]"),
        slice("[3, 4]")
    );

    let merged = merge(&yaml, &pair());

    assert_eq!(layers(&merged, "mlp"), [200.0, 0.0, 102.0, 200.0, 101.0, 103.0]);
    assert_eq!(values(&merged, "lm_head.weight"), [2.0 * 192.0]);
    let warned = merged.warnings().iter().any(|item| item.message.contains("takes the first value"));
    assert!(warned, "{:?}", merged.warnings());
}

#[test]
fn what_is_behind_the_layers_takes_the_last_value_of_a_gradient_where_a_recipe_asks_for_it() {
    let merged = |post_t: &str| {
        let yaml = format!(
            "{{merge_method: passthrough, post_t: {post_t}, parameters: {{scale: [2, 0, 3]}}, \
             slices: [{{sources: [{{model: o/a, layer_range: [0, 3]}}]}}]}}"
        );
        merge(&yaml, &pair())
    };
    let (first, last) = (merged("0"), merged("1"));

    assert_eq!(values(&first, "lm_head.weight"), [2.0 * 192.0]);
    assert_eq!(values(&last, "lm_head.weight"), [3.0 * 192.0]);
    assert_eq!(values(&last, "model.embed_tokens.weight"), values(&first, "model.embed_tokens.weight"));
    assert!(
        last.warnings().iter().all(|item| !item.message.contains("first value")),
        "{:?}",
        last.warnings()
    );
}

#[test]
fn filters_of_a_model_see_its_own_names_and_those_of_the_merge_see_the_results() {
    let of = |at: &str| {
        format!(
            "{{merge_method: passthrough, slices: [{{sources: [{{model: o/a, layer_range: [0, 1]}}]}}, \
             {{sources: [{{model: o/b, layer_range: [5, 6], parameters: {{scale: [{{filter: layers.{at}., value: 0}}]}}}}]}}]}}"
        )
    };
    let global = "
merge_method: linear
slices:
  - sources: [{model: o/a, layer_range: [2, 3]}]
parameters:
  weight: 3
  normalize: [{filter: layers.0., value: false}]
";

    assert_eq!(layers(&merge(&of("5"), &pair()), "mlp"), [100.0, 0.0]);
    assert_eq!(layers(&merge(&of("1"), &pair()), "mlp"), [100.0, 205.0]);
    assert_eq!(layers(&merge(global, &pair()), "mlp"), [306.0]);
}

#[test]
fn a_slice_may_have_a_base_of_its_own() {
    let yaml = "
merge_method: task_arithmetic
base_model: o/a
parameters: {weight: 2}
slices:
  - sources: [{model: o/b, layer_range: [0, 1]}]
  - sources: [{model: o/a, layer_range: [1, 2]}, {model: o/b, layer_range: [3, 4]}]
    base_model: o/b
";

    let merged = merge(yaml, &pair());

    assert_eq!(layers(&merged, "mlp"), [100.0 + 2.0 * 100.0, 203.0 + 2.0 * (101.0 - 203.0)]);
    assert_eq!(parse(yaml).unwrap().merged_refs(), ["o/b", "o/a"]);
}

#[test]
fn slices_that_do_not_fit_are_refused_with_what_would() {
    let of =
        |method: &str, slice: &str| format!("{{merge_method: {method}, parameters: {{weight: 1}}, {slice}}}");
    for (method, slice, told) in [
        (
            "linear",
            "slices: [{sources: [{model: o/a, layer_range: [0, 2]}, {model: o/b, layer_range: [0, 3]}]}]",
            "equally many layers: `o/a` 2, `o/b` 3",
        ),
        (
            "passthrough",
            "slices: [{sources: [{model: o/a, layer_range: [2, 5]}]}]",
            "/slices/0/sources/0/layer_range\", message: \"[2, 5] ends past the 4 layers of `o/a`",
        ),
        ("passthrough", "slices: [{sources: [{model: o/a, layer_range: [2, 2]}]}]", "holds no layer"),
        ("passthrough", "models: [{model: o/a, layer_range: [0, 2]}]", "go under `slices`"),
        (
            "passthrough",
            "slices: [{sources: [{model: o/a, layer_range: [0, 1]}, {model: o/b, layer_range: [0, 1]}]}]",
            "merges exactly one model, 2 given",
        ),
        (
            "task_arithmetic",
            "base_model: o/b, slices: [{sources: [{model: o/a, layer_range: [0, 1]}, {model: o/a, layer_range: [1, 2]}]}]",
            "must be listed with its `layer_range`",
        ),
        (
            "task_arithmetic",
            "base_model: o/a, slices: [{sources: [{model: o/b, layer_range: [3, 5]}]}]",
            "its layers end before",
        ),
        (
            "task_arithmetic",
            "slices: [{sources: [{model: o/b, layer_range: [3, 5]}]}]",
            "/slices/0/base_model",
        ),
        ("passthrough", "slices: [{sauces: []}]", "did you mean `sources`?"),
    ] {
        let found = faults(&of(method, slice), &pair());
        assert!(found.contains(told), "{slice}: {found}");
    }
}

#[test]
fn two_stacks_of_layers_cannot_be_sliced() {
    let both = Fixture::empty().with("encoder.0.w", Dtype::F32, &[1], &[1.0]).with(
        "decoder.0.w",
        Dtype::F32,
        &[1],
        &[1.0],
    );
    let yaml = "{merge_method: passthrough, slices: [{sources: [{model: o/a, layer_range: [0, 1]}]}]}";

    let found = faults(yaml, &inputs(&[("o/a", both)]));

    assert!(found.contains("one stack of layers, found `decoder`, `encoder`"), "{found}");
}

#[test]
fn more_layers_than_the_limit_are_refused_before_they_are_listed() {
    let slice = "{sources: [{model: o/a, layer_range: [0, 4]}]}";
    let yaml = format!("{{merge_method: passthrough, slices: [{slice}, {slice}, {slice}]}}");
    let limits = Limits { merge_layers: 8, ..Limits::default() };

    let found = super::check(&parse(&yaml).unwrap(), &pair(), &limits).unwrap_err().to_string();

    assert!(found.contains("at most 8 are written (`merge_layers`)"), "{found}");
}

#[test]
fn a_head_is_written_where_a_model_stores_one_and_stays_tied_where_none_does() {
    let tied = |model: u32| {
        Fixture::empty().with("model.layers.0.w", Dtype::F32, &[1], &[1.0]).with(
            "model.embed_tokens.weight",
            Dtype::F32,
            &[1],
            &[f64::from(model)],
        )
    };
    let head = tied(3).with("lm_head.weight", Dtype::F32, &[1], &[4.0]);
    let both = inputs(&[("o/a", tied(1)), ("o/b", tied(2)), ("o/c", head)]);
    let of = |last: &str| {
        format!(
            "{{merge_method: passthrough, slices: [{{sources: [{{model: o/a, layer_range: [0, 1]}}]}}, \
             {{sources: [{{model: {last}, layer_range: [0, 1]}}]}}]}}"
        )
    };

    let (mixed, own) = (merge(&of("o/b"), &both), merge(&of("o/a"), &both));
    let stored = merge(&of("o/c"), &both);
    let turned = merge(&of("o/b").replacen("o/a", "o/c", 1), &both);

    assert!(mixed.position("lm_head.weight").is_none());
    assert_eq!(values(&mixed, "model.embed_tokens.weight"), [1.0]);
    let told = &mixed.warnings()[0];
    assert_eq!(told.pointer, "/slices");
    assert!(told.message.contains("that of `o/a`; the last layers are those of `o/b`"), "{}", told.message);
    assert!(own.position("lm_head.weight").is_none() && own.warnings().is_empty());
    assert_eq!(values(&stored, "lm_head.weight"), [4.0]);
    assert_eq!(values(&turned, "lm_head.weight"), [2.0], "the last model's head is its embedding");
}

#[test]
fn slices_of_models_that_do_not_fit_on_one_another_are_refused() {
    let recipe = "{merge_method: passthrough, slices: [{sources: [{model: o/a, layer_range: [0, 2]}]}, {sources: [{model: o/b, layer_range: [2, 4]}]}]}";
    let wider = stack(2, 5).with("model.layers.5.mlp.weight", Dtype::F32, &[2], &[1.0; 2]).with(
        "model.layers.5.attn.weight",
        Dtype::F32,
        &[1],
        &[1.0],
    );
    let gated = stack(2, 6).with("model.layers.5.gate.weight", Dtype::F32, &[1], &[1.0]);
    let table = |rows: u64| {
        let values = vec![0.0; rows as usize];
        let layers = (0..4).fold(Fixture::empty(), |made, layer| {
            made.with(&format!("model.layers.{layer}.mlp.weight"), Dtype::F32, &[1], &[1.0])
        });
        let whole = layers.with("model.embed_tokens.weight", Dtype::F32, &[rows, 1], &values);
        whole.with("lm_head.weight", Dtype::F32, &[rows, 1], &values)
    };

    let shapes = faults(recipe, &inputs(&[("o/a", stack(1, 6)), ("o/b", wider)]));
    let kinds = faults(recipe, &inputs(&[("o/a", stack(1, 4)), ("o/b", gated)]));
    let tables = faults(recipe, &inputs(&[("o/a", table(7)), ("o/b", table(8))]));
    let others =
        Fixture::empty().with("h.0.x", Dtype::F32, &[1], &[1.0]).with("wte", Dtype::F32, &[1], &[1.0]);
    let foreign = faults(
        "{merge_method: linear, models: [{model: o/a, parameters: {weight: 1}}, {model: o/b, parameters: {weight: 1}}]}",
        &inputs(&[("o/a", stack(1, 4)), ("o/b", others)]),
    );

    assert!(shapes.contains("`model.layers.5.mlp.weight` has shape [1] in `o/a`, [2] in `o/b`"), "{shapes}");
    assert!(kinds.contains("those of `o/b` hold `gate.weight`, those of `o/a` do not"), "{kinds}");
    assert!(tables.contains("of the first slice has 7 rows and `lm_head.weight` of the last 8"), "{tables}");
    assert!(foreign.contains("of different architectures: 0 of their 11 and 2 tensors"), "{foreign}");
    assert_eq!(foreign.matches("message").count(), 1, "{foreign}");
}
