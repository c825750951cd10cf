//! Families whose models are stored in several number formats, and families that only a merge joins.

use kernels::Dtype;

use super::{
    Kind,
    tests::{Weights, asked, gaussian, parents},
};

#[test]
fn a_model_in_a_narrow_format_takes_no_children_from_the_base() {
    let base = Weights::random(1);
    let tuned = [10, 20, 30].map(|seed| base.trained(seed, 0.06));
    let light = base.trained(40, 0.02);
    let subjects = [
        base.stored("base", Dtype::F32),
        tuned[0].stored("a", Dtype::F32),
        tuned[1].stored("b", Dtype::Bf16),
        tuned[2].stored("c", Dtype::F16),
        light.stored("light", Dtype::Bf16),
        tuned[0].trained(50, 0.06).stored("below-a", Dtype::Bf16),
    ];

    let report = asked(&subjects);

    assert_eq!(parents(&report, "base"), []);
    for child in ["a", "b", "c", "light"] {
        assert_eq!(parents(&report, child), [("base", Kind::Finetune)], "{child}");
    }
    assert_eq!(parents(&report, "below-a"), [("a", Kind::Finetune)]);
}

#[test]
fn early_steps_stored_in_a_narrow_format_are_no_quantised_copy() {
    let base = Weights::random(1);
    // Adam moves every weight by its rate at first, whatever the gradient.
    let mut early = base.clone();
    for (at, (_, _, values)) in early.0.iter_mut().enumerate() {
        let steps = gaussian(500 + at as u64, values.len());
        values
            .iter_mut()
            .zip(steps)
            .for_each(|(value, step)| *value += 0.01 * step.signum() * step.abs().min(1.0));
    }

    let report = asked(&[base.stored("base", Dtype::F32), early.stored("early", Dtype::Bf16)]);

    let found = [parents(&report, "early"), parents(&report, "base")].concat();
    assert!(matches!(found[..], [(_, Kind::Finetune | Kind::Noised)]), "{found:?}");
}

#[test]
fn a_base_is_no_cast_of_its_slight_fine_tune() {
    let base = Weights::random(1).rounded();
    let slight = base.trained(10, 0.0007);
    let others = [20, 30].map(|seed| base.trained(seed, 0.06).rounded());

    let report = asked(&[
        base.stored("base", Dtype::Bf16),
        slight.stored("slight", Dtype::F32),
        others[0].stored("a", Dtype::Bf16),
        others[1].stored("b", Dtype::Bf16),
    ]);

    assert_eq!(parents(&report, "base"), []);
    assert_eq!(parents(&report, "slight"), [("base", Kind::Finetune)]);
}

#[test]
fn a_cast_is_one_in_whichever_format_its_original_is() {
    let base = Weights::random(1);
    let tuned = base.trained(10, 0.06);

    let report = asked(&[
        base.stored("base", Dtype::F32),
        tuned.stored("tuned", Dtype::F32),
        tuned.stored("tuned-bf16", Dtype::Bf16),
        tuned.stored("tuned-f16", Dtype::F16),
    ]);

    assert_eq!(parents(&report, "tuned-bf16"), [("tuned", Kind::Cast)]);
    assert_eq!(parents(&report, "tuned-f16"), [("tuned", Kind::Cast)]);
}

#[test]
fn a_merge_of_strangers_makes_neither_family_descend_from_the_other() {
    let roots = [1, 2].map(|seed| Weights::random(seed).rounded());
    let tuned = [roots[0].trained(10, 0.06).rounded(), roots[1].trained(20, 0.06).rounded()];
    let merged = Weights::mixed(&[(&tuned[0], 0.5), (&tuned[1], 0.5)]);
    let stored = |weights: &Weights, id| weights.stored(id, Dtype::Bf16);

    let report = asked(&[
        stored(&roots[0], "one"),
        stored(&roots[1], "two"),
        stored(&tuned[0], "of-one"),
        stored(&tuned[1], "of-two"),
        stored(&merged, "merged"),
    ]);

    assert_eq!([parents(&report, "one"), parents(&report, "two")], [vec![], vec![]]);
    assert_eq!(parents(&report, "of-one"), [("one", Kind::Finetune)]);
    assert_eq!(parents(&report, "of-two"), [("two", Kind::Finetune)]);
    assert_eq!(report.unrelated.len(), 4, "{:?}", report.unrelated);
}

/// The matrices of `self` with norms about one beside them, and a row of zeros for a token that pads.
fn with_norms(weights: &Weights, seed: u64) -> Weights {
    let mut more = weights.clone();
    let width = more.0[0].1[1];
    more.0[0].2[..width as usize].fill(0.0);
    for layer in 0..3 {
        let values =
            gaussian(seed + layer, width as usize).into_iter().map(|value| 1.0 + 0.02 * value).collect();
        more.0.push((format!("model.layers.{layer}.input_layernorm.weight"), [1, width], values));
    }
    more.0.sort_by(|a, b| a.0.cmp(&b.0));
    more
}

#[test]
fn a_cast_is_one_also_where_norms_are_about_one_and_a_token_pads() {
    let base = with_norms(&Weights::random(1), 900);
    let tuned = with_norms(&Weights::random(1).trained(10, 0.06), 910);

    let report = asked(&[
        base.stored("base", Dtype::F32),
        tuned.stored("tuned", Dtype::F32),
        tuned.stored("tuned-bf16", Dtype::Bf16),
        tuned.stored("tuned-f16", Dtype::F16),
    ]);

    assert_eq!(parents(&report, "tuned-bf16"), [("tuned", Kind::Cast)]);
    assert_eq!(parents(&report, "tuned-f16"), [("tuned", Kind::Cast)]);
}

#[test]
fn a_model_of_which_small_weights_are_zero_is_pruned_of_the_one_that_has_them() {
    let base = Weights::random(1);
    let tuned = [10, 20].map(|seed| base.trained(seed, 0.06));
    let mut sparse = tuned[0].clone();
    for (_, _, values) in &mut sparse.0 {
        let mut sizes: Vec<f64> = values.iter().map(|value| value.abs()).collect();
        sizes.sort_by(f64::total_cmp);
        let least = sizes[sizes.len() / 2];
        values.iter_mut().filter(|value| value.abs() < least).for_each(|value| *value = 0.0);
    }

    for format in [Dtype::F32, Dtype::Bf16] {
        let report = asked(&[
            base.stored("base", Dtype::F32),
            tuned[0].stored("a", Dtype::F32),
            tuned[1].stored("b", Dtype::F32),
            sparse.stored("sparse", format),
        ]);

        assert_eq!(parents(&report, "sparse"), [("a", Kind::Pruned)], "{format}");
        assert_eq!(parents(&report, "a"), [("base", Kind::Finetune)]);
    }
}

#[test]
fn frozen_tensors_that_round_alike_make_no_sibling_a_child_of_a_cast() {
    let base = Weights::random(1);
    let frozen = |seed| {
        let mut tuned = base.trained(seed, 0.06);
        let kept = |name: &str| name.contains("embed") || name.contains("self_attn");
        for (one, original) in tuned.0.iter_mut().zip(&base.0).filter(|(one, _)| kept(&one.0)) {
            one.2.clone_from(&original.2);
        }
        tuned
    };
    let [a, b] = [frozen(10), frozen(20)];

    let report = asked(&[
        base.stored("base", Dtype::F32),
        a.stored("a", Dtype::F32),
        a.stored("a-bf16", Dtype::Bf16),
        b.stored("b-bf16", Dtype::Bf16),
        base.trained(30, 0.06).stored("c", Dtype::F32),
    ]);

    assert_eq!(parents(&report, "a-bf16"), [("a", Kind::Cast)]);
    assert_eq!(parents(&report, "b-bf16"), [("base", Kind::Finetune)]);
}

#[test]
fn an_adapter_that_is_baked_into_wide_numbers_and_stored_in_narrow_ones_is_one() {
    let base = Weights::random(1);
    let mut baked = base.clone();
    for (at, (name, shape, values)) in baked.0.iter_mut().enumerate() {
        if !name.contains("q_proj") && !name.contains("o_proj") {
            continue;
        }
        let columns = shape[1] as usize;
        let (up, down) = (gaussian(300 + at as u64, shape[0] as usize), gaussian(400 + at as u64, columns));
        for (place, value) in values.iter_mut().enumerate() {
            *value += 0.2 * up[place / columns] * down[place % columns];
        }
    }

    let report = asked(&[
        base.stored("base", Dtype::F32),
        baked.stored("baked", Dtype::Bf16),
        base.trained(20, 0.06).stored("tuned", Dtype::F32),
    ]);

    assert_eq!(parents(&report, "baked"), [("base", Kind::Adapter)]);
    let said = format!("{:?}", report.models);
    assert!(said.contains("by matrices of rank 1 up to rounding"), "{said}");
}
