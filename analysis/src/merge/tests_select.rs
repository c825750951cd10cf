//! Which elements are the largest of tensors that are sampled, against sorting all of them.

use kernels::Dtype;

use super::{
    Inputs,
    tests::{inputs, merge},
};
use crate::{
    computed::CHUNK,
    testing::{Fixture, noise, values},
};

/// More chunks than a sample reads whole, the last of them short.
const LEN: usize = 13 * CHUNK + 777;

/// Where it is cut in two.
const CUT: usize = 5 * CHUNK + 321;

/// What a sample is told of.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Sampled {
    Fairly,
    /// The first quarter of every chunk, which is all that a sample looks at, is small.
    Misled,
}

/// Elements many of which are equal.
fn crowded(sampled: Sampled) -> Vec<f64> {
    let quiet = |at: usize| sampled == Sampled::Misled && at % CHUNK < CHUNK / 4;
    let coarse = noise(11, LEN).into_iter().map(|value| (value * 8.0).round() / 8.0);
    coarse.enumerate().map(|(at, value)| if quiet(at) { 0.125 } else { value }).collect()
}

/// The `keep` that come first in an order, and 0 for the others.
fn only(values: &[f32], order: &[usize], keep: usize) -> Vec<f32> {
    let mut kept = vec![0.0; values.len()];
    order[..keep].iter().for_each(|at| kept[*at] = values[*at]);
    kept
}

#[test]
fn what_is_largest_of_many_chunks_is_what_sorting_finds_though_many_are_equal_and_a_sample_misleads() {
    let cases =
        [Dtype::F32, Dtype::Bf16].into_iter().flat_map(|d| [(d, Sampled::Fairly), (d, Sampled::Misled)]);
    for (dtype, sampled) in cases {
        let whole = |values: &[f64]| Fixture::empty().with("w", dtype, &[LEN as u64], values);
        let parts = |values: &[f64]| {
            let (one, two) = values.split_at(CUT);
            Fixture::empty().with("a", dtype, &[CUT as u64], one).with("b", dtype, &[(LEN - CUT) as u64], two)
        };
        let (all, zeros) = (crowded(sampled), vec![0.0; LEN]);
        let one = inputs(&[("o/base", whole(&zeros)), ("o/a", whole(&all)), ("o/b", whole(&zeros))]);
        let two = inputs(&[("o/base", parts(&zeros)), ("o/a", parts(&all))]);
        let stored = values(&*one["o/a"].source, "w");
        let varying = stored.iter().filter(|value| **value != 0.0).count();
        let mut order: Vec<usize> = (0..LEN).collect();
        order.sort_by(|a, b| stored[*b].abs().total_cmp(&stored[*a].abs()));
        for density in [0.05, 0.3, 0.6] {
            let ties = format!(
                "{{merge_method: ties, base_model: o/base, models: [{{model: o/a}}], parameters: {{weight: 1, density: {density}}}}}"
            );
            // The variance of a delta and of none ranks as the delta does; only the former has a weight.
            let sce = format!(
                "{{merge_method: sce, base_model: o/base, models: [{{model: o/a}}, {{model: o/b}}], parameters: {{select_topk: {density}}}}}"
            );

            let by_tensor = values(&merge(&ties, &one), "w");
            let by_model = merge(&ties.replace("density", "trim_scope: model, density"), &two);
            let by_model = [values(&by_model, "a"), values(&by_model, "b")].concat();
            let by_variance = values(&merge(&sce, &one), "w");

            let largest = |of: usize| only(&stored, &order, (density * of as f64).floor() as usize);
            assert!(by_tensor == largest(LEN), "{dtype} {sampled:?} {density}");
            assert!(by_model == largest(LEN), "{dtype} {sampled:?} {density} over the model");
            assert!(by_variance == largest(varying), "{dtype} {sampled:?} {density} by variance");
        }
    }
}

#[test]
fn tensors_of_which_all_or_nothing_is_kept_are_not_ranked_with_the_others_of_the_model() {
    let (embed, up) = ("model.embed_tokens.weight", "model.layers.0.mlp.up_proj.weight");
    let q = "model.layers.0.self_attn.q_proj.weight";
    // The table of tokens has the largest changes.
    let of = |seed: u64| -> Vec<f64> {
        let size = |at: usize| if at < 1_000 { 1_000.0 } else { 1.0 };
        noise(seed, 3_000).into_iter().enumerate().map(|(at, value)| value * size(at)).collect()
    };
    let named = |all: &[f64]| {
        [embed, up, q].iter().zip(all.chunks(1_000)).fold(Fixture::empty(), |fixture, (name, values)| {
            fixture.with(name, Dtype::F32, &[100, 10], values)
        })
    };
    let half = |all: Vec<f64>, own: usize| -> Vec<f64> {
        all.into_iter().enumerate().map(|(at, value)| if at % 2 == own { value } else { 0.0 }).collect()
    };
    let all = inputs(&[
        ("o/base", named(&[0.0; 3_000])),
        ("o/a", named(&of(5))),
        ("o/even", named(&half(of(6), 0))),
        ("o/odd", named(&half(of(7), 1))),
    ]);
    let recipe = |method: &str, models: &str| {
        let scope = if method == "ties" { "{weight: 1, trim_scope: model}" } else { "{}" };
        format!("{{merge_method: {method}, base_model: o/base, parameters: {scope}, models: [{models}]}}")
    };
    let model = |name: &str, embed: &str| {
        format!(
            "{{model: {name}, parameters: {{density: [{{filter: embed, value: {embed}}}, {{value: 0.2}}]}}}}"
        )
    };
    let run = |method: &str, models: &str| {
        let merged = merge(&recipe(method, models), &all);
        [embed, up, q].map(|name| values(&merged, name)).concat()
    };

    for method in ["ties", "localize_stitch"] {
        for embed in ["0", "1"] {
            let stored =
                [embed_of(&all, embed), values(&*all["o/a"].source, up), values(&*all["o/a"].source, q)]
                    .concat();
            let mut order: Vec<usize> = (1_000..3_000).collect();
            order.sort_by(|a, b| stored[*b].abs().total_cmp(&stored[*a].abs()));
            let mut expected = only(&stored, &order, 400);
            expected[..1_000].copy_from_slice(&stored[..1_000]);

            assert!(run(method, &model("o/a", embed)) == expected, "{method} {embed}");
        }
        // Models that rank other tensors do so beside each other.
        let [even, odd] = [model("o/even", "0"), model("o/odd", "0.5")];
        let both = run(method, &format!("{even}, {odd}"));

        let sum = run(method, &even).into_iter().zip(run(method, &odd)).map(|(even, odd)| even + odd);
        assert!(both == sum.collect::<Vec<_>>(), "{method}");
    }
}

/// What is kept of the table of tokens at a density of 0 or 1.
fn embed_of(all: &Inputs, density: &str) -> Vec<f32> {
    let stored = values(&*all["o/a"].source, "model.embed_tokens.weight");
    if density == "1" { stored } else { vec![0.0; stored.len()] }
}
