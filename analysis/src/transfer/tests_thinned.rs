//! Transfers of some elements of a change, and the models between two bases.

use std::sync::Arc;

use domain::{Fault as _, Limits};
use kernels::Dtype;
use serde_json::json;
use weights::TensorSource;

use super::{Configs, Named, Operands, Options, Sparsify, TransferSource, check};
use crate::testing::{Fixture, model, same, values};

const UP: &str = "model.layers.1.mlp.up_proj.weight";

fn named(label: &str, source: Arc<dyn TensorSource>) -> Named {
    Named { label: label.to_owned(), source, tokens: None }
}

fn sparse(wanted: serde_json::Value) -> Sparsify {
    serde_json::from_value(wanted).unwrap()
}

fn thinned(wanted: serde_json::Value) -> Result<Arc<dyn TensorSource>, crate::Error> {
    let (base, tuned) = (model(2).share(), model(3).share());
    sparse(wanted).thinned(&base, (&tuned, "content".to_owned()), &Limits::default())
}

fn carried(tuned: Arc<dyn TensorSource>) -> TransferSource {
    let operands = Operands {
        target_base: named("target", model(1).share()),
        source_base: named("base", model(2).share()),
        source_tuned: named("tuned", tuned),
    };
    TransferSource::new(operands, &Options::default()).unwrap()
}

#[test]
fn a_density_of_one_carries_the_whole_change_bit_for_bit() {
    let plain = carried(model(3).share());

    for kind in ["magnitude", "middle", "random", "magprune"] {
        let gamma = if kind == "middle" { json!(0) } else { json!(null) };
        let all = thinned(json!({ "kind": kind, "density": 1, "gamma": gamma })).unwrap();

        assert!(same(&plain, &carried(all)), "{kind}");
    }
}

#[test]
fn the_elements_that_are_carried_are_those_of_the_merge_method() {
    let [base, tuned] = [2, 3].map(|seed| values(&model(seed), UP));
    let delta: Vec<f64> = tuned.iter().zip(&base).map(|(t, b)| f64::from(*t) - f64::from(*b)).collect();
    let mut sizes: Vec<f64> = delta.iter().map(|delta| delta.abs()).collect();
    sizes.sort_by(|a, b| b.total_cmp(a));
    let least = sizes[sizes.len() / 4 - 1];

    let kept = values(&*thinned(json!({ "kind": "magnitude", "density": 0.25 })).unwrap(), UP);

    for ((kept, base), (tuned, delta)) in kept.iter().zip(&base).zip(tuned.iter().zip(&delta)) {
        // Of equal ones at the edge the first are kept.
        if delta.abs() == least {
            continue;
        }
        let expected = if delta.abs() > least { tuned } else { base };
        assert!((kept - expected).abs() <= f32::EPSILON * expected.abs(), "{kept} against {expected}");
    }
    let draw =
        |seed: u64| values(&*thinned(json!({ "kind": "random", "density": 0.5, "seed": seed })).unwrap(), UP);
    let (one, two) = (draw(1), draw(2));
    let changed = one.iter().zip(&base).filter(|(one, base)| one != base).count() as f64;
    assert!((changed / base.len() as f64 - 0.5).abs() < 0.02, "{changed}");
    assert_ne!(one, two);
}

#[test]
fn tables_with_other_rows_and_what_the_base_lacks_stay_as_they_are() {
    let table = |rows: u64, value: f64| {
        let values = vec![value; rows as usize];
        Fixture::empty().with("model.embed_tokens.weight", Dtype::F32, &[rows, 1], &values).with(
            "model.layers.0.mlp.up_proj.weight",
            Dtype::F32,
            &[1, 4],
            &[value, 2.0 * value, 3.0, 4.0],
        )
    };
    let base = table(2, 1.0).share();
    let tuned = table(3, 2.0).with("extra", Dtype::F32, &[1], &[9.0]).share();

    let sparsify = sparse(json!({ "kind": "magnitude", "density": 0.25 }));
    let kept = sparsify.thinned(&base, (&tuned, String::new()), &Limits::default()).unwrap();

    assert_eq!(values(&*kept, "model.embed_tokens.weight"), [2.0; 3]);
    assert_eq!(values(&*kept, "extra"), [9.0]);
    assert_eq!(values(&*kept, "model.layers.0.mlp.up_proj.weight"), [1.0, 4.0, 3.0, 4.0]);
}

#[test]
fn shares_out_of_range_and_settings_of_another_kind_are_faults() {
    for (wanted, pointers) in [
        (json!({ "kind": "random", "density": 1.5 }), vec!["/sparsify/density"]),
        (json!({ "kind": "random", "density": 0.5, "gamma": 0.1 }), vec!["/sparsify/gamma"]),
        (
            json!({ "kind": "middle", "density": -1, "gamma": 2, "epsilon": 0.1 }),
            vec!["/sparsify/density", "/sparsify/gamma", "/sparsify/epsilon"],
        ),
    ] {
        let refused = thinned(wanted.clone()).err().unwrap();
        let found: Vec<String> = refused.items().into_iter().map(|item| item.pointer).collect();
        assert_eq!(found, pointers);
        let options = Options { sparsify: Some(sparse(wanted)), ..Options::default() };
        assert_eq!(options.canonical().unwrap_err().items().len(), pointers.len());
    }
    let steep = thinned(json!({ "kind": "magprune", "density": 0.9, "epsilon": 0.5 })).err().unwrap();
    assert_eq!(steep.items()[0].pointer, "/sparsify/epsilon", "{:?}", steep.items());
}

#[test]
fn a_check_gives_recipes_of_the_models_between_the_bases() {
    let look = |base: Fixture| {
        let operands = Operands {
            target_base: named("o/target", model(1).share()),
            source_base: named("o/base", base.share()),
            source_tuned: named("o/tuned", model(3).share()),
        };
        let options = Options { missing: super::Missing::Base, ..Options::default() };
        check(&operands, &options, Configs::default(), &|_| Ok(())).unwrap().interpolation
    };

    let between = look(model(2));

    assert_eq!(between.len(), 11);
    assert_eq!((between[0].alpha, between[10].alpha), (0.0, 1.0));
    for step in &between {
        let recipe = crate::merge::parse(&step.recipe).unwrap();
        let weight = |at: usize| recipe.models[at].parameters["weight"].of("w", 0.0).unwrap();
        assert_eq!(
            (recipe.models[0].model.as_str(), recipe.models[1].model.as_str()),
            ("o/base", "o/target")
        );
        assert!((weight(1) - step.alpha).abs() < 1e-12 && (weight(0) + weight(1) - 1.0).abs() < 1e-12);
    }
    assert!(look(model(2).with("extra", Dtype::F32, &[1], &[1.0])).is_empty());
}
