//! Signatures, the nearest among many, and how close two models are.

use std::collections::BTreeMap;

use domain::Digest;
use kernels::Dtype;
use weights::{TensorInfo, sketch_of};

use super::{Closeness, Indexed, SIGNATURE_CELLS, Signature, SignatureIndex, SketchedTensor, Tokens};
use crate::testing::noise;

type Tensors = BTreeMap<String, SketchedTensor>;

const EMBED: &str = "model.embed_tokens.weight";

fn sketched(name: &str, shape: &[u64], values: &[f64]) -> (String, SketchedTensor) {
    let info = TensorInfo { name: name.into(), dtype: Dtype::F32, shape: shape.to_vec() };
    let mut sketch = sketch_of(&info, 2_048);
    sketch.add_block(0, &values.iter().map(|value| *value as f32).collect::<Vec<_>>());
    let tensor = SketchedTensor {
        name: name.into(),
        shape: shape.to_vec(),
        sum: values.iter().sum(),
        nonfinite: 0,
        exact: sketch.is_exact(),
        block_sums: sketch.block_sums().to_vec(),
        cells: sketch.cells().iter().map(|cell| *cell as f32).collect(),
    };
    (name.to_owned(), tensor)
}

/// Values drawn evenly, so that no few of them hold all of the norm.
fn even(seed: u64, len: usize) -> Vec<f64> {
    (0..len as u64).map(|at| kernels::splitmix_unit(seed, at) - 0.5).collect()
}

/// `layers` square matrices and an embedding: those of the base `seed`, with a fine-tune's share `moved` of noise.
fn model(seed: u64, (tune, moved): (u64, f64), layers: u64) -> Tensors {
    let tuned = |base: Vec<f64>, at: u64| -> Vec<f64> {
        let noise = even(tune * 1_000 + at, base.len());
        base.iter().zip(noise).map(|(base, noise)| base + moved * noise).collect()
    };
    let layer = |at: u64| {
        let values = tuned(even(seed * 100 + at, 100 * 100), at);
        sketched(&format!("layers.{at}.q_proj.weight"), &[100, 100], &values)
    };
    let embed = sketched(EMBED, &[700, 20], &tuned(even(seed * 100 + 99, 14_000), 99));
    (0..layers).map(layer).chain([embed]).collect()
}

#[test]
fn the_cosine_of_signatures_is_the_mean_of_the_matrices() {
    let base = model(1, (0, 0.0), 3);
    let cosine = |other: &Tensors| {
        let [a, b] = [&base, other].map(|model| Signature::of(model).unwrap().cells);
        a.iter().zip(&b).map(|(a, b)| f64::from(a * b)).sum::<f64>()
    };

    let (tuned, stranger) = (model(1, (7, 0.5), 3), model(2, (0, 0.0), 3));

    // Noise of half the norm, independent of the base: 1 / √(1 + ¼).
    assert!((cosine(&tuned) - 0.8f64.sqrt()).abs() < 4.0 * 0.2 / 32.0, "{}", cosine(&tuned));
    assert!(cosine(&stranger).abs() < 4.0 / 32.0, "{}", cosine(&stranger));
    assert!(Signature::of(&BTreeMap::from([sketched("norm.weight", &[9], &[1.0; 9])])).is_none());
}

#[test]
fn appended_tokens_keep_the_layout_and_another_width_does_not() {
    let base = model(1, (0, 0.0), 2);
    let mut appended = base.clone();
    let rows: Vec<f64> = even(199, 14_000).into_iter().chain(even(5, 200)).collect();
    appended.extend([sketched(EMBED, &[710, 20], &rows)]);
    let mut wider = base.clone();
    wider.extend([sketched("layers.0.q_proj.weight", &[100, 101], &even(1, 10_100))]);

    let [base, appended, wider] = [base, appended, wider].map(|model| Signature::of(&model).unwrap());

    assert_eq!(base.layout, appended.layout);
    assert_ne!(base.layout, wider.layout);
}

/// A signature with no direction of its own: a stretch of one long noise.
fn stranger(noise: &[f32], at: usize) -> Signature {
    let from = at * 37 % (noise.len() - SIGNATURE_CELLS);
    let cells = &noise[from..from + SIGNATURE_CELLS];
    let norm = cells.iter().map(|cell| cell * cell).sum::<f32>().sqrt();
    let layout = Digest::of(&[(at % 3) as u8]);
    Signature { layout, cells: cells.iter().map(|cell| cell / norm).collect() }
}

#[test]
fn planted_relatives_are_found_among_a_hundred_thousand() {
    let pool: Vec<f32> = even(11, 4_000_000).iter().map(|value| *value as f32).collect();
    let mut index = SignatureIndex::default();
    for at in 0..100_000 {
        index.insert(Indexed { model: at as i64, revision: 0 }, &stranger(&pool, at));
    }
    let near = |moved: f32, seed: u64| {
        let (own, noise) = (stranger(&pool, 1_000_000), even(seed, SIGNATURE_CELLS));
        let cells: Vec<f32> =
            own.cells.iter().zip(noise).map(|(cell, noise)| cell + moved * noise as f32).collect();
        let norm = cells.iter().map(|cell| cell * cell).sum::<f32>().sqrt();
        Signature { cells: cells.iter().map(|cell| cell / norm).collect(), ..own }
    };
    for (model, moved) in [(200_003, 0.02), (200_001, 0.001), (200_002, 0.01)] {
        index.insert(Indexed { model, revision: 1 }, &near(moved, model as u64));
    }
    let own = near(0.0, 0);
    index.insert(Indexed { model: 200_000, revision: 1 }, &own);

    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| index.nearest(&own, 20, Some(200_000)))
    };
    let found = run(1);

    let models: Vec<i64> = found.near.iter().map(|near| near.of.model).collect();
    assert_eq!(models, [200_001, 200_002, 200_003]);
    assert!(found.near.iter().all(|near| near.same_layout));
    assert_eq!((found.searched, index.len()), (100_003, 100_004));
    assert!((60_000..70_000).contains(&found.other_layouts), "{}", found.other_layouts);
    assert_eq!(run(4), found);
}

#[test]
fn a_shared_index_changes_only_for_whoever_changed_it() {
    let pool: Vec<f32> = noise(3, 50_000).iter().map(|value| *value as f32).collect();
    let mut index = SignatureIndex::default();
    let of = |model| Indexed { model, revision: model * 10 };
    (0..3_000).for_each(|at| index.insert(of(at), &stranger(&pool, at as usize)));
    let before = index.clone();

    index.retain(|of| of.model % 2 == 0);
    index.insert(of(5_000), &stranger(&pool, 7));
    index.insert(of(5_001), &Signature { cells: vec![1.0], ..stranger(&pool, 7) });

    assert_eq!((before.len(), index.len()), (3_000, 1_501));
    assert!(index.held().all(|held| held.model % 2 == 0 && held.revision == held.model * 10));
    assert_eq!(index.nearest(&stranger(&pool, 7), 1, None).near[0].of, of(5_000));
    assert_eq!(before.nearest(&stranger(&pool, 8), 1, None).near[0].of, of(8));
    index.retain(|_| false);
    assert!(index.is_empty());
}

#[test]
fn closeness_is_within_its_error_and_of_what_both_have() {
    let base = model(1, (0, 0.0), 4);

    let same = Closeness::of(&base, &base).unwrap();
    let tuned = Closeness::of(&base, &model(1, (3, 0.2), 4)).unwrap();
    let shallow = Closeness::of(&base, &model(1, (0, 0.0), 2)).unwrap();

    assert_eq!((same.cosine, same.standard_error, same.distance), (1.0, 0.0, 0.0));
    assert!(same.evidence().starts_with("the same weights"), "{}", same.evidence());
    let expected = 1.0 / 1.04f64.sqrt();
    assert!((tuned.cosine - expected).abs() < 4.0 * tuned.standard_error, "{tuned:?}");
    assert!((tuned.distance - 0.2).abs() < 4.0 * tuned.distance_error, "{tuned:?}");
    assert!(tuned.standard_error > 0.0 && tuned.standard_error < 0.002, "{tuned:?}");
    assert_eq!((shallow.matrices, shallow.share), (3, 34.0 / 54.0));
    assert_eq!((shallow.cosine, shallow.distance), (1.0, 0.0));
    assert!((shallow.whole.cosine - (34.0f64 / 54.0).sqrt()).abs() < 0.03, "{shallow:?}");
    assert!(
        shallow.evidence().contains("the 63\u{a0}% of the weights that both have"),
        "{}",
        shallow.evidence()
    );
    assert!(!shallow.evidence().starts_with("the same weights"), "{}", shallow.evidence());
    assert!(Closeness::of(&base, &BTreeMap::new()).is_none());
}

#[test]
fn embeddings_whose_tokens_have_other_rows_make_no_distance() {
    let base = model(1, (0, 0.0), 2);
    let mut permuted = base.clone();
    permuted.extend([sketched(EMBED, &[700, 20], &even(77, 14_000))]);

    let positional = Closeness::of(&base, &permuted).unwrap();
    let told = Closeness::speaking((&base, &permuted), Tokens::Moved).unwrap();

    assert!(positional.cosine < 0.9 && positional.share == 1.0, "{positional:?}");
    assert_eq!((told.cosine, told.distance, told.whole.distance), (1.0, 0.0, 0.0));
    assert!((told.share - 20_000.0 / 34_000.0).abs() < 1e-12, "{told:?}");
}
