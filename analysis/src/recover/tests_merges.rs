//! What was made of a family: merges that keep, drop and elect elements, copies, and what was trained from them.

use kernels::Dtype;

use super::{
    Kind,
    tests::{Weights, asked, parents},
};

/// The parents of one model in a family of a base and three fine-tunes, all bf16.
fn made(id: &str, make: impl Fn(&Weights, [&Weights; 3]) -> Vec<(String, Weights)>) -> Vec<(String, Kind)> {
    let base = Weights::random(1).rounded();
    let tuned = [10, 20, 30].map(|seed| base.trained(seed, 0.06).rounded());
    let more = make(&base, [&tuned[0], &tuned[1], &tuned[2]]);
    let mut subjects = vec![base.stored("base", Dtype::Bf16)];
    let named = ["a", "b", "c"].into_iter().zip(&tuned);
    subjects.extend(named.map(|(id, weights)| weights.stored(id, Dtype::Bf16)));
    subjects.extend(more.iter().map(|(id, weights)| weights.stored(id, Dtype::Bf16)));
    let report = asked(&subjects);
    assert_eq!(parents(&report, "base"), []);
    let mut found: Vec<(String, Kind)> =
        parents(&report, id).into_iter().map(|(id, kind)| (id.to_owned(), kind)).collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

#[test]
fn merges_that_drop_elements_are_merges_of_the_models_they_took_them_from() {
    let dare = |base: &Weights, [a, b, _]: [&Weights; 3]| {
        let kept = |change: f64, draw: f64| if draw < 0.5 { change } else { 0.0 };
        let join = |changes: [f64; 2], draws: [f64; 2]| {
            1.2 * kept(changes[0], draws[0]) + 0.9 * kept(changes[1], draws[1])
        };
        vec![("dare".to_owned(), base.joined([a, b], join))]
    };

    let found = made("dare", dare);

    assert_eq!(found, [("a".to_owned(), Kind::Merge), ("b".to_owned(), Kind::Merge)]);
}

#[test]
fn merges_that_elect_signs_are_merges_of_the_models_they_elected() {
    let ties = |base: &Weights, [a, b, _]: [&Weights; 3]| {
        let join = |changes: [f64; 2], _: [f64; 2]| {
            let kept = changes.map(|change| if change.abs() > 0.04 { change } else { 0.0 });
            let sign = (kept[0] + kept[1]).signum();
            let chosen = kept.map(|change| if change * sign > 0.0 { change } else { 0.0 });
            let count = chosen.iter().filter(|change| **change != 0.0).count();
            (chosen[0] + chosen[1]) / count.max(1) as f64
        };
        vec![("ties".to_owned(), base.joined([a, b], join))]
    };

    let found = made("ties", ties);

    assert_eq!(found, [("a".to_owned(), Kind::Merge), ("b".to_owned(), Kind::Merge)]);
}

#[test]
fn the_result_of_a_transfer_is_told_from_its_three_parts_by_its_rounding() {
    let transfer = |base: &Weights, [a, b, _]: [&Weights; 3]| {
        vec![("transfer".to_owned(), Weights::mixed(&[(a, 1.0), (b, 1.0), (base, -1.0)]))]
    };

    let found = made("transfer", transfer);

    assert_eq!(found, [("a".to_owned(), Kind::Merge), ("b".to_owned(), Kind::Merge)]);
}

#[test]
fn a_model_that_part_of_a_change_was_added_to_is_one_of_two_merged_ones() {
    let added = |base: &Weights, [a, b, _]: [&Weights; 3]| {
        vec![("added".to_owned(), Weights::mixed(&[(a, 1.0), (b, 0.5), (base, -0.5)]))]
    };

    assert_eq!(made("added", added), [("a".to_owned(), Kind::Merge), ("b".to_owned(), Kind::Merge)]);
    assert_eq!(made("a", added), [("base".to_owned(), Kind::Finetune)]);
    assert_eq!(made("b", added), [("base".to_owned(), Kind::Finetune)]);
}

#[test]
fn a_merge_of_three_models_is_not_one_of_the_mean_of_two_of_them() {
    let merged = |_: &Weights, [a, b, c]: [&Weights; 3]| {
        let mean = Weights::mixed(&[(a, 0.5), (b, 0.5)]).rounded();
        let three = Weights::mixed(&[(a, 0.4), (b, 0.4), (c, 0.2)]);
        let near = mean.trained(90, 0.008);
        vec![("near".to_owned(), near), ("mean".to_owned(), mean), ("three".to_owned(), three)]
    };

    let of = |ids: &[&str]| ids.iter().map(|id| ((*id).to_owned(), Kind::Merge)).collect::<Vec<_>>();
    assert_eq!(made("three", merged), of(&["a", "b", "c"]));
    assert_eq!(made("mean", merged), of(&["a", "b"]));
}

#[test]
fn a_step_of_a_rounding_or_two_that_goes_the_way_of_another_model_is_training() {
    let slow = |base: &Weights, [a, _, _]: [&Weights; 3]| {
        vec![("slow".to_owned(), Weights::mixed(&[(base, 0.97), (a, 0.03)]).trained(70, 0.0018))]
    };

    assert_eq!(made("slow", slow), [("base".to_owned(), Kind::Finetune)]);
}

#[test]
fn what_was_trained_from_a_merge_or_a_copy_holds_their_rounding() {
    let trained = |_: &Weights, [a, b, c]: [&Weights; 3]| {
        let merge = Weights::mixed(&[(a, 0.6), (b, 0.4)]).rounded();
        let copy = c.quantised(127.0).rounded();
        vec![
            ("merge-more".to_owned(), merge.trained(50, 0.06)),
            ("copy-more".to_owned(), copy.trained(60, 0.06)),
            ("other".to_owned(), Weights::mixed(&[(a, 0.5), (c, 0.5)])),
            ("merge".to_owned(), merge),
            ("copy".to_owned(), copy),
        ]
    };

    let found = ["merge-more", "copy-more"].map(|id| made(id, trained));

    assert_eq!(found[0], [("merge".to_owned(), Kind::Finetune)]);
    assert_eq!(found[1], [("copy".to_owned(), Kind::Finetune)]);
    assert_eq!(made("c", trained), [("base".to_owned(), Kind::Finetune)]);
}

#[test]
fn a_base_whose_children_froze_other_tensors_is_no_merge_of_them() {
    let base = Weights::random(1);
    let frozen = |seed, part: &str| {
        let mut child = base.trained(seed, 0.05);
        for (tensor, kept) in child.0.iter_mut().zip(&base.0).filter(|(tensor, _)| !tensor.0.contains(part)) {
            tensor.2.clone_from(&kept.2);
        }
        child
    };
    let subjects = [
        base.stored("base", Dtype::Bf16),
        frozen(5, "q_proj").stored("attention", Dtype::Bf16),
        frozen(6, "up_proj").stored("mlp", Dtype::Bf16),
        base.trained(7, 0.05).stored("tuned", Dtype::Bf16),
    ];

    let report = asked(&subjects);

    assert_eq!(parents(&report, "base"), []);
}

#[test]
fn a_coarse_copy_is_of_its_original_though_what_was_trained_from_it_is_nearer() {
    let trained = |_: &Weights, [_, _, c]: [&Weights; 3]| {
        let copy = c.quantised(7.0).rounded();
        vec![("light".to_owned(), copy.trained(60, 0.03)), ("copy".to_owned(), copy)]
    };

    assert_eq!(made("copy", trained), [("c".to_owned(), Kind::Quantized)]);
}

#[test]
fn a_merge_that_went_into_another_merge_is_one_all_the_same() {
    let merged = |base: &Weights, [a, b, c]: [&Weights; 3]| {
        let newer = base.trained(90, 0.06).rounded();
        let third = 1.0 / 3.0;
        let soup = Weights::mixed(&[(a, third), (b, third), (c, third)]).rounded();
        let half = Weights::mixed(&[(&soup, 0.5), (&newer, 0.5)]);
        vec![("newer".to_owned(), newer), ("soup".to_owned(), soup), ("half".to_owned(), half)]
    };

    let of = |ids: &[&str]| ids.iter().map(|id| ((*id).to_owned(), Kind::Merge)).collect::<Vec<_>>();
    assert_eq!(made("soup", merged), of(&["a", "b", "c"]));
    assert_eq!(made("half", merged), of(&["newer", "soup"]));
}

#[test]
fn merges_that_drop_few_elements_are_merges_of_the_models_they_took_them_from() {
    let crumbs = |base: &Weights, [a, b, _]: [&Weights; 3]| {
        let join = |changes: [f64; 2], _: [f64; 2]| {
            changes
                .iter()
                .filter(|change| (0.01..0.15).contains(&change.abs()))
                .map(|change| 0.5 * change)
                .sum()
        };
        vec![("crumbs".to_owned(), base.joined([a, b], join))]
    };

    let found = made("crumbs", crumbs);

    assert_eq!(found, [("a".to_owned(), Kind::Merge), ("b".to_owned(), Kind::Merge)]);
}

#[test]
fn merges_that_divide_each_element_by_its_own_chance_are_merges_all_the_same() {
    let della = |base: &Weights, [a, b, _]: [&Weights; 3]| {
        let join = |changes: [f64; 2], draws: [f64; 2]| {
            let kept = changes.into_iter().zip(draws).map(|(change, draw)| {
                let chance = 0.5 + 0.2 * (change.abs() / 0.1).min(1.0);
                if draw < chance { 0.5 * change / chance } else { 0.0 }
            });
            kept.sum()
        };
        vec![("della".to_owned(), base.joined([a, b], join))]
    };

    let found = made("della", della);

    assert_eq!(found, [("a".to_owned(), Kind::Merge), ("b".to_owned(), Kind::Merge)]);
}

#[test]
fn a_copy_with_noise_is_of_its_original_and_no_fine_tune() {
    let noised = |base: &Weights, [a, _, _]: [&Weights; 3]| {
        vec![("noised".to_owned(), a.noised(0.01)), ("faint".to_owned(), base.noised(0.004))]
    };

    assert_eq!(made("noised", noised), [("a".to_owned(), Kind::Noised)]);
    assert_eq!(made("faint", noised), [("base".to_owned(), Kind::Noised)]);
    assert_eq!(made("a", noised), [("base".to_owned(), Kind::Finetune)]);
}

/// Three bits after the leading one, on a scale that is no power of two.
fn in_eighths(weights: &Weights) -> Weights {
    let mut copy = weights.clone();
    for value in copy.0.iter_mut().flat_map(|(_, _, values)| values) {
        let scaled = *value / 0.0137;
        let step = 2f64.powi(scaled.abs().max(1e-9).log2().floor() as i32 - 3);
        *value = (scaled / step).round() * step * 0.0137;
    }
    copy
}

#[test]
fn a_copy_of_which_the_embedding_stayed_as_it_was_is_a_quantised_one() {
    let mut base = Weights::random(1);
    base.0[0].2.iter_mut().for_each(|value| *value *= 8.0);
    let base = base.rounded();
    let tuned = base.trained(10, 0.06).rounded();
    let kept = |mut copy: Weights| {
        copy.0[0] = tuned.0[0].clone();
        copy
    };
    let subjects = [
        base.stored("base", Dtype::Bf16),
        tuned.stored("tuned", Dtype::Bf16),
        base.trained(20, 0.06).stored("other", Dtype::Bf16),
        kept(in_eighths(&tuned)).stored("fp8", Dtype::Bf16),
        kept(tuned.quantised(7.0)).stored("int4", Dtype::Bf16),
    ];

    let report = asked(&subjects);

    assert_eq!(parents(&report, "fp8"), [("tuned", Kind::Quantized)]);
    assert_eq!(parents(&report, "int4"), [("tuned", Kind::Quantized)]);
    assert_eq!(parents(&report, "tuned"), [("base", Kind::Finetune)]);
}

#[test]
fn a_copy_in_floats_of_eight_bits_with_a_scale_of_its_own_is_a_quantised_one() {
    let copied = |_: &Weights, [a, _, _]: [&Weights; 3]| vec![("fp8".to_owned(), in_eighths(a).rounded())];

    assert_eq!(made("fp8", copied), [("a".to_owned(), Kind::Quantized)]);
    assert_eq!(made("a", copied), [("base".to_owned(), Kind::Finetune)]);
}

#[test]
fn a_model_that_was_hardly_trained_is_not_the_parent_of_its_siblings() {
    let slight = |base: &Weights, [a, b, c]: [&Weights; 3]| {
        // All steps begin alike.
        let common = Weights::mixed(&[(base, 0.985), (a, 0.005), (b, 0.005), (c, 0.005)]);
        vec![("slight".to_owned(), common.trained(90, 0.001))]
    };

    for id in ["slight", "a", "b", "c"] {
        assert_eq!(made(id, slight), [("base".to_owned(), Kind::Finetune)], "{id}");
    }
}
