//! Transfers and checks of small models.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use domain::Fault;
use kernels::Dtype;
use serde_json::json;
use weights::{TensorInfo, TensorSource, Vocabulary};

use super::*;
use crate::testing::{Fixture, bytes, model, noise, same, values};

const Q: &str = "model.layers.0.self_attn.q_proj.weight";
const UP: &str = "model.layers.1.mlp.up_proj.weight";
const EMBED: &str = "model.embed_tokens.weight";

fn named(label: &str, model: Fixture) -> Named {
    Named { label: label.to_owned(), source: model.share(), tokens: None }
}

fn speaking(model: Named, tokens: &[&str]) -> Named {
    let tokens: Vocabulary = tokens.iter().copied().zip(0..).collect();
    Named { tokens: Some(Arc::new(tokens)), ..model }
}

fn operands([target, base, tuned]: [Fixture; 3]) -> Operands {
    Operands {
        target_base: named("target", target),
        source_base: named("base", base),
        source_tuned: named("tuned", tuned),
    }
}

fn options(value: serde_json::Value) -> Options {
    serde_json::from_value(value).unwrap()
}

fn transfer(seeds: [u64; 3], wanted: serde_json::Value) -> TransferSource {
    TransferSource::new(operands(seeds.map(model)), &options(wanted)).unwrap()
}

fn refusal(operands: Operands, wanted: serde_json::Value) -> crate::Error {
    TransferSource::new(operands, &options(wanted)).err().unwrap()
}

#[test]
fn nothing_tuned_gives_the_target_and_equal_bases_give_the_tuned_model() {
    assert!(same(&transfer([1, 2, 2], json!({})), &model(1)));
    assert!(same(&transfer([1, 1, 3], json!({})), &model(3)));
    assert!(same(&transfer([1, 2, 3], json!({ "lambda": 0 })), &model(1)));
}

#[test]
fn every_preset_adds_the_diff_with_one_rounding_where_it_says() {
    let cases = [("diff_vector", 1.0, true), ("shadow_ft", 1.0, false), ("chat_vector", 0.5, true)];
    for (preset, lambda, everywhere) in cases {
        let got = transfer([1, 2, 3], json!({ "preset": preset, "lambda": lambda }));

        for info in got.tensors().iter().filter(|info| info.dtype.is_float()) {
            let [target, base, tuned] = [1, 2, 3].map(|seed| values(&model(seed), &info.name));
            let moved = everywhere || [Q, UP].contains(&info.name.as_str());
            let share = if moved { lambda } else { 0.0 };
            let of = |i: usize| f64::from(target[i]) + share * (f64::from(tuned[i]) - f64::from(base[i]));
            let exact: Vec<f64> = (0..target.len()).map(of).collect();
            let mut rounded = vec![0; info.bytes() as usize];
            kernels::encode_f64(info.dtype, &exact, &mut rounded);
            let at = got.position(&info.name).unwrap();
            assert_eq!(bytes(&got, at), rounded, "{preset}: {}", info.name);
        }
    }
}

#[test]
fn lambda_follows_a_gradient_over_the_layers_and_filters_by_name() {
    let got = transfer(
        [1, 2, 3],
        json!({ "lambda": [{ "filter": "q_proj", "value": [0.5, 2.0] }, { "filter": "mlp", "value": 0 }] }),
    );

    let [target, base, tuned] = [1, 2, 3].map(|seed| values(&model(seed), Q));
    let expected = f64::from(target[7]) + 0.5 * (f64::from(tuned[7]) - f64::from(base[7]));
    assert_eq!(values(&got, Q)[7], expected as f32, "the first layer takes the first value");
    assert_eq!(values(&got, UP), values(&model(1), UP), "nothing is added to the MLP");
    assert_ne!(values(&got, EMBED), values(&model(1), EMBED), "what no filter names takes the whole diff");
}

#[test]
fn patterns_choose_tensors_by_name() {
    let got = transfer([1, 2, 3], json!({ "include": r"layers\.\d+", "exclude": "mlp" }));

    assert_eq!(values(&got, UP), values(&model(1), UP));
    assert_eq!(values(&got, EMBED), values(&model(1), EMBED));
    assert_ne!(values(&got, Q), values(&model(1), Q));
    let options: Options = serde_json::from_value(json!({ "include": "(" })).unwrap();
    let told = options.canonical().unwrap_err().to_string();
    assert!(told.contains("`(` is no usable expression: unclosed group") && !told.contains('\n'), "{told}");
    for (wanted, pointer) in [
        (json!({ "include": "(" }), "/include"),
        (json!({ "include": "no such" }), "/include"),
        (json!({ "exclude": "." }), "/exclude"),
        (json!({ "include": "norm", "preset": "shadow_ft" }), "/include"),
        (json!({ "lambda": "much" }), "/lambda"),
        (json!({ "lambda": [{ "valeu": 1, "value": 1 }] }), "/lambda/0/valeu"),
        (json!({ "lambda": { "filter": "a/b", "value": 1, "a/b~": 1 } }), "/lambda/a~1b~0"),
    ] {
        let items = refusal(operands([1, 2, 3].map(model)), wanted.clone()).items();
        let places: Vec<&str> = items.iter().map(|item| item.pointer.as_str()).collect();
        assert_eq!(places, [pointer], "{wanted}");
    }
}

#[test]
fn chat_vector_takes_half_of_the_diff_or_more() {
    let error = refusal(operands([1, 2, 3].map(model)), json!({ "preset": "chat_vector", "lambda": 0.4 }));

    assert!(error.to_string().contains("0.5 to 1"), "{error}");
}

#[test]
fn a_strength_beyond_the_number_format_is_named_as_the_cause() {
    // Beyond f32, beyond f64, and beyond f64 before anything is added.
    for (lambda, dtype) in
        [(1e300, Dtype::F32), (1e308, Dtype::F32), (1e308, Dtype::Bf16), (1e308, Dtype::F64)]
    {
        let of = |value: f64| Fixture::empty().with(Q, dtype, &[2, 2], &[value, 2.0 * value, -value, 1.0]);
        let models = [of(1.0), of(2.0), of(-40.0)];
        let source = TransferSource::new(operands(models), &options(json!({ "lambda": lambda }))).unwrap();

        let error = source.read_bytes(0, 0, &mut [0; 8]).unwrap_err();
        let whole = source.read_f32(0, 0, &mut [0.0; 4]).unwrap_err().to_string();

        assert_eq!(error.code(), "values_too_large");
        assert!(error.to_string().contains("λ") && !error.to_string().contains("`dtype"), "{error}");
        assert!(whole.starts_with("3 "), "one element was not tuned: {whole}");
    }
}

/// A checkpoint that counts the bytes read of it.
struct Counting(Fixture, AtomicU64);

impl TensorSource for Counting {
    fn tensors(&self) -> &[TensorInfo] {
        self.0.tensors()
    }

    fn read_bytes(&self, index: usize, offset: u64, out: &mut [u8]) -> Result<(), weights::Error> {
        self.1.fetch_add(out.len() as u64, Ordering::Relaxed);
        self.0.read_bytes(index, offset, out)
    }

    fn read_f32(&self, index: usize, start: u64, out: &mut [f32]) -> Result<(), weights::Error> {
        self.0.read_f32(index, start, out)
    }
}

#[test]
fn tensors_that_must_be_equal_are_compared_once_however_they_are_read() {
    let of = || {
        let whole = Fixture::empty().with_bytes("w", Dtype::I64, &[1_000], vec![7; 8_000]);
        whole.with(Q, Dtype::F32, &[1], &[1.0])
    };
    let counting = Arc::new(Counting(of(), AtomicU64::new(0)));
    let mut operands = operands([of(), of(), of()]);
    operands.source_tuned.source = counting.clone();
    let source = TransferSource::new(operands, &options(json!({}))).unwrap();
    let at = source.position("w").unwrap();

    for offset in (0..8_000).step_by(100) {
        source.read_bytes(at, offset, &mut [0; 100]).unwrap();
    }

    assert_eq!(counting.1.load(Ordering::Relaxed), 8_000);
}

#[test]
fn one_meaning_has_one_recipe() {
    let [one, other] = [json!({ "lambda": 1 }), json!({ "lambda": [{ "value": 1.0 }] })]
        .map(|text| options(text).canonical().unwrap());

    assert_eq!(one, other);
    assert_eq!(one, Options::default());
}

#[test]
fn every_mismatch_is_listed() {
    let of = |name: &str, len| Fixture::empty().with(name, Dtype::F32, &[len], &vec![0.0; len as usize]);

    let error = refusal(operands([of("w", 2), of("w", 3), of("v", 2)]), json!({}));

    assert_eq!(error.items().len(), 3, "{error}");
}

#[test]
fn quantised_layouts_are_refused_and_integers_must_agree() {
    let coded = || Fixture::empty().with_bytes("w.qweight", Dtype::I32, &[1], vec![1; 4]);
    let error = refusal(operands([coded(), coded(), coded()]), json!({}));
    assert!(error.to_string().contains("quantised"), "{error}");

    let steps = |byte| Fixture::empty().with_bytes("steps", Dtype::I64, &[1], vec![byte; 8]);
    let other = TransferSource::new(operands([steps(1), steps(1), steps(2)]), &Options::default()).unwrap();
    let error = other.read_bytes(0, 0, &mut [0; 8]).unwrap_err().to_string();
    assert!(error.contains("`steps` differs between `the source base`"), "{error}");
}

fn table(rows: &[f64]) -> Fixture {
    let elements: Vec<f64> = rows.iter().flat_map(|row| [*row, row * 10.0]).collect();
    Fixture::empty().with(EMBED, Dtype::F32, &[rows.len() as u64, 2], &elements)
}

fn rows(source: &dyn TensorSource) -> Vec<f32> {
    values(source, EMBED).chunks(2).map(|row| row[0]).collect()
}

/// The tuned model adds `<new>` and has a spare row; the target numbers its tokens otherwise.
fn talkative() -> Operands {
    Operands {
        target_base: speaking(named("target", table(&[30.0, 10.0, 20.0])), &["c", "a", "b"]),
        source_base: speaking(named("base", table(&[1.0, 2.0, 3.0])), &["a", "b", "c"]),
        source_tuned: speaking(named("tuned", table(&[1.5, 2.5, 3.5, 8.0, 9.0])), &["a", "b", "c", "<new>"]),
    }
}

#[test]
fn rows_follow_the_tokens_of_the_tuned_model_and_an_added_token_gets_its_share() {
    let got = TransferSource::new(talkative(), &options(json!({ "lambda": 0.5 }))).unwrap();

    assert_eq!(got.tensors()[0].shape, [5, 2]);
    assert_eq!(rows(&got), [10.25, 20.25, 30.25, 4.0, 4.5]);
    let mut part = [0.0; 3];
    got.read_f32(0, 5, &mut part).unwrap();
    assert_eq!(part, [302.5, 4.0, 40.0], "from the middle of a row");
    let aligned = AlignedRows { tensor: EMBED.into(), rows: 5, in_target_base: 3, in_source_base: 3 };
    assert_eq!(got.aligned(), [aligned]);
}

#[test]
fn other_tokenizers_on_equal_row_counts_are_matched_too() {
    let mut wanted = talkative();
    wanted.source_tuned = speaking(named("tuned", table(&[1.5, 2.5, 3.5])), &["a", "b", "c"]);

    let got = TransferSource::new(wanted, &Options::default()).unwrap();

    assert_eq!(rows(&got), [10.5, 20.5, 30.5]);
}

#[test]
fn unknown_tokenizers_are_refused_where_rows_differ_and_the_table_cannot_be_left_out() {
    let mut unknown = talkative();
    unknown.source_base.tokens = None;
    let error = refusal(unknown, json!({})).to_string();
    assert!(error.contains("the tokenizer of `base` is not known"), "{error}");

    let with_layer = |model: Named, seed| {
        let layer = Fixture::empty().with(Q, Dtype::F32, &[2, 2], &noise(seed, 4));
        let elements: Vec<f64> = values(&*model.source, EMBED).into_iter().map(f64::from).collect();
        let table = layer.with(EMBED, Dtype::F32, &[elements.len() as u64 / 2, 2], &elements);
        Named { source: table.share(), ..model }
    };
    let all = || {
        let Operands { target_base, source_base, source_tuned } = talkative();
        Operands {
            target_base: with_layer(target_base, 1),
            source_base: with_layer(source_base, 2),
            source_tuned: with_layer(source_tuned, 3),
        }
    };
    let error = refusal(all(), json!({ "exclude": "embed" })).to_string();
    assert!(error.contains("needs its rows"), "{error}");
    let kept = TransferSource::new(all(), &options(json!({ "preset": "shadow_ft" }))).unwrap();
    assert_eq!(rows(&kept), [30.0, 10.0, 20.0], "shadow_ft keeps the target's table");
}

#[test]
fn a_head_of_its_own_in_one_model_becomes_one_of_the_result() {
    let head = |model: Fixture, rows: &[f64]| model.with("lm_head.weight", Dtype::F32, &[2, 1], rows);
    let table = |rows: &[f64]| Fixture::empty().with(EMBED, Dtype::F32, &[2, 1], rows);

    let wanted = operands([table(&[1.0, 2.0]), table(&[3.0, 4.0]), head(table(&[3.0, 4.0]), &[5.0, 4.0])]);
    let got = TransferSource::new(wanted, &Options::default()).unwrap();

    assert_eq!(values(&got, "lm_head.weight"), [3.0, 2.0]);
    assert_eq!(values(&got, EMBED), [1.0, 2.0]);
}

fn near(seed: u64, scale: f64, of: &[f64]) -> Vec<f64> {
    of.iter()
        .zip(noise(seed, of.len()))
        .map(|(value, noise)| value + scale * noise.clamp(-0.01, 0.01))
        .collect()
}

fn mlp(elements: &[f64]) -> Fixture {
    Fixture::empty().with(UP, Dtype::F32, &[128, elements.len() as u64 / 128], elements)
}

fn checked(models: [&[f64]; 3], wanted: serde_json::Value) -> Report {
    check(&operands(models.map(mlp)), &options(wanted), Configs::default(), &|_| Ok(())).unwrap()
}

#[test]
fn the_numbers_of_a_check_are_those_written_out() {
    let base = noise(5, 128 * 600);
    let (target, tuned) = (near(6, 1.0, &base), near(7, 1.0, &base));

    let report = checked([&target, &base, &tuned], json!({}));

    let f32s = |values: &[f64]| values.iter().map(|v| f64::from(*v as f32)).collect::<Vec<_>>();
    let (target, base, tuned) = (f32s(&target), f32s(&base), f32s(&tuned));
    let minus = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<_>>();
    let (g, d) = (minus(&target, &base), minus(&tuned, &base));
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let l1 = |a: &[f64]| a.iter().map(|a| a.abs()).sum::<f64>();
    let norm = |a: &[f64]| dot(a, a).sqrt();
    let close = |got: Option<f64>, expected: f64| {
        let got = got.unwrap();
        assert!((got - expected).abs() <= 1e-9 * expected.abs().max(1.0), "{got} is not {expected}");
    };
    close(report.model.relative_gap, norm(&g) / norm(&base));
    close(report.model.relative_delta, norm(&d) / norm(&base));
    close(report.model.gap_ratio, l1(&g) / (l1(&base) + l1(&target)));
    close(report.model.cosine, dot(&d, &g) / (norm(&d) * norm(&g)));
    close(report.model.delta_to_gap, norm(&d) / norm(&g));
    assert_eq!(report.model.elements, base.len() as u64);
    let agreement = report.model.sign_agreement.unwrap();
    assert!((0.45..0.55).contains(&agreement), "independent signs agree by chance: {agreement}");
}

#[test]
fn a_check_without_any_share_of_the_diff_says_so_and_measures_all_the_same() {
    let base = noise(5, 128 * 6);
    let (target, tuned) = (near(6, 1.0, &base), near(7, 1.0, &base));

    let none = checked([&target, &base, &tuned], json!({ "lambda": 0 }));

    let whole = checked([&target, &base, &tuned], json!({}));
    assert_eq!((&none.model, &none.tensors), (&whole.model, &whole.tensors));
    assert!(none.verdict >= Verdict::Uncertain);
    assert!(none.reasons.iter().any(|reason| reason.message.contains("λ is 0 for every tensor")), "{none:?}");
    assert!(!whole.reasons.iter().any(|reason| reason.message.contains('λ')), "{whole:?}");
}

#[test]
fn a_check_warns_of_a_strength_that_the_number_format_does_not_hold() {
    let base = noise(5, 128 * 6);
    let (target, tuned) = (near(6, 1.0, &base), near(7, 1.0, &base));

    for lambda in [1e42, -1e42, 1e308] {
        let report = checked([&target, &base, &tuned], json!({ "lambda": lambda }));

        assert_eq!(report.verdict, Verdict::Unlikely, "{lambda}");
        let told = report.reasons.iter().find(|reason| reason.message.contains("leave the range of F32"));
        assert!(told.is_some_and(|reason| reason.message.contains(UP)), "{report:?}");
    }
    assert!(
        checked([&target, &base, &tuned], json!({ "lambda": 1e30 }))
            .reasons
            .iter()
            .all(|r| !r.message.contains('λ'))
    );
}

#[test]
fn values_that_are_not_finite_are_named_as_what_keeps_models_from_being_compared() {
    let broken = vec![f64::NAN; 128];

    let models = [&broken, &broken, &broken].map(|values| mlp(values));
    let error = check(&operands(models), &options(json!({})), Configs::default(), &|_| Ok(())).unwrap_err();

    let told = error.to_string();
    assert!(told.contains("finite floats in every model") && told.contains("NaN or infinity"), "{told}");
}

#[test]
fn versions_are_likely_to_work_permuted_and_foreign_bases_are_not() {
    let base = noise(5, 128 * 600);
    let (target, tuned) = (near(6, 1.0, &base), near(7, 0.5, &base));
    let permuted: Vec<f64> = base.chunks(600).rev().flatten().copied().collect();
    let foreign = noise(50, 128 * 600);

    let likely = checked([&target, &base, &tuned], json!({}));
    let turned = checked([&permuted, &base, &tuned], json!({}));
    let unlikely = checked([&foreign, &base, &tuned], json!({}));

    assert_eq!(likely.verdict, Verdict::Likely, "{:?}", likely.reasons);
    assert_eq!(likely.neurons.share, Some(1.0));
    for report in [turned, unlikely] {
        assert_eq!(report.verdict, Verdict::Unlikely, "{:?}", report.reasons);
        assert!(report.neurons.share.unwrap() < 0.2, "{:?}", report.neurons);
        assert!(report.model.relative_gap.unwrap() > 1.0, "{:?}", report.model);
    }
}

#[test]
fn a_diff_to_a_model_that_was_not_tuned_from_the_base_is_unlikely_to_work() {
    let base = noise(5, 128 * 600);
    let (target, foreign) = (near(6, 1.0, &base), noise(50, 128 * 600));

    let report = checked([&target, &base, &foreign], json!({}));

    assert_eq!(report.verdict, Verdict::Unlikely, "{:?}", report.reasons);
    assert!(report.reasons.iter().any(|reason| reason.message.contains("hardly tuned from that base")));
}

#[test]
fn a_diff_that_the_target_already_holds_is_seen() {
    let base = noise(5, 128 * 600);
    let tuned = near(7, 1.0, &base);

    let report = checked([&tuned, &base, &tuned], json!({}));

    assert_eq!(report.verdict, Verdict::Uncertain, "{:?}", report.reasons);
    assert_eq!(report.model.sign_agreement, Some(1.0));
    assert!(report.model.cosine.unwrap() > 0.999);
}

#[test]
fn a_check_says_how_much_of_the_result_the_change_fits() {
    let of =
        |seed| mlp(&noise(seed, 128 * 3)).with("lm_head.weight", Dtype::F32, &[128, 1], &noise(seed, 128));
    let coverage = |wanted| {
        let operands = operands([1, 2, 3].map(of));
        check(&operands, &options(wanted), Configs::default(), &|_| Ok(())).unwrap().coverage
    };

    let (all, some) = (coverage(json!({})), coverage(json!({ "exclude": "lm_head" })));

    assert_eq!((all.tensors, all.of_tensors, all.share), (2, 2, 1.0));
    assert_eq!((some.tensors, some.of_tensors), (1, 2));
    assert_eq!((some.elements, some.of_elements, some.share), (384, 512, 0.75));
}

#[test]
fn configurations_are_compared_field_by_field() {
    let base = noise(5, 128 * 4);
    let (one, other) = (
        json!({ "hidden_size": 4, "rope_theta": 10000, "hidden_act": "silu" }),
        json!({ "hidden_size": 8, "rope_theta": 10000.0, "hidden_act": "gelu" }),
    );
    let configs = Configs { target_base: Some(&other), source_base: Some(&one), source_tuned: Some(&one) };
    let models = [&base[..], &base, &base].map(mlp);

    let report = check(&operands(models), &Options::default(), configs, &|_| Ok(())).unwrap();

    let found: Vec<(&str, Severity)> = report.config.iter().map(|d| (d.field.as_str(), d.severity)).collect();
    assert_eq!(found, [("hidden_size", Severity::Error), ("hidden_act", Severity::Warning)]);
    assert_eq!(report.verdict, Verdict::Unlikely);
}

#[test]
fn a_check_has_the_same_bits_on_any_number_of_threads() {
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let run =
            || check(&operands([1, 2, 3].map(model)), &Options::default(), Configs::default(), &|_| Ok(()));
        pool.install(run).unwrap()
    };

    let [one, many] = [1, 5].map(|threads| serde_json::to_string(&on(threads)).unwrap());

    assert_eq!(one, many);
}
