//! What measures the kernels on a card launches every one of them as it has to be.
#![allow(clippy::unwrap_used)]

mod emulator;
mod rates;

use emulator::Emulated;
use gpu::{KERNELS, Platform as _};

#[test]
fn every_kernel_has_a_launch_that_can_be_measured() {
    let card = &Emulated.cards().unwrap()[0];
    let driver = Emulated.open(card).unwrap();

    for kernel in KERNELS {
        let measured = rates::measured(kernel, 1 << 20);
        let mut lane = driver.lane(measured.call.len()).unwrap();

        let ran = measured.call.run(&mut *lane, (kernel.entry, measured.grid));

        assert!(ran.is_ok(), "{}: {ran:?}", kernel.entry);
        assert!(measured.bytes > 0, "{}", kernel.entry);
    }
}
