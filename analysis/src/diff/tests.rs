//! The comparison table and the difference as a checkpoint.

use std::sync::Arc;

use domain::{Fault, Limits};
use kernels::Dtype;
use weights::{Bytes, Checkpoint, Difference, ReadAt, TensorSource};

use super::{
    ApplySource, DiffSource, Side, SignSource, SkillPack, SparseSource, compare, low_rank, skillpack,
};
use crate::{
    lowrank::Rank,
    testing::{Fixture, bytes, model, noise, same, values},
    transfer::Options,
};

fn scaled(lambda: f64) -> Options {
    Options { lambda: serde_json::json!(lambda), ..Options::default() }
}

#[test]
fn a_model_compared_with_itself_is_identical() {
    let report = compare(Side::of(&model(1)), Side::of(&model(1)), &|_| Ok(())).unwrap();

    assert!(report.tensors.iter().all(|tensor| tensor.identical && tensor.unchanged_share == Some(1.0)));
    assert_eq!(report.totals.relative_l2, Some(0.0));
    assert!(report.verdict.contains("identical"));
}

#[test]
fn differences_are_measured_against_the_second_model() {
    let a = Fixture::empty().with("w", Dtype::F32, &[2], &[3.0, 5.0]).with("x", Dtype::F32, &[1], &[1.0]);
    let b = Fixture::empty().with("w", Dtype::F32, &[2], &[3.0, 4.0]).with("x", Dtype::F32, &[2], &[1.0; 2]);

    let report = compare(Side::of(&a), Side::of(&b), &|_| Ok(())).unwrap();

    let diff = &report.tensors[0];
    assert!((diff.relative_l2.unwrap() - 0.2).abs() < 1e-12);
    assert_eq!((diff.max_abs, diff.unchanged_share, diff.identical), (Some(1.0), Some(0.5), false));
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

#[test]
fn a_strength_that_leaves_the_range_of_all_numbers_is_refused_and_never_written_as_infinity() {
    let of = |value: f64| Fixture::empty().with("w", Dtype::F64, &[2], &[value, 0.0]).share();
    let applied = ApplySource::new(of(1.0), of(10.0), &scaled(1e308)).unwrap();

    let refused = applied.read_bytes(0, 0, &mut [0; 16]).unwrap_err().to_string();

    assert!(refused.contains("λ") && refused.contains("`w`"), "{refused}");
}

fn planted() -> (Arc<DiffSource>, Fixture) {
    let tuned = |seed| {
        Fixture::empty().with("big.weight", Dtype::F32, &[300, 500], &noise(seed, 150_000)).with(
            "norm.weight",
            Dtype::Bf16,
            &[24],
            &noise(seed + 1, 24),
        )
    };
    let diff = DiffSource::new(tuned(1).share(), tuned(2).share()).unwrap();
    let dense = diff.tensors().iter().fold(Fixture::empty(), |dense, info| {
        let values: Vec<f64> = values(&diff, &info.name).into_iter().map(f64::from).collect();
        dense.with(&info.name, Dtype::F32, &info.shape, &values)
    });
    (Arc::new(diff), dense)
}

/// What a written file reads back as.
fn read_back(source: &dyn TensorSource) -> Arc<dyn TensorSource> {
    let mut file = Vec::new();
    weights::write_safetensors(source, &mut file, &|_| Ok(())).unwrap();
    let files: Vec<(String, Arc<dyn ReadAt>)> = vec![("diff.safetensors".into(), Arc::new(Bytes(file)))];
    let limits = Limits::default();
    let checkpoint = Checkpoint::open_files(files, None, &limits).unwrap();
    Difference::dense(Arc::new(checkpoint), &limits).unwrap()
}

#[test]
fn a_sparse_difference_keeps_the_largest_elements_and_reads_back_as_a_dense_one() {
    let (diff, dense) = planted();

    let sparse = SparseSource::new(Arc::clone(&diff), (0.1, Dtype::F32), &|_| Ok(())).unwrap();
    let back = read_back(&sparse);

    let energies = sparse.energies();
    assert_eq!(back.tensors(), dense.tensors());
    for (info, energy) in dense.tensors().iter().zip(&energies.tensors) {
        let (wanted, got) = (values(&dense, &info.name), values(&*back, &info.name));
        let kept = got.iter().filter(|v| **v != 0.0).count();
        assert_eq!(kept, wanted.len() / 10, "{}", info.name);
        let least = got.iter().filter(|v| **v != 0.0).fold(f32::MAX, |least, v| least.min(v.abs()));
        assert!(wanted.iter().zip(&got).all(|(w, g)| if *g == 0.0 { w.abs() <= least } else { w == g }));
        let square = |values: &[f32]| values.iter().map(|v| f64::from(*v) * f64::from(*v)).sum::<f64>();
        assert!((energy.energy - square(&got) / square(&wanted)).abs() < 1e-6, "{}", info.name);
    }
    assert!((0.3..1.0).contains(&energies.energy), "{}", energies.energy);
}

#[test]
fn ties_of_a_sparse_difference_keep_the_lowest_indices_and_any_cut_reads_the_same() {
    let of = |value: f64| Fixture::empty().with("w", Dtype::F32, &[70_000], &vec![value; 70_000]).share();
    let diff = Arc::new(DiffSource::new(of(1.0), of(0.5)).unwrap());

    let sparse = SparseSource::new(diff, (0.97, Dtype::Bf16), &|_| Ok(())).unwrap();

    let index = sparse.position("w.indices").unwrap();
    let whole = bytes(&sparse, index);
    let expected: Vec<u8> = (0..67_900u32).flat_map(u32::to_le_bytes).collect();
    assert_eq!(whole, expected);
    for (offset, len) in [(1, 10), (4 * 65_530 + 3, 90), (whole.len() - 7, 7)] {
        let mut part = vec![0; len];
        sparse.read_bytes(index, offset as u64, &mut part).unwrap();
        assert_eq!(part, whole[offset..offset + len]);
    }
}

#[test]
fn a_low_rank_difference_reads_back_close_to_the_dense_one() {
    let (diff, dense) = planted();
    let mut scratch = Vec::new();

    let (plan, energies) =
        low_rank(&diff, (Rank::Energy { energy: 0.5, most: 1_000 }, Dtype::F32), &mut scratch, &|_| Ok(()))
            .unwrap();
    let back = read_back(&plan.open(Arc::new(Bytes(scratch))));

    assert_eq!(back.tensors(), dense.tensors());
    assert_eq!(values(&*back, "norm.weight"), values(&dense, "norm.weight"));
    let (wanted, got) = (values(&dense, "big.weight"), values(&*back, "big.weight"));
    let square = |values: &[f32]| values.iter().map(|v| f64::from(*v) * f64::from(*v)).sum::<f64>();
    let lost: Vec<f32> = wanted.iter().zip(&got).map(|(a, b)| a - b).collect();
    let kept = 1.0 - square(&lost) / square(&wanted);
    assert!((kept - energies.tensors[0].energy).abs() < 1e-5 && kept >= 0.5 - 1e-5, "{kept}");
    assert!(energies.tensors[0].rank.is_some() && energies.tensors[1].rank.is_none());
}

#[test]
fn a_bitdelta_difference_is_every_sign_with_the_mean_magnitude_of_its_matrix() {
    let of = |values: &[f64]| Fixture::empty().with("w", Dtype::F32, &[3, 5], values);
    let mut moved = noise(6, 15);
    moved[4] = 0.0;
    let tuned = of(&moved).with("norm", Dtype::F32, &[2], &[1.0, -2.0]);
    let base = of(&[0.0; 15]).with("norm", Dtype::F32, &[2], &[0.0; 2]);
    let diff = DiffSource::new(tuned.clone().share(), base.share()).unwrap();

    let packed = SignSource::new(diff, Dtype::F32, &|_| Ok(())).unwrap();
    let back = read_back(&packed);

    let wanted: Vec<f64> = values(&tuned, "w").into_iter().map(f64::from).collect();
    let size = (wanted.iter().map(|v| v.abs()).sum::<f64>() / 15.0) as f32;
    let got = values(&*back, "w");
    assert!(got.iter().zip(&wanted).all(|(got, v)| *got == if *v < 0.0 { -size } else { size }), "{got:?}");
    assert_eq!(values(&*back, "norm"), [1.0, -2.0]);
    let lost: f64 = wanted.iter().zip(&got).map(|(v, got)| (v - f64::from(*got)).powi(2)).sum();
    let whole: f64 = wanted.iter().map(|v| v * v).sum();
    let energy = packed.energies().tensors.iter().find(|of| of.name == "w").unwrap().energy;
    assert!((energy - (1.0 - lost / whole)).abs() < 1e-9, "{energy}");
    let mut part = [0.0; 4];
    back.read_f32(back.position("w").unwrap(), 6, &mut part).unwrap();
    assert_eq!(part, got[6..10]);
}

#[test]
fn a_pack_quantises_linear_layers_prunes_tables_and_leaves_the_rest_whole() {
    let layer = noise(6, 96 * 160);
    let table = noise(7, 400);
    let tuned = Fixture::empty()
        .with("embed.weight", Dtype::F32, &[40, 10], &table)
        .with("layer.weight", Dtype::F32, &[96, 160], &layer)
        .with("norm.weight", Dtype::F32, &[2], &[1.0, -2.0]);
    let base = Fixture::empty()
        .with("embed.weight", Dtype::F32, &[40, 10], &[0.0; 400])
        .with("layer.weight", Dtype::F32, &[96, 160], &[0.0; 96 * 160])
        .with("norm.weight", Dtype::F32, &[2], &[0.0; 2]);
    let diff = Arc::new(DiffSource::new(tuned.clone().share(), base.share()).unwrap());
    let asked = |rank| SkillPack { rank: Some(rank), most: 1_024, density: 0.25, dtype: Dtype::F32 };
    let pack = |rank| {
        let mut scratch = Vec::new();
        let (plan, energies) = skillpack(&diff, asked(rank), &mut scratch, &|_| Ok(())).unwrap();
        (read_back(&plan.open(Arc::new(Bytes(scratch)))), energies)
    };

    let (small, energies) = pack(24);
    let (large, _) = pack(96);

    let lost = |back: &dyn TensorSource, name: &str| {
        let (wanted, got) = (values(&tuned, name), values(back, name));
        let square = |v: f32| f64::from(v).powi(2);
        let lost: f64 = wanted.iter().zip(&got).map(|(a, b)| square(a - b)).sum();
        lost / wanted.iter().map(|v| square(*v)).sum::<f64>()
    };
    for of in &energies.tensors {
        assert!((1.0 - of.energy - lost(&*small, &of.name)).abs() < 1e-6, "{}", of.name);
    }
    assert_eq!(energies.tensors.iter().map(|of| of.rank).collect::<Vec<_>>(), [None, Some(24), None]);
    assert!(lost(&*large, "layer.weight") < lost(&*small, "layer.weight"));
    assert_eq!(values(&*small, "embed.weight").iter().filter(|value| **value != 0.0).count(), 100);
    assert_eq!(values(&*small, "norm.weight"), [1.0, -2.0]);
}

#[test]
fn names_of_which_one_begins_with_the_other_keep_stored_forms_sorted() {
    let tuned = Fixture::empty().with("a", Dtype::F32, &[8, 4], &noise(1, 32)).with(
        "a-b",
        Dtype::F32,
        &[4, 8],
        &noise(2, 32),
    );
    let base = Fixture::empty().with("a", Dtype::F32, &[8, 4], &[0.0; 32]).with(
        "a-b",
        Dtype::F32,
        &[4, 8],
        &[0.0; 32],
    );
    let diff = Arc::new(DiffSource::new(tuned.clone().share(), base.share()).unwrap());
    let asked = SkillPack { rank: None, most: 1_024, density: 1.0, dtype: Dtype::F32 };
    let mut scratch = Vec::new();

    let sparse = SparseSource::new(diff.clone(), (1.0, Dtype::F32), &|_| Ok(())).unwrap();
    let (pack, _) = skillpack(&diff, asked, &mut scratch, &|_| Ok(())).unwrap();

    assert!(sparse.tensors().is_sorted_by(|a, b| a.name < b.name), "{:?}", sparse.tensors());
    for back in [read_back(&sparse), read_back(&pack.open(Arc::new(Bytes(scratch))))] {
        for name in ["a", "a-b"] {
            assert_eq!(values(&*back, name), values(&tuned, name), "{name}");
        }
    }
}

#[test]
fn a_tensor_called_like_a_part_of_another_is_refused() {
    let model = |seed| {
        Fixture::empty()
            .with("x", Dtype::F32, &[300, 200], &noise(seed, 60_000))
            .with("x.lora_A", Dtype::F32, &[1], &[seed as f64])
            .with("x.scale", Dtype::F32, &[1], &[seed as f64])
            .share()
    };
    let diff = || DiffSource::new(model(1), model(2)).unwrap();

    let signs = SignSource::new(diff(), Dtype::F32, &|_| Ok(())).err().unwrap();
    let asked = (Rank::Fixed(2), Dtype::F32);
    let factors = low_rank(&Arc::new(diff()), asked, &mut Vec::new(), &|_| Ok(())).err().unwrap();

    assert!(signs.to_string().contains("would be called `x.scale`"), "{signs}");
    assert!(factors.to_string().contains("would be called `x.lora_A`"), "{factors}");
}

#[test]
fn a_matrix_that_factors_would_not_shrink_stays_whole() {
    let (diff, dense) = planted();
    let mut scratch = Vec::new();

    let (plan, energies) =
        low_rank(&diff, (Rank::Fixed(400), Dtype::F32), &mut scratch, &|_| Ok(())).unwrap();

    assert!(same(&*read_back(&plan.open(Arc::new(Bytes(scratch)))), &dense));
    assert_eq!((energies.energy, energies.tensors[0].rank), (1.0, None));
}

#[test]
fn applying_a_stored_difference_gives_the_fine_tune_within_one_ulp() {
    let moved = |by: f64| {
        let values: Vec<f64> =
            noise(3, 90_000).into_iter().map(|v| v * (1.0 + by * (v * 1e3).sin())).collect();
        Fixture::empty().with("w", Dtype::Bf16, &[300, 300], &values).with_bytes(
            "n",
            Dtype::I64,
            &[1],
            vec![7; 8],
        )
    };
    let (base, tuned) = (moved(0.0), moved(0.3));
    let diff = DiffSource::new(tuned.clone().share(), base.clone().share()).unwrap();

    let applied = ApplySource::new(base.clone().share(), read_back(&diff), &scaled(1.0)).unwrap();

    for (got, wanted) in values(&applied, "w").iter().zip(values(&tuned, "w")) {
        let ulp = f32::from_bits((wanted.to_bits() & 0x7F80_0000).max(0x0080_0000)) / 128.0;
        assert!((got - wanted).abs() <= ulp, "{got} against {wanted}");
    }
    assert!(same(&ApplySource::new(base.clone().share(), read_back(&diff), &scaled(0.0)).unwrap(), &base));
    let other = Fixture::empty().with("v", Dtype::F32, &[1], &[1.0]).share();
    let error = ApplySource::new(base.share(), other, &scaled(1.0)).err().unwrap().to_string();
    assert!(error.contains("the base has no such tensor"), "{error}");
}

#[test]
fn a_stored_difference_reaches_only_the_tensors_that_the_options_select_each_with_its_own_share() {
    let of = |by: f64| {
        let names =
            ["model.layers.0.mlp.up_proj.weight", "model.layers.1.mlp.up_proj.weight", "model.norm.weight"];
        names
            .into_iter()
            .fold(Fixture::empty(), |all, name| all.with(name, Dtype::F32, &[2], &[1.0 + by, 2.0]))
    };
    let diff = read_back(&DiffSource::new(of(4.0).share(), of(0.0).share()).unwrap());
    let asked =
        |lambda, include: &str| Options { lambda, include: Some(include.to_owned()), ..Options::default() };

    let graded =
        ApplySource::new(of(0.0).share(), diff.clone(), &asked(serde_json::json!([0.25, 1.0]), "mlp"));
    let nothing = ApplySource::new(of(0.0).share(), diff, &asked(serde_json::json!(1.0), "nowhere"));

    let graded = graded.unwrap();
    let first = |name: &str| values(&graded, name)[0];
    assert_eq!(first("model.layers.0.mlp.up_proj.weight"), 2.0);
    assert_eq!(first("model.layers.1.mlp.up_proj.weight"), 5.0);
    assert_eq!(first("model.norm.weight"), 1.0);
    assert!(nothing.err().unwrap().to_string().contains("selects no tensor"));
}

#[test]
fn sparse_and_low_rank_forms_have_the_same_bytes_on_any_number_of_threads() {
    let write = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let (diff, _) = planted();
            let (mut sparse, mut factored, mut scratch) = (Vec::new(), Vec::new(), Vec::new());
            let source = SparseSource::new(Arc::clone(&diff), (0.03, Dtype::F32), &|_| Ok(())).unwrap();
            weights::write_safetensors(&source, &mut sparse, &|_| Ok(())).unwrap();
            let (plan, _) = low_rank(&diff, (Rank::Fixed(7), Dtype::F32), &mut scratch, &|_| Ok(())).unwrap();
            let source = plan.open(Arc::new(Bytes(scratch)));
            weights::write_safetensors(&source, &mut factored, &|_| Ok(())).unwrap();
            (sparse, factored)
        })
    };

    let (one, three) = (write(1), write(3));

    assert!(one == three, "the bytes differ");
}

#[test]
fn requests_out_of_range_are_refused() {
    let (diff, _) = planted();
    let density = |density, dtype| SparseSource::new(Arc::clone(&diff), (density, dtype), &|_| Ok(())).err();
    let rank = |rank| low_rank(&diff, (rank, Dtype::F32), &mut Vec::new(), &|_| Ok(())).err();

    let refused = [
        density(0.0, Dtype::F32),
        density(f64::NAN, Dtype::F32),
        density(0.1, Dtype::I64),
        rank(Rank::Fixed(0)),
        rank(Rank::Energy { energy: 1.5, most: 9 }),
    ];

    assert!(refused.iter().all(|error| error.as_ref().is_some_and(|e| e.code() == "invalid_recipe")));
}
