//! Tokens in another order, and directions that norms and steps in common tell wrongly.

use kernels::Dtype;

use super::{
    tests::{Weights, asked, gaussian, parents},
    *,
};
use crate::testing::Fixture;

impl Weights {
    /// The same network with another number for every token.
    fn renumbered(&self) -> Self {
        let mut other = self.clone();
        for (_, shape, values) in other.0.iter_mut().filter(|(name, ..)| name.contains("embed")) {
            values.rotate_left(61 * shape[1] as usize);
        }
        other
    }

    /// With one more tensor, the same in every model.
    fn stored_with(&self, id: &str, (name, shape): (&str, &[u64])) -> Subject {
        let add = |fixture: Fixture, (name, shape, values): &(String, [u64; 2], Vec<f64>)| {
            fixture.with(name, Dtype::F32, shape, values)
        };
        let more = gaussian(99, shape.iter().product::<u64>() as usize);
        let source = self.0.iter().fold(Fixture::empty(), add).with(name, Dtype::F32, shape, &more).share();
        Subject { source, ..self.stored(id, Dtype::F32) }
    }

    fn with_embedding_of(&self, other: &Self) -> Self {
        let mut frozen = self.clone();
        frozen.0[0] = other.0[0].clone();
        frozen
    }

    /// `self` after weight decay that took this share of every weight.
    fn decayed(&self, share: f64) -> Self {
        let mut other = self.clone();
        other.0.iter_mut().flat_map(|(_, _, values)| values).for_each(|value| *value *= 1.0 - share);
        other
    }
}

#[test]
fn a_model_whose_tokens_have_other_numbers_is_compared_token_by_token() {
    let base = Weights::random(1);
    let tuned = base.trained(3, 0.1);
    let subjects = [
        base.stored("base", Dtype::F32),
        tuned.stored("tuned", Dtype::F32),
        base.trained(4, 0.1).stored("other", Dtype::F32),
        tuned.renumbered().stored("renumbered", Dtype::F32),
        tuned.renumbered().trained(6, 0.05).stored("below", Dtype::F32),
        tuned.renumbered().trained(7, 0.15).stored("further", Dtype::F32),
    ];

    let report = asked(&subjects);

    assert_eq!(parents(&report, "renumbered"), [("tuned", Kind::Permuted)]);
    assert_eq!(parents(&report, "below"), [("renumbered", Kind::Finetune)]);
    assert_eq!(parents(&report, "further"), [("renumbered", Kind::Finetune)]);
    assert_eq!(parents(&report, "tuned"), [("base", Kind::Finetune)]);
}

#[test]
fn a_bias_that_is_not_as_long_as_its_matrix_keeps_its_order() {
    let longer = ("model.layers.0.mlp.up_proj.bias", &[1_000][..]);
    let (base, tuned) = (Weights::random(1), Weights::random(1).trained(3, 0.05));
    let subjects = [
        tuned.shuffled().stored_with("a", longer),
        base.stored_with("base", longer),
        base.trained(4, 0.05).stored_with("other", longer),
        tuned.stored_with("tuned", longer),
    ];

    let report = asked(&subjects);

    assert_eq!(parents(&report, "a"), [("tuned", Kind::Permuted)]);
}

#[test]
fn a_head_of_three_axes_keeps_its_order_where_tokens_have_other_numbers() {
    let deep = ("lm_head.weight", &[200, 6, 2][..]);
    let (base, tuned) = (Weights::random(1), Weights::random(1).trained(3, 0.1));
    let subjects = [
        base.stored_with("base", deep),
        tuned.stored_with("tuned", deep),
        base.trained(4, 0.1).stored_with("other", deep),
        tuned.renumbered().stored_with("renumbered", deep),
    ];

    let report = asked(&subjects);

    assert_eq!(parents(&report, "renumbered"), [("tuned", Kind::Permuted)]);
}

#[test]
fn tokens_are_put_in_order_also_where_all_of_them_have_much_in_common() {
    let mut base = Weights::random(1);
    let common = gaussian(70, base.0[0].1[1] as usize);
    base.0[0].2.iter_mut().zip(common.iter().cycle()).for_each(|(value, common)| *value += 2.0 * common);
    let tuned = base.trained(3, 0.1);
    let subjects = [
        base.stored("base", Dtype::F32),
        tuned.stored("tuned", Dtype::F32),
        base.trained(4, 0.1).stored("other", Dtype::F32),
        tuned.renumbered().stored("renumbered", Dtype::F32),
    ];

    let report = asked(&subjects);

    assert_eq!(parents(&report, "renumbered"), [("tuned", Kind::Permuted)]);
}

#[test]
fn an_order_of_another_length_than_its_axis_is_refused() {
    let source = Weights::random(1).stored("a", Dtype::F32).source;
    let axes = |rows: u32| {
        let rows = Some(std::sync::Arc::new((0..rows).collect::<Vec<u32>>()));
        BTreeMap::from([(0, reordered::Axes { rows, columns: None })])
    };

    assert!(reordered::Reordered::new(source.clone(), axes(200)).is_ok());
    assert!(reordered::Reordered::new(source, axes(199)).is_err());
}

#[test]
fn a_fine_tune_whose_weights_decayed_is_not_above_what_it_came_from() {
    let base = Weights::random(1);
    let tuned = |seed| base.trained(seed, 0.05);
    let subjects = [
        base.stored("base", Dtype::F32),
        tuned(3).stored("one", Dtype::F32),
        tuned(4).stored("two", Dtype::F32),
        tuned(5).stored("three", Dtype::F32),
        base.trained(6, 0.02).decayed(0.02).stored("decayed", Dtype::F32),
    ];

    let report = asked(&subjects);

    assert!(parents(&report, "base").is_empty());
    assert_eq!(parents(&report, "decayed"), [("base", Kind::Finetune)]);
}

#[test]
fn a_model_that_holds_more_of_a_step_than_there_is_leaves_doubt_that_it_is_below_it() {
    let base = Weights::random(1);
    let slight = base.trained(3, 0.05);
    let further = Weights::mixed(&[(&slight, 2.2), (&base, -1.2)]).trained(8, 0.05);
    let subjects = [
        base.stored("base", Dtype::F32),
        slight.stored("slight", Dtype::F32),
        further.stored("further", Dtype::F32),
        base.trained(4, 0.1).stored("other", Dtype::F32),
    ];

    let report = asked(&subjects);

    let further = report.models.iter().find(|model| model.id == "further").unwrap();
    assert!(further.parents[0].confidence <= 0.6, "{:?}", further.parents);
    assert!(further.parents[0].evidence.iter().any(|one| one.method == "containment"));
}

#[test]
fn what_was_trained_from_a_merge_is_not_below_a_copy_that_rounds_like_it() {
    let base = Weights::random(1);
    let frozen = |from: &Weights, seed, size| from.trained(seed, size).with_embedding_of(from);
    let (one, two) = (frozen(&base, 3, 0.05), frozen(&base, 4, 0.05));
    let merge = Weights::mixed(&[(&one, 0.6), (&two, 0.4)]).rounded();
    let subjects = [
        base.stored("base", Dtype::F32),
        one.stored("one", Dtype::F32),
        two.stored("two", Dtype::F32),
        one.stored("one-bf16", Dtype::Bf16),
        merge.stored("merge", Dtype::Bf16),
        frozen(&merge, 9, 0.05).stored("below", Dtype::F32),
    ];

    let report = asked(&subjects);

    assert_eq!(parents(&report, "below"), [("merge", Kind::Finetune)]);
}

#[test]
fn a_base_is_not_below_a_merge_of_its_fine_tunes_though_it_lies_near_it() {
    let base = Weights::random(1);
    let (one, two) = (base.trained(3, 0.1), base.trained(4, 0.1));
    let merge = Weights::mixed(&[(&one, 0.5), (&two, 0.5)]);
    let subjects = [
        base.stored("base", Dtype::F32),
        one.stored("one", Dtype::F32),
        two.stored("two", Dtype::F32),
        merge.stored("merge", Dtype::F32),
        merge.trained(9, 0.07).stored("below", Dtype::F32),
    ];

    for taken in [&subjects[..4], &subjects[..]] {
        let report = asked(taken);

        assert!(parents(&report, "base").is_empty(), "{:?}", parents(&report, "base"));
        assert_eq!(parents(&report, "one"), [("base", Kind::Finetune)]);
        assert_eq!(parents(&report, "two"), [("base", Kind::Finetune)]);
    }
    assert_eq!(parents(&asked(&subjects), "below"), [("merge", Kind::Finetune)]);
}

#[test]
fn one_training_of_a_base_and_of_its_child_makes_neither_result_a_child_of_the_other() {
    let base = Weights::random(1);
    let later = base.trained(3, 0.05);
    let alike = |weights: &Weights, seed| weights.trained(5, 0.1).trained(seed, 0.02);
    let subjects = [
        base.stored("base", Dtype::F32),
        base.trained(8, 0.05).stored("other", Dtype::F32),
        later.stored("later", Dtype::F32),
        alike(&base, 6).stored("trained", Dtype::F32),
        alike(&later, 7).stored("later-trained", Dtype::F32),
    ];

    let report = asked(&subjects);

    assert_eq!(parents(&report, "trained"), [("base", Kind::Finetune)]);
    assert_eq!(parents(&report, "later"), [("base", Kind::Finetune)]);
    assert_eq!(parents(&report, "later-trained"), [("later", Kind::Finetune)]);
}

#[test]
fn a_second_training_that_takes_part_of_the_first_back_leaves_a_child_of_the_first() {
    let base = Weights::random(1);
    let first = base.trained(3, 0.1);
    let second = Weights::mixed(&[(&first, 0.7), (&base, 0.3)]).trained(5, 0.1);
    let subjects = [
        base.stored("base", Dtype::F32),
        first.stored("first", Dtype::F32),
        second.stored("second", Dtype::F32),
        base.trained(4, 0.1).stored("other", Dtype::F32),
    ];

    assert_eq!(parents(&asked(&subjects), "second"), [("first", Kind::Finetune)]);
}
