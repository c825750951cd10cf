//! What must not be concluded where the base of a family is not here, and what a merge's rounding tells where nearness misleads.

use kernels::Dtype;

use super::{
    Direction, Kind, Report,
    tests::{Weights, asked, parents},
};

fn siblings(size: f64) -> Vec<Weights> {
    let base = Weights::random(1).rounded();
    [10, 20, 30].map(|seed| base.trained(seed, size).rounded()).to_vec()
}

/// The confidence of every parent, which must all be guesses.
fn guessed(report: &Report) -> Vec<f64> {
    let told = report.models.iter().flat_map(|model| &model.parents);
    told.inspect(|parent| assert_eq!(parent.direction, Direction::Guessed, "{parent:?}"))
        .map(|parent| parent.confidence)
        .collect()
}

#[test]
fn models_that_name_one_base_that_is_not_here_are_no_parents_of_each_other() {
    let named = ["a", "b", "c"].into_iter().zip(siblings(0.06));
    let mut subjects: Vec<_> = named.map(|(id, weights)| weights.stored(id, Dtype::Bf16)).collect();
    subjects.iter_mut().for_each(|subject| subject.claims.push("org/base".to_owned()));

    let told = guessed(&asked(&subjects));

    assert!(told.iter().all(|confidence| *confidence < 0.5), "{told:?}");
}

#[test]
fn noised_copies_are_of_the_model_that_lies_between_them() {
    let base = Weights::random(1);
    let noised = |seed| Weights::mixed(&[(&base, 1.0), (&Weights::random(seed), 0.01)]);
    let mut subjects: Vec<_> = [("a", 40), ("b", 41), ("c", 42)]
        .into_iter()
        .map(|(id, seed)| noised(seed).stored(id, Dtype::F32))
        .collect();

    subjects.push(base.stored("base", Dtype::F32));
    let with = asked(&subjects);

    for id in ["a", "b", "c"] {
        assert_eq!(parents(&with, id), [("base", Kind::Noised)]);
    }
}

#[test]
fn what_was_trained_from_a_merge_on_what_one_of_its_parents_learnt_is_below_the_merge() {
    let base = Weights::random(1).rounded();
    // About two spacings of bf16 numbers.
    let [a, b, c] = [10, 20, 30].map(|seed| base.trained(seed, 0.012).rounded());
    let third = 1.0 / 3.0;
    let soup = Weights::mixed(&[(&a, third), (&b, third), (&c, third)]).rounded();
    let on = Weights::mixed(&[(&soup, 1.0), (&a, 0.66), (&base, -0.66)]).trained(50, 0.006).rounded();
    let named = [("base", &base), ("a", &a), ("b", &b), ("c", &c), ("soup", &soup), ("on", &on)];
    let subjects: Vec<_> = named.map(|(id, weights)| weights.stored(id, Dtype::Bf16)).to_vec();

    let report = asked(&subjects);

    assert_eq!(parents(&report, "on"), [("soup", Kind::Finetune)]);
}

#[test]
fn a_step_of_a_few_roundings_is_no_merge_of_what_learnt_the_same() {
    let base = Weights::random(1).rounded();
    let [a, b, c] = [10, 20, 30].map(|seed| base.trained(seed, 0.06).rounded());
    let slow = Weights::mixed(&[(&base, 0.97), (&a, 0.01), (&b, 0.01), (&c, 0.01)]).rounded();
    let named =
        [("base", &base), ("a", &a), ("b", &b), ("c", &c), ("slow", &slow.trained(60, 0.003).rounded())];
    let subjects: Vec<_> = named.map(|(id, weights)| weights.stored(id, Dtype::Bf16)).to_vec();

    let report = asked(&subjects);

    assert_eq!(parents(&report, "slow"), [("base", Kind::Finetune)]);
}
