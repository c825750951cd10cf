//! Transplants between small models: which rows are kept, which are put together, what is refused.

use std::sync::Arc;

use domain::Limits;
use kernels::Dtype;
use serde_json::{Value, json};
use weights::{TensorSource, Tokenizer};

use super::{Fill, Options, Roles, Side, Transplant};
use crate::testing::{Fixture, noise, same, values};

const EMBED: &str = "model.embed_tokens.weight";
const HEAD: &str = "lm_head.weight";

fn special(id: u32, content: &str) -> Value {
    json!({"id": id, "content": content, "special": true})
}

fn tokenizer(decoder: &str, words: &[&str], added: &[Value]) -> Arc<Tokenizer> {
    let vocab: serde_json::Map<String, Value> =
        words.iter().zip(0..).map(|(word, row)| ((*word).to_owned(), json!(row))).collect();
    let document = json!({
        "added_tokens": added, "decoder": {"type": decoder},
        "model": {"type": "BPE", "vocab": vocab, "merges": []},
    });
    Arc::new(Tokenizer::parse(document.to_string().as_bytes(), &Limits::default()).unwrap())
}

fn side(label: &str, (rows, width, seed): (usize, usize, u64), tokenizer: Arc<Tokenizer>) -> Side {
    let shape = [rows as u64, width as u64];
    let source = Fixture::empty()
        .with(EMBED, Dtype::F32, &shape, &noise(seed, rows * width))
        .with(HEAD, Dtype::F32, &shape, &noise(seed + 1, rows * width))
        .with("model.norm.weight", Dtype::F32, &[width as u64], &noise(seed + 2, width))
        .share();
    Side { label: label.to_owned(), source, tokenizer, roles: Roles::default() }
}

/// Words of one letter or two, of which `keep` chooses.
fn many(keep: impl Fn(usize) -> bool) -> Vec<String> {
    (0..400).filter(|at| keep(*at)).map(|at| format!("w{at}")).collect()
}

fn pair(width: usize) -> (Side, Side) {
    let (ours, theirs) = (many(|at| at % 3 != 0), many(|at| at % 4 != 1));
    let of =
        |words: &[String]| tokenizer("Metaspace", &words.iter().map(String::as_str).collect::<Vec<_>>(), &[]);
    let recipient = side("o/recipient", (ours.len(), 24, 10), of(&ours));
    let donor = side("o/donor", (theirs.len(), width, 20), of(&theirs));
    (recipient, donor)
}

fn plan(recipient: &Side, donor: &Side, options: Options) -> Transplant {
    Transplant::new(recipient.clone(), donor, &options, &Limits::default()).unwrap()
}

fn solved(recipient: &Side, donor: &Side, options: Options) -> Arc<dyn TensorSource> {
    plan(recipient, donor, options).solve(&|_| Ok(())).unwrap()
}

fn row(source: &dyn TensorSource, tensor: &str, (at, width): (usize, usize)) -> Vec<f32> {
    values(source, tensor)[at * width..(at + 1) * width].to_vec()
}

#[test]
fn tokens_are_matched_by_bytes_roles_and_texts() {
    let ours = tokenizer(
        "Metaspace",
        &["<s>", "</s>", "<0x41>", "▁schön", "A", "x", "<tool>"],
        &[special(0, "<s>"), special(1, "</s>"), special(6, "<tool>")],
    );
    let theirs = tokenizer(
        "ByteLevel",
        &["ĠschÃ¶n", "A", "new", "<|end|>", "<tool>", "</s>"],
        &[special(3, "<|end|>"), special(4, "<tool>"), special(5, "</s>")],
    );
    let roles = |eos: &str| Roles { eos: Some(eos.to_owned()), ..Roles::default() };
    let recipient = Side { roles: roles("</s>"), ..side("o/r", (7, 2, 1), ours) };
    let donor = Side { roles: roles("<|end|>"), ..side("o/d", (6, 2, 2), theirs) };

    let plan = plan(&recipient, &donor, Options { fill: Fill::Zero, ..Options::default() });

    let made = plan.solve(&|_| Ok(())).unwrap();
    let of = |at| row(&*recipient.source, EMBED, (at, 2));
    let expected = [of(3), of(4), vec![0.0, 0.0], of(1), of(6), of(1)];
    assert_eq!(values(&*made, EMBED), expected.concat());
    assert_eq!((plan.report().shared, plan.report().new, plan.report().rows), (5, 1, 6));
}

#[test]
fn with_the_donors_own_weights_every_row_is_the_donors() {
    let (recipient, donor) = pair(24);
    let rows: Vec<f64> = values(&*donor.source, EMBED).into_iter().map(f64::from).collect();
    let of = |token: &str, at: usize| {
        let there = donor.tokenizer.vocabulary().row(token).map_or(0, |row| row as usize);
        rows[there * 24 + at]
    };
    let ours = recipient.tokenizer.vocabulary().rows();
    let table: Vec<f64> = ours.iter().flat_map(|(_, token)| (0..24).map(|at| of(token, at))).collect();
    let source = Fixture::empty().with(EMBED, Dtype::F32, &[ours.len() as u64, 24], &table).share();
    let recipient = Side { source, ..recipient };

    // As many atoms as numbers in a row: nothing is left of any target.
    let made = solved(&recipient, &donor, Options { k: 24, ..Options::default() });

    let norm = rows.iter().map(|v| v * v).sum::<f64>().sqrt();
    let off: f64 = values(&*made, EMBED).iter().zip(&rows).map(|(a, b)| (f64::from(*a) - b).powi(2)).sum();
    assert!(off.sqrt() <= 1e-5 * norm, "{} of {norm}", off.sqrt());
}

#[test]
fn the_result_has_the_same_bits_on_any_number_of_threads_and_in_any_batch() {
    let (recipient, donor) = pair(32);
    let options = Options { k: 8, ..Options::default() };
    let on = |threads: usize, options: Options, held: u64| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let limits = Limits { transplant_held: held, ..Limits::default() };
        pool.install(|| {
            let plan = Transplant::new(recipient.clone(), &donor, &options, &limits).unwrap();
            plan.solve(&|_| Ok(())).unwrap()
        })
    };

    let one = on(1, options, 1 << 26);

    assert!(same(&*one, &*on(4, options, 1_090_000)));
    let some = Options { candidates: Some(40), ..options };
    assert!(same(&*on(1, some, 1 << 26), &*on(3, some, 802_800)));
    assert!(same(&*one, &*on(2, Options { candidates: Some(100_000), ..options }, 1 << 26)));
    assert!(!same(&*one, &*on(1, some, 1 << 26)));
}

#[test]
fn more_atoms_come_nearer() {
    let (recipient, donor) = pair(24);
    let of = |k| {
        let twin = Side { label: "o/twin".into(), ..donor.clone() };
        // The donor's rows are the recipient's too, so that the distance to them says how good the sums are.
        let recipient =
            Side { source: donor.source.clone(), tokenizer: donor.tokenizer.clone(), ..recipient.clone() };
        let words = many(|at| at % 4 != 1);
        let shared: Vec<&str> = words
            .iter()
            .map(String::as_str)
            .enumerate()
            .map(|(at, word)| if at < 200 { word } else { "" })
            .collect();
        let renamed: Vec<String> = shared
            .iter()
            .enumerate()
            .map(|(at, word)| if word.is_empty() { format!("n{at}") } else { (*word).to_owned() })
            .collect();
        let renamed: Vec<&str> = renamed.iter().map(String::as_str).collect();
        let donor = Side { tokenizer: tokenizer("Metaspace", &renamed, &[]), ..twin };
        let made = solved(&recipient, &donor, Options { k, ..Options::default() });
        let (got, wanted) = (values(&*made, EMBED), values(&*donor.source, EMBED));
        got.iter().zip(&wanted).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt()
    };

    let off = [1, 4, 12, 24].map(of);

    assert!(off.windows(2).all(|pair| pair[1] < pair[0]), "{off:?}");
}

#[test]
fn new_tokens_can_be_the_mean_of_the_shared_ones() {
    let recipient = side("o/r", (3, 1, 1), tokenizer("Metaspace", &["a", "b", "c"], &[]));
    let donor = side("o/d", (3, 1, 2), tokenizer("Metaspace", &["b", "z", "a"], &[]));

    let made = solved(&recipient, &donor, Options { fill: Fill::Mean, ..Options::default() });

    let (own, got) = (values(&*recipient.source, EMBED), values(&*made, EMBED));
    assert_eq!(got, [own[1], ((f64::from(own[0]) + f64::from(own[1])) / 2.0) as f32, own[0]]);
}

#[test]
fn rows_of_the_donor_without_a_token_do_not_weaken_the_mean() {
    let recipient = side("o/r", (3, 1, 1), tokenizer("Metaspace", &["a", "b", "c"], &[]));
    let donor = side("o/d", (9, 1, 2), tokenizer("Metaspace", &["b", "z", "a"], &[special(8, "<end>")]));

    let made = solved(&recipient, &donor, Options { fill: Fill::Mean, ..Options::default() });

    let (own, got) = (values(&*recipient.source, EMBED), values(&*made, EMBED));
    let mean = ((f64::from(own[0]) + f64::from(own[1])) / 2.0) as f32;
    assert_eq!([got[1], got[8]], [mean; 2]);
    assert_eq!(got[3..8], [0.0; 5]);
}

#[test]
fn a_warning_of_tokens_beyond_the_donors_rows_says_what_becomes_of_them() {
    let recipient = side("o/r", (3, 1, 1), tokenizer("Metaspace", &["a", "b", "c"], &[]));
    let donor = side("o/d", (2, 1, 2), tokenizer("Metaspace", &["b", "a", "z"], &[]));
    let own = values(&*recipient.source, EMBED);
    let mean = ((f64::from(own[0]) + f64::from(own[1])) / 2.0) as f32;
    for (fill, told, expected) in
        [(Fill::Mean, "the mean", mean), (Fill::Zero, "zero", 0.0), (Fill::Omp, "zero", 0.0)]
    {
        let plan = plan(&recipient, &donor, Options { fill, k: 1, candidates: None });

        let warnings = plan.report().warnings;

        let wanted = format!("1 tokens of `o/d` have no row in it and become {told}");
        assert!(warnings.iter().any(|item| item.message == wanted), "{warnings:?}");
        assert_eq!(values(&*plan.solve(&|_| Ok(())).unwrap(), EMBED)[2], expected);
    }
}

#[test]
fn a_head_is_solved_in_its_own_space_and_a_tied_one_in_that_of_the_embedding() {
    let (recipient, donor) = pair(24);
    let tied = Fixture::empty().with(EMBED, Dtype::F32, &[300, 24], &noise(20, 300 * 24)).share();
    let tied = Side { source: tied, ..donor.clone() };

    let own = solved(&recipient, &donor, Options { k: 4, ..Options::default() });
    let same_space = solved(&recipient, &tied, Options { k: 4, ..Options::default() });

    assert_eq!(values(&*own, EMBED), values(&*same_space, EMBED));
    assert_ne!(values(&*own, HEAD), values(&*same_space, HEAD));
}

#[test]
fn work_is_told_and_can_be_stopped() {
    use std::sync::atomic::{AtomicU64, Ordering};

    let (recipient, donor) = pair(24);
    let plan = plan(&recipient, &donor, Options { k: 2, ..Options::default() });
    let done = AtomicU64::new(0);

    plan.solve(&|tokens| {
        done.fetch_add(tokens, Ordering::Relaxed);
        Ok(())
    })
    .unwrap();
    let stopped = plan.solve(&|_| Err(crate::Error::Stopped("asked to".into())));

    assert_eq!(done.into_inner(), plan.work());
    assert_eq!(plan.work(), 2 * plan.report().new as u64);
    assert!(matches!(stopped.err(), Some(crate::Error::Stopped(_))));
}

#[test]
fn what_cannot_be_done_is_told_with_its_reason() {
    let (recipient, donor) = pair(24);
    let refused = |recipient: &Side, donor: &Side, options: Options, limits: &Limits| {
        Transplant::new(recipient.clone(), donor, &options, limits)
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default()
    };
    let (usual, limits) = (Options::default(), Limits::default());
    let strangers = Side { tokenizer: tokenizer("Metaspace", &["q"], &[]), ..donor.clone() };
    let bare = Side { source: Fixture::empty().share(), ..recipient.clone() };

    assert!(refused(&recipient, &strangers, usual, &limits).contains("share no token"));
    assert!(refused(&bare, &donor, usual, &limits).contains("`o/recipient` has no table"));
    assert!(refused(&recipient, &donor, Options { k: 0, ..usual }, &limits).contains("/k"));
    let few = Options { candidates: Some(3), ..usual };
    assert!(refused(&recipient, &donor, few, &limits).contains("/candidates"));
    let little = Limits { transplant_held: 1000, ..limits };
    assert!(refused(&recipient, &donor, usual, &little).contains("`transplant_held`"));
    let short = Limits { vocabulary_rows: 10, ..limits };
    assert!(refused(&recipient, &donor, usual, &short).contains("`vocabulary_rows`"));
}
