//! Models that hold a part of others, or lie elsewhere: heads, encoders, cut layers.

use kernels::Dtype;

use super::{
    tests::{Weights, asked, gaussian, parents},
    *,
};

const WIDTH: usize = 48;

impl Weights {
    fn with(&self, name: &str, rows: usize, values: Vec<f64>) -> Self {
        let mut more = self.clone();
        more.0.push((name.to_owned(), [rows as u64, WIDTH as u64], values));
        more
    }

    fn with_head(&self, seed: u64) -> Self {
        self.with("classifier.weight", 40, gaussian(seed, 40 * WIDTH))
    }

    fn named(&self, name: impl Fn(&str) -> String) -> Self {
        Self(self.0.iter().map(|(old, shape, values)| (name(old), *shape, values.clone())).collect())
    }

    /// Some layers of it, one above another.
    fn layers(&self, kept: &[usize]) -> Self {
        let mut tensors: Vec<_> = self.0.iter().filter(|one| !one.0.contains("layers")).cloned().collect();
        for (at, layer) in kept.iter().enumerate() {
            let own = format!(".layers.{layer}.");
            let inside = self.0.iter().filter(|one| one.0.contains(&own));
            tensors.extend(inside.map(|(name, shape, values)| {
                (name.replace(&own, &format!(".layers.{at}.")), *shape, values.clone())
            }));
        }
        Self(tensors)
    }

    /// A step of training over whatever tensors it has.
    fn trained_alike(&self, seed: u64, size: f64) -> Self {
        let mut tuned = self.clone();
        for (at, (_, shape, values)) in tuned.0.iter_mut().enumerate() {
            let seed = seed * 1_000 + at as u64;
            let (step, strengths) =
                (gaussian(seed, values.len()), gaussian(seed + 500_000, shape[0] as usize));
            for (element, value) in values.iter_mut().enumerate() {
                *value += size * (1.2 * strengths[element / shape[1] as usize]).exp() / 2.05 * step[element];
            }
        }
        tuned
    }
}

fn confidence(report: &Report, id: &str) -> f64 {
    report.models.iter().find(|model| model.id == id).unwrap().parents[0].confidence
}

#[test]
fn heads_on_one_frozen_trunk_are_no_duplicates_and_come_from_the_trunk() {
    let base = Weights::random(1);
    let tuned = base.trained(3, 0.05);
    let subjects = [
        tuned.with_head(70).stored("probe-1", Dtype::F32),
        tuned.with_head(71).stored("probe-2", Dtype::F32),
        tuned.stored("trunk", Dtype::F32),
        base.stored("base", Dtype::F32),
        base.trained(4, 0.05).stored("other", Dtype::F32),
    ];

    let report = asked(&subjects);

    for probe in ["probe-1", "probe-2"] {
        assert_eq!(parents(&report, probe), [("trunk", Kind::Finetune)], "{probe}");
    }
    assert_eq!(parents(&report, "trunk"), [("base", Kind::Finetune)]);
}

#[test]
fn a_model_saved_without_its_head_is_a_duplicate() {
    let base = Weights::random(1);
    let tuned = base.trained(3, 0.05);
    let subjects = [
        tuned.stored("bare", Dtype::F32),
        tuned.with_head(70).stored("tuned", Dtype::F32),
        base.with_head(70).stored("base", Dtype::F32),
        base.trained(4, 0.05).with_head(71).stored("other", Dtype::F32),
    ];

    let report = asked(&subjects);

    assert_eq!(parents(&report, "bare"), [("tuned", Kind::Duplicate)]);
    assert_eq!(parents(&report, "tuned"), [("base", Kind::Finetune)]);
}

#[test]
fn an_encoder_saved_without_the_name_of_its_model_and_with_a_pooler_has_relatives() {
    let base = Weights::random(1);
    let tuned = base.trained(3, 0.05);
    let wrapped = |weights: &Weights| weights.named(|name| name.replace("model.", "net."));
    let subjects = [
        wrapped(&base).with_head(70).stored("base", Dtype::F32),
        wrapped(&tuned).with_head(71).stored("tuned", Dtype::F32),
        wrapped(&base.trained(4, 0.05)).with_head(72).stored("other", Dtype::F32),
        tuned.with("pooler.dense.weight", WIDTH, gaussian(80, WIDTH * WIDTH)).stored("pooled", Dtype::F32),
    ];

    let report = asked(&subjects);

    assert_eq!(report.families.len(), 1);
    assert_eq!(parents(&report, "tuned"), [("base", Kind::Finetune)]);
    assert_eq!(parents(&report, "pooled"), [("tuned", Kind::Finetune)]);
}

#[test]
fn a_model_in_the_shells_of_a_trainer_is_a_duplicate_of_the_one_without() {
    let base = Weights::random(1);
    let tuned = base.trained(3, 0.05);
    for shell in ["_orig_mod.", "module._orig_mod.", "net.", "model."] {
        let subjects = [
            base.stored("base", Dtype::F32),
            tuned.stored("a", Dtype::F32),
            tuned.named(|name| format!("{shell}{name}")).stored("b", Dtype::F32),
        ];

        let report = asked(&subjects);

        assert_eq!(parents(&report, "b"), [("a", Kind::Duplicate)], "{shell}");
    }
}

#[test]
fn an_encoder_taken_out_of_an_encoder_and_decoder_is_a_part_of_it_in_order() {
    let stack = |stack: &'static str, seed: u64| {
        Weights::random(seed).named(move |name| name.replace("model.layers", &format!("{stack}.layers")))
    };
    let network = |encoder: &Weights, decoder: &Weights| {
        let mut all: Vec<_> = decoder.0.iter().filter(|one| one.0.contains("layers")).cloned().collect();
        all.extend(encoder.0.iter().cloned());
        Weights(all)
    };
    let (encoder, decoder) = (stack("encoder", 1), stack("decoder", 2));
    let base = network(&encoder, &decoder);
    let part = |weights: &Weights| {
        Weights(weights.0.iter().filter(|one| !one.0.starts_with("decoder")).cloned().collect())
    };
    let tuned = base.trained_alike(3, 0.05);
    let subjects = [
        base.stored("base", Dtype::F32),
        tuned.stored("tuned", Dtype::F32),
        base.trained_alike(4, 0.05).stored("other", Dtype::F32),
        part(&tuned).stored("encoder", Dtype::F32),
    ];

    let report = asked(&subjects);

    assert_eq!(parents(&report, "encoder"), [("tuned", Kind::Pruned)]);
    assert_eq!(parents(&report, "tuned"), [("base", Kind::Finetune)]);
}

#[test]
fn what_comes_from_a_model_leaves_no_doubt_about_its_parent() {
    let base = Weights::random(1);
    let a = base.trained(3, 0.1);
    let b = a.trained(4, 0.03);
    let c = b.trained(5, 0.01);
    let subjects = [
        base.stored("base", Dtype::F32),
        base.trained(9, 0.1).stored("other", Dtype::F32),
        a.stored("a", Dtype::F32),
        b.stored("b", Dtype::F32),
        c.stored("c", Dtype::F32),
    ];

    let report = asked(&subjects);

    for (child, parent) in [("a", "base"), ("b", "a"), ("c", "b")] {
        assert_eq!(parents(&report, child), [(parent, Kind::Finetune)], "{child}");
        assert!(confidence(&report, child) > 0.5, "{child}: {}", confidence(&report, child));
    }
}

#[test]
fn models_cut_to_one_depth_at_other_layers_do_not_spoil_each_other() {
    let base = Weights::random(1);
    let tuned = base.trained(3, 0.05);
    let subjects = [
        base.stored("base", Dtype::F32),
        tuned.stored("tuned", Dtype::F32),
        base.trained(4, 0.05).stored("other", Dtype::F32),
        tuned.layers(&[0, 2]).stored("cut", Dtype::F32),
        base.layers(&[0, 1]).trained_alike(6, 0.03).stored("healed", Dtype::F32),
        base.layers(&[0, 1, 1, 2]).stored("deep", Dtype::F32),
    ];

    let report = asked(&subjects);

    assert_eq!(parents(&report, "cut"), [("tuned", Kind::Pruned)]);
    assert_eq!(parents(&report, "healed"), [("base", Kind::Pruned)]);
    assert_eq!(parents(&report, "deep"), [("base", Kind::Extended)]);
    for child in ["cut", "healed", "deep"] {
        assert!(confidence(&report, child) > 0.8, "{child}: {}", confidence(&report, child));
    }
}

#[test]
fn what_was_trained_after_layers_were_left_out_is_of_the_model_without_them() {
    let base = Weights::random(1);
    let tuned = base.trained(3, 0.05);
    let cut = tuned.layers(&[0, 2]);
    let subjects = [
        base.stored("base", Dtype::F32),
        tuned.stored("tuned", Dtype::F32),
        base.trained(4, 0.05).stored("other", Dtype::F32),
        cut.trained_alike(6, 0.03).stored("cut-more", Dtype::F32),
        cut.stored("cut", Dtype::F32),
    ];

    let report = asked(&subjects);

    assert_eq!(parents(&report, "cut"), [("tuned", Kind::Pruned)]);
    assert_eq!(parents(&report, "cut-more"), [("cut", Kind::Finetune)]);
}

#[test]
fn one_table_that_another_model_has_in_common_with_a_merge_makes_it_no_parent() {
    let base = Weights::random(1);
    let [a, b, mut c] = [10, 20, 30].map(|seed| base.trained(seed, 0.05));
    let merge = Weights::mixed(&[(&a, 0.6), (&b, 0.4)]).rounded();
    c.0[0] = merge.0[0].clone();
    let subjects = [(&base, "base"), (&a, "a"), (&b, "b"), (&c, "c"), (&merge, "merge")]
        .map(|(weights, id)| weights.stored(id, Dtype::Bf16));

    let report = asked(&subjects);

    let mut merged = parents(&report, "merge");
    merged.sort_by_key(|parent| parent.0);
    assert_eq!(merged, [("a", Kind::Merge), ("b", Kind::Merge)]);
}

#[test]
fn tables_that_all_models_of_a_shape_begin_with_relate_no_strangers() {
    let state = |seed: u64| {
        let table: Vec<f64> = (0..96 * WIDTH).map(|at| ((at % WIDTH + 1) as f64).ln()).collect();
        let own = Weights(vec![(
            "backbone.embeddings.weight".into(),
            [200, WIDTH as u64],
            gaussian(seed, 200 * WIDTH),
        )]);
        (0..3).fold(own, |own, layer| {
            let name = |part: &str| format!("backbone.layers.{layer}.mixer.{part}");
            own.with(&name("A_log"), 96, table.clone()).with(
                &name("in_proj.weight"),
                192,
                gaussian(seed + layer + 1, 192 * WIDTH),
            )
        })
    };
    let subjects = [
        state(100).stored("one", Dtype::F32),
        state(200).stored("other", Dtype::F32),
        state(100).trained_alike(300, 0.05).stored("tuned", Dtype::F32),
    ];

    let report = asked(&subjects);

    assert_eq!(report.families.len(), 2);
    assert_eq!(parents(&report, "other"), []);
    assert_eq!(parents(&report, "tuned").len() + parents(&report, "one").len(), 1);
}
