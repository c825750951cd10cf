//! The methods on the sphere, those of single elements and those that choose by groups, against their formulas.

use domain::Limits;
use kernels::Dtype;

use super::{
    check::check_method,
    methods::clipped::Clipped,
    parse,
    references::{COLUMNS, Case, ROWS, close},
    tests::{inputs, merge},
};
use crate::testing::{Fixture, values};

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn norm(a: &[f64]) -> f64 {
    dot(a, a).sqrt()
}

fn scaled(a: &[f64], by: f64) -> Vec<f64> {
    a.iter().map(|a| a * by).collect()
}

fn plus(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a + b).collect()
}

fn on_arc(a: &[f64], b: &[f64], t: f64) -> Vec<f64> {
    let angle = (dot(a, b) / norm(a) / norm(b)).clamp(-1.0, 1.0).acos();
    plus(&scaled(a, ((1.0 - t) * angle).sin() / angle.sin()), &scaled(b, (t * angle).sin() / angle.sin()))
}

fn column(values: &[f64], at: usize) -> Vec<f64> {
    values.iter().skip(at).step_by(COLUMNS).copied().collect()
}

#[test]
fn nuslerp_takes_the_arc_between_deltas_as_wholes_rows_or_columns() {
    let case = Case::new();
    let deltas = case.deltas();
    let own = ["weight: 1", "weight: 3"];

    let whole = case.run("nuslerp", &own, "");
    let rows = case.run("nuslerp", &own, "axis: -1");
    let legacy = case.run("nuslerp", &own, "nuslerp_flatten: false");
    let columns = case.run("nuslerp", &own, "axis: 0");

    let expected = on_arc(&deltas[0], &deltas[1], 0.75);
    close(&whole, &case.around(|j| expected[j]));
    let expected: Vec<f64> = deltas[0]
        .chunks(COLUMNS)
        .zip(deltas[1].chunks(COLUMNS))
        .flat_map(|(a, b)| on_arc(a, b, 0.75))
        .collect();
    close(&rows, &case.around(|j| expected[j]));
    assert_eq!(rows, legacy);
    let expected: Vec<Vec<f64>> =
        (0..COLUMNS).map(|at| on_arc(&column(&deltas[0], at), &column(&deltas[1], at), 0.75)).collect();
    close(&columns, &case.around(|j| expected[j % COLUMNS][j / COLUMNS]));
}

#[test]
fn slerp_turns_small_angles_too_only_when_asked_as_nuslerp() {
    let of = |values: &[f64]| Fixture::empty().with("w", Dtype::F32, &[2], values);
    let pair = inputs(&[("o/a", of(&[1.0, 0.0])), ("o/b", of(&[1.0, 1e-3]))]);
    let slerp = "{merge_method: slerp, base_model: o/a, dtype: float64, models: [{model: o/a}, {model: o/b}], parameters: {t: 0.5}}";
    let nuslerp = "{merge_method: nuslerp, dtype: float64, models: [{model: o/a}, {model: o/b}], parameters: {weight: 1}}";
    let length = |yaml: &str| {
        values(&merge(yaml, &pair), "w").iter().map(|v| f64::from(*v)).map(|v| v * v).sum::<f64>()
    };

    // The middle of a chord is nearer to the centre than that of an arc.
    assert!(length(nuslerp) > length(slerp) + 2e-7);
}

#[test]
fn multislerp_steps_from_the_mean_direction() {
    let case = Case::new();
    let deltas = case.deltas();
    let weights = [0.2, 0.3, 0.5];

    let got = case.run("multislerp", &["weight: 0.4", "weight: 0.6", "weight: 1"], "");

    let units: Vec<Vec<f64>> = deltas.iter().map(|d| scaled(d, 1.0 / (norm(d) + 1e-8))).collect();
    let weigh = |of: &[Vec<f64>]| {
        of.iter().zip(weights).fold(vec![0.0; ROWS * COLUMNS], |sum, (v, w)| plus(&sum, &scaled(v, w)))
    };
    let mean = weigh(&units);
    let mean = scaled(&mean, 1.0 / norm(&mean));
    let off: Vec<Vec<f64>> = units.iter().map(|u| plus(u, &scaled(&mean, -dot(u, &mean)))).collect();
    let tangent = weigh(&off);
    let angle = norm(&tangent) + 1e-8;
    let direction = plus(&scaled(&mean, angle.cos()), &scaled(&tangent, angle.sin() / angle));
    let radius: f64 = deltas.iter().zip(weights).map(|(d, w)| w * norm(d)).sum();
    close(&got, &case.around(|j| direction[j] * radius));
}

#[test]
fn multislerp_of_opposite_deltas_is_refused_by_name() {
    let of = |values: &[f64]| Fixture::empty().with("w", Dtype::F32, &[2], values);
    let all = inputs(&[("o/a", of(&[1.0, 0.0])), ("o/b", of(&[-0.5, 0.0])), ("o/c", of(&[-2.0, 0.0]))]);
    let yaml = "{merge_method: multislerp, models: [{model: o/a, parameters: {weight: 2}}, {model: o/b, parameters: {weight: 1}}, {model: o/c, parameters: {weight: 1}}]}";

    let error = weights::TensorSource::read_bytes(&merge(yaml, &all), 0, 0, &mut [0; 8]).unwrap_err();

    assert!(error.to_string().contains("opposite directions in tensor `w`"), "{error}");
}

#[test]
fn karcher_iterates_to_the_mean_on_the_sphere_and_does_not_count_the_base() {
    let case = Case::new();

    let got = case.run("karcher", &["", "", ""], "max_iter: 4");

    let units: Vec<Vec<f64>> = case.models.iter().map(|m| scaled(m, 1.0 / norm(m))).collect();
    let mut at = units.iter().fold(vec![0.0; ROWS * COLUMNS], |sum, u| plus(&sum, u));
    at = scaled(&at, 1.0 / norm(&at));
    for _ in 0..4 {
        let pull = |u: &Vec<f64>| {
            let cosine = dot(&at, u);
            let angle = cosine.acos();
            scaled(&plus(u, &scaled(&at, -cosine)), angle / angle.sin() / 3.0)
        };
        let tangent = units.iter().map(pull).fold(vec![0.0; ROWS * COLUMNS], |sum, t| plus(&sum, &t));
        let step = norm(&tangent);
        if step < 1e-5 {
            break;
        }
        at = plus(&scaled(&at, step.cos()), &scaled(&tangent, step.sin() / step));
        at = scaled(&at, 1.0 / norm(&at));
    }
    let scale = case.models.iter().map(|m| norm(m)).sum::<f64>() / 3.0;
    close(&got, &scaled(&at, scale));
}

/// `t` of Model Stock for deltas as whole vectors.
fn stock(deltas: &[&[f64]]) -> f64 {
    let cosine = |i: usize, j: usize| dot(deltas[i], deltas[j]) / norm(deltas[i]) / norm(deltas[j]);
    let mean = (cosine(0, 1) + cosine(0, 2) + cosine(1, 2)) / 3.0;
    3.0 * mean / (1.0 + 2.0 * mean)
}

#[test]
fn model_stock_goes_as_far_as_the_deltas_agree_and_never_backwards() {
    let case = Case::new();
    let deltas = case.deltas();
    let mean = |j: usize| deltas.iter().map(|d| d[j]).sum::<f64>() / 3.0;
    let rows: Vec<f64> = (0..ROWS)
        .map(|row| stock(&deltas.iter().map(|d| &d[row * COLUMNS..][..COLUMNS]).collect::<Vec<_>>()))
        .collect();

    let whole = case.run("model_stock", &["", "", ""], "clamp_t: false");
    let free = case.run("model_stock", &["", "", ""], "clamp_t: false, filter_wise: true");
    let clamped = case.run("model_stock", &["", "", ""], "filter_wise: true");

    let t = stock(&deltas.iter().map(Vec::as_slice).collect::<Vec<_>>());
    close(&whole, &case.around(|j| t * mean(j)));
    close(&free, &case.around(|j| rows[j / COLUMNS] * mean(j)));
    close(&clamped, &case.around(|j| rows[j / COLUMNS].clamp(0.0, 1.0) * mean(j)));
    assert!(rows.iter().any(|t| *t < 0.0), "{rows:?}");
}

#[test]
fn ram_averages_what_several_changed_and_ram_plus_enlarges_what_one_did() {
    let case = Case::new();
    let deltas = case.deltas();
    let active = |i: usize, j: usize| deltas[i][j].abs() > 0.01;
    let count = |j: usize| (0..3).filter(|i| active(*i, j)).count();

    let ram = case.run("ram", &["", "", ""], "epsilon: 0.01");
    let plus = case.run("ramplus_tl", &["", "", ""], "epsilon: 0.01, r: 0.5, alpha: 1.5");

    let sum = |j: usize| (0..3).filter(|i| active(*i, j)).map(|i| deltas[i][j]).sum::<f64>();
    close(&ram, &case.around(|j| sum(j) / count(j).max(1) as f64));
    let alone = |i: usize| {
        let shared = (0..ROWS * COLUMNS).filter(|j| active(i, *j) && count(*j) > 1).count() as f64;
        let own = (0..ROWS * COLUMNS).filter(|j| active(i, *j) && count(*j) == 1).count() as f64;
        1.0 + 0.5 * (shared / own.max(0.01)).clamp(0.0, 1.5)
    };
    close(
        &plus,
        &case.around(|j| match count(j) {
            1 => (0..3).filter(|i| active(*i, j)).map(|i| alone(i) * deltas[i][j]).sum(),
            count => sum(j) / count.max(1) as f64,
        }),
    );
}

#[test]
fn the_method_printed_in_contributing_is_one_that_works() {
    let case = Case::new();
    let deltas = case.deltas();
    let of = |values: &[f64]| Fixture::empty().with("w", Dtype::F32, &[54], values);
    let all =
        inputs(&[("o/base", of(&case.base)), ("o/a", of(&case.models[0])), ("o/b", of(&case.models[1]))]);
    let config =
        parse("{merge_method: ram, base_model: o/base, models: [{model: o/a}, {model: o/b}]}").unwrap();

    let merged = check_method(&Clipped, &config, &all, &Limits::default()).unwrap();

    let got = values(&merged, "w").into_iter().map(f64::from);
    let expected = case.around(|j| deltas[..2].iter().map(|d| d[j].clamp(-0.01, 0.01)).sum());
    assert!(got.zip(expected).all(|(got, expected)| (got - expected).abs() <= 1e-6 * expected.abs()));
    let printed = include_str!("../../../CONTRIBUTING.md");
    assert!(printed.contains(include_str!("methods/clipped.rs")), "print methods/clipped.rs as it is");
}

#[test]
fn nearswap_moves_every_element_by_at_most_t() {
    let case = Case::new();
    let deltas = case.deltas();

    let got = case.run("nearswap", &[""], "t: 0.02");

    close(&got, &case.around(|j| deltas[0][j].clamp(-0.02, 0.02)));
}

#[test]
fn arcee_fusion_takes_what_lies_beyond_the_quartiles() {
    let case = Case::new();
    let softmax = |row: &[f64]| {
        let sum: f64 = row.iter().map(|v| v.exp()).sum();
        row.iter().map(|v| v.exp() / sum + 1e-8).collect::<Vec<_>>()
    };
    let delta = &case.deltas()[0];

    let got = case.run("arcee_fusion", &[""], "");

    let importance: Vec<f64> = (0..ROWS * COLUMNS)
        .map(|j| {
            let place = j / COLUMNS * COLUMNS;
            let (p, q) =
                (softmax(&case.models[0][place..][..COLUMNS]), softmax(&case.base[place..][..COLUMNS]));
            delta[j].abs() * p.iter().zip(q).map(|(p, q)| p * (p / q).ln()).sum::<f64>()
        })
        .collect();
    let mut order = importance.clone();
    order.sort_by(f64::total_cmp);
    let quantile = |q: f64| order[(q * (order.len() - 1) as f64) as usize];
    let threshold = quantile(0.5) + 1.5 * (quantile(0.75) - quantile(0.25));
    close(&got, &case.around(|j| if importance[j] >= threshold { delta[j] } else { 0.0 }));
    assert!(importance.iter().any(|i| *i >= threshold) && importance.iter().any(|i| *i < threshold));
}

#[test]
fn passthrough_scales_the_tensors_that_a_filter_names() {
    let case = Case::new();
    let plain = case.run("passthrough", &["scale: [{filter: other, value: 0}]"], "");
    let half = case.run("passthrough", &["scale: [{filter: w, value: 0.5}]"], "");

    assert_eq!(plain, case.models[0]);
    close(&half, &scaled(&case.models[0], 0.5));
}

#[test]
fn consensus_ta_adds_what_matters_to_two_models() {
    let case = Case::new();
    let deltas = case.deltas();

    let got = case.run("consensus_ta", &["mask_lambda: 0.3"; 3], "lambda: 0.9");

    let sum = |j: usize| deltas.iter().map(|d| d[j]).sum::<f64>();
    let needed = |j: usize| deltas.iter().filter(|d| d[j].abs() > 0.3 * (sum(j) - d[j]).abs()).count();
    close(&got, &case.around(|j| if needed(j) >= 2 { 0.9 * sum(j) } else { 0.0 }));
}

#[test]
fn localize_and_stitch_averages_the_largest_elements_where_they_overlap() {
    let case = Case::new();
    let deltas = case.deltas();
    let kept = |delta: &Vec<f64>| {
        let mut sizes: Vec<f64> = delta.iter().map(|d| d.abs()).collect();
        sizes.sort_by(|a, b| b.total_cmp(a));
        sizes[(0.3 * sizes.len() as f64) as usize - 1]
    };
    let least: Vec<f64> = deltas.iter().map(kept).collect();

    let got = case.run("localize_stitch", &["density: 0.3"; 3], "");

    close(
        &got,
        &case.around(|j| {
            let mine: Vec<f64> =
                (0..3).filter(|i| deltas[*i][j].abs() >= least[*i]).map(|i| deltas[i][j]).collect();
            mine.iter().sum::<f64>() / mine.len().max(1) as f64
        }),
    );
}

#[test]
fn magmax_takes_the_largest_delta_and_of_equal_ones_the_later() {
    let case = Case::new();
    let deltas = case.deltas();
    let of = |values: &[f64]| Fixture::empty().with("w", Dtype::F32, &[2], values);
    let equal = inputs(&[("o/base", of(&[0.0; 2])), ("o/a", of(&[2.0, -1.0])), ("o/b", of(&[-2.0, 1.0]))]);
    let recipe = |a: &str, b: &str| {
        format!(
            "{{merge_method: magmax, base_model: o/base, models: [{{model: {a}}}, {{model: {b}}}], parameters: {{lambda: 1}}}}"
        )
    };

    let got = case.run("magmax", &["", "", ""], "lambda: 0.5");

    let largest = |j: usize| deltas.iter().map(|d| d[j]).max_by(|a, b| a.abs().total_cmp(&b.abs())).unwrap();
    close(&got, &case.around(|j| 0.5 * largest(j)));
    assert_eq!(values(&merge(&recipe("o/a", "o/b"), &equal), "w"), [-2.0, 1.0]);
    assert_eq!(values(&merge(&recipe("o/b", "o/a"), &equal), "w"), [2.0, -1.0]);
}

#[test]
fn cabs_gives_each_model_elements_of_its_own_while_there_are_any() {
    let case = Case::new();
    let deltas = case.deltas();

    let got = case.run("cabs", &["weight: 1.2", "weight: 0.5", "weight: 0.9"], "n: 2, m: 4");

    let mut sums = vec![0.0; ROWS * COLUMNS];
    for start in (0..sums.len()).step_by(4) {
        let end = (start + 4).min(sums.len());
        let keep = ((end - start) * 2).div_ceil(4);
        let mut used: Vec<usize> = Vec::new();
        for (delta, weight) in deltas.iter().zip([1.2, 0.5, 0.9]) {
            let mut free: Vec<usize> = (start..end).filter(|j| !used.contains(j)).collect();
            let mut rest: Vec<usize> = (start..end).filter(|j| used.contains(j)).collect();
            for list in [&mut free, &mut rest] {
                list.sort_by(|a, b| delta[*b].abs().total_cmp(&delta[*a].abs()));
            }
            for j in free.into_iter().chain(rest).take(keep) {
                sums[j] += weight * delta[j];
                used.push(j);
            }
        }
    }
    close(&got, &case.around(|j| sums[j]));
}

/// `Σ A_ik·B_kj` of row-major matrices.
fn product(a: &[f64], b: &[f64], (n, inner, m): (usize, usize, usize)) -> Vec<f64> {
    let entry = |i: usize, j: usize| (0..inner).map(|k| a[i * inner + k] * b[k * m + j]).sum();
    (0..n * m).map(|at| entry(at / m, at % m)).collect()
}

fn transposed(a: &[f64], columns: usize) -> Vec<f64> {
    (0..columns).flat_map(|at| a.iter().skip(at).step_by(columns).copied()).collect()
}

#[test]
fn iso_c_has_equal_singular_values_along_the_directions_of_the_sum() {
    let case = Case::new();
    let sum: Vec<f64> = case.deltas().iter().fold(vec![0.0; ROWS * COLUMNS], |sum, d| plus(&sum, d));

    let got = case.run("iso_c", &["", "", ""], "");

    let delta: Vec<f64> = got.iter().zip(&case.base).map(|(y, b)| y - b).collect();
    let gram = product(&delta, &transposed(&delta, COLUMNS), (ROWS, COLUMNS, ROWS));
    for (at, entry) in gram.iter().enumerate() {
        let expected = if at / ROWS == at % ROWS { gram[0] } else { 0.0 };
        assert!((entry - expected).abs() < 1e-9 * gram[0], "{at}: {entry} {expected}");
    }
    // With D = m·UVᵀ, the product D·sumᵀ = m·U·S·Uᵀ is symmetric, and its trace is m·ΣS = 6·m².
    let cross = product(&delta, &transposed(&sum, COLUMNS), (ROWS, COLUMNS, ROWS));
    close(&cross, &transposed(&cross, ROWS));
    let trace: f64 = (0..ROWS).map(|at| cross[at * ROWS + at]).sum();
    assert!((trace - ROWS as f64 * gram[0]).abs() < 1e-9 * trace, "{trace} {}", gram[0]);
}

#[test]
fn tsv_merge_gives_back_what_does_not_interfere() {
    let of = |values: &[f64]| Fixture::empty().with("w", Dtype::F32, &[4, 4], values);
    let ranks = |at: usize, value: f64| {
        let mut delta = [0.0; 16];
        delta[at * 4 + at] = value;
        delta[(at + 1) * 4 + at + 1] = value / 2.0;
        delta
    };
    let all = inputs(&[("o/base", of(&[0.0; 16])), ("o/a", of(&ranks(0, 4.0))), ("o/b", of(&ranks(2, 6.0)))]);
    let yaml = "{merge_method: tsv_m, base_model: o/base, models: [{model: o/a}, {model: o/b}]}";

    let got = values(&merge(yaml, &all), "w");

    let diagonal = [4.0, 2.0, 6.0, 3.0];
    for (at, value) in got.iter().enumerate() {
        let expected = if at % 5 == 0 { diagonal[at / 5] } else { 0.0 };
        assert!((value - expected).abs() < 1e-5, "{at}: {value} {expected}");
    }
}

#[test]
fn tsv_merge_makes_shared_directions_orthogonal() {
    let case = Case::new();

    let got = case.run("tsv_m", &["", ""], "");

    // Three directions a model of the six there are: the sum of their values is the nuclear norm of the result.
    let delta: Vec<f64> = got.iter().zip(&case.base).map(|(y, b)| y - b).collect();
    let singular = |values: &[f64]| {
        let matrix = faer::Mat::from_fn(ROWS, COLUMNS, |row, column| values[row * COLUMNS + column]);
        matrix.singular_values().unwrap()
    };
    let kept: f64 = case.deltas()[..2].iter().map(|d| singular(d)[..3].iter().sum::<f64>()).sum();
    let total: f64 = singular(&delta).iter().sum();
    assert!((kept - total).abs() < 1e-9 * kept, "{kept} {total}");
}

#[test]
fn wudi_solves_the_normal_equations_of_its_loss() {
    let case = Case::new();
    let deltas = case.deltas();

    let got = case.run("wudi", &["", "", ""], "ridge: 0.000000001");
    let held = case.run("wudi", &["", "", ""], "ridge: 1000000000");

    let apart = |made: &[f64]| made.iter().zip(&case.base).map(|(y, b)| y - b).collect::<Vec<_>>();
    let found = apart(&got);
    let loss = |d: &[f64]| -> f64 {
        let one = |delta: &Vec<f64>| {
            let apart = plus(d, &scaled(delta, -1.0));
            let interference = product(&apart, &transposed(delta, COLUMNS), (ROWS, COLUMNS, ROWS));
            dot(&interference, &interference) / dot(delta, delta)
        };
        deltas.iter().map(one).sum()
    };
    let least = loss(&found);
    for at in 0..ROWS * COLUMNS {
        for by in [1e-3, -1e-3] {
            let mut moved = found.clone();
            moved[at] += by;
            assert!(loss(&moved) >= least, "{at} {by}: {} {least}", loss(&moved));
        }
    }
    let sum = deltas.iter().fold(vec![0.0; ROWS * COLUMNS], |sum, d| plus(&sum, d));
    assert!(least < 0.9 * loss(&sum), "{least} {}", loss(&sum));
    // Pulled hard enough, the answer is the sum itself.
    assert!(apart(&held).iter().zip(&sum).all(|(d, sum)| (d - sum).abs() < 1e-6 * (1.0 + sum.abs())));
}
