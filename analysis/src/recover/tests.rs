//! Families of random models: the answer at several sizes of the steps.

use kernels::Dtype;

use super::*;
use crate::testing::Fixture;

const WIDTH: usize = 48;
const HIDDEN: usize = 132;
const LAYERS: usize = 3;

/// A model as values by tensor.
#[derive(Clone)]
pub(super) struct Weights(Vec<(String, [u64; 2], Vec<f64>)>);

fn gaussian(seed: u64, len: usize) -> Vec<f64> {
    let unit = |at| kernels::splitmix_unit(seed, at);
    let one = |at: u64| {
        (-2.0 * (1.0 - unit(2 * at)).ln()).sqrt() * (std::f64::consts::TAU * unit(2 * at + 1)).cos()
    };
    (0..len as u64).map(one).collect()
}

impl Weights {
    pub(super) fn random(seed: u64) -> Self {
        let mut shapes = vec![("model.embed_tokens.weight".to_owned(), [200, WIDTH])];
        for layer in 0..LAYERS {
            let name = |part: &str| format!("model.layers.{layer}.{part}.weight");
            shapes.extend(["self_attn.q_proj", "self_attn.o_proj"].map(|part| (name(part), [WIDTH, WIDTH])));
            shapes.extend(["mlp.up_proj", "mlp.gate_proj"].map(|part| (name(part), [HIDDEN, WIDTH])));
            shapes.push((name("mlp.down_proj"), [WIDTH, HIDDEN]));
        }
        let tensors = shapes.into_iter().zip(seed * 1_000..).map(|((name, [rows, columns]), seed)| {
            (name, [rows as u64, columns as u64], gaussian(seed, rows * columns))
        });
        Self(tensors.collect())
    }

    /// A step of training of this size: heavy-tailed, as some rows are hardly touched.
    pub(super) fn trained(&self, seed: u64, size: f64) -> Self {
        let step = Self::random(seed);
        let mut tuned = self.clone();
        for ((_, shape, values), (_, _, step)) in tuned.0.iter_mut().zip(&step.0) {
            let columns = shape[1] as usize;
            for (at, (value, step)) in values.iter_mut().zip(step).enumerate() {
                let strength = (1.2 * gaussian(seed + 7, at / columns + 1)[at / columns]).exp() / 2.05;
                *value += size * strength * step;
            }
        }
        tuned
    }

    pub(super) fn mixed(parts: &[(&Self, f64)]) -> Self {
        let mut sum = parts[0].0.clone();
        for (at, (_, _, values)) in sum.0.iter_mut().enumerate() {
            for (element, value) in values.iter_mut().enumerate() {
                *value = parts.iter().map(|(weights, weight)| weight * weights.0[at].2[element]).sum();
            }
        }
        sum
    }

    /// `self` with a change joined of each element's changes in `others`; the draw is uniform in 0..1.
    fn joined(&self, others: [&Self; 2], join: impl Fn([f64; 2], [f64; 2]) -> f64) -> Self {
        let mut merged = self.clone();
        for (at, (_, _, values)) in merged.0.iter_mut().enumerate() {
            for (element, value) in values.iter_mut().enumerate() {
                let changes = others.map(|other| other.0[at].2[element] - *value);
                let draws = [71, 72].map(|key| kernels::splitmix_unit(key + at as u64 * 2, element as u64));
                *value += join(changes, draws);
            }
        }
        merged
    }

    /// The values as they are read back from bf16.
    fn rounded(&self) -> Self {
        let mut rounded = self.clone();
        for value in rounded.0.iter_mut().flat_map(|(_, _, values)| values) {
            let mut bytes = [0; 2];
            kernels::encode_f64(Dtype::Bf16, &[*value], &mut bytes);
            kernels::decode_f64(Dtype::Bf16, &bytes, std::slice::from_mut(value));
        }
        rounded
    }

    /// The same network with its residual stream, its attention's units and its hidden units in another order.
    fn shuffled(&self) -> Self {
        let mut other = self.permuted();
        for (name, shape, values) in &mut other.0 {
            let columns = shape[1] as usize;
            let from_stream = !name.contains("o_proj") && !name.contains("down_proj");
            if from_stream {
                values.chunks_mut(columns).for_each(|row| row.rotate_left(7));
            } else {
                values.rotate_left(7 * columns);
            }
            if name.contains("q_proj") {
                values.rotate_left(WIDTH / 2 * columns);
            } else if name.contains("o_proj") {
                values.chunks_mut(columns).for_each(|row| row.rotate_left(WIDTH / 2));
            }
        }
        other
    }

    fn quantised(&self, levels: f64) -> Self {
        let mut coarse = self.clone();
        for (_, shape, values) in &mut coarse.0 {
            for row in values.chunks_mut(shape[1] as usize) {
                let step = row.iter().fold(0.0f64, |most, value| most.max(value.abs())) / levels;
                row.iter_mut().for_each(|value| *value = (*value / step).round() * step);
            }
        }
        coarse
    }

    pub(super) fn permuted(&self) -> Self {
        let mut other = self.clone();
        for (name, shape, values) in &mut other.0 {
            let columns = shape[1] as usize;
            if name.contains("up_proj") || name.contains("gate_proj") {
                values.rotate_left(40 * columns);
            } else if name.contains("down_proj") {
                values.chunks_mut(columns).for_each(|row| row.rotate_left(40));
            }
        }
        other
    }

    pub(super) fn stored(&self, id: &str, dtype: Dtype) -> Subject {
        let add = |fixture: Fixture, (name, shape, values): &(String, [u64; 2], Vec<f64>)| {
            fixture.with(name, dtype, shape, values)
        };
        let source = self.0.iter().fold(Fixture::empty(), add).share();
        Subject {
            id: id.into(),
            path: None,
            source,
            adapter: None,
            claims: Vec::new(),
            created: None,
            order: 0,
        }
    }
}

fn asked(subjects: &[Subject]) -> Report {
    recover(subjects, &|_| Ok(())).unwrap()
}

pub(super) fn parents<'r>(report: &'r Report, id: &str) -> Vec<(&'r str, Kind)> {
    let model = report.models.iter().find(|model| model.id == id).unwrap();
    model.parents.iter().map(|parent| (parent.id.as_str(), parent.relation)).collect()
}

#[test]
fn a_chain_a_merge_and_copies_are_told_apart_at_every_size_of_step() {
    for (size, dtype) in [(0.1, Dtype::Bf16), (0.02, Dtype::Bf16), (0.01, Dtype::F32), (0.001, Dtype::F32)] {
        let base = Weights::random(1);
        let [a, b, c] = [10, 20, 30].map(|seed| base.trained(seed, size));
        let deeper = a.trained(40, size);
        let merge = Weights::mixed(&[(&b, 0.7), (&c, 0.3)]);
        let subjects = [
            base.stored("base", dtype),
            a.stored("a", dtype),
            b.stored("b", dtype),
            c.stored("c", dtype),
            deeper.stored("deeper", dtype),
            merge.stored("merge", dtype),
            b.quantised(7.0).stored("b-int4", dtype),
            c.stored("c-again", dtype),
        ];

        let report = asked(&subjects);

        assert_eq!(parents(&report, "base"), [], "{size}");
        for child in ["a", "b", "c"] {
            assert_eq!(parents(&report, child), [("base", Kind::Finetune)], "{size} {child}");
        }
        assert_eq!(parents(&report, "deeper"), [("a", Kind::Finetune)], "{size}");
        let mut merged = parents(&report, "merge");
        merged.sort_by_key(|parent| parent.0);
        assert_eq!(merged, [("b", Kind::Merge), ("c", Kind::Merge)], "{size}");
        assert_eq!(parents(&report, "b-int4"), [("b", Kind::Quantized)], "{size}");
        assert_eq!(parents(&report, "c-again"), [("c", Kind::Duplicate)], "{size}");
    }
}

#[test]
fn strangers_of_one_shape_stay_apart_and_a_false_claim_is_contradicted() {
    let (base, stranger) = (Weights::random(1), Weights::random(2));
    let mut liar = stranger.trained(5, 0.05).stored("org/liar", Dtype::Bf16);
    liar.claims = vec!["base".into()];
    let subjects = [base.stored("org/base", Dtype::Bf16), stranger.stored("org/stranger", Dtype::Bf16), liar];

    let report = asked(&subjects);

    assert_eq!(report.families.len(), 2);
    assert!(report.models[2].contradiction.as_deref().is_some_and(|said| said.contains("`base`")));
    assert!(report.models[..2].iter().all(|model| model.contradiction.is_none()));
    assert_eq!(report.unrelated.len(), 2);
}

#[test]
fn hidden_units_in_another_order_are_seen_through() {
    let base = Weights::random(1);
    let tuned = base.trained(3, 0.05);
    let subjects = [
        base.stored("base", Dtype::F32),
        tuned.stored("tuned", Dtype::F32),
        base.trained(4, 0.05).stored("other", Dtype::F32),
        tuned.permuted().trained(9, 0.002).stored("hidden", Dtype::F32),
    ];

    let report = asked(&subjects);

    assert_eq!(parents(&report, "hidden"), [("tuned", Kind::Permuted)]);
}

#[test]
fn a_shuffled_residual_stream_and_shuffled_heads_are_put_in_order_again() {
    let base = Weights::random(1);
    let tuned = base.trained(3, 0.05);
    let subjects = [
        base.stored("base", Dtype::Bf16),
        tuned.stored("tuned", Dtype::Bf16),
        base.trained(4, 0.05).stored("other", Dtype::Bf16),
        tuned.shuffled().trained(9, 0.004).stored("hidden", Dtype::Bf16),
        Weights::random(8).shuffled().stored("stranger", Dtype::Bf16),
    ];

    let report = asked(&subjects);

    assert_eq!(parents(&report, "hidden"), [("tuned", Kind::Permuted)]);
    assert_eq!(parents(&report, "tuned"), [("base", Kind::Finetune)]);
    assert_eq!(parents(&report, "stranger"), []);
    assert_eq!(report.families.len(), 2);
}

#[test]
fn a_shuffled_copy_without_noise_is_the_copy_and_not_the_original() {
    let base = Weights::random(1);
    let tuned = base.trained(3, 0.05);
    let subjects = [
        tuned.shuffled().stored("a", Dtype::F32),
        base.stored("base", Dtype::F32),
        base.trained(4, 0.05).stored("other", Dtype::F32),
        tuned.stored("tuned", Dtype::F32),
    ];

    let report = asked(&subjects);

    assert_eq!(parents(&report, "a"), [("tuned", Kind::Permuted)]);
    assert_eq!(parents(&report, "tuned"), [("base", Kind::Finetune)]);
}

#[test]
fn the_answer_has_the_same_bits_on_any_number_of_threads() {
    let base = Weights::random(1);
    let subjects = [base.stored("a", Dtype::Bf16), base.trained(3, 0.05).stored("b", Dtype::Bf16)];
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        serde_json::to_string(&pool.install(|| asked(&subjects))).unwrap()
    };

    assert_eq!(with(1), with(4));
}

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
