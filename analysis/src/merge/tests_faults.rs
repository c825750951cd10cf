//! What is wrong with a recipe is told where it is, all of it at once and no more than that.

use domain::{Fault, Item};

use super::{
    BaseNeed, Inputs, Kind, METHODS, MethodSpec, parse,
    tests::{check, inputs},
};
use crate::testing::model;

fn four() -> Inputs {
    inputs(&[("o/base", model(1)), ("o/a", model(2)), ("o/b", model(3)), ("o/c", model(4))])
}

/// Every fault of a recipe that is refused, of the text or against its models.
fn faults(yaml: &str, inputs: &Inputs) -> Vec<Item> {
    match parse(yaml).and_then(|config| check(&config, inputs)) {
        Ok(_) => panic!("{yaml} is accepted"),
        Err(error) => error.items().to_vec(),
    }
}

fn pointers(faults: &[Item]) -> Vec<&str> {
    faults.iter().map(|fault| fault.pointer.as_str()).collect()
}

/// A recipe that merges `names` and gives no parameter that has a default.
fn bare(spec: &MethodSpec, base: Option<&str>, names: &[&str]) -> String {
    let needed = |per_model: bool| {
        let own = spec.parameters.iter().filter(|param| param.per_model == per_model);
        let given = own.filter(|param| param.default.is_none() && param.kind != Kind::File);
        given.map(|param| format!("{}: 0.5", param.name)).collect::<Vec<_>>().join(", ")
    };
    let entry = |name: &&str| format!("{{model: {name}, parameters: {{{}}}}}", needed(true));
    let models = names.iter().map(entry).collect::<Vec<_>>().join(", ");
    let base = base.map(|base| format!("base_model: {base}, ")).unwrap_or_default();
    format!("{{merge_method: {}, {base}parameters: {{{}}}, models: [{models}]}}", spec.id, needed(false))
}

#[test]
fn no_method_panics_at_a_number_of_models_that_it_does_not_merge() {
    let all = four();
    let lists: [&[&str]; 6] = [
        &["o/a"],
        &["o/base"],
        &["o/a", "o/base"],
        &["o/a", "o/base", "o/base"],
        &["o/a", "o/b", "o/c"],
        &["o/a", "o/b", "o/c", "o/base"],
    ];
    for method in METHODS {
        for base in [None, Some("o/base"), Some("o/a")] {
            for names in lists {
                let yaml = bare(method.spec(), base, names);
                let checked = parse(&yaml).and_then(|config| check(&config, &all));

                let delta = matches!(method.spec().base, BaseNeed::Delta | BaseNeed::Optional);
                let merged = names.iter().filter(|name| !(delta && base == Some(**name))).count();
                if method.spec().base != BaseNeed::Endpoint && !method.spec().models.allows(merged) {
                    let told = checked.err().map(|error| format!("{:?}", error.items())).unwrap_or_default();
                    assert!(told.contains(&format!("{merged} given")), "{yaml}: {told}");
                }
            }
        }
    }
}

#[test]
fn nuslerp_of_one_model_is_refused_for_the_number_alone() {
    let yaml = "{merge_method: nuslerp, models: [{model: o/a, parameters: {weight: 0.5}}]}";

    let told = faults(yaml, &four());

    assert_eq!(pointers(&told), ["/models"]);
    assert!(told[0].message.starts_with("`nuslerp` merges exactly 2 models, 1 given"), "{told:?}");
}

#[test]
fn parameters_that_do_not_go_together_are_told_of_every_model_at_its_place() {
    let yaml = "{merge_method: della, base_model: o/base, parameters: {weight: 1}, models: [
        {model: o/c, parameters: {density: 0.1, epsilon: 0.3}}, {model: o/b, parameters: {density: 0.5}},
        {model: o/a, parameters: {density: [0.8, 0.05], epsilon: 0.1}}]}";

    let told = faults(yaml, &four());

    assert_eq!(pointers(&told), ["/models/0/parameters/epsilon", "/models/2/parameters/epsilon"]);
    assert!(told[0].message.contains("`density` 0.1 with `epsilon` 0.3"), "{told:?}");
}

#[test]
fn each_parameter_that_a_method_cannot_use_is_told_with_its_value() {
    let one = |method: &str, parameters: &str| {
        let yaml = format!(
            "{{merge_method: {method}, base_model: o/base, parameters: {{{parameters}}}, models: [{{model: o/a}}]}}"
        );
        faults(&yaml, &four()).into_iter().map(|told| format!("{}: {}", told.pointer, told.message)).collect()
    };
    for (method, parameters, expected) in [
        (
            "karcher",
            "max_iter: -1, tol: -1",
            vec!["/parameters/max_iter: `max_iter` is -1", "/parameters/tol: `tol` is -1"],
        ),
        ("karcher", "max_iter: 2.5", vec!["/parameters/max_iter: `max_iter` is 2.5"]),
        (
            "ramplus_tl",
            "alpha: -3, epsilon: -1",
            vec!["/parameters/epsilon: `epsilon` is -1", "/parameters/alpha: `alpha` is -3"],
        ),
        ("nearswap", "t: -0.1", vec!["/parameters/t: `t` is -0.1"]),
    ] {
        let told: Vec<String> = one(method, parameters);

        assert_eq!(told.len(), expected.len(), "{told:?}");
        for expected in expected {
            assert!(told.iter().any(|told| told.starts_with(expected)), "{expected}: {told:?}");
        }
    }
}
