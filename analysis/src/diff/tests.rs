//! The comparison table and the difference as a checkpoint.

use kernels::Dtype;

use super::{DiffSource, compare};
use crate::testing::{Fixture, model, values};

#[test]
fn a_model_compared_with_itself_is_identical() {
    let report = compare(&model(1), &model(1), &|_| Ok(())).unwrap();

    assert!(report.tensors.iter().all(|tensor| tensor.identical && tensor.unchanged_share == 1.0));
    assert_eq!(report.totals.relative_l2, Some(0.0));
    assert!(report.verdict.contains("identical"));
}

#[test]
fn differences_are_measured_against_the_second_model() {
    let a = Fixture::empty().with("w", Dtype::F32, &[2], &[3.0, 5.0]).with("x", Dtype::F32, &[1], &[1.0]);
    let b = Fixture::empty().with("w", Dtype::F32, &[2], &[3.0, 4.0]).with("x", Dtype::F32, &[2], &[1.0; 2]);

    let report = compare(&a, &b, &|_| Ok(())).unwrap();

    let diff = &report.tensors[0];
    assert!((diff.relative_l2.unwrap() - 0.2).abs() < 1e-12);
    assert_eq!((diff.max_abs, diff.unchanged_share, diff.identical), (1.0, 0.5, false));
    assert_eq!(report.shape_mismatches[0].name, "x");
}

#[test]
fn the_difference_is_a_checkpoint_of_f32_tensors() {
    let name = "model.layers.1.mlp.up_proj.weight";
    let diff = DiffSource::new(model(2).share(), model(1).share()).unwrap();

    let [tuned, base] = [2, 1].map(|seed| values(&model(seed), name));

    for ((got, tuned), base) in values(&diff, name).iter().zip(tuned).zip(base) {
        assert_eq!(*got, tuned - base);
    }
    assert_eq!(diff.left_out(), ["model.steps"]);
}
