//! Kinship and merges with a device: as on the processor, also where it fails half way.

use std::{
    ops::ControlFlow,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use domain::Limits;
use kernels::{
    BLOCK, Dtype, Encoded, Gram,
    device::{Declined, Device, Streamed},
    wide::{Common, Term, weighted_sum},
};
use weights::{TensorInfo, TensorSource};

use crate::{
    Error,
    kinship::{Named, Partial, Setup, kinship, kinship_on},
    merge::{Input, Inputs, MergeSource, check, parse},
    testing::{Fixture, model, noise, same},
};

/// Computes with the processor's kernels, and fails after so many calls.
struct Lent {
    calls: AtomicU64,
    good: u64,
}

impl Lent {
    fn new(good: u64) -> Arc<Self> {
        Arc::new(Self { calls: AtomicU64::new(0), good })
    }

    fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    fn begin(&self) -> Result<(), Declined> {
        let before = self.calls.fetch_add(1, Ordering::Relaxed);
        if before < self.good { Ok(()) } else { Err(Declined::Failed("lost".to_owned())) }
    }
}

/// Reads everything, a block at a time, the last input first.
fn read(inputs: &Streamed<'_>) -> Result<Vec<Vec<u8>>, Declined> {
    let mut all = Vec::new();
    for (input, dtype) in inputs.inputs.iter().enumerate().rev() {
        let width = (dtype.bits() / 8) as usize;
        let mut bytes = vec![0; inputs.elements as usize * width];
        for (at, part) in bytes.chunks_mut(BLOCK * width).enumerate() {
            if (inputs.read)(input, (at * BLOCK) as u64, part) == ControlFlow::Break(()) {
                return Err(Declined::Stopped);
            }
        }
        all.insert(0, bytes);
    }
    Ok(all)
}

fn views<'a>(inputs: &Streamed<'_>, bytes: &'a [Vec<u8>]) -> Vec<Encoded<'a>> {
    inputs.inputs.iter().zip(bytes).map(|(dtype, bytes)| Encoded { dtype: *dtype, bytes }).collect()
}

impl Device for Lent {
    fn fault(&self) -> Option<String> {
        None
    }

    fn delta_sums(&self, inputs: Streamed<'_>) -> Result<Gram, Declined> {
        self.begin()?;
        let bytes = read(&inputs)?;
        let views = views(&inputs, &bytes);
        let mut sums = Gram::new(views.len() - 1);
        sums.add_deltas(views[0], &views[1..]);
        Ok(sums)
    }

    fn weighted_sum(
        &self,
        inputs: Streamed<'_>,
        (factors, common): (&[f64], Common),
        out: (Dtype, &mut [u8]),
    ) -> Result<Option<u64>, Declined> {
        self.begin()?;
        let bytes = read(&inputs)?;
        let terms: Vec<Term<'_>> = factors
            .iter()
            .zip(views(&inputs, &bytes))
            .map(|(factor, values)| Term { factor: *factor, values })
            .collect();
        Ok(weighted_sum(&terms, common, out))
    }
}

const RECIPES: [&str; 3] = [
    "{merge_method: linear, models: [{model: a, parameters: {weight: 0.7}}, {model: b, parameters: {weight: 0.3}}]}",
    "{merge_method: task_arithmetic, base_model: base,
      models: [{model: a, parameters: {weight: 0.7}}, {model: b, parameters: {weight: 0.6}}]}",
    "{merge_method: slerp, base_model: a, models: [{model: a}, {model: b}], parameters: {t: 0.3}}",
];

fn merge(yaml: &str) -> MergeSource {
    let input = |(name, seed): (&str, u64)| {
        (name.to_owned(), Input { source: model(seed).share(), content: name.to_owned(), config: None })
    };
    let inputs: Inputs = [("base", 1), ("a", 2), ("b", 3)].into_iter().map(input).collect();
    check(&parse(yaml).unwrap(), &inputs, &Limits::default()).unwrap()
}

#[test]
fn a_merge_on_a_device_has_the_bits_of_the_processor() {
    for yaml in RECIPES {
        let device = Lent::new(u64::MAX);

        let on_device = merge(yaml).on(Some(device.clone()));

        assert!(same(&on_device, &merge(yaml)), "{yaml}");
        assert!(device.calls() > 0, "{yaml}");
    }
}

#[test]
fn a_merge_whose_device_fails_half_way_has_the_bits_of_the_processor() {
    let device = Lent::new(2);

    let on_device = merge(RECIPES[1]).on(Some(device.clone()));

    assert!(same(&on_device, &merge(RECIPES[1])));
    assert!(device.calls() > 2);
}

fn named(label: &str, source: Arc<dyn TensorSource>) -> Named {
    Named { label: label.to_owned(), source, tokens: None }
}

/// Small tensors around one that is worth the way to a device.
fn on(device: &dyn Device) -> Setup<'_> {
    Setup { device: Some(device), partial: Partial::Take }
}

fn family() -> [Named; 3] {
    let of = |seed: u64| {
        let long = (1 << 20) + 77;
        model(seed)
            .with("model.layers.0.mlp.up_proj.weight", Dtype::Bf16, &[long as u64], &noise(seed, long))
            .share()
    };
    [named("base", of(1)), named("a", of(2)), named("b", of(3))]
}

#[test]
fn kinship_on_a_device_is_that_of_the_processor() {
    let [base, models @ ..] = family();
    let device = Lent::new(u64::MAX);
    let read = AtomicU64::new(0);
    let count = |bytes| {
        read.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    };

    let got = kinship_on(on(&*device), &models, Some(&base), &count).unwrap();
    let expected = kinship(&models, Some(&base), &|_| Ok(())).unwrap();

    assert_eq!(device.calls(), 1);
    assert_eq!((got.elements, got.tensors.len()), (expected.elements, expected.tensors.len()));
    for (got, expected) in got.tensors.iter().zip(&expected.tensors) {
        assert_eq!(got.tensor, expected.tensor);
        let value = |report: &crate::kinship::TensorReport| report.matrices["cosine"][0][1].unwrap();
        assert!((value(got) - value(expected)).abs() < 1e-9, "{}", got.tensor);
    }
    let floats = base.source.tensors().iter().filter(|info| info.dtype.is_float());
    assert_eq!(read.into_inner(), 3 * floats.map(TensorInfo::bytes).sum::<u64>());
}

#[test]
fn kinship_whose_device_fails_is_that_of_the_processor_to_the_bit() {
    let [base, models @ ..] = family();

    let got = kinship_on(on(&*Lent::new(0)), &models, Some(&base), &|_| Ok(())).unwrap();
    let expected = kinship(&models, Some(&base), &|_| Ok(())).unwrap();

    assert_eq!(got.matrices, expected.matrices);
}

/// Cannot read what lies far in.
struct Torn(Fixture);

impl TensorSource for Torn {
    fn tensors(&self) -> &[TensorInfo] {
        self.0.tensors()
    }

    fn read_bytes(&self, index: usize, offset: u64, out: &mut [u8]) -> Result<(), weights::Error> {
        if offset > 1 << 20 { Err(weights::Error::Stopped) } else { self.0.read_bytes(index, offset, out) }
    }

    fn read_f32(&self, index: usize, start: u64, out: &mut [f32]) -> Result<(), weights::Error> {
        self.0.read_f32(index, start, out)
    }
}

#[test]
fn what_stops_a_device_reading_is_the_answer() {
    let [base, a, _] = family();
    let torn = Fixture::empty().with(
        "model.layers.0.mlp.up_proj.weight",
        Dtype::Bf16,
        &[(1 << 20) + 77],
        &noise(4, (1 << 20) + 77),
    );
    let models = [a, named("torn", Arc::new(Torn(torn)))];
    let stopped = Mutex::new(0);
    let stop = |_| {
        *stopped.lock().unwrap() += 1;
        Err(Error::Weights(weights::Error::Stopped))
    };

    let unread = kinship_on(on(&*Lent::new(9)), &models, Some(&base), &|_| Ok(()));
    let asked = kinship_on(on(&*Lent::new(9)), &family()[1..], Some(&base), &stop);

    assert!(matches!(unread, Err(Error::Weights(weights::Error::Stopped))));
    assert!(matches!(asked, Err(Error::Weights(weights::Error::Stopped))));
    assert!(*stopped.lock().unwrap() > 0);
}
