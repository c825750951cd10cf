//! Every method against its formula, written out for whole vectors in f64 without regard to speed or memory.

use domain::Digest;
use kernels::{Dtype, splitmix_unit};

use super::{
    MergeSource,
    tests::{inputs, merge},
};
use crate::testing::{Fixture, bytes, noise};

pub const ROWS: usize = 6;
pub const COLUMNS: usize = 9;
const LEN: usize = ROWS * COLUMNS;

/// A base and three models of one tensor of 6 by 9.
pub struct Case {
    pub base: Vec<f64>,
    pub models: [Vec<f64>; 3],
}

impl Case {
    pub fn new() -> Self {
        let stored = |seed| noise(seed, LEN).into_iter().map(|v| f64::from(v as f32)).collect::<Vec<f64>>();
        let base = stored(1);
        let near = |seed| {
            let apart = base.iter().zip(stored(seed));
            apart.map(|(base, by)| f64::from((base + 0.3 * by) as f32)).collect()
        };
        Self { models: [near(2), near(3), near(4)], base }
    }

    pub fn deltas(&self) -> Vec<Vec<f64>> {
        let delta = |model: &Vec<f64>| model.iter().zip(&self.base).map(|(m, b)| m - b).collect();
        self.models.iter().map(delta).collect()
    }

    /// What a recipe makes of the first models: their own parameters, then the recipe's.
    pub fn run(&self, method: &str, own: &[&str], shared: &str) -> Vec<f64> {
        let merged = bytes(&self.merged(method, own, shared), 0);
        merged.as_chunks::<8>().0.iter().map(|raw| f64::from_le_bytes(*raw)).collect()
    }

    pub fn merged(&self, method: &str, own: &[&str], shared: &str) -> MergeSource {
        let of =
            |values: &[f64]| Fixture::empty().with("w", Dtype::F32, &[ROWS as u64, COLUMNS as u64], values);
        let named = ["o/a", "o/b", "o/c"];
        let mut all = vec![("o/base", of(&self.base))];
        all.extend(named.iter().zip(&self.models).map(|(name, values)| (*name, of(values))));
        let entries: Vec<String> = named
            .iter()
            .zip(own)
            .map(|(name, own)| format!("{{model: {name}, parameters: {{{own}}}}}"))
            .collect();
        let yaml = format!(
            "{{merge_method: {method}, base_model: o/base, dtype: float64, seed: 3, models: [{}], \
             parameters: {{{shared}}}}}",
            entries.join(", ")
        );
        merge(&yaml, &inputs(&all))
    }

    /// `b + D`.
    pub fn around(&self, by: impl Fn(usize) -> f64) -> Vec<f64> {
        (0..LEN).map(|j| self.base[j] + by(j)).collect()
    }
}

pub fn close(got: &[f64], expected: &[f64]) {
    for (j, (got, expected)) in got.iter().zip(expected).enumerate() {
        assert!((got - expected).abs() <= 1e-10 * (1.0 + expected.abs()), "{j}: {got} {expected}");
    }
}

/// Indices from the largest magnitude as f32, equal ones by index.
fn ranked(delta: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..delta.len()).collect();
    order.sort_by(|a, b| (delta[*b].abs() as f32).total_cmp(&(delta[*a].abs() as f32)));
    order
}

fn only(delta: &[f64], kept: &[usize]) -> Vec<f64> {
    (0..delta.len()).map(|j| if kept.contains(&j) { delta[j] } else { 0.0 }).collect()
}

fn l1(delta: &[f64]) -> f64 {
    delta.iter().map(|d| d.abs()).sum()
}

/// The sum of what agrees with the elected sign, and the weights behind it.
fn elected(sparse: &[Vec<f64>], weights: &[f64], j: usize) -> (f64, f64) {
    let votes: Vec<f64> = sparse.iter().zip(weights).map(|(d, w)| d[j] * w).collect();
    let sign = if votes.iter().sum::<f64>() >= 0.0 { 1.0 } else { -1.0 };
    let agree = votes.iter().zip(weights).filter(|(vote, _)| *vote * sign > 0.0);
    agree.fold((0.0, 0.0), |(sum, total), (vote, weight)| (sum + vote, total + weight))
}

/// The random number of the specification for an element of a model.
fn draw(method: &str, model: &str, j: usize) -> f64 {
    let mut text = format!("mask/v1\0{method}\0").into_bytes();
    text.extend(3u64.to_le_bytes());
    text.extend(format!("content of {model}\0w").bytes());
    let bytes = hex_bytes(&Digest::of(&text).hex());
    splitmix_unit(u64::from_le_bytes(bytes), j as u64)
}

fn hex_bytes(hex: &str) -> [u8; 8] {
    std::array::from_fn(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
}

const OWN: [&str; 3] = ["weight: 0.5", "weight: -0.3", "weight: 0.9"];
const WEIGHTS: [f64; 3] = [0.5, -0.3, 0.9];

#[test]
fn task_arithmetic_and_linear_are_weighted_sums() {
    let case = Case::new();
    let deltas = case.deltas();

    let task = case.run("task_arithmetic", &OWN, "lambda: 0.8, normalize: true");
    let linear = case.run("linear", &OWN, "");

    let sum = |j: usize| WEIGHTS.iter().zip(&deltas).map(|(w, d)| w * d[j]).sum::<f64>();
    close(&task, &case.around(|j| 0.8 * sum(j) / 1.1));
    close(&linear, &case.around(|j| sum(j) / 1.1));
}

#[test]
fn ties_normalises_by_the_weights_that_agree_and_rescales_when_asked() {
    let case = Case::new();
    let own = OWN.map(|own| format!("{own}, density: 0.4"));
    let own = own.each_ref().map(String::as_str);
    let keep = (0.4 * LEN as f64) as usize;
    let sparse: Vec<Vec<f64>> = case.deltas().iter().map(|d| only(d, &ranked(d)[..keep])).collect();

    let mean = case.run("ties", &own, "divisor: abs");
    let sum = case.run("ties", &own, "normalize: false, rescale: true, lambda: 0.5");

    close(
        &mean,
        &case.around(|j| {
            let votes: Vec<f64> = sparse.iter().zip(WEIGHTS).map(|(d, w)| d[j] * w).collect();
            let sign = if votes.iter().sum::<f64>() >= 0.0 { 1.0 } else { -1.0 };
            let size: f64 =
                votes.iter().zip(WEIGHTS).filter(|(v, _)| *v * sign > 0.0).map(|(_, w)| w.abs()).sum();
            let sum: f64 = votes.iter().filter(|v| *v * sign > 0.0).sum();
            if size == 0.0 { 0.0 } else { sum / size }
        }),
    );
    let scaled: Vec<Vec<f64>> = case
        .deltas()
        .iter()
        .zip(&sparse)
        .map(|(whole, part)| part.iter().map(|d| d * l1(whole) / l1(part)).collect())
        .collect();
    close(&sum, &case.around(|j| 0.5 * elected(&scaled, &WEIGHTS, j).0));
}

#[test]
fn ties_over_the_whole_model_ranks_all_tensors_together() {
    let of =
        |a: &[f64], b: &[f64]| Fixture::empty().with("a", Dtype::F32, &[3], a).with("b", Dtype::F32, &[4], b);
    let pair =
        inputs(&[("o/base", of(&[0.0; 3], &[0.0; 4])), ("o/a", of(&[4.0, 1.0, 2.0], &[2.0, 3.0, 2.0, 0.5]))]);
    let yaml = "{merge_method: ties, base_model: o/base, models: [{model: o/a}], parameters: {weight: 1, density: 0.6, trim_scope: model}}";

    let merged = merge(yaml, &pair);

    // 0.6 of all 7 elements are 4, of equal ones the first; of 3 and of 4 they would be 1 and 2.
    assert_eq!(crate::testing::values(&merged, "a"), [4.0, 0.0, 2.0]);
    assert_eq!(crate::testing::values(&merged, "b"), [2.0, 3.0, 0.0, 0.0]);
}

#[test]
fn where_votes_cancel_the_majority_of_the_tensor_may_decide() {
    let of = |values: &[f64]| Fixture::empty().with("w", Dtype::F32, &[4], values);
    let trio =
        |a: [f64; 4], b: [f64; 4]| inputs(&[("o/base", of(&[0.0; 4])), ("o/a", of(&a)), ("o/b", of(&b))]);
    let minus = trio([2.0, -1.0, -3.0, 1.0], [-2.0, -1.0, -1.0, 2.0]);
    let plus = trio([2.0, 1.0, 3.0, -1.0], [-2.0, 1.0, 1.0, -2.0]);
    let yaml = "{merge_method: ties, base_model: o/base, models: [{model: o/a}, {model: o/b}], parameters: {weight: 1, zero_sign: WORD}}";
    let first = |all, word| crate::testing::values(&merge(&yaml.replace("WORD", word), all), "w")[0];

    assert_eq!([first(&minus, "plus"), first(&minus, "majority")], [2.0, -2.0]);
    assert_eq!([first(&plus, "plus"), first(&plus, "majority")], [2.0, 2.0]);
}

#[test]
fn dare_keeps_what_the_counter_draws() {
    let case = Case::new();
    let own = OWN.map(|own| format!("{own}, density: 0.6"));
    let own = own.each_ref().map(String::as_str);
    let sparse = |method: &str| -> Vec<Vec<f64>> {
        let names = ["o/a", "o/b", "o/c"];
        let model = |(name, delta): (&&str, &Vec<f64>)| {
            let kept: Vec<usize> = (0..LEN).filter(|j| draw(method, name, *j) < 0.6).collect();
            only(delta, &kept)
        };
        names.iter().zip(&case.deltas()).map(model).collect()
    };

    let linear = case.run("dare_linear", &own, "rescale_mode: inverse_p");
    let ties = case.run("dare_ties", &own, "normalize: true");

    let (one, two) = (sparse("dare_linear"), sparse("dare_ties"));
    close(&linear, &case.around(|j| one.iter().zip(WEIGHTS).map(|(d, w)| w * d[j] / 0.6).sum()));
    let scaled: Vec<Vec<f64>> = case
        .deltas()
        .iter()
        .zip(&two)
        .map(|(whole, part)| part.iter().map(|d| d * l1(whole) / l1(part)).collect())
        .collect();
    close(
        &ties,
        &case.around(|j| {
            let (sum, total) = elected(&scaled, &WEIGHTS, j);
            if total == 0.0 { sum } else { sum / total }
        }),
    );
    assert_ne!(one, two, "the method is part of the key");
}

#[test]
fn della_keeps_large_elements_of_a_row_more_often() {
    let case = Case::new();
    let own = OWN.map(|own| format!("{own}, density: 0.6, epsilon: 0.3"));
    let own = own.each_ref().map(String::as_str);
    let share = |delta: &[f64], j: usize| {
        let row = &delta[j / COLUMNS * COLUMNS..][..COLUMNS];
        let smaller = row.iter().filter(|other| other.abs() < delta[j].abs()).count();
        0.6 + 0.3 * (2.0 * smaller as f64 / (COLUMNS - 1) as f64 - 1.0)
    };

    let got = case.run("della_linear", &own, "rescale_mode: inverse_p, lambda: 0.7");

    let names = ["o/a", "o/b", "o/c"];
    let deltas = case.deltas();
    close(
        &got,
        &case.around(|j| {
            let model = |at: usize| {
                let p = share(&deltas[at], j);
                if draw("della_linear", names[at], j) < p { WEIGHTS[at] * deltas[at][j] / p } else { 0.0 }
            };
            0.7 * (model(0) + model(1) + model(2))
        }),
    );
}

#[test]
fn breadcrumbs_drops_both_ends_of_a_tensor_or_of_each_row() {
    let case = Case::new();
    let own = OWN.map(|own| format!("{own}, density: 0.5, gamma: 0.25"));
    let own = own.each_ref().map(String::as_str);
    let middle = |delta: &[f64]| {
        let n = delta.len();
        let (keep, top) = (n / 2, n / 4);
        let first = top.min(n - keep);
        only(delta, &ranked(delta)[first..first + keep])
    };

    let tensor = case.run("breadcrumbs", &own, "");
    let rows = case.run("breadcrumbs_ties", &own, "scope: row");

    let sparse: Vec<Vec<f64>> = case.deltas().iter().map(|d| middle(d)).collect();
    close(&tensor, &case.around(|j| sparse.iter().zip(WEIGHTS).map(|(d, w)| w * d[j]).sum()));
    let sparse: Vec<Vec<f64>> =
        case.deltas().iter().map(|d| d.chunks(COLUMNS).flat_map(middle).collect()).collect();
    close(&rows, &case.around(|j| elected(&sparse, &WEIGHTS, j).0));
}

#[test]
fn sce_weighs_models_by_what_is_kept_of_the_elements_that_vary_most() {
    let case = Case::new();
    let deltas = case.deltas();
    let variance = |j: usize| {
        let mean = deltas.iter().map(|d| d[j]).sum::<f64>() / 3.0;
        deltas.iter().map(|d| (d[j] - mean).powi(2)).sum::<f64>() / 3.0
    };

    let [by_sum, by_count] = ["sum", "count"]
        .map(|election| case.run("sce", &["", "", ""], &format!("select_topk: 0.4, election: {election}")));

    let variances: Vec<f64> = (0..LEN).map(variance).collect();
    let kept = &ranked(&variances)[..(0.4 * LEN as f64) as usize];
    let sparse: Vec<Vec<f64>> = deltas.iter().map(|d| only(d, kept)).collect();
    let squares: Vec<f64> = sparse.iter().map(|d| d.iter().map(|d| d * d).sum()).collect();
    let expected = |vote: fn(f64) -> f64| {
        case.around(|j| {
            let sign = if sparse.iter().map(|d| vote(d[j])).sum::<f64>() >= 0.0 { 1.0 } else { -1.0 };
            let agree = sparse.iter().zip(&squares).filter(|(d, _)| d[j] * sign > 0.0);
            let (sum, total) = agree.fold((0.0, 0.0), |(s, t), (d, w)| (s + w * d[j], t + w));
            if total == 0.0 { 0.0 } else { sum / total }
        })
    };
    close(&by_sum, &expected(|delta| delta));
    close(&by_count, &expected(|delta| if delta == 0.0 { 0.0 } else { delta.signum() }));
    assert_ne!(by_sum, by_count);
}

#[test]
fn breadcrumbs_of_less_than_one_element_keep_none() {
    let of = |values: &[f64]| Fixture::empty().with("w", Dtype::F32, &[8], values);
    let tuned: Vec<f64> = (1..9).map(f64::from).collect();
    let all = inputs(&[("o/base", of(&[0.5; 8])), ("o/a", of(&tuned))]);
    let yaml = |density: f64| {
        format!(
            "{{merge_method: breadcrumbs, base_model: o/base, models: [{{model: o/a}}], parameters: {{weight: 1, density: {density}}}}}"
        )
    };

    let changed = |density: f64| {
        let merged = merge(&yaml(density), &all);
        crate::testing::values(&merged, "w").iter().filter(|value| **value != 0.5).count()
    };

    assert_eq!([changed(0.109), changed(0.125), changed(0.26)], [0, 1, 2]);
}
