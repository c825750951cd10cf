//! Methods that read files beside the models, EMR, and the other elections and norms, against their formulas.

use domain::Fault;
use kernels::Dtype;
use weights::TensorSource;

use super::{
    Inputs,
    laws::spread,
    parse,
    references::{COLUMNS, Case, ROWS, close},
    tests::{check, inputs, merge},
};
use crate::testing::{Fixture, bytes, noise, values};

const SHAPE: [u64; 2] = [ROWS as u64, COLUMNS as u64];

/// Two models of a case with the files `held` beside them.
fn pair(case: &Case, (what, held): (&str, [Fixture; 2])) -> (String, Inputs) {
    let of = |values: &[f64]| Fixture::empty().with("w", Dtype::F32, &SHAPE, values);
    let [one, two] = held;
    let all = [("o/a", of(&case.models[0])), ("o/b", of(&case.models[1])), ("one", one), ("two", two)];
    let models = format!(
        "dtype: float64, models: [{{model: o/a, parameters: {{{what}: one}}}}, {{model: o/b, parameters: {{{what}: two}}}}]"
    );
    (models, inputs(&all))
}

fn merged(yaml: &str, all: &Inputs) -> Vec<f64> {
    let raw = bytes(&merge(yaml, all), 0);
    raw.as_chunks::<8>().0.iter().map(|raw| f64::from_le_bytes(*raw)).collect()
}

fn sizes(seed: u64) -> Vec<f64> {
    noise(seed, ROWS * COLUMNS).into_iter().map(|value| f64::from(value.abs() as f32)).collect()
}

#[test]
fn importances_weigh_every_element_and_have_a_floor_of_a_part_of_their_mean() {
    let case = Case::new();
    let (mut one, two) = (sizes(70), sizes(71));
    one[5] = 0.0;
    let mean = one.iter().chain(&two).sum::<f64>() / (2 * ROWS * COLUMNS) as f64;
    let held = [&one, &two].map(|values| Fixture::empty().with("w", Dtype::F32, &SHAPE, values));
    let (models, all) = pair(&case, ("importance", held));

    for [first, second] in [[0.5, 0.5], [0.25, 2.0]] {
        let models = models.replace("one}", &format!("one, weight: {first}}}"));
        let models = models.replace("two}", &format!("two, weight: {second}}}"));

        let got = merged(&format!("{{merge_method: importance_weighted, {models}}}"), &all);

        let expected: Vec<f64> = (0..ROWS * COLUMNS)
            .map(|j| {
                let (f, g) = (first * one[j].max(1e-6 * mean), second * two[j].max(1e-6 * mean));
                (f * case.models[0][j] + g * case.models[1][j]) / (f + g)
            })
            .collect();
        close(&got, &expected);
    }
}

#[test]
fn importances_as_small_as_those_of_real_models_weigh_as_large_ones_do() {
    let case = Case::new();
    // A power of two, so that the importances are the same but for their size.
    let made = |by: f64| {
        let held = [70, 71].map(|seed| {
            let values: Vec<f64> = sizes(seed).into_iter().map(|value| by * value).collect();
            Fixture::empty().with("w", Dtype::F32, &SHAPE, &values)
        });
        let (models, all) = pair(&case, ("importance", held));
        merged(&format!("{{merge_method: importance_weighted, {models}}}"), &all)
    };

    assert_eq!(made(2f64.powi(-60)), made(1.0));
    let none = made(0.0);
    close(
        &none,
        &(0..ROWS * COLUMNS).map(|j| (case.models[0][j] + case.models[1][j]) / 2.0).collect::<Vec<_>>(),
    );
}

#[test]
fn a_file_that_lacks_a_tensor_or_has_another_shape_is_told_before_a_weight_is_read() {
    let case = Case::new();
    let held = [
        Fixture::empty().with("v", Dtype::F32, &[1], &[1.0]),
        Fixture::empty().with("w", Dtype::F32, &[2], &[1.0; 2]),
    ];
    let (models, all) = pair(&case, ("importance", held));
    let yaml = format!("{{merge_method: importance_weighted, {models}}}");

    let told = format!("{:?}", check(&parse(&yaml).unwrap(), &all).unwrap_err().items());
    let absent = check(&parse(&yaml.replace("two", "three")).unwrap(), &all).unwrap_err().to_string();
    let shared =
        parse("{merge_method: importance_weighted, models: [{model: a}], parameters: {importance: f}}");
    let none = check(&parse(&yaml.replace("importance: one", "")).unwrap(), &all).unwrap_err().to_string();

    assert!(told.contains("`one`, the importance of `o/a`, has no such tensor"), "{told}");
    assert!(told.contains("`two`, the importance of `o/b`, holds F32 [2]"), "{told}");
    assert!(absent.contains("is not among the inputs"), "{absent}");
    assert!(shared.unwrap_err().to_string().contains("every model has a file of its own"));
    assert!(none.contains("`importance` is missing for `o/a`"), "{none}");
}

#[test]
fn a_negative_importance_is_refused_where_it_is_found() {
    let case = Case::new();
    let mut bad = sizes(70);
    bad[7] = -0.5;
    let held = [&bad, &sizes(71)].map(|values| Fixture::empty().with("w", Dtype::F32, &SHAPE, values));
    let (models, all) = pair(&case, ("importance", held));

    let made = merge(&format!("{{merge_method: importance_weighted, {models}}}"), &all);
    let error = made.read_bytes(0, 0, &mut [0; 8]).unwrap_err().to_string();

    assert!(error.contains("`one` holds -0.5 for tensor `w` at element 7"), "{error}");
}

#[test]
fn regmean_solves_the_normal_equations_of_all_inputs() {
    let mut case = Case::new();
    // Where models agree the solution need not.
    case.models[1][COLUMNS + 2] = case.models[0][COLUMNS + 2];
    let grams = [spread(80, COLUMNS), spread(81, COLUMNS)]
        .map(|gram| gram.into_iter().map(|value| f64::from(value as f32)).collect::<Vec<f64>>());
    let side = COLUMNS as u64;
    let held = [0, 1].map(|at: usize| Fixture::empty().with("w", Dtype::F32, &[side, side], &grams[at]));
    let (models, all) = pair(&case, ("gram", held));

    let got =
        merged(&format!("{{merge_method: regmean, {models}, parameters: {{off_diagonal: 0.5}}}}"), &all);

    // Y·ΣĜ = Σ W·Ĝ, element by element.
    let softened =
        |at: usize, k: usize, c: usize| grams[at][k * COLUMNS + c] * if k == c { 1.0 } else { 0.5 };
    let times = |w: &[f64], row: usize, gram: &dyn Fn(usize) -> f64| -> f64 {
        (0..COLUMNS).map(|k| w[row * COLUMNS + k] * gram(k)).sum()
    };
    for row in 0..ROWS {
        for c in 0..COLUMNS {
            let left = times(&got, row, &|k| softened(0, k, c) + softened(1, k, c));
            let right: f64 = (0..2).map(|at| times(&case.models[at], row, &|k| softened(at, k, c))).sum();
            assert!((left - right).abs() < 1e-9 * (1.0 + right.abs()), "{row} {c}: {left} {right}");
        }
    }
}

#[test]
fn regmean_averages_along_directions_without_inputs_and_what_has_no_gram_matrix() {
    let of = |w: &[f64], v: f64| {
        Fixture::empty().with("w", Dtype::F32, &[1, 2], w).with("v", Dtype::F32, &[1], &[v])
    };
    let gram = |first: f64| Fixture::empty().with("w", Dtype::F32, &[2, 2], &[first, 0.0, 0.0, 0.0]);
    let all = inputs(&[
        ("o/a", of(&[1.0, 1.0], 1.0)),
        ("o/b", of(&[2.0, 5.0], 4.0)),
        ("one", gram(3.0)),
        ("two", gram(1.0)),
    ]);
    let yaml = "{merge_method: regmean, models: [{model: o/a, parameters: {gram: one}}, {model: o/b, parameters: {gram: two}}]}";

    let made = merge(yaml, &all);

    assert_eq!(values(&made, "w"), [1.25, 3.0]);
    assert_eq!(values(&made, "v"), [2.5]);
}

#[test]
fn emr_rebuilds_a_member_from_what_all_share() {
    let case = Case::new();
    let deltas = case.deltas();

    let got = case.run("emr", &["", "", ""], "member: 2");

    let shared = |j: usize| {
        let sign = if deltas.iter().map(|d| d[j]).sum::<f64>() > 0.0 { 1.0 } else { -1.0 };
        let size = deltas.iter().map(|d| d[j] * sign).fold(0.0, f64::max);
        if deltas[1][j] * sign > 0.0 { sign * size } else { 0.0 }
    };
    let all = 0..ROWS * COLUMNS;
    let whole: f64 = deltas[1].iter().map(|d| d.abs()).sum();
    let scale = whole / all.map(|j| shared(j).abs()).sum::<f64>();
    close(&got, &case.around(|j| scale * shared(j)));
}

#[test]
fn signs_may_be_elected_by_how_many_models_have_them() {
    let of = |values: &[f64]| Fixture::empty().with("w", Dtype::F32, &[2], values);
    let all = inputs(&[
        ("o/base", of(&[0.0; 2])),
        ("o/a", of(&[5.0, -1.0])),
        ("o/b", of(&[-1.0, 3.0])),
        ("o/c", of(&[-2.0, 1.0])),
    ]);
    let yaml = "{merge_method: ties, base_model: o/base, models: [{model: o/a}, {model: o/b}, {model: o/c}], parameters: {weight: 1, election: WORD}}";
    let by = |word| values(&merge(&yaml.replace("WORD", word), &all), "w");

    assert_eq!(by("sum"), [5.0, 2.0]);
    assert_eq!(by("count"), [-1.5, 2.0]);
}

#[test]
fn rescaling_gives_back_the_norm_asked_for() {
    let case = Case::new();
    let delta = &case.deltas()[0];
    let mut order: Vec<usize> = (0..delta.len()).collect();
    order.sort_by(|a, b| (delta[*b].abs() as f32).total_cmp(&(delta[*a].abs() as f32)));
    let (count, top) = (delta.len() / 2, delta.len() / 4);
    let kept = &order[top..top + count];

    for (word, norm) in [
        ("l1", (|d: &[f64]| d.iter().map(|d| d.abs()).sum()) as fn(&[f64]) -> f64),
        ("l2", |d: &[f64]| d.iter().map(|d| d * d).sum::<f64>().sqrt()),
        ("linf", |d: &[f64]| d.iter().fold(0.0, |most: f64, d| most.max(d.abs()))),
    ] {
        let shared = format!("rescale: true, rescale_norm: {word}");
        let got = case.run("breadcrumbs", &["weight: 1, density: 0.5, gamma: 0.25"], &shared);

        let sparse: Vec<f64> =
            (0..delta.len()).map(|j| if kept.contains(&j) { delta[j] } else { 0.0 }).collect();
        close(&got, &case.around(|j| sparse[j] * norm(delta) / norm(&sparse)));
    }
}
