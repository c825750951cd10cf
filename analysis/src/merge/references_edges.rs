//! Methods where their formulas are at an edge: deltas that are light, parallel, sparse or none, columns over many blocks.

use kernels::Dtype;

use super::{
    references::{COLUMNS, Case, ROWS, close},
    tests::{inputs, merge},
};
use crate::testing::{Fixture, bytes, noise, values};

/// A base of zeros and two models of one tensor, merged by `method`.
fn pair(method: &str, shared: &str, [a, b]: [&[f64]; 2]) -> Vec<f32> {
    let of = |values: &[f64]| Fixture::empty().with("w", Dtype::F32, &[values.len() as u64], values);
    let all = inputs(&[("o/base", of(&vec![0.0; a.len()])), ("o/a", of(a)), ("o/b", of(b))]);
    let yaml = format!(
        "{{merge_method: {method}, base_model: o/base, models: [{{model: o/a}}, {{model: o/b}}], parameters: {{{shared}}}}}"
    );
    values(&merge(&yaml, &all), "w")
}

#[test]
fn what_localize_and_stitch_keeps_of_a_sparse_delta_is_not_averaged_with_elements_that_did_not_change() {
    let [mut a, mut b] = [[0.0; 10]; 2];
    (a[0], a[4], b[4], b[7]) = (2.0, 1.0, 3.0, -6.0);

    let got = pair("localize_stitch", "density: 0.8", [&a, &b]);

    assert_eq!(got, [2.0, 0.0, 0.0, 0.0, 2.0, 0.0, 0.0, -6.0, 0.0, 0.0]);
}

#[test]
fn karcher_of_parallel_models_is_found_with_any_tolerance() {
    for tol in ["0", "1e-12", "1e-9", "1e-5"] {
        let got = pair("karcher", &format!("tol: {tol}"), [&[1.0, 2.0, 3.0], &[2.0, 4.0, 6.0]]);

        for (got, expected) in got.iter().zip([1.5, 3.0, 4.5]) {
            assert!((got - expected).abs() < 1e-6, "{tol}: {got} {expected}");
        }
    }
}

#[test]
fn karcher_of_opposite_models_is_refused_with_any_tolerance() {
    let of = |values: &[f64]| Fixture::empty().with("w", Dtype::F32, &[2], values);
    let all = inputs(&[("o/a", of(&[3.0, 4.0])), ("o/b", of(&[-3.0, -4.0]))]);
    for tol in ["0", "1e-5"] {
        let yaml = format!(
            "{{merge_method: karcher, models: [{{model: o/a}}, {{model: o/b}}], parameters: {{tol: {tol}}}}}"
        );

        let error = weights::TensorSource::read_bytes(&merge(&yaml, &all), 0, 0, &mut [0; 8]).unwrap_err();

        assert!(error.to_string().contains("points away from the mean"), "{tol}: {error}");
    }
}

#[test]
fn multislerp_takes_no_digits_from_the_base_where_a_model_did_not_change() {
    let mut case = Case::new();
    case.models[0] = case.base.clone();
    let delta = &case.deltas()[1];

    let got = case.run("multislerp", &["weight: 1", "weight: 1"], "");

    for (j, got) in got.iter().enumerate() {
        let expected = case.base[j] + 0.5 * delta[j];
        assert!((got - expected).abs() <= 1e-13 * (1.0 + expected.abs()), "{j}: {got} {expected}");
    }
}

/// A case around a base of zeros, whose deltas are those of the usual one times `by`, rounded to f32.
fn light(by: f64) -> Case {
    let mut case = Case::new();
    let deltas = case.deltas();
    case.base.fill(0.0);
    for (model, delta) in case.models.iter_mut().zip(deltas) {
        *model = delta.iter().map(|delta| f64::from((by * delta) as f32)).collect();
    }
    case
}

#[test]
fn model_stock_goes_as_far_with_light_fine_tunes_as_with_heavy_ones() {
    // A power of two, so that the models are the same but for their size.
    let by = 2f64.powi(-30);
    for shared in ["clamp_t: false", "clamp_t: false, filter_wise: true"] {
        let heavy = light(1.0).run("model_stock", &["", "", ""], shared);

        let got = light(by).run("model_stock", &["", "", ""], shared);

        assert_eq!(got, heavy.iter().map(|value| by * value).collect::<Vec<f64>>(), "{shared}");
    }
}

#[test]
fn model_stock_with_the_parity_flag_takes_small_deltas_for_ones_without_an_angle() {
    let case = light(1e-6);
    let deltas = case.deltas();
    let cosine = |i: usize, j: usize| {
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let norms = dot(&deltas[i], &deltas[i]).sqrt() * dot(&deltas[j], &deltas[j]).sqrt();
        assert!(norms < 1e-6, "{norms}");
        dot(&deltas[i], &deltas[j]) / 1e-6
    };
    let mean = (cosine(0, 1) + cosine(0, 2) + cosine(1, 2)) / 3.0;
    let t = 3.0 * mean / (1.0 + 2.0 * mean);

    let got = case.run("model_stock", &["", "", ""], "clamp_t: false, legacy_eps: true");

    let whole = case.run("model_stock", &["", "", ""], "clamp_t: false");
    let by = |j: usize| t * deltas.iter().map(|delta| delta[j]).sum::<f64>() / 3.0;
    for (j, got) in got.iter().enumerate() {
        assert!((got - by(j)).abs() <= 1e-9 * by(j).abs() + 1e-25, "{j}: {got} {}", by(j));
    }
    assert_ne!(got, whole);
}

#[test]
fn what_no_model_changed_has_no_angle_in_model_stock() {
    let mut case = Case::new();
    case.models[2] = case.base.clone();
    let deltas = case.deltas();
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let one =
        dot(&deltas[0], &deltas[1]) / (dot(&deltas[0], &deltas[0]) * dot(&deltas[1], &deltas[1])).sqrt();
    let t = one / (1.0 + 2.0 * one / 3.0);

    let got = case.run("model_stock", &["", "", ""], "clamp_t: false");

    close(&got, &case.around(|j| t * (deltas[0][j] + deltas[1][j]) / 3.0));
    assert_eq!(got.len(), ROWS * COLUMNS);
}

#[test]
fn columns_over_many_blocks_are_turned_each_by_its_own_angle_on_any_number_of_threads() {
    // Rows that no block has a whole number of, and rows longer than a block.
    for shape in [[300, 700], [3, 70_001]] {
        let [rows, columns] = shape.map(|side: u64| side as usize);
        let of = |seed: u64| Fixture::empty().with("w", Dtype::F32, &shape, &noise(seed, rows * columns));
        let all = inputs(&[("o/a", of(5)), ("o/b", of(6))]);
        let yaml = "{merge_method: nuslerp, dtype: float64, parameters: {axis: \"0\"}, models: [
            {model: o/a, parameters: {weight: 1}}, {model: o/b, parameters: {weight: 3}}]}";
        let on = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| bytes(&merge(yaml, &all), 0))
        };

        let alone = on(1);

        assert!(alone == on(5), "{shape:?}");
        let got: Vec<f64> = alone.as_chunks::<8>().0.iter().map(|raw| f64::from_le_bytes(*raw)).collect();
        let [a, b] = [5, 6].map(|seed| noise(seed, rows * columns));
        let mut turned = 0;
        for column in (0..columns).step_by(97) {
            let of = |all: &[f64]| -> Vec<f64> {
                (0..rows).map(|row| f64::from(all[row * columns + column] as f32)).collect()
            };
            let (a, b) = (of(&a), of(&b));
            let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
            let cosine = dot(&a, &b) / (dot(&a, &a) * dot(&b, &b)).sqrt();
            // Vectors that are nearly parallel or opposite answer to the last digit of their cosine.
            if cosine.abs() > 0.999 {
                continue;
            }
            turned += 1;
            let angle = cosine.acos();
            let (from, to) = ((0.25 * angle).sin() / angle.sin(), (0.75 * angle).sin() / angle.sin());
            for row in 0..rows {
                let (got, expected) = (got[row * columns + column], from * a[row] + to * b[row]);
                let size = 1.0 + expected.abs();
                assert!((got - expected).abs() <= 1e-9 * size, "{shape:?} {row} {column}: {got} {expected}");
            }
        }
        assert!(turned > 5, "{shape:?}");
    }
}

#[test]
fn what_has_no_direction_counts_for_the_length_alone_in_karcher() {
    assert_eq!(pair("karcher", "max_iter: 10", [&[0.0, 0.0], &[3.0, 4.0]]), [1.5, 2.0]);
}

#[test]
fn slerp_is_a_line_between_nearly_opposite_tensors_as_well() {
    let of = |values: &[f64]| Fixture::empty().with("w", Dtype::F32, &[2], values);
    let all = inputs(&[("o/a", of(&[1.0, 0.0])), ("o/b", of(&[-1.0, 0.0078125]))]);
    let yaml =
        "{merge_method: slerp, base_model: o/a, models: [{model: o/a}, {model: o/b}], parameters: {t: 0.25}}";

    assert_eq!(values(&merge(yaml, &all), "w"), [0.5, 0.001953125]);
}

#[test]
fn two_opposite_models_are_averaged_by_multislerp_and_left_at_the_base_by_model_stock() {
    let opposite: [&[f64]; 2] = [&[3.0, 4.0], &[-3.0, -4.0]];
    let longer: [&[f64]; 2] = [&[3.0, 4.0], &[-6.0, -8.0]];

    assert_eq!(pair("multislerp", "weight: 1", opposite), [0.0, 0.0]);
    assert_eq!(pair("multislerp", "weight: 1", longer), [-1.5, -2.0]);
    assert_eq!(pair("model_stock", "clamp_t: false", longer), [0.0, 0.0]);
}

#[test]
fn with_an_epsilon_of_zero_what_did_not_change_at_all_shares_nothing_in_ram() {
    assert_eq!(pair("ram", "epsilon: 0", [&[1.0, 2.0], &[0.0, 4.0]]), [1.0, 3.0]);
}

#[test]
fn emr_elects_minus_where_the_deltas_cancel() {
    let members: [&[f64]; 2] = [&[1.0, 2.0, -1.0, 0.0], &[3.0, -2.0, -2.0, 0.0]];

    let first = pair("emr", "member: 1", members);
    let second = pair("emr", "member: 2", members);

    // 4 over 5 of [3, 0, -2, 0].
    let wanted = [2.4f32, 0.0, -1.6, 0.0];
    assert!(first.iter().zip(wanted).all(|(got, wanted)| (got - wanted).abs() < 1e-6), "{first:?}");
    assert_eq!(second, [3.0, -2.0, -2.0, 0.0]);
}
