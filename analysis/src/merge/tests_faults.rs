//! What is wrong with a recipe is told where it is, all of it at once and no more than that.

use std::sync::Arc;

use domain::{Fault, Item};
use kernels::Dtype;
use serde_json::{Value, json};

use super::{
    BaseNeed, Inputs, Kind, METHODS, MethodSpec, parse, read_stages,
    tests::{check, inputs},
};
use crate::testing::{Fixture, model};

fn four() -> Inputs {
    inputs(&[("o/base", model(1)), ("o/a", model(2)), ("o/b", model(3)), ("o/c", model(4))])
}

/// Every fault of a recipe that is refused, of the text or against its models.
fn faults(yaml: &str, inputs: &Inputs) -> Vec<Item> {
    match parse(yaml).and_then(|config| check(&config, inputs)) {
        Ok(_) => panic!("{yaml} is accepted"),
        Err(error) => error.items().to_vec(),
    }
}

fn pointers(faults: &[Item]) -> Vec<&str> {
    faults.iter().map(|fault| fault.pointer.as_str()).collect()
}

/// A recipe that merges `names` and gives no parameter that has a default.
fn bare(spec: &MethodSpec, base: Option<&str>, names: &[&str]) -> String {
    let needed = |per_model: bool| {
        let own = spec.parameters.iter().filter(|param| param.per_model == per_model);
        let given = own.filter(|param| param.default.is_none() && param.kind != Kind::File);
        given.map(|param| format!("{}: 0.5", param.name)).collect::<Vec<_>>().join(", ")
    };
    let entry = |name: &&str| format!("{{model: {name}, parameters: {{{}}}}}", needed(true));
    let models = names.iter().map(entry).collect::<Vec<_>>().join(", ");
    let base = base.map(|base| format!("base_model: {base}, ")).unwrap_or_default();
    format!("{{merge_method: {}, {base}parameters: {{{}}}, models: [{models}]}}", spec.id, needed(false))
}

#[test]
fn no_method_panics_at_a_number_of_models_that_it_does_not_merge() {
    let all = four();
    let lists: [&[&str]; 6] = [
        &["o/a"],
        &["o/base"],
        &["o/a", "o/base"],
        &["o/a", "o/base", "o/base"],
        &["o/a", "o/b", "o/c"],
        &["o/a", "o/b", "o/c", "o/base"],
    ];
    for method in METHODS {
        for base in [None, Some("o/base"), Some("o/a")] {
            for names in lists {
                let yaml = bare(method.spec(), base, names);
                let checked = parse(&yaml).and_then(|config| check(&config, &all));

                let delta = matches!(method.spec().base, BaseNeed::Delta | BaseNeed::Optional);
                let merged = names.iter().filter(|name| !(delta && base == Some(**name))).count();
                let itself =
                    merged == 0 && method.spec().base == BaseNeed::Delta && method.spec().models.min == 1;
                if itself {
                    let told = checked.err().map(|error| format!("{:?}", error.items())).unwrap_or_default();
                    assert!(!told.contains(" given"), "{yaml}: {told}");
                } else if method.spec().base != BaseNeed::Endpoint && !method.spec().models.allows(merged) {
                    let told = checked.err().map(|error| format!("{:?}", error.items())).unwrap_or_default();
                    assert!(told.contains(&format!("{merged} given")), "{yaml}: {told}");
                }
            }
        }
    }
}

#[test]
fn a_missing_setting_is_a_fault_also_where_the_same_one_is_unusual_elsewhere() {
    for elsewhere in ["embed", "norm"] {
        let yaml = format!(
            "{{merge_method: linear, models: [{{model: o/a, parameters: {{weight: 1}}}}, {{model: o/b, parameters: {{weight: [{{filter: {elsewhere}, value: 1.2}}]}}}}]}}"
        );

        let faults = faults(&yaml, &four());

        assert_eq!(pointers(&faults), ["/models/1/parameters/weight"], "{elsewhere}");
        assert!(faults[0].message.starts_with("`weight` is missing for `o/b`"), "{}", faults[0].message);
    }
}

#[test]
fn nuslerp_of_one_model_is_refused_for_the_number_alone() {
    let yaml = "{merge_method: nuslerp, models: [{model: o/a, parameters: {weight: 0.5}}]}";

    let told = faults(yaml, &four());

    assert_eq!(pointers(&told), ["/models"]);
    assert!(told[0].message.starts_with("`nuslerp` merges exactly 2 models, 1 given"), "{told:?}");
}

#[test]
fn parameters_that_do_not_go_together_are_told_of_every_model_at_its_place() {
    let yaml = "{merge_method: della, base_model: o/base, parameters: {weight: 1}, models: [
        {model: o/c, parameters: {density: 0.1, epsilon: 0.3}}, {model: o/b, parameters: {density: 0.5}},
        {model: o/a, parameters: {density: [0.8, 0.05], epsilon: 0.1}}]}";

    let told = faults(yaml, &four());

    assert_eq!(pointers(&told), ["/models/0/parameters/epsilon", "/models/2/parameters/epsilon"]);
    assert!(told[0].message.contains("`density` 0.1 with `epsilon` 0.3"), "{told:?}");
}

#[test]
fn an_epsilon_below_zero_would_keep_small_elements_more_often_and_is_refused() {
    for method in ["della", "della_linear"] {
        let yaml = format!(
            "{{merge_method: {method}, base_model: o/base, parameters: {{weight: 1, density: 0.5}}, models: [
            {{model: o/a, parameters: {{epsilon: 0.1}}}}, {{model: o/b, parameters: {{epsilon: -0.1}}}}]}}"
        );

        let told = faults(&yaml, &four());

        assert_eq!(pointers(&told), ["/models/1/parameters/epsilon"]);
        assert!(told[0].message.starts_with("`epsilon` is -0.1; it must be 0 or more"), "{told:?}");
    }
}

#[test]
fn each_parameter_that_a_method_cannot_use_is_told_with_its_value() {
    let one = |method: &str, parameters: &str| {
        let yaml = format!(
            "{{merge_method: {method}, base_model: o/base, parameters: {{{parameters}}}, models: [{{model: o/a}}]}}"
        );
        faults(&yaml, &four()).into_iter().map(|told| format!("{}: {}", told.pointer, told.message)).collect()
    };
    for (method, parameters, expected) in [
        (
            "karcher",
            "max_iter: -1, tol: -1",
            vec!["/parameters/max_iter: `max_iter` is -1", "/parameters/tol: `tol` is -1"],
        ),
        ("karcher", "max_iter: 2.5", vec!["/parameters/max_iter: `max_iter` is 2.5"]),
        (
            "ramplus_tl",
            "alpha: -3, epsilon: -1",
            vec!["/parameters/epsilon: `epsilon` is -1", "/parameters/alpha: `alpha` is -3"],
        ),
        ("multislerp", "weight: 1, eps: 0", vec!["/parameters/eps: `eps` is 0"]),
        ("multislerp", "weight: 1, eps: -1", vec!["/parameters/eps: `eps` is -1"]),
        ("nearswap", "t: -0.1", vec!["/parameters/t: `t` is -0.1"]),
    ] {
        let told: Vec<String> = one(method, parameters);

        assert_eq!(told.len(), expected.len(), "{told:?}");
        for expected in expected {
            assert!(told.iter().any(|told| told.starts_with(expected)), "{expected}: {told:?}");
        }
    }
}

/// A model of `layers` layers with `more` in each, called an `architecture`.
fn layered(layers: u64, more: &[&str], architecture: &str) -> (Fixture, Value) {
    let mut fixture = Fixture::empty().with("model.norm.weight", Dtype::F32, &[2], &[1.0, 2.0]);
    for layer in 0..layers {
        for part in ["self_attn.q_proj.weight", "mlp.up_proj.weight"].iter().chain(more) {
            let name = format!("model.layers.{layer}.{part}");
            fixture = fixture.with(&name, Dtype::F32, &[2], &[1.0, 2.0]);
        }
    }
    (fixture, json!({"architectures": [architecture], "num_attention_heads": 2}))
}

fn configured(named: &[(&str, (Fixture, Value))]) -> Inputs {
    let fixtures: Vec<(&str, Fixture)> =
        named.iter().map(|(name, (fixture, _))| (*name, fixture.clone())).collect();
    let mut all = inputs(&fixtures);
    for (name, (_, config)) in named {
        if let Some(input) = all.get_mut(*name) {
            input.config = Some(Arc::new(config.clone()));
        }
    }
    all
}

fn linear(names: &[&str], more: &str) -> String {
    let models: Vec<String> = names.iter().map(|name| format!("{{model: {name}}}")).collect();
    format!("{{merge_method: linear, parameters: {{weight: 1}}, models: [{}]{more}}}", models.join(", "))
}

#[test]
fn models_of_different_architectures_are_refused_although_their_tensors_are_called_the_same() {
    let all = configured(&[
        ("o/a", layered(2, &[], "LlamaForCausalLM")),
        ("o/b", layered(2, &[], "LlamaForSequenceClassification")),
        ("o/c", layered(2, &[], "MistralForCausalLM")),
    ]);

    let told = faults(&linear(&["o/a", "o/b", "o/c"], ""), &all);

    assert_eq!(pointers(&told), ["/models"]);
    let expected = "`o/a` and `o/c` are of different architectures: LlamaForCausalLM and MistralForCausalLM; `allow_crimes: true`";
    assert!(told[0].message.starts_with(expected), "{told:?}");
    for yaml in [linear(&["o/a", "o/b"], ""), linear(&["o/a", "o/c"], ", allow_crimes: true")] {
        assert!(parse(&yaml).and_then(|config| check(&config, &all)).is_ok(), "{yaml}");
    }
}

#[test]
fn a_configuration_that_gives_the_same_tensors_another_meaning_is_warned_of() {
    let mut other = layered(2, &[], "LlamaForCausalLM");
    other.1["num_attention_heads"] = json!(1);
    let all = configured(&[("o/a", layered(2, &[], "LlamaForCausalLM")), ("o/b", other)]);
    let warned = |yaml: &str| check(&parse(yaml).unwrap(), &all).unwrap().warnings().to_vec();

    let told = warned(&linear(&["o/a", "o/b"], ""));

    assert_eq!(pointers(&told), ["/models/1/model"]);
    assert!(told[0].message.contains("`num_attention_heads` is 1 instead of 2"), "{told:?}");
    assert!(warned(&linear(&["o/a"], "")).is_empty());
}

#[test]
fn what_all_layers_lack_is_one_fault_and_so_is_a_number_of_layers() {
    let of = |layers, more: &[&str]| layered(layers, more, "LlamaForCausalLM");
    let all =
        configured(&[("o/a", of(3, &[])), ("o/b", of(3, &["self_attn.q_proj.bias"])), ("o/c", of(5, &[]))]);

    let biases = faults(&linear(&["o/a", "o/b"], ", missing: error"), &all);
    let layers = faults(&linear(&["o/a", "o/c"], ""), &all);

    assert_eq!(pointers(&biases), ["model.layers.0.self_attn.q_proj.bias"]);
    let message = &biases[0].message;
    assert!(message.starts_with("missing in `o/a`, like 2 more of its kind in other layers"), "{message}");
    assert!(message.contains("`missing: base`"), "{message}");
    assert_eq!(pointers(&layers), ["/models/0/model"]);
    assert!(layers[0].message.starts_with("`o/a` has 3 layers where another model has 5"), "{layers:?}");
}

#[test]
fn a_stranger_among_many_is_told_once() {
    let other = Fixture::empty().with("h.0.attn.weight", Dtype::F32, &[2], &[1.0, 2.0]);
    let all = inputs(&[("a/other", other), ("o/a", model(1)), ("o/b", model(2)), ("o/c", model(3))]);

    let told = faults(&linear(&["a/other", "o/a", "o/b", "o/c"], ""), &all);

    assert_eq!(told.len(), 1, "{told:?}");
}

#[test]
fn what_is_wrong_in_models_and_in_slices_is_told_although_both_are_given() {
    let yaml = "{merge_method: linear, dtype: x, slices: [{sources: [{model: o/a, layer_range: [9, 0]}]}],
        models: [{modl: o/b, parameters: {scal: 3}}]}";

    let told = read_stages(yaml).unwrap().1;

    let mut places = pointers(&told);
    places.sort_unstable();
    let expected =
        ["", "/dtype", "/models/0/modl", "/models/0/parameters/scal", "/slices/0/sources/0/layer_range"];
    assert_eq!(places, expected);
}

#[test]
fn a_key_with_a_slash_or_a_tilde_is_escaped_in_its_pointer() {
    let told = |yaml: &str| match parse(yaml) {
        Ok(_) => panic!("{yaml} is accepted"),
        Err(error) => error.items().into_iter().map(|item| item.pointer).collect::<Vec<_>>(),
    };

    let plain = told(
        "{merge_method: linear, 'a/b': 1, parameters: {weight: 1, 'p~q/r': 2}, models: [{model: {path: o/a, 'x/y': 1}}]}",
    );
    let modules = told("{merge_method: linear, parameters: {weight: 1}, modules: {'text/decoder': {}}}");

    for pointer in ["/a~1b", "/parameters/p~0q~1r", "/models/0/model/x~1y"] {
        assert!(plain.iter().any(|told| told == pointer), "{pointer}: {plain:?}");
    }
    assert_eq!(modules, ["/modules/text~1decoder"]);
}

#[test]
fn of_very_many_faults_the_first_are_told_and_how_many_more() {
    let recipe =
        |models: String| format!("{{merge_method: linear, parameters: {{weight: 1}}, models: [{models}]}}");
    let (many, too_many) = (recipe("1,".repeat(300)), recipe("{model: o/a},".repeat(10_001)));

    let (one, all) = (parse(&many).unwrap_err().items(), parse(&too_many).unwrap_err().items());

    assert_eq!(one.len(), 201);
    assert!(one[200].message.contains("more faults are not listed"), "{}", one[200].message);
    assert_eq!(pointers(&all), ["/models"]);
    assert!(all[0].message.starts_with("10001 are listed"), "{}", all[0].message);
}

#[test]
fn a_model_without_a_name_has_no_other_faults_for_it() {
    let yaml = "{merge_method: linear, models: [{model: 17}, foo, {modell: o/b}, {model: o/a}]}";

    let (stages, read) = read_stages(yaml).unwrap();
    let checked = check(&stages[0].config, &four()).err().unwrap().items();

    assert_eq!(pointers(&read), ["/models/0/model", "/models/1", "/models/2/modell"]);
    let weights: Vec<&str> =
        pointers(&checked).into_iter().filter(|pointer| pointer.ends_with("/weight")).collect();
    assert_eq!(weights, ["/models/3/parameters/weight"]);
}

#[test]
fn values_are_read_as_mergekit_reads_them_and_nonsense_is_refused() {
    let of = |parameters: &str| {
        format!(
            "{{merge_method: nuslerp, parameters: {{{parameters}}}, models: [{{model: o/a}}, {{model: o/b}}]}}"
        )
    };
    for accepted in [
        "weight: '0.3'",
        "weight: true",
        "weight: 1, nuslerp_flatten: 'false'",
        "weight: 1, nuslerp_flatten: no",
    ] {
        assert!(parse(&of(accepted)).is_ok(), "{accepted}");
    }
    for (refused, told) in [
        ("weight: half", "expected a number"),
        ("weight: 1, nuslerp_flatten: 3", "expected true or false"),
        ("weight: 1, axis: 2", "expected one of flatten, -1, 0, found 2"),
    ] {
        let error = parse(&of(refused)).unwrap_err().to_string();
        assert!(error.contains(told), "{refused}: {error}");
    }
    let seeds = of("weight: 1").replacen('{', "{seed: 3, random_seed: 4, ", 1);
    assert!(parse(&seeds).unwrap_err().to_string().contains("/random_seed: it is another name of `seed`"));
}
