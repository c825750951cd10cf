//! How much of the models is compared: shares, refusals, wrappers around names, tied pairs.

use std::collections::BTreeMap;

use domain::{Digest, Fault as _};
use kernels::Dtype;

use super::{Named, Partial, Report, RowRule, Setup, Sketched, SketchedTensor, Tokens, estimate, kinship_on};
use crate::{
    Error,
    diff::Side,
    testing::{Fixture, noise},
};

const EMBED: &str = "model.embed_tokens.weight";
const HEAD: &str = "lm_head.weight";

/// Values of tensors by name, two columns wide.
type Tensors<'a> = &'a [(&'a str, Vec<f64>)];

fn named(label: &str, tensors: Tensors<'_>) -> Named {
    let add = |fixture: Fixture, (name, values): &(&str, Vec<f64>)| {
        fixture.with(name, Dtype::F32, &[values.len() as u64 / 2, 2], values)
    };
    Named { label: label.into(), source: tensors.iter().fold(Fixture::empty(), add).share(), tokens: None }
}

fn sketched(model: &Named, cells: usize) -> Sketched {
    let facts = weights::survey(&*model.source, cells, &|_| Ok(())).unwrap();
    let (mut tensors, mut digests) = (BTreeMap::new(), BTreeMap::<String, Digest>::new());
    for facts in facts {
        let (sketch, name) = (facts.sketch.unwrap(), weights::canonical_name(&facts.name).to_owned());
        let tensor = SketchedTensor {
            name: facts.name,
            shape: facts.shape,
            sum: facts.stats.unwrap().sum,
            nonfinite: 0,
            exact: sketch.is_exact(),
            block_sums: sketch.block_sums().to_vec(),
            cells: sketch.cells().iter().map(|cell| *cell as f32).collect(),
        };
        digests.insert(name.clone(), facts.digest);
        tensors.insert(name, tensor);
    }
    let ties = Sketched::ties_of(&tensors, &digests);
    Sketched { label: model.label.clone(), tensors, tokens: Tokens::Unknown, ties }
}

/// From weights, and from sketches that hold every value.
fn both(models: &[Named], base: &Named, partial: Partial) -> [Result<Report, Error>; 2] {
    let setup = Setup { device: None, partial };
    let known: Vec<Sketched> = models.iter().map(|model| sketched(model, 1 << 16)).collect();
    [
        kinship_on(setup, models, Some(base), &|_| Ok(())),
        estimate(&known, Some(&sketched(base, 1 << 16)), partial),
    ]
}

fn cosine(a: &[f64], b: &[f64], base: &[f64]) -> f64 {
    let delta = |x: &[f64]| -> Vec<f64> {
        x.iter().zip(base).map(|(x, base)| f64::from(*x as f32) - f64::from(*base as f32)).collect()
    };
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let (a, b) = (delta(a), delta(b));
    dot(&a, &b) / (dot(&a, &a) * dot(&b, &b)).sqrt()
}

#[test]
fn what_is_left_out_of_any_of_the_models_counts_and_little_in_common_is_refused_with_the_list() {
    let base = named("base", &[("w", noise(1, 80))]);
    let models = [
        named("a", &[("w", noise(2, 80))]),
        named("b", &[("w", noise(3, 80)), ("own.weight", noise(4, 40))]),
    ];

    let refused = both(&models, &base, Partial::Refuse).map(Result::unwrap_err);
    let taken = both(&models, &base, Partial::Take).map(Result::unwrap);

    for error in refused {
        assert_eq!(error.code(), "too_little_in_common");
        assert_eq!(error.items().len(), 1);
        assert!(error.items()[0].message.contains("`own.weight`: `b` has it"), "{:?}", error.items());
        assert!(
            error.to_string().contains("67\u{a0}%") && error.to_string().contains("--partial"),
            "{error}"
        );
    }
    for report in taken {
        assert!((report.coverage.share - 80.0 / 120.0).abs() < 1e-12, "{}", report.coverage.share);
        assert_eq!(report.coverage.skipped.len(), 1);
    }
}

#[test]
fn a_refusal_reads_nothing() {
    let base = named("base", &[("w", noise(1, 80)), ("more.weight", noise(1, 80))]);
    let models = [named("a", &[("w", noise(2, 80))]), named("b", &[("w", noise(3, 80))])];
    let setup = Setup { device: None, partial: Partial::Refuse };

    let error = kinship_on(setup, &models, Some(&base), &|_| panic!("read")).unwrap_err();

    assert!(matches!(error, Error::TooLittleInCommon { exact: true, .. }), "{error}");
}

#[test]
fn buffers_are_no_part_of_what_is_left_out() {
    let of = |label, seed| named(label, &[("w", noise(seed, 20)), ("h.0.attn.bias", noise(9, 400))]);

    for report in both(&[of("a", 2), of("b", 3)], &of("base", 1), Partial::Refuse) {
        assert_eq!(report.unwrap().coverage.share, 1.0);
    }
}

#[test]
fn wrappers_around_names_part_no_models() {
    let inner = "layers.0.mlp.up_proj.weight";
    for [one, other, third] in [
        ["h.0.attn.c_attn.weight", "transformer.h.0.attn.c_attn.weight", "h.0.attn.c_attn.weight"],
        [inner, "model.layers.0.mlp.up_proj.weight", "model.language_model.layers.0.mlp.up_proj.weight"],
        [
            inner,
            "language_model.model.layers.0.mlp.up_proj.weight",
            "base_model.model.model.layers.0.mlp.up_proj.weight",
        ],
    ] {
        let values = [1, 2, 3].map(|seed| noise(seed, 60));
        let base = named("base", &[(one, values[0].clone())]);
        let models = [named("a", &[(other, values[1].clone())]), named("b", &[(third, values[2].clone())])];

        for report in both(&models, &base, Partial::Refuse) {
            let report = report.unwrap();
            let expected = cosine(&values[1], &values[2], &values[0]);
            assert!((report.matrices["cosine"][0][1].unwrap() - expected).abs() < 1e-9, "{other}");
            assert_eq!((report.coverage.share, report.coverage.skipped.len()), (1.0, 0));
        }
        let sides = [&models[0].source, &base.source].map(|source| Side::of(&**source));
        let diff = crate::diff::compare(sides[0], sides[1], &|_| Ok(())).unwrap();
        assert_eq!((diff.tensors.len(), diff.only_a.len(), diff.only_b.len()), (1, 0, 0));
    }
}

#[test]
fn sketches_under_two_wrappers_are_an_estimate() {
    let of = |label, name, seed| sketched(&named(label, &[(name, noise(seed, 20_000))]), 64);
    let models = [of("a", "model.w.weight", 2), of("b", "w.weight", 3)];

    let report = estimate(&models, Some(&of("base", "w.weight", 1)), Partial::Refuse).unwrap();

    let expected = cosine(&noise(2, 20_000), &noise(3, 20_000), &noise(1, 20_000));
    let (cosine, error) = (report.matrices["cosine"][0][1], report.standard_errors["cosine"][0][1]);
    assert!((cosine.unwrap() - expected).abs() < 4.0 * error.unwrap(), "{cosine:?} {error:?} {expected}");
    assert_eq!(report.coverage.share, 1.0);
}

#[test]
fn a_name_that_two_tensors_share_without_wrappers_stands_for_neither() {
    let base = named("base", &[("w.weight", noise(1, 20)), ("model.w.weight", noise(2, 20))]);
    let of = |label, seed| named(label, &[("w.weight", noise(seed, 20))]);

    for report in both(&[of("a", 3), of("b", 4)], &base, Partial::Take) {
        let report = report.unwrap();
        assert_eq!((report.elements, report.coverage.share), (20, 0.5));
    }
}

#[test]
fn a_tied_pair_that_is_stored_twice_counts_once() {
    let tables = [1, 2, 3].map(|seed| noise(seed, 60));
    let matrices = [4, 5, 6].map(|seed| noise(seed, 20));
    let of = |label: &str, at: usize, head: Option<&Vec<f64>>| {
        let mut tensors = vec![(EMBED, tables[at].clone()), ("model.w.weight", matrices[at].clone())];
        tensors.extend(head.map(|head| (HEAD, head.clone())));
        named(label, &tensors)
    };
    let twice = |label, at: usize| of(label, at, Some(&tables[at]));
    let euclidean = |report: &Report| report.matrices["euclidean"][0][1].unwrap();
    let once = both(&[of("a", 1, None), of("b", 2, None)], &of("base", 0, None), Partial::Refuse);
    let once = once.map(Result::unwrap);

    let tied = both(&[twice("a", 1), twice("b", 2)], &twice("base", 0), Partial::Refuse).map(Result::unwrap);
    let mixed = both(&[of("a", 1, None), twice("b", 2)], &twice("base", 0), Partial::Refuse);
    let own = [twice("a", 1), of("b", 2, Some(&tables[0]))];
    let untied = both(&own, &twice("base", 0), Partial::Refuse).map(Result::unwrap);

    for (tied, once) in tied.iter().zip(&once) {
        assert!((euclidean(tied) - euclidean(once)).abs() < 1e-9, "{} {}", euclidean(tied), euclidean(once));
        assert_eq!((tied.elements, tied.coverage.share), (80, 1.0));
        assert!(tied.coverage.skipped[0].reason.contains("which count once"), "{:?}", tied.coverage.skipped);
    }
    for report in mixed {
        assert_eq!(report.unwrap().coverage.share, 1.0);
    }
    assert!(untied.iter().all(|report| report.elements == 140), "a head of its own is compared");
}

#[test]
fn rows_of_tokens_that_are_not_known_compare_only_where_there_are_as_many() {
    let of = |label, seed, rows: usize| {
        let table = noise(seed, 2 * rows);
        named(label, &[(EMBED, table), ("model.w.weight", noise(seed + 50, 4_000))])
    };
    let base = of("base", 1, 30);

    let same = both(&[of("a", 2, 30), of("b", 3, 30)], &base, Partial::Refuse).map(Result::unwrap);
    let longer = both(&[of("a", 2, 30), of("b", 3, 34)], &base, Partial::Refuse).map(Result::unwrap);

    for report in same {
        let rows = &report.coverage.vocabulary[0];
        assert_eq!((rows.rule, rows.rows, rows.of), (RowRule::Position, 30, 30));
    }
    for report in longer {
        assert!(report.coverage.vocabulary.is_empty());
        assert_eq!(report.elements, 4_000);
        let reason = &report.coverage.skipped[0].reason;
        assert!(reason.contains("[30, 2]") && reason.contains("is not known"), "{reason}");
    }
}

#[test]
fn light_changes_are_told_and_distances_stand_in_proportion() {
    let base = noise(1, 400);
    let moved = |seed, share: f64| -> Vec<f64> {
        base.iter().zip(noise(seed, 400)).map(|(base, noise)| base + share * noise).collect()
    };
    let models = [named("light", &[("w", moved(2, 0.001))]), named("b", &[("w", moved(3, 0.1))])];

    for report in both(&models, &named("base", &[("w", base.clone())]), Partial::Refuse) {
        let report = report.unwrap();
        assert_eq!(report.warnings.len(), 1, "{:?}", report.warnings);
        assert!(report.warnings[0].contains("`light`") && report.warnings[0].contains("lower bound"));
        let distance = report.matrices["euclidean"][0][1].unwrap();
        let norm = base.iter().map(|value| f64::from(*value as f32).powi(2)).sum::<f64>().sqrt();
        let [rms, of_base] = [&report.distances.per_root_element, &report.distances.of_base];
        assert!((rms[0][1].unwrap() - distance / 20.0).abs() < 1e-12);
        assert!((of_base[0][1].unwrap() - distance / norm).abs() < 1e-9);
        let only = report.only(&["pearson"]);
        assert_eq!((only.matrices.len(), only.mean.len()), (1, 1));
        assert!(only.matrices.contains_key("pearson"));
    }
}
