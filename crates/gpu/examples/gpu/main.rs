//! Checks and measures the kernels on the card of this machine: `gpu parity [FIRST]`, `gpu rates [MIB]`,
//! `gpu streamed [MIB]`.
//!
//! `parity` compares every kernel with the processor, with FIRST for one dtype each. The others print Markdown: `rates` every
//! kernel beside a copy on the card, `streamed` kinship and a merge from memory beside the copy to the card and the
//! processor.
#![allow(clippy::unwrap_used)]

#[path = "../../tests/parity/mod.rs"]
mod parity;
#[path = "../../tests/rates/mod.rs"]
mod rates;

mod streamed;

use std::{
    error::Error,
    time::{Duration, Instant},
};

use gpu::{Cuda, Driver, KERNELS, Lane, Platform};

type Outcome = Result<(), Box<dyn Error>>;

/// Times a kernel is launched in a row at most, and for how long.
const LAUNCHES: u32 = 20;
const LONG_ENOUGH: Duration = Duration::from_millis(200);

fn main() -> Outcome {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let card = Cuda.cards()?.into_iter().next().ok_or("no card")?;
    let driver = Cuda.open(&card)?;
    println!(
        "{}, {} GiB, compute capability {}.{}, driver for CUDA {}.{}\n",
        card.name,
        card.memory >> 30,
        card.capability.0,
        card.capability.1,
        card.driver / 1000,
        card.driver % 1000 / 10
    );
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["parity"] => compare(&*driver, Extent::All),
        ["parity", _] => compare(&*driver, Extent::First),
        ["rates"] => measure(&*driver, 1 << 30),
        ["rates", mib] => measure(&*driver, mib.parse::<usize>()? << 20),
        ["streamed"] => stream(&*driver, 1 << 30),
        ["streamed", mib] => stream(&*driver, mib.parse::<usize>()? << 20),
        _ => Err("usage: gpu parity [FIRST] | gpu rates [MIB] | gpu streamed [MIB]".into()),
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Extent {
    All,
    First,
}

fn compare(driver: &dyn Driver, extent: Extent) -> Outcome {
    let mut lane = driver.lane(32 << 20)?;
    let mut wrong = 0;
    let (mut last, mut count) = ("", 0);
    for (kernel, dtype) in parity::cases() {
        if extent == Extent::First && last == kernel.entry {
            continue;
        }
        last = kernel.entry;
        count += 1;
        if let Err(what) = parity::compare(kernel, dtype, &mut *lane) {
            println!("WRONG {what}");
            wrong += 1;
        }
    }
    println!("{count} comparisons, {wrong} wrong");
    if wrong > 0 { Err("kernels do not agree with the processor".into()) } else { Ok(()) }
}

/// Bytes a second of one kernel, launched again and again over what lies on the card.
fn rate(
    lane: &mut dyn Lane,
    (kernel, measured): (&gpu::Kernel, &rates::Measured),
) -> Result<f64, gpu::Fault> {
    let launch = (kernel.entry, measured.grid);
    measured.call.send(lane)?;
    measured.call.launch(lane, launch)?;
    lane.finish()?;
    let (started, mut launches) = (Instant::now(), 0);
    while launches < LAUNCHES && started.elapsed() < LONG_ENOUGH {
        // Four at a time are under way, so that starting them costs nothing.
        for _ in 0..4 {
            measured.call.launch(lane, launch)?;
        }
        launches += 4;
        lane.finish()?;
    }
    Ok(measured.bytes as f64 * f64::from(launches) / started.elapsed().as_secs_f64())
}

fn measure(driver: &dyn Driver, budget: usize) -> Outcome {
    let copy = KERNELS.iter().find(|kernel| kernel.entry == "copy_words").ok_or("no copy")?;
    let mut lane = driver.lane(budget + budget / 4 + (16 << 20))?;
    println!("| kernel | GB/s read and written | of the copy |\n|---|---|---|");
    let copied = rate(&mut *lane, (copy, &rates::measured(copy, budget)))?;
    for kernel in KERNELS {
        let measured = rates::measured(kernel, budget);
        let rate = rate(&mut *lane, (kernel, &measured))?;
        println!("| `{}` | {:.0} | {:.2} |", kernel.entry, rate / 1e9, rate / copied);
    }
    let again = rate(&mut *lane, (copy, &rates::measured(copy, budget)))?;
    println!("\nThe copy before: {:.0} GB/s, after: {:.0} GB/s.", copied / 1e9, again / 1e9);
    Ok(())
}

fn stream(driver: &dyn Driver, budget: usize) -> Outcome {
    let ways = streamed::ways(&mut *driver.lane(budget)?, budget)?;
    streamed::measure(ways, budget)
}
