//! The configuration language: forms of every key, and what is read back from the canonical document.

use domain::Fault;
use proptest::prelude::*;

use super::{
    METHODS, MergeConfig, parse,
    tests::{inputs, merge},
};
use crate::testing::{model, same};

fn told(yaml: &str) -> String {
    parse(yaml).map_or_else(|error| format!("{:?}", error.items()), |_| String::new())
}

fn of(more: &str) -> String {
    format!("{{merge_method: linear, models: [{{model: o/a, parameters: {{weight: 1}}}}], {more}}}")
}

#[test]
fn a_module_named_default_is_the_whole_model_and_outranks_the_top_level() {
    let module = "{merge_method: linear, parameters: {weight: 1}, modules: {default: {models: [{model: o/a}], parameters: {weight: [{filter: mlp, value: 2}]}}}}";
    let plain = "{merge_method: linear, parameters: {weight: [{filter: mlp, value: 2}, {value: 1}]}, models: [{model: o/a}]}";

    assert_eq!(parse(module).unwrap(), parse(plain).unwrap());
    let towers = "{merge_method: linear, modules: {default: {models: [{model: o/a}]}, vision_tower: {models: [{model: o/a}]}}}";
    assert!(told(towers).contains("it stands for the whole model"), "{}", told(towers));
    let both = "{merge_method: linear, models: [{model: o/a}], modules: {default: {models: [{model: o/a}]}}}";
    assert!(!told(both).is_empty());
}

#[test]
fn a_model_is_named_in_any_of_mergekits_forms() {
    for (written, name) in [
        ("o/a", "o/a"),
        ("o/a@main+o/l", "o/a@main+o/l"),
        ("{path: o/a, revision: x}", "o/a@x"),
        ("{model: o/a}", "o/a"),
        ("{model: {path: o/a, revision: x}, lora: {path: o/l, revision: z}}", "o/a@x+o/l@z"),
        ("{model: {path: o/a}, lora: null, override_architecture: null}", "o/a"),
        ("{model: {path: o/a}, override_architecture: LlamaForCausalLM}", "o/a"),
    ] {
        let yaml =
            format!("{{merge_method: linear, models: [{{model: {written}, parameters: {{weight: 1}}}}]}}");
        assert_eq!(parse(&yaml).unwrap().model_refs(), [name], "{written}");
    }
    for (written, fault) in [
        ("{model: {path: o/a, revison: x}}", "did you mean `revision`?"),
        ("{path: o/a, revision: 1}", "in quotes"),
        ("{model: o/a, override_architecture: 3}", "name of an architecture"),
        ("{model: o/a, lora: {}}", "expected an adapter"),
        ("{model: {path: ''}}", "expected a model"),
        ("3", "expected a model"),
    ] {
        let yaml = format!("{{merge_method: linear, models: [{{model: {written}}}]}}");
        assert!(told(&yaml).contains(fault), "{written}: {}", told(&yaml));
    }
}

#[test]
fn number_formats_are_taken_with_torchs_prefix() {
    let config = parse(&of("dtype: torch.float32, out_dtype: torch.bfloat16")).unwrap();

    assert_eq!((config.dtype.as_deref(), config.out_dtype.as_deref()), (Some("float32"), Some("bfloat16")));
    assert!(told(&of("dtype: int8")).contains("/dtype"));
}

#[test]
fn a_tokenizer_needs_no_source_and_a_template_is_a_text_or_the_name_of_one() {
    assert_eq!(parse(&of("tokenizer: {}")).unwrap().tokenizer_source.as_deref(), Some("union"));
    assert_eq!(parse(&of("chat_template: auto")).unwrap().chat_template.as_deref(), Some("auto"));
    assert!(told(&of("chat_template: '{% if foo %'")).contains("no Jinja template"));
    assert_eq!(parse(&of("chat_template: '{{ x }}'")).unwrap().chat_template.as_deref(), Some("{{ x }}"));
    let chatml = parse(&of("chat_template: chatml")).unwrap().chat_template.unwrap();
    assert!(chatml.contains("<|im_start|>assistant"));
    assert!(told(&of("chat_template: chatlm")).contains("`chatml`"));
    assert!(told(&of("chat_template: 3")).contains("Jinja"));
}

#[test]
fn words_and_flags_along_the_layers_are_not_interpolated() {
    let yaml = "{merge_method: nuslerp, models: [{model: o/a}, {model: o/b}], parameters: {weight: 1, axis: [flatten, '0'], nuslerp_flatten: [true, false]}}";

    let config = parse(yaml).unwrap();

    let at = |name: &str, t: f64| config.parameters[name].of("w", t);
    assert_eq!([at("axis", 0.0), at("axis", 0.9)], [at("axis", 0.5); 2]);
    assert_ne!(at("axis", 1.0), at("axis", 0.9));
    assert_eq!([at("nuslerp_flatten", 0.9), at("nuslerp_flatten", 1.0)], [Some(1.0), Some(0.0)]);
}

fn number() -> impl Strategy<Value = String> {
    (-300i32..300).prop_map(|n| format!("{}", f64::from(n) / 100.0))
}

fn setting() -> impl Strategy<Value = String> {
    let list = prop::collection::vec(number(), 1..4).prop_map(|n| format!("[{}]", n.join(", ")));
    let value = prop_oneof![number(), list];
    let case = (prop::option::of("[a-z_.]{1,6}"), value.clone()).prop_map(|(filter, value)| {
        let filter = filter.map_or(String::new(), |filter| format!("filter: '{filter}', "));
        format!("{{{filter}value: {value}}}")
    });
    prop_oneof![value, prop::collection::vec(case, 1..3).prop_map(|cases| format!("[{}]", cases.join(", ")))]
}

fn entry(ranged: &'static str) -> impl Strategy<Value = String> {
    ("[a-c]", setting()).prop_map(move |(name, weight)| {
        format!("{{model: o/{name}, {ranged}parameters: {{weight: {weight}}}}}")
    })
}

fn entries(ranged: &'static str) -> impl Strategy<Value = String> {
    prop::collection::vec(entry(ranged), 1..4).prop_map(|entries| format!("[{}]", entries.join(", ")))
}

fn body() -> impl Strategy<Value = String> {
    let slice =
        (entries("layer_range: [1, 3], "), prop::option::of(setting())).prop_map(|(sources, weight)| {
            let weight = weight.map_or(String::new(), |weight| format!(", parameters: {{weight: {weight}}}"));
            format!("{{base_model: o/d, sources: {sources}{weight}}}")
        });
    let slices =
        prop::collection::vec(slice, 1..3).prop_map(|slices| format!("slices: [{}]", slices.join(", ")));
    prop_oneof![entries("").prop_map(|entries| format!("models: {entries}")), slices]
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,200}") {
        drop(parse(&text));
    }

    #[test]
    fn no_value_of_any_key_makes_the_parser_panic(
        key in prop::sample::select(super::keys::TOP),
        value in prop_oneof![Just("[]"), Just("{}"), Just("[{}]"), Just("[[1]]"), Just("{default: 1}"), Just("-1"),
            Just("[{sources: {}}]"), Just("{source: []}"), Just("{a: {value: []}}"), Just("'{'"), Just("[{model: {model: {}}}]")],
    ) {
        drop(parse(&format!("merge_method: slerp\n{key}: {value}\n")));
        drop(parse(&format!("{key}: {value}\n")));
    }

    #[test]
    fn a_recipe_with_a_few_wrong_bytes_is_read_or_told_what_is_wrong_where(
        body in body(), cuts in prop::collection::vec((any::<prop::sample::Index>(), "[a-z{}:,'\\[\\]0-9 ]{0,3}"), 1..4),
    ) {
        let mut yaml = format!("{{merge_method: linear, {body}, seed: 3, dtype: bfloat16}}");
        for (at, text) in cuts {
            let at = at.index(yaml.len());
            yaml.replace_range(at..=at, &text);
        }

        match parse(&yaml) {
            Ok(config) => prop_assert_eq!(&parse(&config.canonical().to_string()).unwrap(), &config),
            Err(crate::Error::Yaml(told)) => prop_assert!(told.contains("line"), "{}: {}", yaml, told),
            Err(error) => {
                let items = domain::Fault::items(&error);
                prop_assert!(!items.is_empty() && items.iter().all(|item| !item.message.is_empty()), "{}", yaml);
            }
        }
    }

    #[test]
    fn the_canonical_document_is_read_back_as_the_same_recipe(
        method in 0..METHODS.len(), body in body(), seed in any::<u64>(), weight in setting(),
    ) {
        let method = METHODS[method].spec();
        let yaml = format!(
            "{{merge_method: {}, base_model: o/d, {body}, seed: {seed}, dtype: torch.bfloat16, parameters: {{weight: {weight}}}, chat_template: '{{{{x}}}}'}}",
            method.id
        );

        let config = parse(&yaml).unwrap();

        let printed = config.canonical().to_string();
        let again = parse(&printed).unwrap();
        // What means nothing is not part of it.
        prop_assert_eq!(&MergeConfig { unused: config.unused.clone(), ..again.clone() }, &config);
        prop_assert_eq!(again.canonical().to_string(), printed);
    }
}

#[test]
fn parameters_that_mean_nothing_to_a_method_are_named_in_a_warning() {
    let yaml = "{merge_method: karcher, parameters: {weight: 3, int8_mask: true}, models: [{model: o/a, parameters: {density: 0.5}}, {model: o/b}]}";

    let merged = merge(yaml, &inputs(&[("o/a", model(1)), ("o/b", model(2))]));
    let told: Vec<String> =
        merged.warnings().iter().map(|item| format!("{}: {}", item.pointer, item.message)).collect();

    assert_eq!(
        told,
        [
            "/models/0/parameters/density: `density` means nothing to `karcher`",
            "/parameters/weight: `weight` means nothing to `karcher`"
        ]
    );
}

#[test]
fn recipes_as_published_give_what_they_give_without_the_parameters_that_mean_nothing() {
    let models = inputs(&[("o/base", model(1)), ("o/a", model(2)), ("o/b", model(3))]);
    let of = |method: &str, own: &str, shared: &str| {
        format!(
            "{{merge_method: {method}, base_model: o/base, models: [{{model: o/a, parameters: {{{own}}}}}, \
             {{model: o/b, parameters: {{{own}}}}}], parameters: {{{shared}}}}}"
        )
    };
    let sce = "normalize: true, int8_mask: true, rescale: true, filter_wise: false, smooth: false, lambda: 1.0, select_topk: 0.1";
    for (method, published, plain, told) in [
        (
            "multislerp",
            ("weight: 0.5", "normalize: true"),
            ("weight: 0.5", ""),
            &["/parameters/normalize"][..],
        ),
        ("nuslerp", ("weight: 0.5", "normalize: true"), ("weight: 0.5", ""), &["/parameters/normalize"]),
        (
            "sce",
            ("weight: 1.0, density: 0.9", sce),
            ("", "select_topk: 0.1"),
            &[
                "/models/0/parameters/density",
                "/models/0/parameters/weight",
                "/models/1/parameters/density",
                "/models/1/parameters/weight",
                "/parameters/lambda",
                "/parameters/normalize",
                "/parameters/rescale",
            ],
        ),
        (
            "ties",
            ("weight: 0.5, density: 0.5, lambda: 0.3, normalize: false", "rescale: false"),
            ("weight: 0.5, density: 0.5", ""),
            &[
                "/models/0/parameters/lambda",
                "/models/0/parameters/normalize",
                "/models/1/parameters/lambda",
                "/models/1/parameters/normalize",
            ],
        ),
    ] {
        let full = merge(&of(method, published.0, published.1), &models);
        let bare = merge(&of(method, plain.0, plain.1), &models);

        assert!(same(&full, &bare), "{method}");
        let idle = |item: &&domain::Item| {
            item.message.contains("means nothing to") || item.message.contains("no effect under a model")
        };
        let mut pointers: Vec<&str> =
            full.warnings().iter().filter(idle).map(|item| item.pointer.as_str()).collect();
        pointers.sort_unstable();
        assert_eq!(pointers, told, "{method}");
    }
    let misplaced = "{merge_method: slerp, base_model: o/base, models: [{model: o/a, parameters: {t: 0.5}}]}";
    let fault = super::tests::check(&parse(misplaced).unwrap(), &models).unwrap_err();
    let told = format!("{:?}", fault.items());
    assert!(told.contains("`t` is missing (/models/0/parameters/t has no effect)"), "{told}");
}

#[test]
fn a_tokenizer_is_named_as_older_recipes_do() {
    for source in ["model:o/a", "model: o/a"] {
        let given = parse(&of(&format!("tokenizer_source: '{source}'"))).unwrap();
        let within =
            parse(&of(&format!("tokenizer: {{source: '{source}', pad_to_multiple_of: 8}}"))).unwrap();

        assert_eq!(given.canonical(), parse(&of("tokenizer_source: o/a")).unwrap().canonical());
        assert_eq!(within.tokenizer.unwrap().source, "o/a");
    }
}

#[test]
fn a_fault_says_what_was_found_and_what_would_be_right() {
    let ties = |more: &str| {
        format!(
            "{{merge_method: ties, base_model: o/d, models: [{{model: o/a, parameters: {{weight: 1, density: yes}}}}], {more}}}"
        )
    };
    for (yaml, fault) in [
        (of("dtype: int8"), "bfloat16 or float64, found \\\"int8\\\""),
        (of("parameters: {normalize: 'maybe'}"), "expected true or false"),
        (ties("parameters: {zero_sign: y}"), "`y` is not known here; expected one of plus, majority"),
        (ties(""), "expected a number, a list of numbers or a list of `{filter, value}`, found \\\"yes\\\""),
        (
            "{merge_method: arcee_fusion, base_model: o/d, models: [{model: o/a}], parameters: {q: 5}}"
                .to_owned(),
            "leave it out",
        ),
    ] {
        assert!(told(&yaml).contains(fault), "{yaml}: {}", told(&yaml));
    }
}
