//! Families of random models: the answer at several sizes of the steps.

use kernels::Dtype;

use super::*;
use crate::testing::Fixture;

const WIDTH: usize = 48;
const HIDDEN: usize = 132;
const LAYERS: usize = 3;

/// A model as values by tensor.
#[derive(Clone)]
pub(super) struct Weights(pub(super) Vec<(String, [u64; 2], Vec<f64>)>);

pub(super) fn gaussian(seed: u64, len: usize) -> Vec<f64> {
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
    pub(super) fn joined(&self, others: [&Self; 2], join: impl Fn([f64; 2], [f64; 2]) -> f64) -> Self {
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
    pub(super) fn rounded(&self) -> Self {
        let mut rounded = self.clone();
        for value in rounded.0.iter_mut().flat_map(|(_, _, values)| values) {
            let mut bytes = [0; 2];
            kernels::encode_f64(Dtype::Bf16, &[*value], &mut bytes);
            kernels::decode_f64(Dtype::Bf16, &bytes, std::slice::from_mut(value));
        }
        rounded
    }

    /// The same network with its residual stream, its attention's units and its hidden units in another order.
    pub(super) fn shuffled(&self) -> Self {
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

    /// The layers of some models one above another, with the rest of the first.
    fn stacked(layers: &[(&Self, usize)]) -> Self {
        let mut tensors: Vec<_> =
            layers[0].0.0.iter().filter(|(name, ..)| !name.contains("layers")).cloned().collect();
        for (at, (model, layer)) in layers.iter().enumerate() {
            let own = format!(".layers.{layer}.");
            tensors.extend(model.0.iter().filter(|(name, ..)| name.contains(&own)).map(
                |(name, shape, values)| {
                    (name.replace(&own, &format!(".layers.{at}.")), *shape, values.clone())
                },
            ));
        }
        Self(tensors)
    }

    pub(super) fn noised(&self, share: f64) -> Self {
        let mut copy = self.clone();
        for (at, (_, _, values)) in copy.0.iter_mut().enumerate() {
            let noise = gaussian(7_000 + at as u64, values.len());
            values.iter_mut().zip(noise).for_each(|(value, noise)| *value += share * noise);
        }
        copy
    }

    pub(super) fn quantised(&self, levels: f64) -> Self {
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

pub(super) fn asked(subjects: &[Subject]) -> Report {
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
        let told = report.models.iter().find(|model| model.id == "merge").unwrap();
        for (id, weight) in [("b", 0.7), ("c", 0.3)] {
            let found = told.parents.iter().find(|parent| parent.id == id).unwrap().weight.unwrap();
            assert!((found - weight).abs() < 0.01, "{size} {id}: {found}");
        }
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
fn layers_of_two_models_stacked_are_a_merge_of_both_and_layers_of_one_are_not() {
    let base = Weights::random(1);
    let (a, b) = (base.trained(3, 0.05), base.trained(4, 0.05));
    let subjects = [
        base.stored("base", Dtype::Bf16),
        a.stored("a", Dtype::Bf16),
        b.stored("b", Dtype::Bf16),
        Weights::stacked(&[(&a, 0), (&a, 1), (&b, 1), (&b, 2)]).stored("merge", Dtype::Bf16),
        Weights::stacked(&[(&a, 0), (&a, 1), (&a, 1), (&a, 2)]).stored("deeper", Dtype::Bf16),
        a.stored("a-again", Dtype::Bf16),
    ];

    let report = asked(&subjects);

    let mut merged = parents(&report, "merge");
    merged.sort_by_key(|parent| parent.0);
    assert_eq!(merged, [("a", Kind::Merge), ("b", Kind::Merge)]);
    assert_eq!(parents(&report, "deeper"), [("a", Kind::Extended)]);
    assert_eq!(parents(&report, "a-again"), [("a", Kind::Duplicate)]);
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

/// A family with a chain, a sum, a merge of elements, a coarse copy, a duplicate, a noised copy and a hidden one.
fn mixed_family() -> Vec<Subject> {
    let base = Weights::random(1);
    let [a, b, c] = [10, 20, 30].map(|seed| base.trained(seed, 0.02));
    let larger = |[one, two]: [f64; 2], _: [f64; 2]| if one.abs() > two.abs() { one } else { two };
    let all = [
        (base.clone(), "base"),
        (a.clone(), "a"),
        (b.clone(), "b"),
        (c.clone(), "c"),
        (a.trained(40, 0.02), "deeper"),
        (Weights::mixed(&[(&b, 0.7), (&c, 0.3)]), "merge"),
        (base.joined([&a, &b], larger), "elected"),
        (b.quantised(7.0), "b-int4"),
        (c, "c-again"),
        (a.noised(0.01), "noised"),
        (a.shuffled().trained(9, 0.004), "hidden"),
    ];
    all.iter().map(|(weights, id)| weights.stored(id, Dtype::Bf16)).collect()
}

#[test]
fn the_answer_has_the_same_bits_on_any_number_of_threads() {
    let subjects = mixed_family();
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        serde_json::to_string(&pool.install(|| asked(&subjects))).unwrap()
    };

    let one = with(1);

    for relation in ["merge", "noised", "permuted", "quantized", "duplicate"] {
        let told = format!("\"relation\":\"{relation}\"");
        assert!(one.contains(&told), "there is something to differ in: {relation} {one}");
    }
    assert_eq!(one, with(4));
}

#[test]
fn a_sibling_that_was_hardly_trained_leaves_little_doubt_about_the_parent() {
    let base = Weights::random(1);
    let slight = base.trained(11, 0.003);
    let towards = |seed| Weights::mixed(&[(&base.trained(seed, 0.05), 1.0), (&slight, 0.48), (&base, -0.48)]);
    let subjects = [
        base.stored("base", Dtype::F32),
        slight.stored("slight", Dtype::F32),
        towards(12).stored("one", Dtype::F32),
        towards(13).stored("two", Dtype::F32),
        base.trained(14, 0.05).stored("three", Dtype::F32),
    ];

    let report = asked(&subjects);

    for child in ["one", "two", "three"] {
        assert_eq!(parents(&report, child), [("base", Kind::Finetune)], "{child}");
        let told = &report.models.iter().find(|model| model.id == child).unwrap().parents[0];
        assert!(told.confidence > 0.8, "{child}: {}", told.confidence);
    }
}

#[test]
fn a_line_that_hangs_by_its_far_end_is_directed_from_its_near_end() {
    let base = Weights::random(1).rounded();
    let a = base.trained(10, 0.1).rounded();
    // It learnt half of what the other did and more beside, and its child the other half.
    let near = Weights::mixed(&[(&base, 0.5), (&a, 0.5)]).trained(20, 0.15).rounded();
    let far = Weights::mixed(&[(&near, 1.0), (&a, 0.5), (&base, -0.5)]).trained(30, 0.03).rounded();
    let beside = near.trained(40, 0.03).rounded();
    let line = [("a", &a), ("near", &near), ("far", &far), ("beside", &beside)];
    let mut subjects: Vec<_> = line.map(|(id, weights)| weights.stored(id, Dtype::Bf16)).to_vec();
    let others = ["b", "c", "d", "e", "f"].into_iter().zip([50, 60, 70, 80, 90]);
    subjects.extend(others.map(|(id, seed)| base.trained(seed, 0.1).rounded().stored(id, Dtype::Bf16)));
    for subject in subjects.iter_mut().filter(|subject| subject.id.len() == 1) {
        subject.claims.push("base".to_owned());
    }
    subjects.push(base.stored("base", Dtype::Bf16));

    let report = asked(&subjects);

    for (child, parent) in [("a", "base"), ("near", "base"), ("far", "near"), ("beside", "near")] {
        assert_eq!(parents(&report, child), [(parent, Kind::Finetune)], "{child}");
    }
}
