//! Lineage from sketches, and what it says of claims.

use kernels::Dtype;

use super::{
    tests::{Weights, parents},
    *,
};
use crate::kinship::SketchedTensor;

/// A model as its sketches, far shorter than its matrices.
fn sketched(subject: &Subject, claims: &[&str]) -> Stored {
    let facts = weights::survey(&*subject.source, 512, &|_| Ok(())).unwrap();
    let tensor = |facts: weights::TensorFacts| {
        let (sketch, stats) = facts.sketch.zip(facts.stats)?;
        Some(StoredTensor {
            sketch: SketchedTensor {
                name: facts.name,
                shape: facts.shape,
                sum: stats.sum,
                nonfinite: 0,
                exact: sketch.is_exact(),
                block_sums: sketch.block_sums().to_vec(),
                cells: sketch.cells().iter().map(|cell| *cell as f32).collect(),
            },
            dtype: facts.dtype,
            digest: facts.digest,
            std: Some(stats.std()),
        })
    };
    Stored {
        id: subject.id.clone(),
        tensors: facts.into_iter().filter_map(tensor).collect(),
        claims: claims.iter().map(|claim| (*claim).to_owned()).collect(),
        created: None,
        order: 0,
    }
}

fn judged(found: &Recovered, child: &str, base: &str) -> Option<Judgement> {
    let at = |id| found.position(id).unwrap();
    found.judge((at(child), at(base)), &|_, _| false)
}

fn family() -> Recovered {
    let (base, stranger) = (Weights::random(1), Weights::random(2));
    let [a, b, c] = [10, 20, 30].map(|seed| base.trained(seed, 0.05));
    let deeper = a.trained(40, 0.05);
    let store =
        |weights: &Weights, id: &str, claims: &[&str]| sketched(&weights.stored(id, Dtype::F32), claims);
    recover_sketched(vec![
        store(&base, "base", &[]),
        store(&a, "a", &["base"]),
        store(&b, "b", &[]),
        store(&c, "c", &[]),
        store(&deeper, "deeper", &[]),
        store(&Weights::mixed(&[(&b, 0.7), (&c, 0.3)]), "merge", &[]),
        store(&stranger, "stranger", &[]),
        store(&stranger.trained(50, 0.05), "liar", &["base"]),
        store(&base.permuted(), "permuted", &["base"]),
    ])
    .unwrap()
}

#[test]
fn parents_are_found_without_weights() {
    let found = family();

    for child in ["a", "b", "c"] {
        assert_eq!(parents(&found.report, child), [("base", Kind::Finetune)], "{child}");
    }
    assert_eq!(parents(&found.report, "deeper"), [("a", Kind::Finetune)]);
    let mut merged = parents(&found.report, "merge");
    merged.sort_by_key(|parent| parent.0);
    assert_eq!(merged, [("b", Kind::Merge), ("c", Kind::Merge)]);
}

#[test]
fn a_true_claim_is_verified_also_of_a_grandparent() {
    let found = family();

    for (child, base) in [("a", "base"), ("deeper", "a"), ("deeper", "base")] {
        assert_eq!(judged(&found, child, base).unwrap().verdict, Verdict::Verified, "{child} {base}");
    }
}

#[test]
fn a_stranger_and_an_uncle_are_contradicted_with_what_is_there_instead() {
    let found = family();

    let liar = judged(&found, "liar", "base").unwrap();
    let uncle = judged(&found, "deeper", "b").unwrap();

    assert_eq!((liar.verdict, liar.instead), (Verdict::Contradicted, found.position("stranger")));
    assert!(liar.log10_p < -6.0 && liar.cosine.abs() < 0.1, "{liar:?}");
    assert_eq!((uncle.verdict, uncle.instead), (Verdict::Contradicted, found.position("a")));
}

#[test]
fn four_models_of_which_each_is_the_sum_of_the_others_are_no_merges() {
    let base = Weights::random(1);
    let [a, b] = [10, 20].map(|seed| base.trained(seed, 0.05));
    let transferred = Weights::mixed(&[(&a, 1.0), (&b, 1.0), (&base, -1.0)]);
    let all = [(&base, "base"), (&a, "a"), (&b, "b"), (&transferred, "transferred")];
    let models = all.map(|(weights, id)| sketched(&weights.stored(id, Dtype::Bf16), &[]));

    let found = recover_sketched(models.into()).unwrap();

    assert!(found.report.models.iter().flat_map(|model| &model.parents).all(|p| p.relation != Kind::Merge));
}

#[test]
fn the_same_values_in_another_order_are_no_contradiction() {
    let found = family();

    assert!(judged(&found, "permuted", "base").is_none_or(|judged| judged.verdict == Verdict::Verified));
}

#[test]
fn the_answer_has_the_same_bits_on_any_number_of_threads() {
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        serde_json::to_string(&pool.install(family).report).unwrap()
    };

    assert_eq!(with(1), with(4));
}
