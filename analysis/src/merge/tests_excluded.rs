//! Tensors that a recipe excludes are those of the base.

use domain::Fault;
use kernels::Dtype;
use weights::TensorSource;

use super::{
    Inputs, parse,
    tests::{check, inputs, merge},
};
use crate::testing::{Fixture, bytes, values};

const EMBEDDING: &str = "model.embed_tokens.weight";
const HEAD: &str = "lm_head.weight";
const LAYER: &str = "model.layers.0.mlp.up_proj.weight";

/// A model of `rows` tokens, every element of which is `value`.
fn model(rows: u64, value: f64) -> Fixture {
    let table = vec![value; rows as usize];
    let of = Fixture::empty().with(EMBEDDING, Dtype::Bf16, &[rows, 1], &table);
    of.with(HEAD, Dtype::Bf16, &[rows, 1], &table).with(LAYER, Dtype::Bf16, &[1, 1], &[value])
}

fn three() -> Inputs {
    inputs(&[("o/base", model(2, 1.0)), ("o/a", model(3, 2.0)), ("o/b", model(2, 4.0))])
}

fn recipe(method: &str, more: &str) -> String {
    format!(
        "{{merge_method: {method}, base_model: o/base, models: [{{model: o/a}}, {{model: o/b}}], parameters: {{weight: 0.5}}{more}}}"
    )
}

#[test]
fn tables_of_several_sizes_are_the_bases_and_the_rest_is_merged() {
    let refused = check(&parse(&recipe("linear", "")).unwrap(), &three()).unwrap_err();
    assert!(format!("{:?}", refused.items()).contains("vocab_mismatch"));

    for (method, layer) in [("linear", 3.0), ("task_arithmetic", 3.0), ("karcher", 2.0 * 2f32.sqrt())] {
        let merged = merge(&recipe(method, ", exclude: [embed, lm_head]"), &three());

        for name in [EMBEDDING, HEAD] {
            let (ours, base) = (merged.position(name).unwrap(), model(2, 1.0).share());
            assert_eq!(merged.tensors()[ours].shape, [2, 1]);
            assert_eq!(bytes(&merged, ours), bytes(&*base, base.position(name).unwrap()), "{method}");
        }
        assert!((values(&merged, LAYER)[0] - layer).abs() < 0.2, "{method}");
        let touched = &merged.touched()[0];
        assert_eq!((touched.pointer.as_str(), touched.tensors), ("/exclude", 2));
        assert_eq!(touched.model.as_deref(), Some("o/base"));
        let account = merged.account(merged.position(HEAD).unwrap());
        assert_eq!(account["policy"], "exclude");
    }
}

#[test]
fn a_head_that_the_base_ties_to_its_embedding_stays_so() {
    let tied = Fixture::empty().with(EMBEDDING, Dtype::Bf16, &[2, 1], &[1.0; 2]).with(
        LAYER,
        Dtype::Bf16,
        &[1, 1],
        &[1.0],
    );
    let models = inputs(&[("o/base", tied), ("o/a", model(3, 2.0)), ("o/b", model(2, 4.0))]);

    let merged = merge(&recipe("linear", ", exclude: [embed, lm_head]"), &models);

    assert!(merged.position(HEAD).is_none());
    assert_eq!(values(&merged, EMBEDDING), [1.0; 2]);
}

#[test]
fn parts_of_names_that_no_tensor_has_are_warned_of_and_what_is_no_text_is_a_fault() {
    let merged = merge(&recipe("linear", ", exclude: [embd, embed, lm_head, embed]"), &three());
    let told: Vec<&str> = merged.warnings().iter().map(|item| item.message.as_str()).collect();

    assert!(told.iter().any(|told| told.contains("`embd` in its name")), "{told:?}");
    let config = parse(&recipe("linear", ", exclude: [lm_head, embed, embed]")).unwrap();
    assert_eq!(config.exclude, ["embed", "lm_head"]);
    assert_eq!(parse(&config.canonical().to_string()).unwrap(), config);
    assert_eq!(parse(&recipe("linear", ", exclude: embed")).unwrap().exclude, ["embed"]);
    for (written, pointer) in [("3", "/exclude"), ("[embed, 3]", "/exclude/1"), ("['']", "/exclude/0")] {
        let refused = parse(&recipe("linear", &format!(", exclude: {written}"))).unwrap_err();
        assert_eq!(refused.items()[0].pointer, pointer);
    }
}
