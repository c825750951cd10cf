//! The comparison table: what is read of two models, what has another name, and the sentence about it.

use std::sync::atomic::{AtomicU64, Ordering};

use kernels::Dtype;
use weights::TensorSource;

use super::{Cells, DiffReport, Fact, Facts, Renamed, Side, compare, to_read};
use crate::testing::{Fixture, model, noise};

/// A checkpoint that counts the bytes that are read of it.
struct Counted {
    source: Fixture,
    read: AtomicU64,
}

impl Counted {
    fn of(source: Fixture) -> Self {
        Self { source, read: AtomicU64::new(0) }
    }

    fn facts(&self) -> Facts {
        let facts = self.sketched(64).into_iter();
        facts.map(|(name, fact)| (name, Fact { sketch: None, ..fact })).collect()
    }

    fn sketched(&self, cells: usize) -> Facts {
        let facts = weights::survey(&self.source, cells, &|_| Ok(())).unwrap().into_iter();
        let fact = |facts: weights::TensorFacts| {
            let nonfinite = facts.stats.map_or(0, |stats| stats.nans + stats.infs);
            let l2 = facts.stats.map(|stats| stats.l2());
            let sketch = facts.sketch.map(|sketch| Cells {
                exact: sketch.is_exact(),
                blocks: sketch.block_sums().len(),
                cells: sketch.cells().iter().map(|cell| *cell as f32).collect(),
            });
            (facts.name, Fact { digest: facts.digest, l2, nonfinite, sketch })
        };
        facts.map(fact).collect()
    }
}

impl TensorSource for Counted {
    weights::forward!(source; tensors);

    fn read_bytes(&self, index: usize, offset: u64, out: &mut [u8]) -> Result<(), weights::Error> {
        self.read.fetch_add(out.len() as u64, Ordering::Relaxed);
        self.source.read_bytes(index, offset, out)
    }

    fn read_f32(&self, index: usize, start: u64, out: &mut [f32]) -> Result<(), weights::Error> {
        self.source.read_f32(index, start, out)
    }
}

fn pair() -> [Counted; 2] {
    let of = |seed| {
        let mut odd = noise(5, 64);
        odd[3] = f64::NAN;
        Fixture::empty()
            .with("odd", Dtype::F32, &[64], &odd)
            .with("other", Dtype::Bf16, &[30], &noise(seed, 30))
            .with("same", Dtype::Bf16, &[50, 20], &noise(3, 1_000))
            .with("zero", Dtype::F32, &[8], &[0.0; 8])
            .with_bytes("steps", Dtype::I64, &[2], vec![7; 16])
    };
    [Counted::of(of(1)), Counted::of(of(2))]
}

fn compared(a: Side<'_>, b: Side<'_>) -> DiffReport {
    compare(a, b, &|_| Ok(())).unwrap()
}

#[test]
fn only_tensors_that_differ_are_read_and_the_others_are_told_as_if_they_had_been() {
    let [a, b] = pair();
    let whole = compared(Side::of(&a), Side::of(&b));
    let facts = [a.facts(), b.facts()];
    let all = a.read.swap(0, Ordering::Relaxed);

    let side = |source, facts| Side { facts: Some(facts), ..Side::of(source) };
    let known = compared(side(&a, &facts[0]), side(&b, &facts[1]));

    let left = to_read(side(&a, &facts[0]), side(&b, &facts[1]), &|_| Ok(())).unwrap();
    assert_eq!((all, a.read.load(Ordering::Relaxed), left), (64 * 4 + 60 + 2_000 + 32 + 16, 60, 120));
    for (known, read) in known.tensors.iter().zip(&whole.tensors) {
        let of = |t: &super::TensorDiff| {
            (t.name.clone(), t.relative_l2.is_some(), t.max_abs, t.unchanged_share, t.nonfinite, t.identical)
        };
        assert_eq!(of(known), of(read));
        let near = |x: Option<f64>, y: Option<f64>| match (x, y) {
            (Some(x), Some(y)) => (x - y).abs() < 1e-12,
            (x, y) => x == y,
        };
        assert!(
            near(known.cosine, read.cosine) && near(known.relative_l2, read.relative_l2),
            "{}",
            read.name
        );
    }
    assert_eq!(known.totals.unchanged_share, whole.totals.unchanged_share);
    assert!((known.totals.relative_l2.unwrap() - whole.totals.relative_l2.unwrap()).abs() < 1e-9);
    assert_eq!(known.verdict, whole.verdict);
}

#[test]
fn a_tensor_of_the_same_bytes_under_another_name_is_renamed_and_not_missing() {
    let with = |name: &str| Fixture::empty().with(name, Dtype::F32, &[4], &noise(1, 4));
    let (a, b) = (with("x.weight"), with("y.weight"));

    let report = compared(Side::of(&a), Side::of(&b));

    assert_eq!(report.renamed, [Renamed { a: "x.weight".into(), b: "y.weight".into() }]);
    assert!(report.only_a.is_empty() && report.only_b.is_empty());
    assert!(report.tensors[0].identical);
    let told = "All 1 tensors that both hold are identical, bit for bit; 0 only in the first, 0 only in the second, \
                0 in another shape, 1 under another name.";
    assert_eq!(report.verdict, told);
}

#[test]
fn names_are_not_guessed_where_several_tensors_have_the_same_bytes() {
    let with = |names: [&str; 2]| {
        let ones = |fixture: Fixture, name| fixture.with(name, Dtype::F32, &[4], &[1.0; 4]);
        names.into_iter().fold(Fixture::empty().with("z", Dtype::F32, &[1], &[1.0]), ones)
    };
    let (a, b) = (with(["a", "b"]), with(["c", "d"]));

    let report = compared(Side::of(&a), Side::of(&b));

    assert_eq!((report.only_a.len(), report.only_b.len(), report.renamed.len()), (2, 2, 0));
}

#[test]
fn the_verdict_says_architecture_and_what_is_missing() {
    let (a, b) = (model(1), model(2));
    let side = |source, architecture| Side { architecture: Some(architecture), ..Side::of(source) };

    let same = compared(side(&a, "LlamaForCausalLM"), side(&b, "LlamaForCausalLM")).verdict;
    let other = compared(side(&a, "LlamaForCausalLM"), side(&b, "Qwen2ForCausalLM")).verdict;

    assert!(same.starts_with("The same architecture, LlamaForCausalLM; "), "{same}");
    assert!(same.ends_with("; none is missing, renamed or in another shape."), "{same}");
    let told = "Another architecture, LlamaForCausalLM against Qwen2ForCausalLM; ";
    assert!(other.starts_with(told), "{other}");
}

#[test]
fn sketches_give_distances_with_errors_that_hold_and_no_tensor_is_read() {
    let base = noise(1, 30_000);
    let tuned = |seed: u64, scale: f64| -> Vec<f64> {
        base.iter().zip(noise(seed, 30_000)).map(|(value, noise)| value + scale * noise).collect()
    };
    let (mut off, mut count) = (0.0, 0.0);
    for seed in 2..18 {
        let of = |values: &[f64], few: f64| {
            let fixture = Fixture::empty().with("few.weight", Dtype::F32, &[8], &[few; 8]);
            let fixture = fixture.with("embed_tokens.weight", Dtype::F32, &[3_000, 10], values);
            Counted::of(fixture.with("up.weight", Dtype::F32, &[100, 300], values))
        };
        let (a, b) = (of(&tuned(seed, 0.03), 1.0), of(&base, 2.0));
        let facts = [a.sketched(2_048), b.sketched(2_048)];
        let side = |source, facts| Side { facts: Some(facts), ..Side::of(source) };

        let told = compared(side(&a, &facts[0]), side(&b, &facts[1]));
        let read = a.read.swap(0, Ordering::Relaxed) + b.read.load(Ordering::Relaxed);
        let exact = compared(Side::of(&a), Side::of(&b));

        assert_eq!((read, told.exact, exact.exact), (0, false, true));
        assert!(told.verdict.contains("; estimated from sketches; "), "{}", told.verdict);
        let few = told.tensors.iter().position(|tensor| tensor.name == "few.weight").unwrap();
        assert_eq!((told.tensors[few].error, told.tensors[few].max_abs), (None, Some(1.0)));
        for (told, exact) in told.tensors.iter().zip(&exact.tensors).filter(|(told, _)| told.error.is_some())
        {
            let (estimate, value) = (told.relative_l2.unwrap(), exact.relative_l2.unwrap());
            assert_eq!((told.max_abs, told.unchanged_share), (None, None));
            assert!((told.cosine.unwrap() - exact.cosine.unwrap()).abs() < 1e-4, "{}", told.name);
            off += ((estimate - value) / told.error.unwrap()).powi(2);
            count += 1.0;
        }
        let (estimate, value) = (told.totals.relative_l2.unwrap(), exact.totals.relative_l2.unwrap());
        assert!((estimate - value).abs() < 5.0 * told.totals.error.unwrap(), "{estimate} {value}");
    }
    let rms = f64::sqrt(off / count);
    assert!((0.6..1.5).contains(&rms) && count == 32.0, "{rms} {count}");
}
