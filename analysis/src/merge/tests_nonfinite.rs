//! NaN and infinities that a recipe lets through.

use kernels::Dtype;
use weights::TensorSource as _;

use super::{
    Inputs, laws,
    tests::{inputs, merge},
};
use crate::testing::{Fixture, bytes, noise, values};

/// NaN in `o/a` at 3, an infinity in `o/b` at 40, one in all models at 60; `with` stands for all of them where given.
fn models(dtype: Dtype, with: Option<f64>) -> Inputs {
    let of = |name: &str, seed: u64| {
        let mut values = noise(seed, 30 * 23);
        let put = |value: f64| with.unwrap_or(value);
        if name == "o/a" {
            values[3] = put(f64::NAN);
        }
        if name == "o/b" {
            values[40] = put(f64::NEG_INFINITY);
        }
        values[60] = put(f64::INFINITY);
        Fixture::empty().with("layers.0.up_proj.weight", dtype, &[30, 23], &values)
    };
    laws::with_files(inputs(&[
        ("o/base", of("o/base", 1)),
        ("o/a", of("o/a", 2)),
        ("o/b", of("o/b", 3)),
        ("o/c", of("o/c", 4)),
    ]))
}

#[test]
fn every_method_gives_nan_where_an_input_is_no_number_and_the_rest_as_if_that_were_zero() {
    for dtype in [Dtype::F32, Dtype::Bf16] {
        let (spoiled, sound) = (models(dtype, None), models(dtype, Some(0.0)));
        for (yaml, others) in laws::recipes() {
            let allowed = yaml.replacen('{', "{allow_nonfinite: true, ", 1);
            let sound = values(&merge(&allowed, &sound), "layers.0.up_proj.weight");

            let merged = merge(&allowed, &spoiled);
            let found = values(&merged, "layers.0.up_proj.weight");

            for (at, (found, sound)) in found.iter().zip(&sound).enumerate() {
                let wanted = match at {
                    3 if others.contains(&"o/a") => f32::NAN,
                    40 if others.contains(&"o/b") => f32::NAN,
                    60 => f32::INFINITY,
                    _ => *sound,
                };
                assert_eq!(found.to_bits(), wanted.to_bits(), "{yaml} at {at}: {found} for {wanted}");
            }
            let whole = bytes(&merged, 0);
            let alone = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
            let again = alone.install(|| bytes(&merge(&allowed, &spoiled), 0));
            assert_eq!(whole, again, "{yaml}");
        }
    }
}

#[test]
fn what_is_let_through_is_counted_by_model() {
    let yaml = "{merge_method: ties, base_model: o/base, models: [{model: o/a}, {model: o/b}], parameters: {weight: 1}, allow_nonfinite: true}";
    let merged = merge(yaml, &models(Dtype::Bf16, None));
    bytes(&merged, 0);

    let wanted = serde_json::json!([
        { "model": "o/a", "nan": 1, "infinite": 1 },
        { "model": "o/b", "nan": 0, "infinite": 2 },
        { "model": "o/base", "nan": 0, "infinite": 1 },
    ]);
    assert_eq!(merged.account(0)["nonfinite"], wanted);
    let sound = merge(yaml, &models(Dtype::Bf16, Some(0.5)));
    bytes(&sound, 0);
    assert!(!sound.account(0).contains_key("nonfinite"));
}
