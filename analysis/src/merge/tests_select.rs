//! Which elements are the largest of tensors that are sampled, against sorting all of them.

use kernels::Dtype;

use super::tests::{inputs, merge};
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
