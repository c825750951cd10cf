//! Kinship against a naive reference in f64, and its corner cases.

use kernels::Dtype;

use super::{Named, kinship};
use crate::testing::{Fixture, model, noise};

fn named(label: &str, fixture: Fixture) -> Named {
    Named { label: label.into(), source: fixture.share(), tokens: None }
}

fn of(values: &[f64]) -> Fixture {
    Fixture::empty().with("w", Dtype::F32, &[values.len() as u64], values)
}

fn close(got: Option<f64>, expected: f64) -> bool {
    got.is_some_and(|got| (got - expected).abs() < 1e-9)
}

#[test]
fn the_test_vectors_of_the_definition_hold() {
    let base = named("base", of(&[0.0; 4]));
    let models = [
        named("a", of(&[1.0, 2.0, 3.0, 4.0])),
        named("b", of(&[2.0, 1.0, 4.0, 3.0])),
        named("c", of(&[-1.0, -2.0, -3.0, -4.0])),
    ];

    let report = kinship(&models, Some(&base), &|_| Ok(())).unwrap();

    assert!(close(report.matrices["cosine"][0][1], 28.0 / 30.0));
    assert!(close(report.matrices["pearson"][0][1], 0.6));
    assert!(close(report.matrices["euclidean"][0][1], 2.0));
    assert!(close(report.matrices["cosine"][0][2], -1.0));
}

#[test]
fn an_unchanged_model_has_no_angle() {
    let base = named("base", of(&[1.0, 2.0]));
    let models = [named("a", of(&[1.0, 2.0])), named("b", of(&[1.0, 5.0]))];

    let report = kinship(&models, Some(&base), &|_| Ok(())).unwrap();

    assert_eq!(report.matrices["cosine"], [[None, None], [None, Some(1.0)]]);
    assert!(close(report.matrices["euclidean"][0][1], 3.0));
    assert_eq!(report.mean["cosine"], None);
    assert_eq!(report.relative_norms[0], Some(0.0));
}

#[test]
fn the_global_value_is_not_the_mean_of_the_tensors() {
    let unit = |at: usize| (0..100).map(|i| f64::from(u8::from(i == at))).collect::<Vec<_>>();
    let two = |first: &[f64], second: &[f64]| {
        Fixture::empty().with("a", Dtype::F32, &[2], first).with("b", Dtype::F32, &[100], second)
    };
    let base = named("base", two(&[0.0; 2], &[0.0; 100]));
    let models = [named("x", two(&[1.0, 0.0], &unit(0))), named("y", two(&[1.0, 0.0], &unit(1)))];

    let report = kinship(&models, Some(&base), &|_| Ok(())).unwrap();

    assert!(close(report.matrices["cosine"][0][1], 0.5));
}

#[test]
fn many_blocks_on_any_number_of_threads_agree_with_a_naive_sum() {
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let models = [named("a", model(2)), named("b", model(3))];
        pool.install(|| kinship(&models, Some(&named("base", model(1))), &|_| Ok(()))).unwrap()
    };
    let name = "model.layers.1.mlp.up_proj.weight";
    let [base, a, b] = [1, 2, 3].map(|seed| crate::testing::values(&model(seed), name));
    let delta = |m: &[f32]| m.iter().zip(&base).map(|(m, b)| f64::from(m - b)).collect::<Vec<_>>();
    let (a, b) = (delta(&a), delta(&b));
    let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
    let expected = dot(&a, &b) / (dot(&a, &a) * dot(&b, &b)).sqrt();

    let (one, four) = (run(1), run(4));

    let layer = one.layers.iter().find(|layer| layer.layer == "1").unwrap();
    assert!(close(layer.matrices["cosine"][0][1], expected));
    assert_eq!(one.matrices, four.matrices);
    assert_eq!(one.layers.iter().map(|l| l.layer.as_str()).collect::<Vec<_>>(), ["embed", "0", "1", "norm"]);
    assert!(one.coverage.skipped.iter().any(|s| s.tensor == "model.steps"));
}

#[test]
fn a_nan_is_reported_and_poisons_nothing_else() {
    let two = |values: &[f64], other: f64| of(values).with("bad", Dtype::F32, &[1], &[other]);
    let base = named("base", two(&[0.0, 0.0], 0.0));
    let models = [named("a", two(&[1.0, 1.0], 1.0)), named("b", two(&[1.0, 1.0], f64::NAN))];

    let report = kinship(&models, Some(&base), &|_| Ok(())).unwrap();

    assert!(close(report.matrices["cosine"][0][1], 1.0));
    assert_eq!(report.coverage.skipped.len(), 1);
    assert!(report.coverage.skipped[0].reason.contains("`b`"));
}

#[test]
fn without_a_base_only_distance_is_defined_and_strangers_are_an_error() {
    let values = noise(5, 50);
    let models = [named("a", of(&values)), named("b", of(&values))];

    let report = kinship(&models, None, &|_| Ok(())).unwrap();

    assert_eq!(report.matrices["cosine"][0][1], None);
    assert_eq!(report.matrices["euclidean"][0][1], Some(0.0));
    assert!(kinship(&models[..1], None, &|_| Ok(())).is_err());
    assert!(kinship(&[named("a", of(&[1.0])), named("b", of(&values))], None, &|_| Ok(())).is_err());
}

mod sketched {
    use std::collections::BTreeMap;

    use domain::Fault as _;
    use kernels::Sketch;

    use crate::kinship::{Partial, Sketched, SketchedTensor, estimate};

    fn model(label: &str, values: &[f32], cells: usize) -> Sketched {
        let mut sketch = Sketch::new(1, values.len() as u64, cells);
        sketch.add_block(0, values);
        let tensor = SketchedTensor {
            name: "w".into(),
            shape: vec![values.len() as u64],
            sum: values.iter().map(|v| f64::from(*v)).sum(),
            nonfinite: values.iter().filter(|v| !v.is_finite()).count() as u64,
            exact: sketch.is_exact(),
            block_sums: sketch.block_sums().to_vec(),
            cells: sketch.cells().iter().map(|cell| *cell as f32).collect(),
        };
        let tensors = BTreeMap::from([("w".into(), tensor)]);
        Sketched { label: label.into(), tensors, ..Sketched::default() }
    }

    #[test]
    fn small_tensors_are_kept_whole_and_their_kinship_is_exact() {
        let base = model("base", &[0.0; 4], 64);
        let models = [model("a", &[1.0, 2.0, 3.0, 4.0], 64), model("b", &[2.0, 1.0, 4.0, 3.0], 64)];

        let report = estimate(&models, Some(&base), Partial::Refuse).unwrap();

        for (id, value) in [("cosine", 28.0 / 30.0), ("pearson", 0.6), ("euclidean", 2.0)] {
            assert!((report.matrices[id][0][1].unwrap() - value).abs() < 1e-12, "{id}");
            assert_eq!(report.standard_errors[id][0][1], Some(0.0), "{id}");
        }
        assert!(!report.exact);
    }

    #[test]
    fn models_of_which_too_little_is_sketched_are_told_how_much_and_what_helps() {
        let model = |label: &str, own: usize| {
            let mut model = model(label, &[1.0; 8], 64);
            let (_, mut tensor) = self::model("own", &vec![1.0; own], 64).tensors.pop_first().unwrap();
            tensor.name = "own.weight".into();
            model.tensors.insert("own.weight".into(), tensor);
            model
        };

        let error =
            estimate(&[model("a", 4), model("b", 5)], Some(&model("base", 4)), Partial::Refuse).unwrap_err();

        assert_eq!(error.code(), "too_little_in_common");
        let told = error.to_string();
        assert!(
            told.contains("62\u{a0}%") && told.contains("exact") && !told.contains("no tensor"),
            "{told}"
        );
    }

    #[test]
    fn models_that_share_too_little_are_refused_with_the_reason() {
        let base = model("base", &[0.0; 4], 64);
        let other = |values: &[f32]| [model("a", &[1.0; 4], 64), model("b", values, 64)];

        for (values, reason) in
            [(vec![1.0; 5], "shape [4] in `base`, [5] in `b`"), (vec![f32::NAN; 4], "NaN or infinity in `b`")]
        {
            let error = estimate(&other(&values), Some(&base), Partial::Refuse).unwrap_err();
            assert_eq!(error.code(), "nothing_in_common");
            assert!(error.to_string().contains(reason), "{error}");
        }
    }
}
