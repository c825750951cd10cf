//! The code that talks to the NVIDIA driver, with a driver that emulates a card: found when the program runs, as the real
//! one is. The tests behind `under_the_driver` run in a process of their own, since a driver is looked for once.
#![allow(clippy::unwrap_used)]

mod emulator;
mod parity;

use std::{ops::ControlFlow, process::Command, time::Duration};

use domain::Limits;
use gpu::{Choice, Cuda, Fault, Platform as _, find};
use kernels::{
    BLOCK, Dtype, Encoded, Gram,
    device::{Declined, Device as _, Streamed},
};

/// Runs one of the ignored tests here with the emulated driver, failing as planned.
fn under_the_driver(test: &str, failing: &str) {
    let outcome = Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--ignored"])
        .env("LD_LIBRARY_PATH", emulator::driver())
        .env("STUB_CUDA_FAIL", failing)
        .output()
        .unwrap();

    let said = String::from_utf8_lossy(&outcome.stdout);
    assert!(outcome.status.success() && said.contains("1 passed"), "{said}");
}

const ELEMENTS: usize = 25 * BLOCK + 333;

fn stored() -> Vec<Vec<u8>> {
    let stored = |model: u64| {
        let value = |at: u64| (kernels::splitmix_unit(model, at) - 0.5) * 0.07;
        let mut bytes = vec![0; 2 * ELEMENTS];
        kernels::encode_f64(Dtype::Bf16, &(0..ELEMENTS as u64).map(value).collect::<Vec<_>>(), &mut bytes);
        bytes
    };
    (0..3).map(stored).collect()
}

fn sums_on(gpu: &gpu::Gpu, stored: &[Vec<u8>]) -> Result<Gram, Declined> {
    let read = |input: usize, from: u64, out: &mut [u8]| {
        out.copy_from_slice(&stored[input][2 * from as usize..][..out.len()]);
        ControlFlow::Continue(())
    };
    let streamed = Streamed { inputs: &[Dtype::Bf16; 3], elements: ELEMENTS as u64, read: &read };
    gpu.delta_sums(streamed)
}

fn right(got: &Gram, stored: &[Vec<u8>]) -> bool {
    let mut expected = Gram::new(2);
    for at in (0..2 * ELEMENTS).step_by(2 * BLOCK) {
        let end = (at + 2 * BLOCK).min(2 * ELEMENTS);
        let of = |input: usize| Encoded { dtype: Dtype::Bf16, bytes: &stored[input][at..end] };
        expected.add_deltas(of(0), &[of(1), of(2)]);
    }
    let size = expected.dot(0, 0);
    // The processor gathers these in f32 first: the same bits would be its own.
    let own = got.base_square() == expected.base_square();
    !own && got.elements() == expected.elements() && (got.dot(0, 1) - expected.dot(0, 1)).abs() < 1e-9 * size
}

#[test]
fn a_card_is_found_and_every_kernel_runs_on_it() {
    under_the_driver("every_kernel_through_the_driver", "");
}

#[test]
#[ignore = "runs under the emulated driver"]
fn every_kernel_through_the_driver() {
    let card = &Cuda::default().cards().unwrap()[0];
    let opened = Cuda::default().open(card).unwrap();
    let mut lane = opened.lane(32 << 20).unwrap();

    let mut last = "";
    for (kernel, dtype) in parity::cases() {
        if std::mem::replace(&mut last, kernel.entry) != kernel.entry {
            parity::compare(kernel, dtype, &mut *lane).unwrap();
        }
    }

    assert_eq!((card.name.as_str(), card.capability, card.driver), ("Stub card", (9, 0), 13_000));
}

#[test]
fn sums_go_through_the_driver_in_parts() {
    under_the_driver("sums_through_the_driver", "");
}

#[test]
#[ignore = "runs under the emulated driver"]
fn sums_through_the_driver() {
    let limits = Limits { device_bytes: 32 << 20, ..Limits::default() };
    let found = find(Choice::Gpu, Box::new(Cuda::default()), &limits).unwrap();
    let stored = stored();

    let sums = sums_on(&found.gpu.unwrap(), &stored).unwrap();

    assert_eq!(found.why, "Stub card, 8 GiB, driver for CUDA 13.0");
    assert!(right(&sums, &stored));
}

#[test]
fn a_context_that_a_kernel_has_spoilt_is_given_back_and_the_next_one_works() {
    under_the_driver("after_a_spoilt_context", "cuLaunchKernel:2:700");
}

#[test]
#[ignore = "runs under the emulated driver"]
fn after_a_spoilt_context() {
    let limits = Limits { device_bytes: 32 << 20, ..Limits::default() };
    let gpu = find(Choice::Gpu, Box::new(Cuda::default()), &limits).unwrap().gpu.unwrap();
    let stored = stored();

    let failed = sums_on(&gpu, &stored).unwrap_err();
    let again = sums_on(&gpu, &stored).unwrap();

    let Declined::Failed(reason) = failed else { panic!("{failed:?}") };
    assert!(reason.contains("an illegal memory access was encountered"), "{reason}");
    assert!(right(&again, &stored));
}

#[test]
fn a_card_that_does_not_answer_keeps_nobody_waiting() {
    under_the_driver("a_card_that_hangs", "cuLaunchKernel:2:0");
}

#[test]
#[ignore = "runs under the emulated driver"]
fn a_card_that_hangs() {
    let limits = Limits { device_bytes: 32 << 20, ..Limits::default() };
    let cuda = Cuda { deadline: Duration::from_secs(1) };
    let gpu = find(Choice::Gpu, Box::new(cuda), &limits).unwrap().gpu.unwrap();
    let stored = stored();

    let reasons = [sums_on(&gpu, &stored).unwrap_err(), sums_on(&gpu, &stored).unwrap_err()];
    drop(gpu);

    let failed =
        |text: &str| Declined::Failed(format!("Stub card: the card did not finish within 1 s{text}"));
    assert_eq!(reasons, [failed(""), failed("; it is left alone until a restart")]);
}

#[test]
fn a_card_without_memory_left_says_so() {
    under_the_driver("without_memory", "cuMemAllocAsync:1:2");
}

#[test]
#[ignore = "runs under the emulated driver"]
fn without_memory() {
    let found = find(Choice::Auto, Box::new(Cuda::default()), &Limits::default()).unwrap();

    assert!(found.gpu.is_none());
    assert!(
        found.why.ends_with(
            "bytes are not to be had on the card: the driver failed: out of memory (CUDA_ERROR_STUB)"
        ),
        "{}",
        found.why
    );
}

#[test]
fn a_driver_that_does_not_start_is_a_reason() {
    under_the_driver("without_a_start", "cuInit:1:100");
}

#[test]
#[ignore = "runs under the emulated driver"]
fn without_a_start() {
    let why = find(Choice::Auto, Box::new(Cuda::default()), &Limits::default()).unwrap().why;

    assert_eq!(why, Fault::NoCard.to_string());
}
