//! Kinship by module and tensor, of models of other depths and of other vocabularies.

use std::sync::Arc;

use kernels::Dtype;

use super::{Named, Parity, Report, RowRule, Skipped, VocabularyRows, kinship};
use crate::testing::Fixture;

const EMBED: &str = "model.embed_tokens.weight";

fn named(label: &str, fixture: Fixture) -> Named {
    Named { label: label.into(), source: fixture.share(), tokens: None }
}

fn of(tensors: &[(&str, &[f64])]) -> Fixture {
    let add = |fixture: Fixture, (name, values): &(&str, &[f64])| {
        fixture.with(name, Dtype::F32, &[values.len() as u64], values)
    };
    tensors.iter().fold(Fixture::empty(), add)
}

/// A model of one embedding, two columns wide; `tokens` in the order of their rows.
fn speaker(label: &str, tokens: &str, rows: &[[f64; 2]]) -> Named {
    let fixture = Fixture::empty().with(EMBED, Dtype::F32, &[rows.len() as u64, 2], rows.as_flattened());
    let tokens = tokens.split_whitespace().zip(0..).collect();
    Named { tokens: Some(Arc::new(tokens)), ..named(label, fixture) }
}

fn measured(models: &[Named], base: &Named) -> Report {
    kinship(models, Some(base), &|_| Ok(())).unwrap()
}

fn close(got: Option<f64>, expected: f64) -> bool {
    got.is_some_and(|got| (got - expected).abs() < 1e-9)
}

#[test]
fn modules_and_tensors_have_values_of_their_own() {
    let (up, q, q_bias) =
        ("l.0.mlp.up_proj.weight", "l.0.self_attn.q_proj.weight", "l.1.self_attn.q_proj.bias");
    let base = named("base", of(&[(up, &[0.0; 2]), (q, &[0.0; 2]), (q_bias, &[0.0])]));
    let models = [
        named("a", of(&[(up, &[1.0, 0.0]), (q, &[1.0, 0.0]), (q_bias, &[1.0])])),
        named("b", of(&[(up, &[-1.0, 0.0]), (q, &[0.0, 1.0]), (q_bias, &[1.0])])),
    ];

    let report = measured(&models, &base);

    let modules: Vec<_> =
        report.modules.iter().map(|m| (m.module, m.elements, m.matrices["cosine"][0][1].unwrap())).collect();
    assert_eq!(modules, [("q", 3, 0.5), ("up", 2, -1.0)]);
    let tensors: Vec<_> = report
        .tensors
        .iter()
        .map(|t| (t.tensor.as_str(), t.module, t.matrices["cosine"][0][1].unwrap()))
        .collect();
    assert_eq!(tensors, [(up, "up", -1.0), (q, "q", 0.0), (q_bias, "q", 1.0)]);
    assert_eq!(report.tensors_more, 0);
}

#[test]
fn parity_loses_the_sign_and_averages_the_tensors_when_asked_to() {
    let unit = |at: usize| (0..100).map(|i| f64::from(u8::from(i == at))).collect::<Vec<_>>();
    let (first, second) = (unit(0), unit(1));
    let base = named("base", of(&[("a", &[0.0; 2]), ("b", &[0.0; 100]), ("c", &[0.0; 50])]));
    let models = [
        named("x", of(&[("a", &[-1.0, 0.0]), ("b", &first), ("c", &[0.0; 50])])),
        named("y", of(&[("a", &[1.0, 0.0]), ("b", &second), ("c", &[1.0; 50])])),
    ];
    let plain = measured(&models, &base);

    let reference = plain.clone().in_parity(Parity::Reference);
    let split = plain.clone().in_parity("reference-split".parse().unwrap());

    assert!(plain.matrices["cosine"][0][1].unwrap() < 0.0);
    assert_eq!(reference.matrices["cosine"][0][1], plain.matrices["cosine"][0][1].map(f64::abs));
    assert_eq!(reference.mean["cosine"], reference.matrices["cosine"][0][1]);
    assert_eq!(reference.modules[0].matrices["cosine"][0][1], reference.matrices["cosine"][0][1]);
    assert!(close(split.matrices["cosine"][0][1], 2.0 / 102.0));
    let distances = (2.0 * 2.0 + 100.0 * 2f64.sqrt() + 50.0 * 50f64.sqrt()) / 152.0;
    assert!(close(split.matrices["euclidean"][0][1], distances));
    assert!("cs".parse::<Parity>().is_err());
}

#[test]
fn layers_that_only_some_models_have_are_one_line_a_model() {
    let model = |layers: u64, value: f64| {
        let names: Vec<String> =
            (0..layers).flat_map(|n| ["q", "k"].map(|m| format!("layers.{n}.{m}_proj.weight"))).collect();
        let values = [value, 2.0];
        of(&names.iter().map(|name| (name.as_str(), &values[..])).collect::<Vec<_>>())
    };
    let base = named("base", model(4, 0.0));
    let models = [named("a", model(6, 1.0)), named("b", model(4, 2.0)), named("c", model(3, 2.0))];

    let report = measured(&models, &base);

    let line = |tensor: &str, reason: &str| Skipped { tensor: tensor.into(), reason: reason.into() };
    assert_eq!(
        report.coverage.skipped,
        [
            line("layers 4 to 5", "`a` has 6 layers, `base` 4; 4 tensors are left out"),
            line("layer 3", "`c` has 3 layers, `base` 4; 2 tensors are left out"),
        ]
    );
    let depth: Vec<_> = report.coverage.depth.iter().map(|(label, n)| (label.as_str(), *n)).collect();
    assert_eq!(depth, [("a", 6), ("b", 4), ("base", 4), ("c", 3)]);
    assert_eq!((report.coverage.compared, report.coverage.share), (6, 0.5));
    assert!(measured(&[models[1].clone(), models[1].clone()], &base).coverage.depth.is_empty());
}

#[test]
fn rows_of_appended_tokens_are_left_out() {
    let base = speaker("base", "a b", &[[1.0, 1.0], [1.0, 1.0]]);
    let models = [
        speaker("x", "a b c", &[[2.0, 3.0], [4.0, 5.0], [9.0, 9.0]]),
        speaker("y", "a b d e", &[[3.0, 2.0], [5.0, 4.0], [-9.0, 9.0], [7.0, 7.0]]),
    ];

    let report = measured(&models, &base);

    assert!(close(report.matrices["cosine"][0][1], 28.0 / 30.0));
    let rows = VocabularyRows { tensor: EMBED.into(), rows: 2, of: 2, rule: RowRule::SharedPrefix };
    assert_eq!(report.coverage.vocabulary, [rows]);
    assert!(report.coverage.skipped.is_empty());
}

#[test]
fn rows_of_the_same_tokens_in_another_order_are_compared_by_token() {
    let base = speaker("base", "a b c d", &[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0]]);
    let models = [
        speaker("x", "c a b e", &[[5.0, 6.0], [2.0, 4.0], [6.0, 8.0], [0.0, 0.0]]),
        speaker("y", "a b c f", &[[3.0, 3.0], [7.0, 7.0], [5.0, 6.0], [0.0, 0.0]]),
    ];

    let report = measured(&models, &base);

    assert!(close(report.matrices["cosine"][0][1], 28.0 / 30.0));
    assert!(close(report.matrices["pearson"][0][1], {
        let (x, y) = ([1.0, 2.0, 3.0, 4.0, 0.0, 0.0], [2.0, 1.0, 4.0, 3.0, 0.0, 0.0]);
        let mean = 10.0 / 6.0;
        let dot =
            |a: [f64; 6], b: [f64; 6]| a.iter().zip(b).map(|(a, b)| (a - mean) * (b - mean)).sum::<f64>();
        dot(x, y) / (dot(x, x) * dot(y, y)).sqrt()
    }));
    let rows = VocabularyRows { tensor: EMBED.into(), rows: 3, of: 4, rule: RowRule::Token };
    assert_eq!(report.coverage.vocabulary, [rows]);
    assert!(close(Some(report.coverage.share), 0.75));
}

#[test]
fn a_renamed_token_keeps_its_row_and_an_unknown_tokenizer_trusts_positions() {
    let base = speaker("base", "a b c", &[[0.0; 2]; 3]);
    let renamed = speaker("x", "a b chat", &[[1.0, 2.0], [3.0, 4.0], [0.0, 0.0]]);
    let unknown = Named { tokens: None, ..speaker("y", "", &[[2.0, 1.0], [4.0, 3.0], [0.0, 0.0]]) };

    let same = measured(&[renamed.clone(), renamed.clone()], &base);
    let position = measured(&[renamed, unknown], &base);

    assert_eq!((same.elements, same.coverage.vocabulary[0].rule), (6, RowRule::SameTokens));
    assert_eq!((position.elements, position.coverage.vocabulary[0].rule), (6, RowRule::Position));
    assert!(close(position.matrices["cosine"][0][1], 28.0 / 30.0));
}

#[test]
fn rows_that_cannot_be_matched_are_left_out_with_the_reason() {
    let with_norm = |named: Named| {
        let rows: Vec<f64> =
            crate::testing::values(&*named.source, EMBED).iter().map(|v| f64::from(*v)).collect();
        let fixture = Fixture::empty().with(EMBED, Dtype::F32, &[rows.len() as u64 / 2, 2], &rows).with(
            "model.norm.weight",
            Dtype::F32,
            &[1],
            &[1.0],
        );
        Named { source: fixture.share(), ..named }
    };
    let base = with_norm(speaker("base", "a b", &[[0.0; 2]; 2]));
    let longer = with_norm(speaker("x", "a b c", &[[1.0; 2]; 3]));
    let unknown = Named { tokens: None, ..longer.clone() };
    let stranger = with_norm(speaker("x", "k l m", &[[1.0; 2]; 3]));

    for (model, reason) in [
        (unknown, "the tokenizer of `x` is not known, so its rows cannot be matched by token"),
        (stranger, "the tokenizers share no token"),
    ] {
        let report = measured(&[model.clone(), base.clone()], &base);

        let expected = format!("shape [2, 2] in `base`, [3, 2] in `x`; {reason}");
        assert_eq!(report.coverage.skipped, [Skipped { tensor: EMBED.into(), reason: expected }]);
        assert!(report.coverage.vocabulary.is_empty());
    }
}

#[test]
fn shuffled_rows_over_many_blocks_give_the_bits_of_rows_in_order() {
    let count = 50_000u64;
    let words = |row: u64| format!("t{row}");
    let model = |label: &str, seed: u64, order: &dyn Fn(u64) -> u64| {
        let values = crate::testing::noise(seed, count as usize * 3);
        let rows: Vec<f64> =
            (0..count).flat_map(|row| values[order(row) as usize * 3..][..3].to_vec()).collect();
        let fixture = Fixture::empty().with(EMBED, Dtype::F32, &[count, 3], &rows);
        let tokens = (0..count).map(|row| (words(order(row)), row as u32)).collect();
        Named { tokens: Some(Arc::new(tokens)), ..named(label, fixture) }
    };
    let (plain, shuffled) = (|row: u64| row, |row: u64| row * 7 % count);
    let base = model("base", 1, &plain);
    let run = |threads, models: &[Named]| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| measured(models, &base))
    };

    let ordered = run(1, &[model("x", 2, &plain), model("y", 3, &plain)]);
    let moved = [model("x", 2, &shuffled), model("y", 3, &plain)];
    let (one, four) = (run(1, &moved), run(4, &moved));

    assert_eq!(one.coverage.vocabulary[0].rule, RowRule::Token);
    assert_eq!((&one.matrices, &four.matrices), (&ordered.matrices, &ordered.matrices));
}
