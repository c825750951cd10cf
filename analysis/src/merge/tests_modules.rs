//! Modules: parts of a model that are merged each in its own way.

use domain::Fault;
use kernels::Dtype;
use weights::TensorSource;

use super::{
    Inputs, MergeModule, parse,
    tests::{check, inputs, merge},
};
use crate::testing::{Fixture, values};

/// Text layer `i` holds `100 * model + i`, vision layer `i` 50 more; what joins them, embedding and head 90 to 92 more.
fn seeing(model: u32, (text, vision): (u32, u32)) -> Fixture {
    let one = |made: Fixture, name: &str, at: u32| {
        made.with(name, Dtype::F32, &[1], &[f64::from(100 * model + at)])
    };
    let made = (0..text)
        .fold(Fixture::empty(), |made, layer| one(made, &format!("model.layers.{layer}.mlp.weight"), layer));
    let made = (0..vision)
        .fold(made, |made, layer| one(made, &format!("visual.blocks.{layer}.mlp.weight"), 50 + layer));
    let made = one(made, "visual.merger.mlp.0.weight", 90);
    one(one(made, "model.embed_tokens.weight", 91), "lm_head.weight", 92)
}

fn pair() -> Inputs {
    inputs(&[("o/a", seeing(1, (4, 3))), ("o/b", seeing(2, (4, 3)))])
}

fn faults(yaml: &str, inputs: &Inputs) -> Vec<String> {
    let Err(error) = parse(yaml).and_then(|config| check(&config, inputs)) else { return Vec::new() };
    error.items().into_iter().map(|item| format!("{}: {}", item.pointer, item.message)).collect()
}

const BOTH: &str = "[{model: o/a, parameters: {weight: 1}}, {model: o/b, parameters: {weight: 0.25}}]";

#[test]
fn every_module_is_merged_in_its_own_way() {
    let yaml = format!(
        "
merge_method: linear
modules:
  text_decoder: {{models: {BOTH}}}
  vision_tower:
    models: [{{model: o/a}}, {{model: o/b}}]
    parameters: {{weight: 1}}
  multi_modal_projector:
    models: [{{model: o/b, parameters: {{weight: 1}}}}]
"
    );

    let merged = merge(&yaml, &pair());

    assert_eq!(values(&merged, "model.layers.1.mlp.weight"), [121.0]);
    assert_eq!(values(&merged, "visual.blocks.2.mlp.weight"), [202.0]);
    assert_eq!(values(&merged, "visual.merger.mlp.0.weight"), [290.0]);
    assert_eq!(values(&merged, "lm_head.weight"), [212.0]);
    let config = parse(&yaml).unwrap();
    assert_eq!(parse(&config.canonical().to_string()).unwrap(), config);
    assert!(merged.warnings().is_empty(), "{:?}", merged.warnings());
}

#[test]
fn the_layers_of_one_module_are_stacked_and_those_of_the_others_stay() {
    let yaml = "
merge_method: passthrough
base_model: o/a
modules:
  text_decoder:
    slices:
      - sources: [{model: o/a, layer_range: [0, 3]}]
      - sources: [{model: o/b, layer_range: [2, 4]}]
  vision_tower: {models: [{model: o/b}]}
";

    let merged = merge(yaml, &pair());

    let layer = |at: u32| values(&merged, &format!("model.layers.{at}.mlp.weight"))[0];
    assert_eq!((0..5).map(layer).collect::<Vec<_>>(), [100.0, 101.0, 102.0, 202.0, 203.0]);
    assert_eq!(values(&merged, "visual.blocks.2.mlp.weight"), [252.0]);
    assert_eq!(values(&merged, "model.embed_tokens.weight"), [191.0]);
    assert_eq!(values(&merged, "lm_head.weight"), [292.0]);
    let [stacked] = merged.stacked() else { panic!("{:?}", merged.stacked()) };
    assert_eq!((stacked.module, stacked.layers.len()), (Some(MergeModule::TextDecoder), 5));
    // What no module of the recipe holds is the heir's, and said.
    assert_eq!(values(&merged, "visual.merger.mlp.0.weight"), [190.0]);
    let [warning] = merged.warnings() else { panic!("{:?}", merged.warnings()) };
    assert_eq!(warning.pointer, "/modules");
    assert!(warning.message.contains("1 tensors belong to no module") && warning.message.contains("`o/a`"));
}

#[test]
fn a_list_of_values_is_spread_over_the_layers_of_each_module() {
    let models =
        "models: [{model: o/a, parameters: {weight: [1, 0]}}, {model: o/b, parameters: {weight: [0, 1]}}]";
    let whole = merge(&format!("merge_method: linear\n{models}"), &pair());
    let parted = merge(
        &format!(
            "merge_method: linear\nmodules: {{text_decoder: {{{models}}}, vision_tower: {{{models}}}, \
             multi_modal_projector: {{{models}}}}}"
        ),
        &pair(),
    );

    for merged in [whole, parted] {
        assert_eq!(values(&merged, "model.layers.3.mlp.weight"), [203.0]);
        assert_eq!(values(&merged, "visual.blocks.2.mlp.weight"), [252.0]);
        assert_eq!(values(&merged, "visual.blocks.1.mlp.weight"), [201.0]);
        assert_eq!(values(&merged, "visual.merger.mlp.0.weight"), [190.0]);
    }
}

#[test]
fn settings_of_a_module_come_between_those_of_its_models_and_those_of_the_recipe() {
    let yaml = "
merge_method: linear
modules:
  text_decoder:
    models: [{model: o/a, parameters: {weight: [{filter: layers.0, value: 3}]}}, {model: o/b}]
    parameters: {weight: [{filter: layers, value: 1}]}
  vision_tower: {models: [{model: o/a}, {model: o/b, parameters: {weight: 0}}]}
  multi_modal_projector: {models: [{model: o/a}]}
parameters: {weight: 2}
";

    let merged = merge(yaml, &pair());

    assert_eq!(values(&merged, "model.layers.0.mlp.weight"), [125.0]);
    assert_eq!(values(&merged, "model.layers.1.mlp.weight"), [151.0]);
    assert_eq!(values(&merged, "visual.blocks.0.mlp.weight"), [150.0]);
}

#[test]
fn an_encoder_and_a_decoder_are_modules() {
    let model = |first: f64| {
        let with = |made: Fixture, name: &str| made.with(name, Dtype::F32, &[1], &[first]);
        ["shared.weight", "encoder.block.0.layer.0.q.weight", "decoder.block.0.layer.0.q.weight"]
            .into_iter()
            .fold(Fixture::empty(), with)
    };
    let inputs = inputs(&[("o/a", model(1.0)), ("o/b", model(2.0))]);
    let yaml = "
merge_method: passthrough
modules:
  encoder: {models: [{model: o/a}]}
  decoder: {models: [{model: o/b}]}
  shared: {models: [{model: o/b}]}
";

    let merged = merge(yaml, &inputs);

    assert_eq!(values(&merged, "encoder.block.0.layer.0.q.weight"), [1.0]);
    assert_eq!(values(&merged, "decoder.block.0.layer.0.q.weight"), [2.0]);
    assert_eq!(merged.tensors().len(), 3);
}

#[test]
fn what_is_wrong_with_modules_is_told_where_it_stands() {
    let of = |modules: &str| faults(&format!("merge_method: linear\nmodules: {modules}"), &pair());
    let models = format!("{{models: {BOTH}}}");

    let told = of(&format!("{{text_decodr: {models}, vision_tower: {models}}}"));
    assert!(told[0].starts_with("/modules/text_decodr") && told[0].contains("did you mean `text_decoder`"));
    let told = of(&format!("{{encoder: {models}}}"));
    assert!(
        told[0].starts_with(
            "/modules/encoder: `o/a` has no module `encoder`: it has text_decoder, vision_tower"
        ),
        "{told:?}"
    );
    let told = of("{text_decoder: {models: [{model: o/a, parameters: {wieght: 1}}]}}");
    assert!(told[0].starts_with("/modules/text_decoder/models/0/parameters/wieght"), "{told:?}");
    let told = of(&format!("{{default: {models}, vision_tower: {models}}}"));
    assert!(told[0].starts_with("/modules/default: it stands for the whole model"), "{told:?}");
    let told = of(&format!("{{vision_model: {models}, vision_tower: {models}}}"));
    assert!(told[0].contains("another name of `vision_tower`"), "{told:?}");
    let told = of("{text_decoder: {models: [{model: o/a}]}}");
    assert!(told[0].starts_with("/modules/text_decoder/models/0/parameters/weight"), "{told:?}");
    let told = of("{}");
    assert!(told[0].starts_with("/modules: expected a mapping"), "{told:?}");
    let told =
        faults(&format!("merge_method: linear\nmodels: {BOTH}\nmodules: {{default: {models}}}"), &pair());
    assert!(told[0].contains("exactly one of"), "{told:?}");
}

#[test]
fn slices_of_a_model_with_several_stacks_are_told_to_be_written_as_modules() {
    let yaml = "merge_method: passthrough\nslices: [{sources: [{model: o/a, layer_range: [0, 2]}]}]";

    let told = faults(yaml, &pair());

    assert!(told[0].contains("`model.layers`") && told[0].contains("`modules: {text_decoder:"), "{told:?}");
}

#[test]
fn a_slice_of_a_module_tells_its_place_in_it() {
    let yaml = "
merge_method: passthrough
modules:
  vision_tower: {slices: [{sources: [{model: o/a, layer_range: [0, 9]}]}]}
";

    let told = faults(yaml, &pair());

    assert!(
        told[0].starts_with("/modules/vision_tower/slices/0/sources/0/layer_range: [0, 9] ends past the 3"),
        "{told:?}"
    );
}
