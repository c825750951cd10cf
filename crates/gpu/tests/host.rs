//! What the host does with a card: streams through it in parts, and goes on without it when it fails.
#![allow(clippy::unwrap_used)]

mod emulator;

use std::{ops::ControlFlow, sync::Arc};

use domain::Limits;
use emulator::{
    Emulated,
    faulty::{Failures, Faulty, Step},
};
use gpu::{Choice, Cuda, Fault, Gpu, Platform, find};
use kernels::{
    BLOCK, Dtype, Encoded, Gram,
    device::{Declined, Device, Streamed},
    wide::{Common, Term, weighted_sum},
};

/// Lanes of 8 and 4 MiB: what is streamed here takes several parts.
fn limits() -> Limits {
    Limits { device_bytes: 32 << 20, ..Limits::default() }
}

fn card(platform: impl Platform + 'static) -> Arc<Gpu> {
    find(Choice::Gpu, Box::new(platform), &limits()).unwrap().gpu.unwrap()
}

/// Models tuned from one base, stored in the given dtypes.
struct Family {
    dtypes: Vec<Dtype>,
    stored: Vec<Vec<u8>>,
    elements: usize,
}

impl Family {
    fn new(dtypes: &[Dtype], elements: usize) -> Self {
        let unit = |seed: u64, at: usize| kernels::splitmix_unit(seed, at as u64) - 0.5;
        let stored = |(model, dtype): (usize, &Dtype)| {
            let value = |at: usize| {
                let moved = if model == 0 { 0.0 } else { 0.01 * unit(1 + model as u64, at) };
                // One block in which f32 would lose the squares.
                let scale = if (BLOCK..2 * BLOCK).contains(&at) { 1e-20 } else { 1.0 };
                scale * (0.07 * unit(0, at) + moved)
            };
            let values: Vec<f64> = (0..elements).map(value).collect();
            let mut bytes = vec![0; elements * (dtype.bits() / 8) as usize];
            kernels::encode_f64(*dtype, &values, &mut bytes);
            bytes
        };
        Self { stored: dtypes.iter().enumerate().map(stored).collect(), dtypes: dtypes.to_vec(), elements }
    }

    fn part(&self, input: usize, from: usize, len: usize) -> Encoded<'_> {
        let width = (self.dtypes[input].bits() / 8) as usize;
        Encoded { dtype: self.dtypes[input], bytes: &self.stored[input][from * width..(from + len) * width] }
    }

    fn read(&self, input: usize, from: u64, out: &mut [u8]) -> ControlFlow<()> {
        let len = out.len() * 8 / self.dtypes[input].bits() as usize;
        out.copy_from_slice(self.part(input, from as usize, len).bytes);
        ControlFlow::Continue(())
    }

    fn sums_on(&self, device: &dyn Device) -> Result<Gram, Declined> {
        let read = |input: usize, from: u64, out: &mut [u8]| self.read(input, from, out);
        device.delta_sums(Streamed { inputs: &self.dtypes, elements: self.elements as u64, read: &read })
    }

    fn sums(&self) -> Gram {
        let mut sums = Gram::new(self.dtypes.len() - 1);
        for from in (0..self.elements).step_by(BLOCK) {
            let len = BLOCK.min(self.elements - from);
            let inputs: Vec<Encoded<'_>> =
                (0..self.dtypes.len()).map(|input| self.part(input, from, len)).collect();
            sums.add_deltas(inputs[0], &inputs[1..]);
        }
        sums
    }
}

fn alike(got: &Gram, expected: &Gram) {
    assert_eq!((got.models(), got.elements()), (expected.models(), expected.elements()));
    let near = |got: f64, expected: f64, size: f64| {
        assert!((got - expected).abs() <= 1e-7 * size, "{got:e} {expected:e}");
    };
    let norm = |i: usize| expected.dot(i, i).sqrt();
    for i in 0..got.models() {
        for j in i..got.models() {
            near(got.dot(i, j), expected.dot(i, j), norm(i) * norm(j));
        }
        near(got.sum(i), expected.sum(i), norm(i) * (expected.elements() as f64).sqrt());
    }
    near(got.base_square(), expected.base_square(), expected.base_square());
    // The processor adds up in another order: the same bits everywhere would be its own.
    let own = |i: usize| (i..got.models()).all(|j| got.dot(i, j) == expected.dot(i, j));
    assert!(!(0..got.models()).all(own));
}

#[test]
fn sums_streamed_through_a_card_in_parts_are_those_of_the_processor() {
    let device = card(Emulated);
    let pair = Family::new(&[Dtype::Bf16; 3], 33 * BLOCK + 777);
    let mixed = Family::new(
        &[Dtype::F16, Dtype::F32, Dtype::Bf16, Dtype::F16, Dtype::F8E4M3, Dtype::F32],
        14 * BLOCK + 40_000,
    );

    let sums = [pair.sums_on(&*device).unwrap(), mixed.sums_on(&*device).unwrap()];

    alike(&sums[0], &pair.sums());
    alike(&sums[1], &mixed.sums());
}

#[test]
fn a_sum_that_fails_half_way_leaves_nothing_behind_and_the_card_is_opened_anew() {
    let lost = || Fault::Driver("an illegal address".to_owned());
    for (step, fault) in [
        (Step::Upload, lost()),
        (Step::Launch, Fault::Launch { kernel: "delta_pair_bf16".into(), reason: "no".into() }),
        (Step::Download, lost()),
        (Step::Finish, lost()),
    ] {
        let failures = Failures::default();
        let device = card(Faulty(failures.clone()));
        let family = Family::new(&[Dtype::Bf16; 3], 25 * BLOCK);
        failures.expect(step, 1, fault.clone());

        let failed = family.sums_on(&*device);
        let told = device.fault();
        let again = family.sums_on(&*device).unwrap();

        assert_eq!(failed, Err(Declined::Failed(format!("Emulated card: {fault}"))), "{step:?}");
        assert_eq!(told, Some(fault.to_string()));
        assert_eq!(device.fault(), None, "{step:?}");
        alike(&again, &family.sums());
    }
}

#[test]
fn a_card_that_keeps_failing_is_left_alone_and_says_why() {
    let failures = Failures::default();
    let device = card(Faulty(failures.clone()));
    let family = Family::new(&[Dtype::Bf16; 3], 22 * BLOCK);
    failures.expect(Step::Launch, u32::MAX, Fault::Driver("an illegal address".to_owned()));

    let reasons: Vec<_> = (0..4).map(|_| family.sums_on(&*device).unwrap_err()).collect();

    let failed =
        |text: &str| Declined::Failed(format!("Emulated card: the driver failed: an illegal address{text}"));
    assert_eq!(reasons[..3], [failed(""), failed(""), failed("")]);
    assert_eq!(reasons[3], failed("; it is left alone until a restart"));
}

#[test]
fn a_card_that_does_not_answer_is_left_alone() {
    let failures = Failures::default();
    let device = card(Faulty(failures.clone()));
    let family = Family::new(&[Dtype::Bf16; 3], 22 * BLOCK);
    failures.expect(Step::Finish, 1, Fault::Timeout { seconds: 120 });

    let reasons = [family.sums_on(&*device).unwrap_err(), family.sums_on(&*device).unwrap_err()];

    let failed =
        |text: &str| Declined::Failed(format!("Emulated card: the card did not finish within 120 s{text}"));
    assert_eq!(reasons, [failed(""), failed("; it is left alone until a restart")]);
}

#[test]
fn a_card_without_memory_is_not_used_and_says_why() {
    let failures = Failures::default();
    failures.expect(Step::Memory, 2, Fault::Memory { bytes: 8 << 20, reason: "out of memory".into() });

    let auto = find(Choice::Auto, Box::new(Faulty(failures.clone())), &limits()).unwrap();
    let wanted = find(Choice::Gpu, Box::new(Faulty(failures.clone())), &limits()).err();
    let later = find(Choice::Gpu, Box::new(Faulty(failures)), &limits()).unwrap();

    assert!(auto.gpu.is_none());
    assert_eq!(auto.why, "8388608 bytes are not to be had on the card: out of memory");
    assert!(matches!(wanted, Some(Fault::Memory { .. })));
    assert_eq!(later.why, "Emulated card, 8 GiB, driver for CUDA 13.0");
}

#[test]
fn the_processor_is_used_where_it_is_asked_for() {
    let found = find(Choice::Cpu, Box::new(Emulated), &limits()).unwrap();

    assert!(found.gpu.is_none());
    assert_eq!(found.why, "the configuration asks for the processor");
}

#[test]
fn a_machine_is_asked_for_its_cards_whatever_it_has() {
    match Cuda::default().cards() {
        Ok(cards) => assert!(cards.iter().all(|card| card.memory > 0)),
        Err(fault) => assert!(!fault.to_string().is_empty()),
    }
}

#[test]
fn inputs_that_cannot_be_read_stop_the_work_but_not_the_card() {
    let device = card(Emulated);
    let family = Family::new(&[Dtype::Bf16; 3], 33 * BLOCK);
    let read = |input: usize, from: u64, out: &mut [u8]| match (input, from) {
        (2, 1_500_000..) => ControlFlow::Break(()),
        _ => family.read(input, from, out),
    };

    let stopped =
        device.delta_sums(Streamed { inputs: &family.dtypes, elements: family.elements as u64, read: &read });
    let again = family.sums_on(&*device).unwrap();

    assert_eq!(stopped, Err(Declined::Stopped));
    alike(&again, &family.sums());
}

#[test]
fn what_no_kernel_is_for_is_left_to_the_processor() {
    let device = card(Emulated);

    let wide = Family::new(&[Dtype::F64; 3], 8 * BLOCK).sums_on(&*device);
    let small = Family::new(&[Dtype::Bf16; 3], BLOCK).sums_on(&*device);

    assert_eq!((wide, small), (Err(Declined::Unfit), Err(Declined::Unfit)));
}

const FACTORS: [f64; 3] = [0.5, 0.3, 0.2];

impl Family {
    fn blend_on(&self, device: &dyn Device, out: &mut [u8]) -> Result<Option<u64>, Declined> {
        let read = |input: usize, from: u64, out: &mut [u8]| self.read(input, from, out);
        let streamed = Streamed { inputs: &self.dtypes, elements: self.elements as u64, read: &read };
        device.weighted_sum(streamed, (&FACTORS, Common::Kept), (Dtype::Bf16, out))
    }

    fn blend(&self) -> Vec<u8> {
        let term = |input: usize| Term { factor: FACTORS[input], values: self.part(input, 0, self.elements) };
        let mut out = vec![0; 2 * self.elements];
        weighted_sum(&[term(0), term(1), term(2)], Common::Kept, (Dtype::Bf16, &mut out));
        out
    }
}

#[test]
fn a_blend_streamed_through_a_card_has_the_bits_of_the_processor() {
    let device = card(Emulated);
    let family = Family::new(&[Dtype::Bf16, Dtype::F32, Dtype::F64], 5 * BLOCK + 333);
    let mut out = vec![0; 2 * family.elements];

    let beyond = family.blend_on(&*device, &mut out).unwrap();

    assert_eq!(beyond, Some(0));
    assert!(out == family.blend());
}

#[test]
fn a_blend_that_finds_every_lane_taken_is_left_to_the_processor() {
    /// Blends within the reading of an input, again and again.
    fn nested(device: &dyn Device, family: &Family, depth: u32) -> Result<Option<u64>, Declined> {
        let inner = std::sync::Mutex::new(None);
        let read = |input: usize, from: u64, out: &mut [u8]| {
            if depth > 1 && inner.lock().unwrap().is_none() {
                let outcome = nested(device, family, depth - 1);
                inner.lock().unwrap().replace(outcome);
            }
            family.read(input, from, out)
        };
        let streamed = Streamed { inputs: &family.dtypes, elements: family.elements as u64, read: &read };
        let mut out = vec![0; 2 * family.elements];
        let own = device.weighted_sum(streamed, (&FACTORS, Common::Kept), (Dtype::Bf16, &mut out));
        inner.into_inner().unwrap().unwrap_or(own)
    }
    let device = card(Emulated);
    let family = Family::new(&[Dtype::Bf16; 3], 3 * BLOCK);

    let (four, five, after) =
        (nested(&*device, &family, 4), nested(&*device, &family, 5), nested(&*device, &family, 4));

    assert_eq!((four, five, after), (Ok(Some(0)), Err(Declined::Busy), Ok(Some(0))));
}
