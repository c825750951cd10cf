//! The difference that several fine-tunes share, written and read back.

use std::sync::Arc;

use domain::{Fault, Limits};
use kernels::Dtype;
use weights::{Bytes, Checkpoint, ReadAt, TensorSource};

use super::{ApplySource, MemberFit, Origin, Together, Told, unify};
use crate::{
    merge::{Input, MergeSource, check, parse},
    testing::{Fixture, noise, values},
    transfer::Options,
};

/// Elements of the larger tensor: several blocks, and no whole number of bytes.
const LARGE: usize = 50_001;

fn origin(name: &str, source: Fixture) -> Origin {
    let told = Told { name: name.into(), content: name.into(), ..Told::default() };
    Origin { told, source: source.share() }
}

/// A base and fine-tunes that share some of their change, in one number format.
fn family(dtype: Dtype, count: u64) -> (Fixture, Vec<Fixture>) {
    let (base, common) = (noise(1, LARGE), noise(2, LARGE));
    let model = |seed: u64| {
        let own = noise(seed, LARGE);
        let far = |at: usize| if seed == 0 { 0.0 } else { 0.5 * common[at] + own[at] };
        let values: Vec<f64> = (0..LARGE).map(|at| base[at] + 0.1 * far(at)).collect();
        Fixture::empty().with("big.weight", dtype, &[LARGE as u64], &values).with(
            "norm.weight",
            dtype,
            &[5],
            &values[100..105],
        )
    };
    (model(0), (0..count).map(|at| model(10 + at)).collect())
}

fn together(base: &Fixture, members: &[Fixture]) -> Together {
    let members = members.iter().enumerate().map(|(at, of)| origin(&format!("m{}", at + 1), of.clone()));
    Together::new(origin("base", base.clone()), members.collect()).unwrap()
}

fn written(models: &Together) -> (Vec<u8>, Vec<MemberFit>) {
    let (mut scratch, mut file) = (Vec::new(), Vec::new());
    let unified = unify(models, &mut scratch, &|_| Ok(())).unwrap();
    let fits = unified.fits.clone();
    let source = unified.open(Arc::new(Bytes(scratch)));
    weights::write_safetensors(&source, &mut file, &|_| Ok(())).unwrap();
    (file, fits)
}

fn read(file: &[u8], member: usize) -> Arc<dyn TensorSource> {
    let files: Vec<(String, Arc<dyn ReadAt>)> =
        vec![("emr.safetensors".into(), Arc::new(Bytes(file.to_vec())))];
    let limits = Limits::default();
    let checkpoint: Arc<dyn TensorSource> = Arc::new(Checkpoint::open_files(files, None, &limits).unwrap());
    let names = weights::Unified::members(&*checkpoint, &limits).unwrap().unwrap();
    Arc::new(weights::Unified::new(checkpoint, (member, names.len()), &limits).unwrap())
}

/// What the merge method rebuilds of a member.
fn merged(base: &Fixture, members: &[Fixture], member: usize) -> MergeSource {
    let models = (1..=members.len()).map(|at| format!("  - model: m{at}\n"));
    let yaml = format!(
        "merge_method: emr\nbase_model: base\nparameters: {{member: {}}}\nmodels:\n{}",
        member + 1,
        models.collect::<String>()
    );
    let named = members.iter().enumerate().map(|(at, of)| (format!("m{}", at + 1), of));
    let sources = named.chain([("base".to_owned(), base)]);
    let input = |of: &Fixture| Input { source: of.clone().share(), content: String::new(), config: None };
    let inputs = sources.map(|(name, of)| (name, input(of))).collect();
    check(&parse(&yaml).unwrap(), &inputs, &Limits::default()).unwrap()
}

fn rebuilt(base: &Fixture, file: &[u8], member: usize) -> ApplySource {
    ApplySource::new(base.clone().share(), read(file, member), &Options::default()).unwrap()
}

#[test]
fn a_member_rebuilt_from_the_file_is_what_the_merge_method_gives() {
    let (base, members) = family(Dtype::F32, 3);
    let (file, fits) = written(&together(&base, &members));
    let (exact, _) = written(&together(&base, &members).stored_as(Dtype::F64).unwrap());

    for (member, fit) in fits.iter().enumerate() {
        let computed = merged(&base, &members, member);
        for name in ["big.weight", "norm.weight"] {
            let wanted = values(&computed, name);
            let farthest = |file: &[u8], of: &dyn Fn(f32, f32) -> f32| {
                let got = values(&rebuilt(&base, file, member), name);
                got.iter().zip(&wanted).map(|(got, wanted)| of(*got, *wanted)).fold(0.0, f32::max)
            };
            assert!(
                farthest(&exact, &|got, wanted| ((got - wanted) / wanted).abs()) <= f32::EPSILON,
                "{name}"
            );
            assert!(farthest(&file, &|got, wanted| (got - wanted).abs()) <= 2e-6, "{name}");
        }
        assert!(fit.scale > 0.0 && fit.scale < 1.0, "{fit:?}");
    }
}

#[test]
fn the_error_that_is_told_is_that_of_what_is_read_back() {
    let (base, members) = family(Dtype::Bf16, 4);
    let (file, fits) = written(&together(&base, &members));

    for (member, fit) in fits.iter().enumerate() {
        let back = read(&file, member);
        let (mut lost, mut whole) = (0.0, 0.0);
        for (name, told) in &fit.tensors {
            let [base, own, got] =
                [&base as &dyn TensorSource, &members[member], &*back].map(|of| values(of, name));
            let (mut part, mut all) = (0.0, 0.0);
            for at in 0..got.len() {
                let delta = f64::from(own[at]) - f64::from(base[at]);
                part += (delta - f64::from(got[at])).powi(2);
                all += delta * delta;
            }
            assert!(((part / all).sqrt() - told).abs() < 1e-6, "{name}: {part} of {all} is not {told}");
            (lost, whole) = (lost + part, whole + all);
        }
        assert!(((lost / whole).sqrt() - fit.relative_error).abs() < 1e-6, "{fit:?}");
        assert!(fit.relative_error > 0.1 && fit.relative_error < 1.0, "{fit:?}");
    }
}

#[test]
fn signs_are_elected_by_sum_and_a_sum_of_zero_is_minus() {
    let of = |values: [f64; 4]| Fixture::empty().with("w", Dtype::F32, &[4], &values);
    let members = [of([1.0, 2.0, -1.0, 0.0]), of([3.0, -2.0, -2.0, 0.0])];
    let models = together(&of([0.0; 4]), &members);

    let (file, fits) = written(&models);

    // U is 3, −2, −2, 0; the sizes are 4 of 5 and 7 of 7.
    let scaled = |scale: f64, bits: [f64; 4]| bits.map(|bit| (bit * scale) as f32);
    assert_eq!(fits.iter().map(|fit| fit.scale).collect::<Vec<_>>(), [0.8, 1.0]);
    assert_eq!(values(&*read(&file, 0), "w"), scaled(0.8, [3.0, 0.0, -2.0, 0.0]));
    assert_eq!(values(&*read(&file, 1), "w"), scaled(1.0, [3.0, -2.0, -2.0, 0.0]));
    assert_eq!(fits[1].relative_error, 0.0);
}

#[test]
fn half_models_are_stored_in_half_unless_another_format_is_asked_for() {
    let (base, members) = family(Dtype::Bf16, 2);
    let stored = |models: &Together| models.infos().iter().map(|info| info.dtype).collect::<Vec<_>>();

    let own = together(&base, &members);
    let asked = together(&base, &members).stored_as(Dtype::F64).unwrap();
    let (mixed, _) = family(Dtype::F16, 1);

    assert_eq!(stored(&own), [Dtype::Bf16; 2]);
    assert_eq!(stored(&asked), [Dtype::F64; 2]);
    assert_eq!(stored(&together(&mixed, &members)), [Dtype::F32; 2]);
    assert!(written(&asked).0.len() > 3 * written(&own).0.len());
}

#[test]
fn the_file_has_the_same_bytes_on_any_number_of_threads_and_reads_the_same_in_any_cut() {
    let (base, members) = family(Dtype::F32, 3);
    let models = together(&base, &members);
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| written(&models).0)
    };

    let file = on(1);

    assert!(file == on(2) && file == on(5));
    let whole = values(&*read(&file, 1), "big.weight");
    for (start, len) in [(0, 1), (7, 9), (16_380, 33_000), (LARGE - 3, 3)] {
        let (mut part, mut exact) = (vec![0.0; len], vec![0.0; len]);
        read(&file, 1).read_f32(0, start as u64, &mut part).unwrap();
        read(&file, 1).read_unrounded(0, start as u64, &mut exact).unwrap().unwrap();
        assert_eq!(part, whole[start..start + len]);
        assert!(exact.iter().zip(&part).all(|(exact, part)| *exact as f32 == *part));
    }
}

#[test]
fn models_that_cannot_share_a_difference_are_refused_with_every_reason() {
    let (base, members) = family(Dtype::F32, 3);
    let of = |names: [&str; 2], sources: [&Fixture; 2]| {
        let members = names.into_iter().zip(sources).map(|(name, of)| origin(name, of.clone()));
        Together::new(origin("base", base.clone()), members.collect()).err().unwrap()
    };
    let other = Fixture::empty().with("norm.weight", Dtype::F32, &[2], &[1.0; 2]);
    let foreign = Fixture::empty().with("z", Dtype::F32, &[1], &[1.0]);

    let one = Together::new(origin("base", base.clone()), vec![origin("a", members[0].clone())]);
    let twice = of(["a", "a"], [&members[0], &members[0]]);
    let itself = of(["a", "base"], [&members[0], &base]);
    let shapes = of(["a", "b"], [&members[0], &other]);
    let nothing = of(["a", "b"], [&members[0], &foreign]);

    assert_eq!(one.err().unwrap().code(), "too_few_models");
    assert!(twice.to_string().contains("/with/0: it is the same model as `a`"), "{twice}");
    assert!(itself.to_string().contains("/with/0: it is the base itself"), "{itself}");
    assert!(shapes.to_string().contains("norm.weight: has shape [2] in `b`, in the base [5]"), "{shapes}");
    assert_eq!(nothing.code(), "nothing_in_common");
}

#[test]
fn what_only_some_models_hold_is_named_and_left_out() {
    let more = |of: &Fixture| of.clone().with("extra.weight", Dtype::F32, &[1], &[1.0]);
    let count = |of: Fixture| of.with_bytes("steps", Dtype::I64, &[1], vec![7; 8]);
    let (base, members) = family(Dtype::F32, 2);
    let members = [count(more(&members[0])), count(members[1].clone())];

    let models = together(&count(base), &members);

    assert_eq!(models.left_out(), ["extra.weight", "steps"]);
    let back = read(&written(&models).0, 0);
    assert_eq!(back.metadata()["left_out"], "extra.weight steps");
    assert_eq!(
        back.tensors().iter().map(|info| &info.name[..]).collect::<Vec<_>>(),
        ["big.weight", "norm.weight"]
    );
}

#[test]
fn a_difference_that_is_not_finite_is_refused_with_its_place() {
    let of = |value: f64| Fixture::empty().with("w", Dtype::F32, &[2], &[1.0, value]);
    let models = together(&of(0.0), &[of(1.0), of(f64::INFINITY)]);

    let error = unify(&models, &mut Vec::new(), &|_| Ok(())).err().unwrap().to_string();

    assert!(error.contains("`m2` in tensor `w` is inf at element 1"), "{error}");
}
