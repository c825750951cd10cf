//! Tables of tokens in merges: whose rows a token gets, what is refused, and what must not change.

use std::{collections::BTreeMap, sync::Arc};

use domain::Limits;
use kernels::Dtype;
use weights::Vocabulary;

use super::{Aligned, Inputs, Tokens, align, parse, tests::inputs};
use crate::{
    Error,
    testing::{Fixture, noise, same, values},
};

const EMBED: &str = "model.embed_tokens.weight";
const HEAD: &str = "lm_head.weight";

/// A model with a row of two numbers a token: its number and `mark`; and with a head of rows ten times that.
fn with_rows(rows: &[f64], mark: f64) -> Fixture {
    let of = |scale: f64| rows.iter().flat_map(|row| [row * scale, mark * scale]).collect::<Vec<f64>>();
    let shape = [rows.len() as u64, 2];
    Fixture::empty().with(EMBED, Dtype::F32, &shape, &of(1.0)).with(HEAD, Dtype::F32, &shape, &of(10.0)).with(
        "model.norm.weight",
        Dtype::F32,
        &[2],
        &[mark, mark],
    )
}

fn words(of: &[(&str, u32)]) -> Arc<Vocabulary> {
    Arc::new(of.iter().copied().collect())
}

fn tokens(of: &[(&str, &[(&str, u32)])]) -> Tokens {
    of.iter().map(|(name, words)| ((*name).to_owned(), self::words(words))).collect()
}

fn aligned(yaml: &str, inputs: &Inputs, (output, tokens): (&[(&str, u32)], &Tokens)) -> Aligned {
    align(&parse(yaml).unwrap(), inputs, (&words(output), tokens), &Limits::default())
}

fn recipe(tokenizer: &str) -> String {
    format!(
        "{{merge_method: linear, base_model: o/base, models: [{{model: o/a}}, {{model: o/b}}], parameters: {{weight: 1}}, {tokenizer}}}"
    )
}

fn three() -> Inputs {
    inputs(&[
        ("o/base", with_rows(&[0.0, 1.0, 2.0], 100.0)),
        ("o/a", with_rows(&[10.0, 11.0, 12.0, 13.0], 200.0)),
        ("o/b", with_rows(&[20.0, 21.0, 22.0], 300.0)),
    ])
}

/// `x` is in all, `y` in the base and a, `z` in a and b, `w` only in b.
fn three_tokens() -> Tokens {
    tokens(&[
        ("o/base", &[("x", 0), ("y", 1)]),
        ("o/a", &[("y", 0), ("x", 2), ("z", 3)]),
        ("o/b", &[("x", 1), ("z", 2), ("w", 0)]),
    ])
}

const UNION: &[(&str, u32)] = &[("x", 0), ("y", 1), ("z", 2), ("w", 3), ("lost", 4)];

fn firsts(inputs: &Inputs, model: &str) -> Vec<f32> {
    values(&*inputs[model].source, EMBED).chunks(2).map(|row| row[0]).collect()
}

#[test]
fn a_token_that_a_model_lacks_comes_from_its_only_holder_the_base_or_the_mean() {
    let found = aligned(&recipe("tokenizer_source: union"), &three(), (UNION, &three_tokens()));

    assert_eq!(found.rows, Some(5));
    assert_eq!(firsts(&found.inputs, "o/base"), [0.0, 1.0, 17.5, 20.0, 0.0]);
    assert_eq!(firsts(&found.inputs, "o/a"), [12.0, 10.0, 13.0, 20.0, 0.0]);
    assert_eq!(firsts(&found.inputs, "o/b"), [21.0, 1.0, 22.0, 20.0, 0.0]);
    let head = values(&*found.inputs["o/b"].source, HEAD);
    assert_eq!(head, [210.0, 3000.0, 10.0, 1000.0, 220.0, 3000.0, 200.0, 3000.0, 0.0, 0.0]);
    assert!(found.warnings[0].message.contains("`lost`"), "{:?}", found.warnings);
    assert!(found.faults.is_empty());
}

#[test]
fn the_merge_of_aligned_models_has_the_rows_of_the_tokenizer() {
    let yaml = recipe("tokenizer_source: union");
    let found = aligned(&yaml, &three(), (UNION, &three_tokens()));

    let merged = super::check(&parse(&yaml).unwrap(), &found.inputs, &Limits::default()).unwrap();

    assert_eq!(super::table_rows(&merged), Some(5));
    let rows: Vec<f32> = values(&merged, EMBED).chunks(2).map(|row| row[0]).collect();
    assert_eq!(rows, [16.5, 5.5, 17.5, 20.0, 0.0]);
}

#[test]
fn rows_put_together_for_a_model_are_rounded_once_with_the_result() {
    let of = |seed| Fixture::empty().with(EMBED, Dtype::Bf16, &[2, 8], &noise(seed, 16));
    let models = inputs(&[("o/a", of(1)), ("o/b", of(2)), ("o/c", of(3))]);
    let both: &[(&str, u32)] = &[("x", 0), ("y", 1)];
    let all = tokens(&[("o/a", both), ("o/b", both), ("o/c", &[("x", 0), ("z", 1)])]);
    let [a, b] = ["o/a", "o/b"].map(|name| values(&*models[name].source, EMBED));
    let yaml = "{merge_method: linear, dtype: float32, tokenizer_source: o/a, parameters: {weight: 1}, models: [{model: o/a}, {model: o/b}, {model: o/c}]}";

    let found = aligned(yaml, &models, (both, &all));
    let merged = super::check(&parse(yaml).unwrap(), &found.inputs, &Limits::default()).unwrap();

    let row = &values(&merged, EMBED)[8..];
    for (at, got) in (8..16).zip(row) {
        let (a, b) = (f64::from(a[at]), f64::from(b[at]));
        let expected = (a + b + (a + b) / 2.0) / 3.0;
        assert!((f64::from(*got) - expected).abs() <= expected.abs() * 1.2e-7, "{got} {expected}");
    }
}

#[test]
fn models_with_equal_tokens_are_left_as_they_are() {
    let models = inputs(&[
        ("o/base", with_rows(&[0.0, 1.0, 2.0], 1.0)),
        ("o/a", with_rows(&[3.0; 3], 2.0)),
        ("o/b", with_rows(&[4.0; 3], 3.0)),
    ]);
    let one: &[(&str, u32)] = &[("x", 0), ("y", 1), ("beyond", 7)];
    let all = tokens(&[("o/base", one), ("o/a", one), ("o/b", one)]);
    let yaml = recipe("tokenizer_source: union");

    let found = aligned(&yaml, &models, (one, &all));

    let plain = super::check(&parse(&recipe("")).unwrap(), &models, &Limits::default()).unwrap();
    let merged = super::check(&parse(&yaml).unwrap(), &found.inputs, &Limits::default()).unwrap();
    assert!(same(&plain, &merged));
    assert!(models.iter().all(|(name, input)| Arc::ptr_eq(&input.source, &found.inputs[name].source)));
}

#[test]
fn spare_rows_are_kept_and_missing_ones_are_means() {
    let models = inputs(&[
        ("o/base", with_rows(&[1.0, 2.0, 7.0], 0.0)),
        ("o/a", with_rows(&[3.0, 5.0], 0.0)),
        ("o/b", with_rows(&[8.0, 6.0, 9.0], 0.0)),
    ]);
    let one: &[(&str, u32)] = &[("x", 0), ("y", 1)];
    let all = tokens(&[("o/base", one), ("o/a", one), ("o/b", one)]);

    let found = aligned(&recipe("tokenizer_source: base"), &models, (one, &all));

    assert_eq!(firsts(&found.inputs, "o/base"), [1.0, 2.0, 7.0]);
    assert_eq!(firsts(&found.inputs, "o/a"), [3.0, 5.0, 4.0]);
}

#[test]
fn rows_are_padded_to_a_multiple_when_asked() {
    let yaml = recipe("tokenizer: {source: union, pad_to_multiple_of: 4}");

    let found = aligned(&yaml, &three(), (UNION, &three_tokens()));

    assert_eq!(found.rows, Some(8));
    assert_eq!(super::table_rows(&*found.inputs["o/a"].source), Some(8));
    // The mean of five rows, of which that of the token that nobody has is zero.
    assert_eq!(firsts(&found.inputs, "o/b")[5..], [12.8; 3]);
}

#[test]
fn a_rule_says_where_the_row_of_a_token_comes_from() {
    let yaml = recipe(
        "tokenizer: {source: union, tokens: {x: {source: o/b, force: true}, y: {source: {kind: zero}}, \
         z: {source: {kind: model_token, model: o/a, token: x}}, lost: {source: {kind: model_token, model: o/a, token_id: 1}}}}",
    );

    let found = aligned(&yaml, &three(), (UNION, &three_tokens()));

    assert_eq!(firsts(&found.inputs, "o/base"), [21.0, 1.0, 12.0, 20.0, 11.0]);
    assert_eq!(firsts(&found.inputs, "o/a"), [21.0, 10.0, 13.0, 20.0, 11.0]);
    assert_eq!(firsts(&found.inputs, "o/b"), [21.0, 0.0, 22.0, 20.0, 11.0]);
    assert!(found.warnings.is_empty(), "{:?}", found.warnings);
}

#[test]
fn a_row_that_is_not_there_is_a_fault_with_its_place() {
    let yaml = recipe(
        "tokenizer: {tokens: {w: {source: o/a}, a/b: {source: {kind: model_token, model: o/b, token_id: 3}}}}",
    );
    let output = [UNION, &[("a/b", 5)]].concat();

    let found = aligned(&yaml, &three(), (&output, &three_tokens()));

    let told: Vec<&str> = found.faults.iter().map(|fault| fault.pointer.as_str()).collect();
    assert_eq!(told, ["/tokenizer/tokens/w/source", "/tokenizer/tokens/a~1b/source/token_id"]);
}

#[test]
fn a_tokenizer_with_endless_rows_is_refused() {
    let output: &[(&str, u32)] = &[("x", 0), ("y", 1), ("far", u32::MAX - 1)];

    let found = aligned(&recipe("tokenizer_source: union"), &three(), (output, &three_tokens()));

    assert!(found.faults[0].message.contains("`vocabulary_rows`"), "{:?}", found.faults);
}

#[test]
fn tied_heads_are_aligned_with_the_embedding_they_are() {
    let tied = Fixture::empty().with(EMBED, Dtype::F32, &[2, 2], &[1.0, 1.0, 2.0, 2.0]).with(
        "model.norm.weight",
        Dtype::F32,
        &[2],
        &[0.0; 2],
    );
    let models = inputs(&[
        ("o/base", tied),
        ("o/a", with_rows(&[5.0, 6.0], 7.0)),
        ("o/b", with_rows(&[5.0, 6.0], 7.0)),
    ]);
    let all = tokens(&[
        ("o/base", &[("x", 0), ("y", 1)]),
        ("o/a", &[("y", 0), ("z", 1)]),
        ("o/b", &[("y", 0), ("z", 1)]),
    ]);
    let yaml = recipe("tokenizer_source: base");

    let found = aligned(&yaml, &models, (&[("x", 0), ("y", 1)], &all));
    let merged = super::check(&parse(&yaml).unwrap(), &found.inputs, &Limits::default()).unwrap();

    assert_eq!(values(&merged, HEAD), [1.0, 1.0, 50.0, 70.0]);
}

#[test]
fn sums_of_rows_do_not_depend_on_the_order_of_the_recipe_or_the_threads() {
    let rows: Vec<f64> = (0..3000).map(|row| f64::from(row) / 7.0).collect();
    let models = inputs(&[
        ("o/base", with_rows(&rows[..1], 0.5)),
        ("o/a", with_rows(&rows, 0.1)),
        ("o/b", with_rows(&rows, 0.3)),
    ]);
    let many: BTreeMap<String, u32> = (0..3000).map(|row| (format!("t{row}"), row)).collect();
    let all: Vec<(&str, u32)> = many.iter().map(|(text, row)| (text.as_str(), *row)).collect();
    let all_tokens = tokens(&[("o/base", &[("q", 0)]), ("o/a", &all), ("o/b", &all)]);
    let other = "{merge_method: linear, base_model: o/base, models: [{model: o/b}, {model: o/a}], parameters: {weight: 1}, tokenizer: {pad_to_multiple_of: 4096}}";
    let on = |threads: usize, yaml: &str| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| values(&*aligned(yaml, &models, (&all, &all_tokens)).inputs["o/base"].source, EMBED))
    };

    let one = on(1, &recipe("tokenizer: {pad_to_multiple_of: 4096}"));

    assert_eq!(one, on(4, other));
    assert_eq!(one.len(), 4096 * 2);
}

#[test]
fn the_language_refuses_what_it_does_not_know_of_tokens() {
    for (written, told) in [
        ("tokenizer: {tokens: {x: {source: o/c}}}", "not one of the models"),
        ("tokenizer: {tokens: {x: {force: true}}}", "needs a `source`"),
        ("tokenizer: {tokens: {x: {source: {kind: model_token, model: o/a}}}}", "either `token`"),
        ("tokenizer: {tokens: {x: {source: {kind: one}}}}", "`model_token` or `zero`"),
        ("tokenizer: {tokens: {x: {sauce: o/a}}}", "did you mean `source`"),
        ("tokenizer: {tokens: [x]}", "/tokenizer/tokens"),
        ("tokenizer: {pad_to_multiple_of: 0}", "/tokenizer/pad_to_multiple_of"),
        ("tokenizer: {source: bass}", "did you mean `base`?"),
        ("tokenizer_source: 3", "expected `base`, `union` or a model, found 3"),
        ("tokenizer: {}, tokenizer_source: base", "keep one of the two"),
    ] {
        let error = parse(&recipe(written)).unwrap_err();
        assert!(matches!(&error, Error::Faults(_)) && error.to_string().contains(told), "{written}: {error}");
    }
}

#[test]
fn a_tokenizer_with_rules_is_read_back_from_the_canonical_document() {
    let yaml = recipe(
        "tokenizer: {source: o/a, pad_to_multiple_of: 64, tokens: {a: {source: o/b, force: true}, b: {source: {kind: zero}}, \
         c: {source: {kind: model_token, model: o/a, token: t}}, d: {source: {kind: model_token, model: o/a, token_id: 3}}, e: null}}",
    );

    let config = parse(&yaml).unwrap();

    assert_eq!(parse(&config.canonical().to_string()).unwrap(), config);
    assert_eq!(config.tokenizer_model().as_deref(), Some("o/a"));
}

#[test]
fn a_model_that_is_not_merged_can_give_its_tokenizer() {
    let config = parse(&recipe("tokenizer_source: o/other")).unwrap();

    assert_eq!(config.tokenizer_model().as_deref(), Some("o/other"));
    assert!(config.model_refs().contains(&"o/other".to_owned()));
    assert!(!config.merged_refs().contains(&"o/other".to_owned()));
    assert_eq!(config.place_of("o/other"), "/tokenizer_source");
}
