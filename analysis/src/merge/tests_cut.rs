//! Tables of tokens of several lengths, cut to the rows that mean the same in all models.

use std::sync::Arc;

use kernels::Dtype;
use weights::Vocabulary;

use super::{
    Inputs, Tokens, UnevenRows, laws, parse, table_rows,
    tests::{check, inputs, merge},
};
use crate::testing::{Fixture, bytes, noise, same, values};

const EMBED: &str = "model.embed_tokens.weight";

/// A model with so many rows of two numbers, a head and its bias.
fn of(seed: u64, rows: u64) -> Fixture {
    let numbers = noise(seed, 4 * rows as usize);
    Fixture::empty()
        .with(EMBED, Dtype::Bf16, &[rows, 2], &numbers[..2 * rows as usize])
        .with("lm_head.weight", Dtype::F32, &[rows, 2], &numbers[2 * rows as usize..])
        .with("lm_head.bias", Dtype::F32, &[rows], &numbers[..rows as usize])
        .with("model.norm.weight", Dtype::F32, &[2], &[seed as f64, 1.0])
}

fn recipe(more: &str) -> String {
    format!(
        "{{merge_method: ties, base_model: o/base, models: [{{model: o/a}}, {{model: o/b}}], parameters: {{weight: 1, density: 0.7}}, {more}}}"
    )
}

fn uneven(inputs: &Inputs) -> Option<UnevenRows> {
    UnevenRows::of(&parse(&recipe("truncate_prefix: true")).unwrap(), inputs)
}

fn tokens(of: &[(&str, &[(&str, u32)])]) -> Tokens {
    let words = |words: &[(&str, u32)]| Arc::new(words.iter().copied().collect::<Vocabulary>());
    of.iter().map(|(name, of)| ((*name).to_owned(), words(of))).collect()
}

#[test]
fn tables_are_cut_to_the_fewest_rows_and_merged_as_if_they_had_no_others() {
    let three = inputs(&[("o/base", of(1, 5)), ("o/a", of(2, 7)), ("o/b", of(3, 6))]);
    let found = uneven(&three).unwrap();
    let (cut, tables) = found.cut(&three);

    assert_eq!(found.told(), "5 rows in `o/base`, 6 in `o/b`, 7 in `o/a`");
    assert_eq!(tables, ["lm_head.bias", "lm_head.weight", EMBED]);
    let merged = merge(&recipe("truncate_prefix: true"), &cut);
    assert_eq!(table_rows(&merged), Some(5));
    let short = |fixture: Fixture| {
        let first = |name: &str, count: usize| {
            values(&fixture, name)[..count].iter().map(|value| f64::from(*value)).collect::<Vec<_>>()
        };
        Fixture::empty()
            .with(EMBED, Dtype::Bf16, &[5, 2], &first(EMBED, 10))
            .with("lm_head.weight", Dtype::F32, &[5, 2], &first("lm_head.weight", 10))
            .with("lm_head.bias", Dtype::F32, &[5], &first("lm_head.bias", 5))
            .with("model.norm.weight", Dtype::F32, &[2], &first("model.norm.weight", 2))
    };
    let expected = inputs(&[("o/base", of(1, 5)), ("o/a", short(of(2, 7))), ("o/b", short(of(3, 6)))]);
    assert!(same(&merged, &merge(&recipe("seed: 0"), &expected)));
}

#[test]
fn what_is_cut_away_cannot_be_read() {
    let three = inputs(&[("o/base", of(1, 5)), ("o/a", of(2, 7)), ("o/b", of(3, 5))]);
    let (cut, _) = uneven(&three).unwrap().cut(&three);
    let source = &cut["o/a"].source;
    let at = source.position(EMBED).unwrap();

    assert_eq!(bytes(&**source, at), bytes(&*three["o/a"].source, at)[..20]);
    assert!(source.read_bytes(at, 18, &mut [0; 4]).is_err());
    assert!(source.read_f32(at, 9, &mut [0.0; 2]).is_err());
    assert!(source.view(at, 0, 22).is_none());
}

#[test]
fn models_with_equally_many_rows_have_nothing_to_cut_and_the_key_changes_no_byte() {
    assert_eq!(uneven(&inputs(&[("o/base", of(1, 5)), ("o/a", of(2, 5)), ("o/b", of(3, 5))])), None);
    let models = laws::models(laws::model);
    for (yaml, _) in laws::recipes() {
        let asked = yaml.replacen('{', "{truncate_prefix: true, ", 1);

        assert_eq!(UnevenRows::of(&parse(&asked).unwrap(), &models), None);
        assert!(same(&merge(&yaml, &models), &merge(&asked, &models)), "{yaml}");
    }
}

#[test]
fn the_first_token_that_differs_below_the_fewest_rows_is_named() {
    let three = inputs(&[("o/base", of(1, 3)), ("o/a", of(2, 5)), ("o/b", of(3, 4))]);
    let found = uneven(&three).unwrap();
    let base: &[(&str, u32)] = &[("x", 0), ("y", 1)];
    let same = tokens(&[
        ("o/base", base),
        ("o/a", &[("x", 0), ("y", 1), ("z", 4)]),
        ("o/b", &[("x", 0), ("y", 1), ("w", 3)]),
    ]);
    let other = tokens(&[
        ("o/base", base),
        ("o/a", &[("x", 0), ("y", 1), ("z", 2)]),
        ("o/b", &[("x", 0), ("`\n", 1)]),
    ]);

    assert_eq!(found.difference(&same), None);
    let told = found.difference(&other).unwrap().told();
    assert_eq!(told, "token 1 is `y` in `o/a` and ``\\n` in `o/b`");
    let spare = tokens(&[("o/base", base), ("o/a", &[("x", 0), ("y", 1), ("z", 2)]), ("o/b", base)]);
    assert_eq!(found.difference(&spare).unwrap().told(), "token 2 is `z` in `o/a` and nothing in `o/b`");
}

#[test]
fn only_the_models_at_both_ends_of_a_stack_have_tables_to_be_cut() {
    let yaml = "{merge_method: passthrough, truncate_prefix: true, slices: [{sources: [{model: o/a, layer_range: [0, 1]}]}, {sources: [{model: o/b, layer_range: [0, 1]}]}, {sources: [{model: o/a, layer_range: [0, 1]}]}]}";
    let of = |rows| of(1, rows).with("model.layers.0.x", Dtype::F32, &[1], &[1.0]);
    let models = inputs(&[("o/a", of(5)), ("o/b", of(3))]);

    assert_eq!(UnevenRows::of(&parse(yaml).unwrap(), &models), None);
    assert_eq!(table_rows(&merge(yaml, &models)), Some(5));
}

#[test]
fn a_recipe_that_asks_for_a_tokenizer_has_nothing_to_cut() {
    let three = inputs(&[("o/base", of(1, 5)), ("o/a", of(2, 5)), ("o/b", of(3, 5))]);
    let config = parse(&recipe("truncate_prefix: true, tokenizer_source: base")).unwrap();

    let Err(crate::Error::Faults(items)) = check(&config, &three) else { panic!("taken") };

    assert_eq!(items[0].pointer, "/truncate_prefix");
    assert!(items[0].message.contains("keep one of the two"), "{items:?}");
    assert!(parse(&recipe("truncate_prefix: yes please")).is_err());
}
