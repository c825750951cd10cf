//! What every merge method promises, tested for all of them from the methods slice.

use kernels::Dtype;
use weights::{Scratch, TensorSource};

use super::{
    BaseNeed, Inputs, Kind, Law, METHODS, MergeSource, MethodSpec, parse,
    tests::{check, inputs, merge},
};
use crate::testing::{Fixture, bytes, noise, same, values};

/// Values of parameters that make a method do more than by default.
const BUSY: [(&str, &str); 12] = [
    ("weight", "0.7"),
    ("t", "0.3"),
    ("density", "0.4"),
    ("gamma", "0.1"),
    ("epsilon", "0.2"),
    ("select_topk", "0.5"),
    ("scale", "0.7"),
    ("n", "2"),
    ("m", "5"),
    ("k", "1"),
    ("lambda", "0.8"),
    ("mask_lambda", "0.3"),
];

/// A model of one tensor of each shape that methods treat in their own way.
pub fn model(seed: u64) -> Fixture {
    Fixture::empty()
        .with("layers.0.rough", Dtype::Bf16, &[1_001], &noise(seed, 1_001))
        .with("layers.0.up_proj.weight", Dtype::F32, &[30, 23], &noise(seed + 1000, 690))
        .with("layers.1.conv.weight", Dtype::F32, &[3, 4, 5], &noise(seed + 2000, 60))
        .with("layers.1.scalar", Dtype::F32, &[], &[seed as f64 + 0.5])
        .with("layers.1.thin.weight", Dtype::F32, &[7, 1], &noise(seed + 4000, 7))
        .with("none", Dtype::F32, &[0, 4], &[])
}

/// With a tensor longer than a block.
fn long(seed: u64) -> Fixture {
    model(seed).with("long", Dtype::Bf16, &[140_001], &noise(seed, 140_001))
}

pub fn models(made: impl Fn(u64) -> Fixture) -> Inputs {
    with_files(inputs(&[("o/base", made(1)), ("o/a", made(2)), ("o/b", made(3)), ("o/c", made(4))]))
}

/// Beside every model a file of importances and one of Gram matrices, named after it.
pub fn with_files(models: Inputs) -> Inputs {
    let mut all = models.clone();
    for (at, (name, model)) in models.iter().enumerate() {
        let (mut importance, mut gram) = (Fixture::empty(), Fixture::empty());
        for info in model.source.tensors().iter().filter(|info| info.dtype.is_float()) {
            let seed = 50 + at as u64;
            let values: Vec<f64> =
                noise(seed, info.elements() as usize).into_iter().map(|value| value.abs()).collect();
            importance = importance.with(&info.name, Dtype::F32, &info.shape, &values);
            if let [_, columns] = info.shape[..] {
                gram =
                    gram.with(&info.name, Dtype::F32, &[columns, columns], &spread(seed, columns as usize));
            }
        }
        let names = ["importance", "gram"].map(|what| format!("{name}.{what}"));
        all.extend(inputs(&[(names[0].as_str(), importance), (names[1].as_str(), gram)]));
    }
    all
}

/// A symmetric matrix whose diagonal outweighs the rest.
pub fn spread(seed: u64, side: usize) -> Vec<f64> {
    let values = noise(seed, side * side);
    let entry = |at: usize| {
        let (row, column) = (at / side, at % side);
        let across = values[at] + values[column * side + row];
        if row == column { side as f64 + across.abs() } else { 0.005 * across }
    };
    (0..side * side).map(entry).collect()
}

/// How many models a law is tried with.
fn count(spec: &MethodSpec) -> usize {
    spec.models.max.map_or(3, |max| max.min(3))
}

fn wants_base(spec: &MethodSpec) -> bool {
    matches!(spec.base, BaseNeed::Delta | BaseNeed::Endpoint)
}

/// A recipe over the models named, every parameter without a default or in `settings` given.
fn recipe(spec: &MethodSpec, names: &[&str], settings: &[(&str, &str)]) -> String {
    let value = |name: &str| settings.iter().rev().find(|(known, _)| *known == name).map(|(_, value)| *value);
    let given = |per_model: bool, at: usize| {
        let own = spec.parameters.iter().filter(|param| param.per_model == per_model);
        let lines = own.filter_map(|param| {
            if param.kind == Kind::File {
                return Some(format!("{0}: {1}.{0}", param.name, names[at]));
            }
            let fallback = param.default.is_none().then_some("0.5");
            let each = value(&format!("{}.{at}", param.name)).or_else(|| value(param.name)).or(fallback)?;
            Some(format!("{}: {each}", param.name))
        });
        lines.collect::<Vec<_>>().join(", ")
    };
    let entry =
        |(at, name): (usize, &&str)| format!("{{model: {name}, parameters: {{{}}}}}", given(true, at));
    let entries: Vec<String> = names.iter().enumerate().map(entry).collect();
    let base = match spec.base {
        BaseNeed::Endpoint => format!("base_model: {}, ", names[0]),
        BaseNeed::Delta => "base_model: o/base, ".to_owned(),
        _ => value("base").map(|base| format!("base_model: {base}, ")).unwrap_or_default(),
    };
    format!(
        "{{merge_method: {}, {base}models: [{}], parameters: {{{}}}}}",
        spec.id,
        entries.join(", "),
        given(false, 0)
    )
}

/// Settings to try a method with: its defaults, all that is busy, and every choice and flag the other way.
fn variants(spec: &MethodSpec) -> Vec<Vec<(&'static str, &'static str)>> {
    let busy = || BUSY.to_vec();
    let mut variants = vec![Vec::new(), busy()];
    for param in spec.parameters {
        match param.kind {
            Kind::Choice => variants
                .extend(param.choices[1..].iter().map(|word| [busy(), vec![(param.name, *word)]].concat())),
            Kind::Flag => {
                let off = param.resolved_default() == Some(1.0);
                let other = if off { "false" } else { "true" };
                variants.push([busy(), vec![(param.name, other)]].concat());
            }
            Kind::Number | Kind::File => {}
        }
    }
    if spec.parameters.iter().any(|param| param.name == "nuslerp_row_wise") {
        variants.push(vec![("nuslerp_flatten", "false"), ("nuslerp_row_wise", "true")]);
    }
    if spec.base == BaseNeed::Optional {
        variants.push(vec![("base", "o/base")]);
    }
    variants
}

static NAMES: [&str; 3] = ["o/a", "o/b", "o/c"];

fn all() -> impl Iterator<Item = (&'static MethodSpec, Vec<(&'static str, &'static str)>)> {
    METHODS
        .iter()
        .map(|method| method.spec())
        .flat_map(|spec| variants(spec).into_iter().map(move |settings| (spec, settings)))
}

/// A recipe of every method with each of its variants, and the models besides the base that it merges.
pub fn recipes() -> impl Iterator<Item = (String, &'static [&'static str])> {
    all().map(|(spec, settings)| {
        let names = &NAMES[..count(spec)];
        (recipe(spec, names, &settings), names)
    })
}

/// Whether a method that takes no base is left to change what all models agree on.
fn scales(settings: &[(&str, &str)]) -> bool {
    let off = |name| settings.contains(&(name, "false"));
    settings.iter().any(|(name, _)| *name == "scale") || off("normalize") || off("normalize_weights")
}

#[test]
fn models_that_are_all_the_same_are_given_back_bit_for_bit() {
    let own = || model(7).with("zero", Dtype::F32, &[2], &[-0.0, 1e-20]);
    let twins = with_files(inputs(&[("o/base", own()), ("o/a", own()), ("o/b", own()), ("o/c", own())]));
    for (spec, settings) in all().filter(|(spec, _)| spec.laws.contains(&Law::Identity)) {
        let based = wants_base(spec) || settings.iter().any(|(name, _)| *name == "base");
        if based || !scales(&settings) {
            let yaml = recipe(spec, &NAMES[..count(spec)], &settings);
            assert!(same(&merge(&yaml, &twins), &own()), "{yaml}");
        }
    }
}

#[test]
fn a_model_merged_with_itself_as_its_own_base_is_given_back_bit_for_bit() {
    let own = || model(7).with("zero", Dtype::F32, &[2], &[-0.0, 1e-20]);
    let alone = with_files(inputs(&[("o/base", own())]));
    let wanted = |spec: &MethodSpec| {
        spec.base == BaseNeed::Delta && spec.models.min == 1 && spec.laws.contains(&Law::Identity)
    };
    let mut tried = Vec::new();
    for (spec, settings) in all().filter(|(spec, _)| wanted(spec)) {
        let yaml = recipe(spec, &["o/base"], &settings);
        assert!(same(&merge(&yaml, &alone), &own()), "{yaml}");
        tried.push(spec.id);
    }
    assert!(tried.contains(&"task_arithmetic") && tried.contains(&"ties") && tried.contains(&"dare_ties"));
}

#[test]
fn a_weight_of_one_beside_none_gives_the_first_model_bit_for_bit() {
    for spec in METHODS.iter().map(|method| method.spec()) {
        if spec.laws.contains(&Law::FirstWeight) {
            let yaml = recipe(spec, &NAMES[..2], &[("weight.0", "1"), ("weight.1", "0")]);
            assert!(same(&merge(&yaml, &models(model)), &model(2)), "{yaml}");
        }
    }
}

#[test]
fn listing_the_models_in_another_order_changes_nothing() {
    for (spec, settings) in all().filter(|(spec, _)| spec.laws.contains(&Law::Symmetry)) {
        let names = &NAMES[..count(spec)];
        let weights = [("weight.0", "0.3"), ("weight.1", "0.5"), ("weight.2", "0.9")];
        let turned: Vec<&str> = names.iter().rev().copied().collect();
        let last = names.len() - 1;
        let places = ["weight.0", "weight.1", "weight.2"];
        let other: Vec<(&str, &str)> = (0..=last).map(|at| (places[at], weights[last - at].1)).collect();

        let one = merge(&recipe(spec, names, &[&settings[..], &weights].concat()), &models(model));
        let two = merge(&recipe(spec, &turned, &[&settings[..], &other].concat()), &models(model));

        assert!(same(&one, &two), "{} {settings:?}", spec.id);
    }
}

#[test]
fn a_method_without_symmetry_depends_on_the_order_or_takes_no_choice_of_it() {
    for spec in METHODS.iter().map(|method| method.spec()) {
        if spec.laws.contains(&Law::Symmetry) || spec.models.max == Some(1) || spec.id == "magmax" {
            continue;
        }
        let settings = BUSY.to_vec();
        let one = merge(&recipe(spec, &["o/a", "o/b"], &settings), &models(model));
        let two = merge(&recipe(spec, &["o/b", "o/a"], &settings), &models(model));

        assert!(!same(&one, &two), "{} may promise symmetry", spec.id);
    }
}

#[test]
fn any_range_on_any_number_of_threads_equals_the_whole() {
    let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let (alone, many) = (pool(1), pool(5));
    for (spec, settings) in all() {
        let yaml = recipe(spec, &NAMES[..count(spec)], &settings);
        let (whole, pieces) = (merge(&yaml, &models(long)), merge(&yaml, &models(long)));
        for index in 0..whole.tensors().len() {
            let expected = many.install(|| bytes(&whole, index));
            let mut got = vec![0; expected.len()];
            alone.install(|| read_backwards(&pieces, index, &mut got));
            assert!(expected == got, "{yaml} {index}");
        }
    }
}

#[test]
fn numbers_in_bf16_are_merged_to_the_bits_that_the_same_numbers_in_f32_give() {
    let as_bf16 = |value: f64| crate::computed::as_stored(Dtype::Bf16, value);
    let of = |dtype: Dtype| {
        move |seed: u64| {
            let fine: Vec<f64> = noise(seed, 40_040).into_iter().map(as_bf16).collect();
            let coarse: Vec<f64> = fine.iter().map(|value| as_bf16((value * 32.0).round() / 64.0)).collect();
            Fixture::empty().with("coarse.weight", dtype, &[4, 10, 1_001], &coarse).with(
                "fine.weight",
                dtype,
                &[2, 10, 2_002],
                &fine,
            )
        }
    };
    let (narrow, wide) = (models(of(Dtype::Bf16)), models(of(Dtype::F32)));
    for (spec, settings) in all() {
        let yaml = recipe(spec, &NAMES[..count(spec)], &settings).replacen('{', "{dtype: bfloat16, ", 1);
        let (narrow, wide) = (merge(&yaml, &narrow), merge(&yaml, &wide));

        assert!(same(&narrow, &wide), "{yaml}");
        for index in 0..2 {
            assert_eq!(narrow.account(index), wide.account(index), "{yaml}");
        }
    }
}

#[test]
fn matrices_held_in_files_give_the_bytes_that_those_in_memory_give() {
    let folder = tempfile::tempdir().unwrap();
    let scratch = Scratch::in_folder(folder.path()).beyond(0);
    for (spec, settings) in all() {
        let yaml = recipe(spec, &NAMES[..count(spec)], &settings);

        let in_memory = merge(&yaml, &models(model));
        let in_files = merge(&yaml, &models(model)).within(&scratch);

        assert!(same(&in_files, &in_memory), "{yaml}");
        let decomposes = ["iso_c", "tsv_m", "wudi", "regmean"].contains(&spec.id);
        assert!(in_files.scratch(1) > 0 || !decomposes, "{yaml}");
        assert!(in_memory.scratch(1) == 0 && in_files.memory(1) <= in_memory.memory(1));
    }
    assert_eq!(fs_err::read_dir(folder.path()).unwrap().count(), 0);
}

fn read_backwards(source: &MergeSource, index: usize, out: &mut [u8]) {
    const PIECE: usize = 33_333;
    for (at, piece) in out.chunks_mut(PIECE).enumerate().rev() {
        source.read_bytes(index, (at * PIECE) as u64, piece).unwrap();
    }
}

#[test]
fn every_method_changes_something_and_answers_with_numbers() {
    for (spec, settings) in all() {
        let yaml = recipe(spec, &NAMES[..count(spec)], &settings);
        let merged = merge(&yaml, &models(model));
        let mut values = vec![0.0; 690];
        merged.read_f32(merged.position("layers.0.up_proj.weight").unwrap(), 0, &mut values).unwrap();

        assert!(values.iter().all(|value| value.is_finite()), "{yaml}");
        let plain = spec.id == "passthrough" && !scales(&settings);
        assert!(plain || !same(&merged, &model(1)) && !same(&merged, &model(2)), "{yaml}");
    }
}

/// A recipe's parameters that are numbers, alone and together, each with a value as large as a number can be written.
fn extremes(spec: &MethodSpec) -> Vec<Vec<(&'static str, &'static str)>> {
    let numbers =
        || spec.parameters.iter().filter(|param| param.kind == Kind::Number).map(|param| param.name);
    let of = |value: &'static str| {
        let each = numbers().map(move |name| vec![(name, value)]);
        let all = numbers().map(|name| (name, value)).collect();
        each.chain([all]).collect::<Vec<_>>()
    };
    ["1e200", "-1e200", "1.7e308", "1e-320"].into_iter().flat_map(of).collect()
}

#[test]
fn no_parameters_make_infinity_or_nan_of_finite_inputs() {
    let of = |dtype: Dtype, size: f64| {
        move |seed: u64| {
            let values: Vec<f64> = noise(seed, 56).into_iter().map(|value| size * value).collect();
            Fixture::empty().with("w", dtype, &[8, 7], &values).with("v", dtype, &[9], &values[..9])
        }
    };
    let (mut kept, mut refused) = (0, 0);
    for (dtype, size) in [(Dtype::Bf16, 1.0), (Dtype::F32, 1e34), (Dtype::F16, 1.0), (Dtype::F64, 1e300)] {
        let inputs = models(of(dtype, size));
        for (spec, settings) in all() {
            for extreme in extremes(spec).into_iter().chain([Vec::new()]) {
                let yaml = recipe(spec, &NAMES[..count(spec)], &[settings.clone(), extreme].concat());
                let Ok(merged) = parse(&yaml).and_then(|config| check(&config, &inputs)) else { continue };
                for index in 0..2 {
                    let mut bytes = vec![0; merged.tensors()[index].bytes() as usize];
                    let Ok(()) = merged.read_bytes(index, 0, &mut bytes) else {
                        refused += 1;
                        continue;
                    };
                    kept += 1;
                    let mut values = vec![0.0; merged.tensors()[index].elements() as usize];
                    kernels::decode_f64(dtype, &bytes, &mut values);
                    assert!(values.iter().all(|value| value.is_finite()), "{dtype}: {yaml}: {values:?}");
                }
            }
        }
    }
    assert!(kept > 1_000 && refused > 1_000, "{kept} {refused}");
}

#[test]
fn an_infinity_that_all_models_share_is_kept_and_spoils_nothing() {
    let of = |seed: u64| {
        let mut values = noise(seed, 21);
        values[4] = f64::NEG_INFINITY;
        Fixture::empty().with("w", Dtype::F32, &[7, 3], &values)
    };
    let all_models = with_files(inputs(&[("o/base", of(1)), ("o/a", of(2)), ("o/b", of(3)), ("o/c", of(4))]));
    for (spec, settings) in all() {
        let yaml = recipe(spec, &NAMES[..count(spec)], &settings);

        let merged = values(&merge(&yaml, &all_models), "w");

        assert!(merged[4] == f32::NEG_INFINITY, "{yaml}");
        assert_eq!(merged.iter().filter(|value| value.is_finite()).count(), 20, "{yaml}");
    }
}

#[test]
fn a_nan_is_an_error_of_every_method_even_where_all_models_have_it() {
    for dtype in [Dtype::F32, Dtype::Bf16] {
        let of = |seed: u64| {
            let mut values = noise(seed, 21);
            values[9] = f64::NAN;
            Fixture::empty().with("w", dtype, &[7, 3], &values)
        };
        let all_models =
            with_files(inputs(&[("o/base", of(1)), ("o/a", of(2)), ("o/b", of(3)), ("o/c", of(4))]));
        for (spec, settings) in all() {
            let yaml = recipe(spec, &NAMES[..count(spec)], &settings);
            let merged = merge(&yaml, &all_models);

            let refused = merged.read_bytes(0, 0, &mut [0; 42]).unwrap_err().to_string();

            assert!(refused.contains("holds NaN in tensor `w` at element 9"), "{yaml}: {refused}");
        }
    }
}

#[test]
fn every_method_has_a_formula_that_names_its_parameters_of_numbers() {
    for (spec, _) in all() {
        assert!(spec.formula.chars().count() > 5, "{}", spec.id);
        let based = matches!(spec.base, BaseNeed::Delta);
        assert!(!based || spec.formula.contains('b'), "{}", spec.id);
        for (parameter, sign) in [("weight", "w"), ("lambda", "λ"), ("density", "density"), ("t", "t")] {
            let has = spec.parameters.iter().any(|param| param.name == parameter);
            let through = ["`dare_linear`", "`della_linear`", "`breadcrumbs`"];
            let told =
                spec.formula.contains(sign) || through.iter().any(|other| spec.formula.contains(other));
            assert!(!has || told, "{}: {parameter}", spec.id);
        }
    }
}
