//! Lineage from sketches, and what it says of claims.

use kernels::Dtype;

use super::{
    tests::{Weights, parents},
    *,
};
use crate::kinship::SketchedTensor;

/// A model as its sketches, far shorter than its matrices.
fn sketched(subject: &Subject, claims: &[&str]) -> Stored {
    sketched_by(512, subject, claims)
}

fn sketched_by(cells: usize, subject: &Subject, claims: &[&str]) -> Stored {
    let facts = weights::survey(&*subject.source, cells, &|_| Ok(())).unwrap();
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
    found.judge(Claim { child: at(child), base: at(base), named: Named::Parent }, &|_, _| false)
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
fn positions_that_are_the_same_in_all_models_of_a_shape_verify_no_stranger() {
    let sines: Vec<f64> = (0..1_000 * 48).map(|at| 5.0 * (at as f64 / 7.0).sin()).collect();
    let model = |seed, id, claims: &[&str]| {
        let mut weights = Weights::random(seed);
        weights.0.push(("model.encoder.embed_positions.weight".into(), [1_000, 48], sines.clone()));
        sketched(&weights.stored(id, Dtype::F32), claims)
    };

    let found = recover_sketched(vec![model(1, "one", &[]), model(2, "other", &["one"])]).unwrap();

    let judged = judged(&found, "other", "one").unwrap();
    assert_eq!(judged.verdict, Verdict::Contradicted, "{judged:?}");
    assert!(found.report.models.iter().all(|model| model.parents.is_empty()));
}

#[test]
fn the_base_that_changes_of_a_merge_are_measured_from_is_never_contradicted() {
    let found = family();
    let at = |id| found.position(id).unwrap();

    for (child, base) in [("liar", "base"), ("deeper", "b")] {
        let claim = Claim { child: at(child), base: at(base), named: Named::DeltaBase };
        let judged = found.judge(claim, &|_, _| false);
        assert!(judged.is_none_or(|judged| judged.verdict == Verdict::Verified), "{child} {base}");
    }
}

#[test]
fn a_claim_of_what_a_parent_is_declared_to_descend_from_is_not_contradicted() {
    let found = family();
    let at = |id| found.position(id).unwrap();
    let claim = |child, base| Claim { child: at(child), base: at(base), named: Named::Parent };

    let uncle = found.judge(claim("deeper", "b"), &|of, above| (of, above) == (at("a"), at("b"))).unwrap();
    let liar = found.judge(claim("liar", "base"), &|of, above| (of, above) == (at("stranger"), at("base")));

    assert_eq!(uncle.verdict, Verdict::Verified);
    assert!(liar.is_none());
}

#[test]
fn a_base_so_near_to_the_origin_of_its_heirs_that_it_may_be_it_is_not_contradicted() {
    let base = Weights::random(1);
    let shrunk = Weights::mixed(&[(&base, 0.98)]);
    let light = shrunk.trained(5, 0.02);
    let [b, c, d] = [10, 20, 30].map(|seed| light.trained(seed, 0.2));
    let merge = Weights::mixed(&[(&base, -0.4), (&b, 0.6), (&c, 0.8)]);
    let deeper = b.trained(40, 0.05);
    let all = [("base", &base), ("light", &light), ("b", &b), ("c", &c), ("d", &d), ("merge", &merge)];
    let models = all.into_iter().chain([("deeper", &deeper)]);
    let models = models.map(|(id, weights)| sketched(&weights.stored(id, Dtype::Bf16), &[])).collect();

    let found = recover_sketched(models).unwrap();

    for child in ["merge", "deeper"] {
        assert_eq!(judged(&found, child, "base").unwrap().verdict, Verdict::Verified, "{child}");
    }
}

#[test]
fn of_equal_models_the_parent_is_the_one_that_the_card_names_or_the_older() {
    let base = Weights::random(1);
    let [a, b] = [10, 20].map(|seed| base.trained(seed, 0.05));
    let [blind, told] = [30, 40].map(|seed| a.trained(seed, 0.05));
    let mut models: Vec<Stored> = [
        sketched(&a.stored("cast", Dtype::F16), &[]),
        sketched(&a.stored("old", Dtype::F32), &[]),
        sketched(&b.stored("b", Dtype::F32), &[]),
        sketched(&blind.stored("blind", Dtype::Bf16), &[]),
        sketched(&told.stored("told", Dtype::Bf16), &["cast"]),
    ]
    .into();
    for (order, id) in (0..).zip(["old", "cast", "b", "blind", "told"]) {
        models.iter_mut().filter(|model| model.id == id).for_each(|model| model.order = order);
    }
    let facts: Vec<_> = models.iter().map(|model| Some(super::sketched::told(model))).collect();
    let parent = |id: &str| Parent {
        id: id.to_owned(),
        relation: Kind::Finetune,
        weight: None,
        confidence: 1.0,
        direction: Direction::Known,
        evidence: Vec::new(),
    };
    let mut found: Vec<Vec<Parent>> = vec![Vec::new(); models.len()];
    (found[3], found[4]) = (vec![parent("cast"), parent("b")], vec![parent("old")]);

    super::twins::prefer(&models, &facts, &mut found);

    let ids = |at: usize| found[at].iter().map(|parent| parent.id.as_str()).collect::<Vec<_>>();
    assert_eq!((ids(3), ids(4)), (vec!["old", "b"], vec!["cast"]));
    assert!(found[4][0].evidence[0].sentence.ends_with("which the card names"), "{:?}", found[4]);
    assert!(found[3][1].evidence.is_empty());
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

#[test]
fn sentences_tell_of_how_many_matrices_and_tensors_they_are_where_it_is_not_of_all() {
    let (base, stranger) = (Weights::random(1), Weights::random(2));
    let short = |mut stored: Stored| {
        let at = stored.tensors.iter().position(|tensor| tensor.sketch.shape.len() == 2).unwrap();
        // Another shape is none that compares.
        stored.tensors[at].sketch.shape[0] += 1;
        stored
    };
    let of = |weights: &Weights, id: &str, claims: &[&str]| sketched(&weights.stored(id, Dtype::F32), claims);
    let tuned = base.trained(10, 0.05);
    let models = |tuned: Stored| vec![of(&base, "base", &[]), tuned, of(&stranger, "stranger", &["base"])];
    let whole = recover_sketched(models(of(&tuned, "tuned", &["base"]))).unwrap();
    let part = recover_sketched(models(short(of(&tuned, "tuned", &["base"])))).unwrap();

    let all = of(&tuned, "tuned", &[]).tensors.iter().filter(|t| t.sketch.shape.len() == 2).count();
    let said = |found: &Recovered| judged(found, "tuned", "base").unwrap().sentence;
    assert!(said(&whole).contains(&format!("over {all} matrices")), "{}", said(&whole));
    assert!(said(&part).contains(&format!("over {} of {all} matrices", all - 1)), "{}", said(&part));
    let step = |found: &Recovered| {
        let parent = &found.report.models[found.position("tuned").unwrap()].parents[0];
        let distance = parent.evidence.iter().find(|evidence| evidence.method == "distance").unwrap();
        distance.sentence.clone()
    };
    assert!(step(&whole).ends_with("% of the weights"), "{}", step(&whole));
    assert!(
        step(&part).contains("% of the weights, over ") && step(&part).ends_with(" tensors"),
        "{}",
        step(&part)
    );
}

#[test]
fn strangers_are_told_apart_also_where_one_was_read_in_part() {
    let (base, stranger) = (Weights::random(1), Weights::random(2));
    let of = |weights: &Weights, id: &str| sketched_by(4_096, &weights.stored(id, Dtype::F32), &[]);
    let mut sampled = of(&stranger, "stranger");
    sampled.tensors.retain(|tensor| tensor.sketch.name.contains("self_attn"));
    let read = sampled.tensors.len();
    let models = vec![of(&base, "base"), of(&base.trained(10, 0.05), "tuned"), sampled];

    let found = strangers(&models);

    assert_eq!(found.iter().map(|found| found.pair).collect::<Vec<_>>(), [(0, 2), (1, 2)]);
    assert!(found[0].compared.starts_with(&format!("the cosine over {read} matrices is ")), "{found:?}");
}
