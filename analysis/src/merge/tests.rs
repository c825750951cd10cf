//! Recipes: what they mean, what is refused, and the first methods against independent references.

use domain::{Fault, Limits};
use kernels::Dtype;
use weights::TensorSource;

use super::{Input, Inputs, MergeConfig, MergeSource, parse};
use crate::{
    Error,
    testing::{Fixture, model, noise, same, values},
};

pub fn inputs(named: &[(&str, Fixture)]) -> Inputs {
    let input = |fixture: &Fixture, name: &str| Input {
        source: fixture.clone().share(),
        content: format!("content of {name}"),
        config: None,
    };
    named.iter().map(|(name, fixture)| ((*name).to_owned(), input(fixture, name))).collect()
}

pub fn check(config: &MergeConfig, inputs: &Inputs) -> Result<MergeSource, Error> {
    super::check(config, inputs, &Limits::default())
}

fn three() -> Inputs {
    inputs(&[("o/base", model(1)), ("o/a", model(2)), ("o/b", model(3))])
}

pub fn merge(yaml: &str, inputs: &Inputs) -> MergeSource {
    check(&parse(yaml).unwrap(), inputs).unwrap()
}

fn recipe(method: &str, weights: (f64, f64)) -> String {
    let (a, b) = weights;
    match method {
        "slerp" => format!(
            "{{merge_method: slerp, base_model: o/a, models: [{{model: o/a}}, {{model: o/b}}], parameters: {{t: {b}}}}}"
        ),
        _ => format!(
            "{{merge_method: {method}, base_model: o/base, models: [{{model: o/a, parameters: {{weight: {a}}}}}, {{model: o/b, parameters: {{weight: {b}}}}}]}}"
        ),
    }
}

#[test]
fn a_range_past_the_end_is_an_error() {
    let merged = merge(&recipe("linear", (1.0, 1.0)), &three());
    assert!(merged.read_bytes(0, 640 * 2 - 1, &mut [0; 2]).is_err());
    assert!(merged.read_bytes(0, u64::MAX, &mut [0; 2]).is_err());
    assert!(merged.read_f32(99, 0, &mut [0.0]).is_err());
}

#[test]
fn task_arithmetic_is_a_linear_merge_with_the_base() {
    let task = merge(&recipe("task_arithmetic", (0.5, 0.75)), &three());
    let yaml = "{merge_method: linear, parameters: {normalize: false}, models: [
        {model: o/base, parameters: {weight: -0.25}}, {model: o/a, parameters: {weight: 0.5}},
        {model: o/b, parameters: {weight: 0.75}}]}";
    assert!(same(&task, &merge(yaml, &three())));
}

#[test]
fn linear_agrees_with_candle() {
    use candle_core::{Device, Tensor};
    let [a, b] = [2, 3].map(|seed| noise(seed + 1000, 600));
    let tensor = |values: &[f64]| {
        let stored: Vec<f64> = values.iter().map(|v| f64::from(*v as f32)).collect();
        Tensor::from_vec(stored, (30, 20), &Device::Cpu).unwrap()
    };
    let sum = ((tensor(&a) * 0.3).unwrap() + (tensor(&b) * 0.9).unwrap()).unwrap();
    let expected: Vec<f64> = (sum / 1.2).unwrap().flatten_all().unwrap().to_vec1().unwrap();

    let merged = merge(&recipe("linear", (0.3, 0.9)), &three());

    for (got, expected) in values(&merged, "model.layers.0.self_attn.q_proj.weight").iter().zip(expected) {
        assert!((f64::from(*got) - expected).abs() <= expected.abs() * 1e-7, "{got} {expected}");
    }
}

#[test]
fn slerp_follows_the_arc_between_orthogonal_tensors() {
    let of = |values: &[f64]| Fixture::empty().with("w", Dtype::F32, &[2], values);
    let pair = inputs(&[("o/a", of(&[2.0, 0.0])), ("o/b", of(&[0.0, 4.0]))]);

    let half = values(&merge(&recipe("slerp", (0.5, 0.5)), &pair), "w");

    assert!((half[0] - 2.0 * 0.5f32.sqrt()).abs() < 1e-6 && (half[1] - 4.0 * 0.5f32.sqrt()).abs() < 1e-6);
}

/// TIES by sorting, as the paper words it.
fn naive_ties(base: &[f32], models: [(&[f32], f64); 2], density: f64) -> Vec<f64> {
    let keep = ((density * base.len() as f64).floor() as usize).max(1);
    let trimmed = models.map(|(model, weight)| {
        let delta: Vec<f64> = model.iter().zip(base).map(|(m, b)| f64::from(*m) - f64::from(*b)).collect();
        let mut order: Vec<usize> = (0..delta.len()).collect();
        order.sort_by(|&i, &j| (delta[j] as f32).abs().total_cmp(&(delta[i] as f32).abs()).then(i.cmp(&j)));
        let mut kept = vec![0.0; delta.len()];
        order[..keep].iter().for_each(|&i| kept[i] = weight * delta[i]);
        (kept, weight)
    });
    let element = |i: usize| {
        let sign = if trimmed[0].0[i] + trimmed[1].0[i] >= 0.0 { 1.0 } else { -1.0 };
        let agree = trimmed.iter().filter(|(kept, _)| kept[i] * sign > 0.0);
        let (sum, weights) = agree.fold((0.0, 0.0), |(s, w), (kept, weight)| (s + kept[i], w + weight));
        f64::from(base[i]) + if weights == 0.0 { 0.0 } else { sum / weights }
    };
    (0..base.len()).map(element).collect()
}

#[test]
fn ties_agrees_with_a_naive_sort_even_where_magnitudes_are_equal() {
    let coarse = |seed| noise(seed, 900).iter().map(|v| (v * 8.0).round() / 8.0).collect::<Vec<_>>();
    let of = |seed| Fixture::empty().with("w", Dtype::Bf16, &[900], &coarse(seed));
    let all = inputs(&[("o/base", of(1)), ("o/a", of(2)), ("o/b", of(3))]);
    for density in [0.001, 0.05, 0.2, 0.5, 0.99] {
        let yaml = recipe("ties", (0.4, 0.6)).replace(
            "base_model",
            &format!("dtype: float32, parameters: {{density: {density}, int8_mask: true}}, base_model"),
        );
        let [base, a, b] = ["o/base", "o/a", "o/b"].map(|name| values(&*all[name].source, "w"));

        let got = values(&merge(&yaml, &all), "w");

        for (i, expected) in naive_ties(&base, [(&a, 0.4), (&b, 0.6)], density).iter().enumerate() {
            assert!(
                (f64::from(got[i]) - expected).abs() <= expected.abs() * 1e-7 + 1e-12,
                "{density} {i}: {} {expected}",
                got[i]
            );
        }
    }
}

#[test]
fn gradients_and_filters_choose_a_value_by_layer_and_name() {
    let of = |value: f64| {
        (0..3).fold(Fixture::empty(), |f, i| {
            f.with(&format!("layers.{i}.mlp"), Dtype::F32, &[1], &[value]).with(
                &format!("layers.{i}.self_attn"),
                Dtype::F32,
                &[1],
                &[value],
            )
        })
    };
    let pair = inputs(&[("o/a", of(1.0)), ("o/b", of(2.0))]);
    let yaml = "
merge_method: slerp
base_model: o/a
slices:
  - sources:
      - {model: o/a, layer_range: [0, 3]}
      - {model: o/b, layer_range: [0, 3]}
parameters:
  t:
    - filter: self_attn
      value: [0, 0.5, 1]
    - value: 0.25
";
    let merged = merge(yaml, &pair);

    let attention: Vec<f32> = (0..3).map(|i| values(&merged, &format!("layers.{i}.self_attn"))[0]).collect();
    assert_eq!(attention, [1.0, 1.5, 2.0]);
    assert_eq!(values(&merged, "layers.2.mlp"), [1.25]);
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_name() {
    for (yaml, near) in [
        ("{merge_method: lineer, models: [{model: o/a}]}", "`linear`"),
        ("{merge_method: linear, modells: [], models: [{model: o/a}]}", "`models`"),
        ("{merge_method: linear, models: [{model: o/a, parameters: {wieght: 1}}]}", "`weight`"),
        ("{merge_method: ties, models: [{model: o/a}], parameters: {densty: 1}}", "`density`"),
    ] {
        let text = parse(yaml).unwrap_err().to_string();
        assert!(text.contains(near), "{text}");
    }
    assert!(matches!(parse("a: [b"), Err(Error::Yaml(_))));
}

#[test]
fn all_faults_are_listed_at_once() {
    let odd = Fixture::empty().with("w", Dtype::F32, &[3], &[0.0; 3]).with("v", Dtype::F32, &[1], &[0.0]);
    let plain = Fixture::empty().with("w", Dtype::F32, &[2], &[0.0; 2]);
    let config =
        parse("{merge_method: linear, models: [{model: o/a}, {model: o/b, parameters: {weight: 1}}]}")
            .unwrap();

    let items = check(&config, &inputs(&[("o/a", odd.clone()), ("o/b", plain.clone())])).unwrap_err().items();
    let missing = check(&config, &inputs(&[("o/a", odd)])).unwrap_err().items();

    let text = format!("{items:?}");
    assert!(text.contains("[3] in `o/a`, [2] in `o/b`") && text.contains("missing in `o/b`"), "{text}");
    assert!(text.contains("/models/0/parameters/weight"), "{text}");
    let text = format!("{missing:?}");
    assert!(
        text.contains("model `o/b` is missing") && text.contains("/models/0/parameters/weight"),
        "{text}"
    );
}

#[test]
fn weights_that_cancel_and_integers_that_differ_are_errors() {
    let config = parse(&recipe("linear", (1.0, -1.0))).unwrap();
    assert!(check(&config, &three()).unwrap_err().to_string().contains("sum to zero"));
    let config = parse(&recipe("linear", (1e308, 1e308))).unwrap();
    assert!(check(&config, &three()).unwrap_err().to_string().contains("make them smaller"));

    let of = |byte| Fixture::empty().with_bytes("steps", Dtype::U8, &[1], vec![byte]);
    let merged =
        merge(&recipe("linear", (1.0, 1.0)), &inputs(&[("o/base", of(1)), ("o/a", of(1)), ("o/b", of(2))]));
    assert!(merged.read_bytes(0, 0, &mut [0]).unwrap_err().to_string().contains("differs between"));
}

#[test]
fn a_nan_in_one_input_is_an_error_that_names_it() {
    let of = |value| Fixture::empty().with("w", Dtype::F32, &[2], &[1.0, value]);
    let pair = inputs(&[("o/base", of(0.0)), ("o/a", of(1.0)), ("o/b", of(f64::NAN))]);
    let text =
        merge(&recipe("linear", (1.0, 1.0)), &pair).read_bytes(0, 0, &mut [0; 8]).unwrap_err().to_string();
    assert!(text.contains("o/b") && text.contains("element 1"), "{text}");
}

#[test]
fn equal_recipes_have_equal_documents_and_name_their_models() {
    let one = parse(&recipe("ties", (0.5, 0.5))).unwrap();
    let other = parse("{models: [{parameters: {weight: 0.5}, model: o/a}, {model: o/b, parameters: {weight: 0.5}}], base_model: o/base, merge_method: ties}").unwrap();
    assert_eq!(one.canonical(), other.canonical());
    assert_eq!(one.canonical().to_string(), other.canonical().to_string());
    assert_eq!(one.model_refs(), ["o/a", "o/b", "o/base"]);
    assert_eq!(one.merged_refs(), ["o/a", "o/b"]);
}

fn faults(yaml: &str, inputs: &Inputs) -> String {
    match parse(yaml).and_then(|config| check(&config, inputs)) {
        Ok(_) => String::new(),
        Err(error) => format!("{:?}", error.items()),
    }
}

#[test]
fn weights_that_cancel_up_to_rounding_are_a_fault() {
    let entry = |at: &str, weight: f64| format!("{{model: o/{at}, parameters: {{weight: {weight}}}}}");
    let models = [entry("base", 0.1), entry("a", 0.2), entry("b", -0.3)].join(", ");

    let found = faults(&format!("{{merge_method: linear, models: [{models}]}}"), &three());

    assert!(found.contains("sum to zero"), "{found}");
}

#[test]
fn values_beyond_the_output_format_stop_the_merge() {
    let big = || Fixture::empty().with("w", Dtype::F32, &[2], &[7e4, 1.0]);
    let merged = merge(
        "{merge_method: linear, dtype: float16, models: [{model: o/a, parameters: {weight: 1}}]}",
        &inputs(&[("o/a", big())]),
    );

    let error = merged.read_bytes(0, 0, &mut [0; 4]).unwrap_err();

    assert!(error.to_string().contains("1 values of tensor `w` leave the range of F16"), "{error}");
}

#[test]
fn a_model_with_tied_embeddings_merges_with_one_that_stores_its_head() {
    let untied = |seed| model(seed).with("lm_head.weight", Dtype::Bf16, &[40, 16], &noise(seed + 9, 640));
    let both = inputs(&[("o/a", model(2)), ("o/b", untied(3))]);
    let config = "{merge_method: linear, models: [{model: o/a, parameters: {weight: 1}}, {model: o/b, parameters: {weight: 0}}]}";

    let merged = merge(config, &both);

    assert_eq!(values(&merged, "lm_head.weight"), values(&model(2), "model.embed_tokens.weight"));
}

#[test]
fn a_buffer_that_one_model_lacks_is_taken_from_the_first_that_holds_it() {
    let name = "model.layers.0.self_attn.rotary_emb.inv_freq";
    let both = inputs(&[
        ("o/a", model(2).with(name, Dtype::F32, &[2], &[1.0, 0.5])),
        ("o/b", model(3)),
        ("o/base", model(1)),
    ]);

    let merged = merge(&recipe("linear", (0.5, 0.5)), &both);

    assert_eq!(values(&merged, name), [1.0, 0.5]);
}

#[test]
fn misspelt_settings_are_faults_and_those_of_real_recipes_are_not() {
    let of = |parameters: &str, more: &str| {
        format!(
            "{{merge_method: task_arithmetic, base_model: o/base, models: [{{model: o/a, parameters: {{{parameters}}}}}]{more}}}"
        )
    };
    for (parameters, more, pointer) in [
        ("weight: 1", ", parameters: {rescal: true}", "/parameters/rescal"),
        ("weight: 1", ", tokenizer: {source: unoin}", "/tokenizer/source"),
        ("weight: 1", ", tokenizer_source: o/else", "/tokenizer_source"),
        ("weight: 1", ", tokenizer: {sauce: base}", "/tokenizer/sauce"),
        ("weight: 1, wieght: 1", "", "/models/0/parameters/wieght"),
    ] {
        let found = faults(&of(parameters, more), &three());
        assert!(found.contains(&format!("\"{pointer}\"")), "{parameters}{more}: {found}");
    }
    let real = ", parameters: {rescale: false, int8_mask: true}, tokenizer: {source: union}, random_seed: 1";
    assert_eq!(faults(&of("weight: 1, density: 0.5", real), &three()), "");

    let lora = "{merge_method: linear, models: [{model: {model: {path: o/a}, lora: {path: o/b}}, parameters: {weight: 1}}]}";
    assert!(faults(lora, &three()).contains("model `o/a+o/b` is missing"));
    let range = "{merge_method: linear, slices: [{sources: [{model: o/a, layer_range: [0, x, 2], parameters: {weight: 1}}]}]}";
    assert!(faults(range, &three()).contains("layer_range"));
}

fn dare(seed: &str, names: [&str; 2]) -> String {
    let entry = |name| format!("{{model: {name}, parameters: {{weight: 0.5, density: 0.5}}}}");
    format!(
        "{{merge_method: dare_linear, {seed}base_model: o/base, models: [{}, {}]}}",
        entry(names[0]),
        entry(names[1])
    )
}

#[test]
fn a_mask_depends_on_seed_and_content_and_not_on_what_a_model_is_called() {
    let plain = merge(&dare("", ["o/a", "o/b"]), &three());
    let mut renamed = three();
    renamed.insert("z/other".into(), renamed["o/a"].clone());
    let mut republished = three();
    if let Some(input) = republished.get_mut("o/a") {
        input.content = "another digest".into();
    }

    assert!(same(&plain, &merge(&dare("seed: 0, ", ["o/a", "o/b"]), &three())));
    let weight = "model.layers.0.self_attn.q_proj.weight";
    let other = values(&merge(&dare("", ["z/other", "o/b"]), &renamed), weight);
    // The sum has another order, and may round differently.
    for (a, b) in values(&plain, weight).iter().zip(other) {
        assert!((a - b).abs() <= 1e-6 * a.abs(), "{a} {b}");
    }
    assert!(!same(&plain, &merge(&dare("seed: 1, ", ["o/a", "o/b"]), &three())));
    assert!(!same(&plain, &merge(&dare("", ["o/a", "o/b"]), &republished)));
}

#[test]
fn the_seed_is_always_in_the_document_and_must_be_a_whole_number() {
    let seed =
        |text: &str| parse(&dare(text, ["o/a", "o/b"])).map(|config| config.canonical()["seed"].clone());

    assert_eq!(seed("").unwrap(), 0);
    assert_eq!(seed("random_seed: 18446744073709551615, ").unwrap(), u64::MAX);
    assert!(seed("seed: -1, ").unwrap_err().to_string().contains("/seed: expected a whole number"));
    let large = seed("seed: 99999999999999999999999, ").unwrap_err().to_string();
    assert!(large.contains("/seed: the number is too large; it is 18446744073709551615 at most"), "{large}");
}

#[test]
fn a_choice_takes_its_words_and_is_recorded_as_one() {
    let of = |word: &str| {
        format!(
            "{{merge_method: nuslerp, models: [{{model: o/a}}, {{model: o/b}}], parameters: {{weight: 1, axis: {word}}}}}"
        )
    };

    let config = parse(&of("[{filter: mlp, value: -1}, {value: flatten}]")).unwrap();

    let cases = &config.canonical()["parameters"]["axis"];
    assert_eq!([&cases[0]["value"], &cases[1]["value"]], ["-1", "flatten"]);
    let fault = parse(&of("flaten")).unwrap_err().to_string();
    assert!(
        fault.contains("/parameters/axis: `flaten` is not known here; did you mean `flatten`?"),
        "{fault}"
    );
    let specs = serde_json::to_value(super::specs()).unwrap();
    let della = specs.as_array().unwrap().iter().find(|spec| spec["id"] == "della").unwrap();
    let mode = della["parameters"].as_array().unwrap().iter().find(|p| p["name"] == "rescale_mode").unwrap();
    assert_eq!(mode["default"], "l1");
    assert_eq!(mode["choices"], serde_json::json!(["l1", "inverse_p"]));
}

#[test]
fn a_matrix_too_large_to_be_held_is_a_fault_before_anything_is_read() {
    let config =
        parse("{merge_method: iso_c, base_model: o/base, models: [{model: o/a}, {model: o/b}]}").unwrap();
    let limits = Limits { merge_held: 2_000, ..Limits::default() };

    let found = super::check(&config, &three(), &limits).unwrap_err().items();

    let faulty: Vec<&str> = found.iter().map(|item| item.pointer.as_str()).collect();
    assert_eq!(faulty, ["model.layers.0.self_attn.q_proj.weight", "model.layers.1.mlp.up_proj.weight"]);
    let told = &found[0].message;
    assert!(told.starts_with("`iso_c` must hold ") && told.contains("at once; at most 2000"), "{found:?}");
}

#[test]
fn probabilities_outside_zero_to_one_are_a_fault() {
    let yaml = "{merge_method: della, base_model: o/base, models: [{model: o/a}], parameters: {weight: 1, density: 0.9}}";
    assert!(
        faults(yaml, &three()).contains("density` 0.9 with `epsilon` 0.15"),
        "{}",
        faults(yaml, &three())
    );
}
