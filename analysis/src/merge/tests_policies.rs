//! What becomes of tensors that models lack or have in another shape.

use kernels::Dtype;
use weights::TensorSource as _;

use super::{
    Inputs, Mismatch, Missing, Outcome, laws, parse,
    tests::{check, inputs, merge},
};
use crate::testing::{Fixture, noise, same, values};

/// `recipe` with a line more.
fn recipe(method: &str, more: &str) -> String {
    format!(
        "{{merge_method: {method}, base_model: o/base, models: [{{model: o/a}}, {{model: o/b}}], parameters: {{weight: 1}}, {more}}}"
    )
}

fn with(fixture: Fixture, name: &str, of: &[f64]) -> Fixture {
    fixture.with(name, Dtype::F32, &[of.len() as u64], of)
}

/// `all` in all models, `ab` in both fine-tunes, `base_a` in the base and one, `a` and `base` in one alone.
fn uneven() -> Inputs {
    let common = |value: f64| with(Fixture::empty(), "all", &[value, value]);
    let (base, a, b) = (common(1.0), common(2.0), common(4.0));
    let base = with(with(base, "base_a", &[1.0, 2.0]), "base", &[7.0]);
    let a = with(with(with(a, "base_a", &[3.0, 2.0]), "ab", &[5.0, 6.0]), "a", &[9.0]);
    inputs(&[("o/base", base), ("o/a", a), ("o/b", with(b, "ab", &[8.0, 9.0]))])
}

fn told(yaml: &str, inputs: &Inputs) -> String {
    check(&parse(yaml).unwrap(), inputs).unwrap_err().to_string()
        + &match check(&parse(yaml).unwrap(), inputs) {
            Err(crate::Error::Faults(items)) => format!("{items:?}"),
            other => format!("{other:?}"),
        }
}

#[test]
fn a_policy_changes_nothing_where_all_models_have_the_same_tensors() {
    let models = laws::models(laws::model);
    for (yaml, _) in laws::recipes() {
        let plain = merge(&yaml, &models);

        for policy in [
            "missing: base",
            "missing: skip",
            "missing: union",
            "on_mismatch: base",
            "allow_crimes: true",
            "allow_nonfinite: true",
        ] {
            let merged = merge(&yaml.replacen('{', &format!("{{{policy}, "), 1), &models);

            assert!(same(&plain, &merged), "{policy} in {yaml}");
            assert!(merged.touched().is_empty() && merged.warnings() == plain.warnings());
        }
    }
}

#[test]
fn defaults_stay_out_of_the_canonical_recipe_and_other_words_are_part_of_it() {
    let of = |more: &str| parse(&recipe("ties", more)).unwrap().canonical().to_string();

    assert_eq!(of("seed: 0"), of("missing: null, on_mismatch: error"));
    assert!(!of("seed: 0").contains("mis"), "{}", of("seed: 0"));
    assert!(of("missing: error").contains("\"missing\":\"error\""));
    let given = of("missing: union, on_mismatch: base");
    assert!(given.contains("\"missing\":\"union\"") && given.contains("\"on_mismatch\":\"base\""), "{given}");
    let again = parse(&given).unwrap();
    assert_eq!((again.policies.missing, again.policies.on_mismatch), (Missing::Union, Mismatch::Base));
    let Err(crate::Error::Faults(items)) = parse(&recipe("ties", "missing: sum")) else { panic!("read") };
    assert_eq!(items[0].pointer, "/missing");
    assert!(items[0].message.contains("error, base, skip, union, found \"sum\""), "{items:?}");
}

#[test]
fn what_is_missing_comes_from_the_base_or_is_a_fault_where_that_lacks_it_too() {
    let faults = told(&recipe("task_arithmetic", "missing: base"), &uneven());
    assert!(faults.contains("copies it from `o/base`, which has none either"), "{faults}");
    assert!(!faults.contains("\"base_a\"") && faults.contains("\"ab\""), "{faults}");

    let mut models = uneven();
    let only = with(with(Fixture::empty(), "all", &[2.0, 2.0]), "base_a", &[3.0, 2.0]);
    models.extend(inputs(&[("o/a", only.clone()), ("o/b", with(Fixture::empty(), "all", &[4.0, 4.0]))]));
    let merged = merge(&recipe("task_arithmetic", "missing: base, dtype: float16"), &models);

    assert_eq!(values(&merged, "base_a"), [1.0, 2.0]);
    assert_eq!(values(&merged, "base"), [7.0]);
    assert_eq!(values(&merged, "all"), [5.0, 5.0]);
    assert!(merged.tensors().iter().all(|info| info.dtype == Dtype::F16));
    let touched = merged.touched();
    assert_eq!((touched.len(), touched[0].tensors), (1, 2));
    assert_eq!(touched[0].outcome, Outcome::Copied("o/base".to_owned()));
    let warning = &merged.warnings()[0];
    assert_eq!(warning.pointer, "/missing");
    assert_eq!(
        warning.message,
        "tensors that not all models have are copied from `o/base`, 2 in all: `base`, `base_a`"
    );
    let account = merged.account(merged.position("base").unwrap());
    assert_eq!((&account["policy"], &account["copied_from"]), (&"missing".into(), &"o/base".into()));
}

#[test]
fn what_is_missing_is_left_out_with_a_warning_that_counts_it() {
    let few = with(Fixture::empty(), "all", &[2.0, 2.0]);
    let many = (0..7).fold(few.clone(), |many, at| with(many, &format!("more.{at}.x"), &[1.0]));
    let models = inputs(&[("o/base", few.clone()), ("o/a", many), ("o/b", few)]);

    let merged = merge(&recipe("ties", "missing: skip"), &models);

    assert_eq!(merged.tensors().len(), 1);
    let message = &merged.warnings().last().unwrap().message;
    let wanted = "left out, 7 in all: `more.0.x`, `more.1.x`, `more.2.x`, `more.3.x`, `more.4.x` and 2 more";
    assert!(message.ends_with(wanted), "{message}");
    assert_eq!(merged.touched()[0].names.len(), 7);
}

#[test]
fn a_union_merges_among_the_models_that_have_a_tensor_and_copies_where_they_are_too_few() {
    let merged = merge(&recipe("task_arithmetic", "missing: union"), &uneven());

    assert_eq!(values(&merged, "all"), [5.0, 5.0]);
    assert_eq!(values(&merged, "base_a"), [3.0, 2.0]);
    assert_eq!(values(&merged, "base"), [7.0]);
    assert_eq!(values(&merged, "a"), [9.0]);
    assert_eq!(values(&merged, "ab"), [5.0, 6.0], "without a base there is no delta");
    let outcomes: Vec<&Outcome> = merged.touched().iter().map(|touched| &touched.outcome).collect();
    let copied = |name: &str| Outcome::Copied(name.to_owned());
    assert_eq!(outcomes, [&copied("o/a"), &copied("o/base"), &Outcome::Merged]);
    let account = merged.account(merged.position("base_a").unwrap());
    assert_eq!(account["merged_among"], serde_json::json!(["o/base", "o/a"]));

    let linear = merge(&recipe("linear", "missing: union"), &uneven());
    assert_eq!(values(&linear, "ab"), [6.5, 7.5]);
    assert_eq!(values(&linear, "base_a"), [3.0, 2.0]);
    assert!(linear.position("base").is_none(), "a linear merge does not read its base");

    let slerp = "{merge_method: slerp, base_model: o/a, models: [{model: o/b}], parameters: {t: 0.5}, missing: union}";
    assert_eq!(values(&merge(slerp, &uneven()), "base_a"), [3.0, 2.0]);
}

#[test]
fn a_union_keeps_the_weights_of_the_models_that_are_left_and_ignores_the_order_they_are_listed_in() {
    let yaml = |entries: &str| {
        format!(
            "{{merge_method: task_arithmetic, base_model: o/base, models: [{entries}], missing: union, parameters: {{normalize: true}}}}"
        )
    };
    let (a, b, c) = (
        "{model: o/a, parameters: {weight: 1}}",
        "{model: o/b, parameters: {weight: 5}}",
        "{model: o/c, parameters: {weight: 3}}",
    );
    let of = |value: f64| with(Fixture::empty(), "w", &[value, 0.25 * value]);
    let all = |value: f64| with(of(value), "x", &[value]);
    let models = inputs(&[("o/base", all(0.0)), ("o/a", all(4.0)), ("o/b", of(100.0)), ("o/c", all(8.0))]);

    let one = merge(&yaml(&format!("{a}, {b}, {c}")), &models);
    let two = merge(&yaml(&format!("{c}, {b}, {a}")), &models);

    assert_eq!(values(&one, "x"), [7.0]);
    assert!(same(&one, &two));
}

#[test]
fn a_method_that_ranks_all_tensors_together_merges_no_union() {
    let ranked = recipe("ties", "missing: union").replace("weight: 1", "weight: 1, trim_scope: model");

    for yaml in [ranked, recipe("localize_stitch", "missing: union")] {
        let faults = told(&yaml, &uneven());
        assert!(faults.contains("looks at all tensors of all models together"), "{faults}");
    }
    merge(&recipe("ties", "missing: union"), &uneven());
}

#[test]
fn a_tensor_of_another_shape_comes_from_the_base_but_not_a_table_of_tokens() {
    let of = |seed: u64, wide: u64, rows: u64| {
        Fixture::empty()
            .with("model.embed_tokens.weight", Dtype::F32, &[rows, 2], &noise(seed, 2 * rows as usize))
            .with("model.layers.0.up_proj.weight", Dtype::Bf16, &[2, wide], &noise(seed, 2 * wide as usize))
            .with("model.norm.weight", Dtype::F32, &[2], &noise(seed + 7, 2))
    };
    let models = inputs(&[("o/base", of(1, 3, 4)), ("o/a", of(2, 3, 4)), ("o/b", of(3, 5, 4))]);

    let merged = merge(&recipe("ties", "on_mismatch: base"), &models);

    let name = "model.layers.0.up_proj.weight";
    assert_eq!(values(&merged, name), values(&*models["o/base"].source, name));
    assert_eq!(merged.warnings().last().unwrap().pointer, "/on_mismatch");
    assert_eq!(merged.touched()[0].names, [name]);
    let faults = told(&recipe("ties", "seed: 1"), &models);
    assert!(faults.contains("shape [2, 3] in `o/base`, [2, 5] in `o/b`"), "{faults}");
    let other = inputs(&[("o/base", of(1, 3, 4)), ("o/a", of(2, 3, 4)), ("o/b", of(3, 3, 6))]);
    assert!(told(&recipe("ties", "on_mismatch: base"), &other).contains("the vocabularies differ"));
}

#[test]
fn without_a_base_in_the_merge_copies_come_from_the_recipes_base_or_the_first_model() {
    let models = inputs(&[
        ("o/base", with(Fixture::empty(), "w", &[1.0])),
        ("o/a", with(Fixture::empty(), "w", &[2.0, 2.0])),
        ("o/b", with(Fixture::empty(), "w", &[3.0, 3.0, 3.0])),
    ]);
    let based = recipe("linear", "on_mismatch: base");

    assert_eq!(values(&merge(&based, &models), "w"), [1.0]);
    assert_eq!(values(&merge(&based.replace("base_model: o/base, ", ""), &models), "w"), [2.0, 2.0]);
}

#[test]
fn a_result_with_other_layers_than_its_heir_says_whose_they_are() {
    let of = |layers: u64| {
        (0..layers).fold(Fixture::empty(), |fixture, layer| {
            with(fixture, &format!("model.layers.{layer}.x"), &[layer as f64])
        })
    };
    let models = inputs(&[("o/a", of(2)), ("o/b", of(3))]);
    let yaml = |more: &str| {
        format!(
            "{{merge_method: linear, models: [{{model: o/a}}, {{model: o/b}}], parameters: {{weight: 1}}, {more}}}"
        )
    };

    let union = merge(&yaml("missing: union"), &models);
    let skip = merge(&yaml("base_model: o/b, missing: skip"), &models);

    let layer = |model: &str, at: u64| (model.to_owned(), at);
    assert_eq!(union.stacked()[0].layers, [layer("o/a", 0), layer("o/a", 1), layer("o/b", 2)]);
    assert_eq!(skip.stacked()[0].layers, [layer("o/b", 0), layer("o/b", 1)]);
    assert!(merge(&yaml("missing: skip"), &models).stacked().is_empty());
}

#[test]
fn nothing_left_is_a_fault() {
    let models = inputs(&[
        ("o/a", with(with(Fixture::empty(), "x", &[1.0]), "y", &[1.0])),
        ("o/b", with(with(Fixture::empty(), "x", &[1.0, 2.0]), "z", &[1.0])),
    ]);
    let yaml = "{merge_method: linear, models: [{model: o/a}, {model: o/b}], parameters: {weight: 1}, missing: skip}";

    assert!(told(yaml, &models).contains("shape [1] in `o/a`, [2] in `o/b`"));
    let apart =
        inputs(&[("o/a", with(Fixture::empty(), "x", &[1.0])), ("o/b", with(Fixture::empty(), "y", &[1.0]))]);
    assert!(told(yaml, &apart).contains("different architectures"));
}

/// Two models with an embedding, a norm and a layer, of which the embeddings are alike.
fn strangers() -> Inputs {
    let of = |seed: u64, kind: &str, norm: u64| {
        Fixture::empty()
            .with("model.embed_tokens.weight", Dtype::F32, &[3, 2], &noise(seed, 6))
            .with(&format!("model.layers.0.{kind}.weight"), Dtype::F32, &[2, 2], &noise(seed + 1, 4))
            .with(&format!("model.layers.0.{kind}.bias"), Dtype::F32, &[2], &noise(seed + 2, 2))
            .with(&format!("model.layers.1.{kind}.bias"), Dtype::F32, &[2], &noise(seed + 4, 2))
            .with("model.norm.weight", Dtype::F32, &[norm], &noise(seed + 3, norm as usize))
    };
    let head = of(40, "gate", 3).with("lm_head.weight", Dtype::F32, &[4, 2], &noise(50, 8));
    let base = of(10, "attn", 2).with("model.only.weight", Dtype::F32, &[2], &[1.0, 2.0]);
    inputs(&[("o/base", base), ("o/a", of(20, "attn", 2)), ("o/b", head)])
}

#[test]
fn models_of_different_architectures_give_the_tensors_of_the_base_and_merge_those_that_all_have() {
    let models = strangers();
    let base = &*models["o/base"].source;

    let refused = told(&recipe("task_arithmetic", "seed: 1"), &models);
    let merged = merge(&recipe("task_arithmetic", "allow_crimes: true"), &models);
    let linear = merge(&recipe("linear", "allow_crimes: true"), &models);

    assert!(
        refused.contains("different architectures") && refused.contains("`allow_crimes: true`"),
        "{refused}"
    );
    for merged in [&merged, &linear] {
        assert_eq!(merged.tensors(), base.tensors(), "a head that is tied in the base stays so");
        for info in base.tensors() {
            let equal = values(merged, &info.name) == values(base, &info.name);
            assert_eq!(equal, info.name != "model.embed_tokens.weight", "{}", info.name);
        }
        let told: Vec<(&Outcome, u64)> =
            merged.touched().iter().map(|touched| (&touched.outcome, touched.tensors)).collect();
        assert_eq!(told, [(&Outcome::Copied("o/base".to_owned()), 5), (&Outcome::LeftOut, 4)]);
        assert!(merged.warnings().iter().all(|warning| warning.pointer == "/allow_crimes"));
    }
}

#[test]
fn what_has_nothing_in_common_is_not_merged_nor_stacked() {
    let apart = inputs(&[
        ("o/base", with(Fixture::empty(), "model.layers.0.x", &[1.0])),
        ("o/a", with(Fixture::empty(), "model.layers.0.y", &[1.0])),
        ("o/b", with(Fixture::empty(), "model.layers.0.x", &[1.0, 2.0])),
    ]);
    let stack = "{merge_method: passthrough, allow_crimes: true, slices: [{sources: [{model: o/base, layer_range: [0, 1]}]}]}";

    assert!(told(&recipe("ties", "allow_crimes: true"), &apart).contains("nothing would be merged"));
    assert!(
        told(&recipe("ties", "allow_crimes: true, missing: skip"), &apart)
            .contains("`missing` can only be `base`")
    );
    assert!(told(stack, &apart).contains("layers of different architectures are not stacked"));
}

#[test]
fn policies_hold_within_slices_for_what_is_outside_the_layers() {
    let of = |seed: u64, kind: &str| {
        Fixture::empty()
            .with("model.embed_tokens.weight", Dtype::F32, &[3, 2], &noise(seed, 6))
            .with(&format!("model.layers.0.{kind}"), Dtype::F32, &[2], &noise(seed + 1, 2))
            .with(&format!("model.layers.1.{kind}"), Dtype::F32, &[2], &noise(seed + 2, 2))
    };
    let models = inputs(&[
        ("o/base", of(1, "x").with("model.norm.weight", Dtype::F32, &[2], &[1.0, 2.0])),
        ("o/a", of(2, "x").with("model.norm.weight", Dtype::F32, &[3], &[1.0, 2.0, 3.0])),
        ("o/b", of(3, "x")),
    ]);
    let yaml = |more: &str| {
        let range = "layer_range: [0, 2]";
        format!(
            "{{merge_method: linear, base_model: o/base, parameters: {{weight: 1}}, {more}, slices: [{{sources: [{{model: o/a, {range}}}, {{model: o/b, {range}}}]}}]}}"
        )
    };
    let norm = "model.norm.weight";

    assert_eq!(values(&merge(&yaml("missing: base"), &models), norm), [1.0, 2.0]);
    assert_eq!(values(&merge(&yaml("missing: union"), &models), norm), [1.0, 2.0, 3.0]);
    assert!(merge(&yaml("missing: skip"), &models).position(norm).is_none());
    let two = yaml("on_mismatch: base").replace("{model: o/b,", "{model: o/base,");
    assert_eq!(values(&merge(&two, &models), norm), [1.0, 2.0]);
    let mut unlike = models;
    unlike.extend(inputs(&[("o/b", with(of(3, "x"), "model.layers.0.z", &[1.0]))]));
    assert!(told(&yaml("missing: skip"), &unlike).contains("layers differ"));
}

#[test]
fn a_norm_or_bias_that_a_model_lacks_is_the_bases_unless_the_recipe_asks_for_an_error() {
    let common = |value: f64| with(Fixture::empty(), "model.layers.0.mlp.weight", &[value, value]);
    let norm = "model.layers.0.input_layernorm.weight";
    let bias = "model.layers.0.self_attn.q_proj.bias";
    let models = inputs(&[
        ("o/base", with(common(1.0), norm, &[7.0])),
        ("o/a", with(with(common(2.0), norm, &[9.0]), bias, &[3.0])),
        ("o/b", common(4.0)),
    ]);

    let merged = merge(&recipe("task_arithmetic", "dtype: float32"), &models);
    let strict = told(&recipe("task_arithmetic", "missing: error"), &models);

    assert_eq!(values(&merged, norm), [7.0], "of the base");
    assert_eq!(values(&merged, bias), [3.0], "of the only model that has it");
    assert_eq!(values(&merged, "model.layers.0.mlp.weight"), [5.0, 5.0]);
    let touched: Vec<(&str, u64)> =
        merged.touched().iter().map(|touched| (touched.pointer.as_str(), touched.tensors)).collect();
    assert_eq!(touched, [("/missing", 1), ("/missing", 1)]);
    assert!(merged.warnings()[0].message.contains("are copied from `o/a`, 1 in all"));
    assert!(strict.contains(norm) && strict.contains(bias), "{strict}");
    let vector = with(common(2.0), "model.layers.0.mlp.scale", &[1.0]);
    let other = inputs(&[("o/base", common(1.0)), ("o/a", vector), ("o/b", common(1.0))]);
    assert!(told(&recipe("task_arithmetic", "seed: 1"), &other).contains("missing in `o/base`, `o/b`"));
}
