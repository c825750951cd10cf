//! Kinship and a merge of checkpoints in memory, through a card and on the processor.

use std::{ops::ControlFlow, time::Instant};

use domain::Limits;
use gpu::{Choice, Cuda, Fault, Gpu, Lane};
use kernels::{
    BLOCK, Dtype, Encoded, Gram,
    device::{Device as _, Streamed},
    wide::{Common, Term, weighted_sum},
};
use rayon::prelude::*;

use crate::Outcome;

/// Rounds of each measurement; the fastest counts.
const ROUNDS: usize = 5;
/// Bytes that a merge asks for at a time.
const ASKED: usize = 1 << 20;

/// Bytes a second to the card and back, from pinned memory.
pub fn ways(lane: &mut dyn Lane, bytes: usize) -> Result<(f64, f64), Fault> {
    let mut best = (0.0f64, 0.0f64);
    for _ in 0..ROUNDS {
        let started = Instant::now();
        lane.upload(0..bytes)?;
        lane.finish()?;
        let there = started.elapsed();
        lane.download(0..bytes)?;
        lane.finish()?;
        let back = started.elapsed() - there;
        let rate = |took: std::time::Duration| bytes as f64 / took.as_secs_f64();
        best = (best.0.max(rate(there)), best.1.max(rate(back)));
    }
    Ok(best)
}

fn fastest<T>(
    mut work: impl FnMut() -> Result<T, Box<dyn std::error::Error>>,
) -> Result<f64, Box<dyn std::error::Error>> {
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let started = Instant::now();
        drop(work()?);
        best = best.min(started.elapsed().as_secs_f64());
    }
    Ok(best)
}

/// Checkpoints of one tensor each, in bf16.
struct Family(Vec<Vec<u8>>);

impl Family {
    fn new(models: usize, bytes: usize) -> Self {
        let elements = bytes / models / 2 / BLOCK * BLOCK;
        let stored = |model: u64| {
            let mut bytes = vec![0u8; 2 * elements];
            bytes.par_chunks_mut(2 * BLOCK).enumerate().for_each(|(block, bytes)| {
                let value =
                    |at: usize| (kernels::splitmix_unit(model, (block * BLOCK + at) as u64) - 0.5) * 0.07;
                kernels::encode_f64(Dtype::Bf16, &(0..BLOCK).map(value).collect::<Vec<_>>(), bytes);
            });
            bytes
        };
        Self((0..models as u64).map(stored).collect())
    }

    fn bytes(&self) -> f64 {
        self.0.iter().map(Vec::len).sum::<usize>() as f64
    }

    fn part(&self, input: usize, range: std::ops::Range<usize>) -> Encoded<'_> {
        Encoded { dtype: Dtype::Bf16, bytes: &self.0[input][range] }
    }

    fn read(&self, input: usize, from: usize, out: &mut [u8]) -> ControlFlow<()> {
        out.copy_from_slice(&self.0[input][from..from + out.len()]);
        ControlFlow::Continue(())
    }

    fn sums_on(&self, gpu: &Gpu) -> Result<Gram, Box<dyn std::error::Error>> {
        let dtypes = vec![Dtype::Bf16; self.0.len()];
        let read = |input: usize, from: u64, out: &mut [u8]| self.read(input, 2 * from as usize, out);
        let elements = self.0[0].len() as u64 / 2;
        gpu.delta_sums(Streamed { inputs: &dtypes, elements, read: &read })
            .map_err(|why| format!("{why:?}").into())
    }

    fn sums(&self) -> Gram {
        let starts: Vec<usize> = (0..self.0[0].len()).step_by(2 * BLOCK).collect();
        let of = |from: &usize| {
            let part = |input| self.part(input, *from..from + 2 * BLOCK);
            let models: Vec<_> = (1..self.0.len()).map(part).collect();
            let mut sums = Gram::new(models.len());
            sums.add_deltas(part(0), &models);
            sums
        };
        let parts: Vec<Gram> = starts.par_iter().map(of).collect();
        let mut total = Gram::new(self.0.len() - 1);
        parts.iter().for_each(|part| total.merge(part));
        total
    }

    fn factors(&self) -> Vec<f64> {
        (0..self.0.len()).map(|at| 1.0 / (at + 2) as f64).collect()
    }

    /// As a merge does it: every thread asks for a block at a time, and computes what no lane takes.
    fn blend(&self, gpu: Option<&Gpu>, out: &mut [u8]) {
        let (dtypes, factors) = (vec![Dtype::Bf16; self.0.len()], self.factors());
        out.par_chunks_mut(ASKED).enumerate().for_each(|(at, out)| {
            let start = at * ASKED;
            let read =
                |input: usize, from: u64, out: &mut [u8]| self.read(input, start + 2 * from as usize, out);
            let streamed = Streamed { inputs: &dtypes, elements: out.len() as u64 / 2, read: &read };
            let sum = (factors.as_slice(), Common::Blended);
            if gpu.is_some_and(|gpu| gpu.weighted_sum(streamed, sum, (Dtype::Bf16, &mut *out)).is_ok()) {
                return;
            }
            let len = out.len();
            let term = |(input, factor): (usize, &f64)| Term {
                factor: *factor,
                values: self.part(input, start..start + len),
            };
            let terms: Vec<Term<'_>> = factors.iter().enumerate().map(term).collect();
            weighted_sum(&terms, Common::Blended, (Dtype::Bf16, out));
        });
    }
}

pub fn measure((there, back): (f64, f64), budget: usize) -> Outcome {
    println!("To the card {:.1} GB/s, back {:.1} GB/s, from pinned memory.\n", there / 1e9, back / 1e9);
    let gpu = gpu::find(Choice::Gpu, Box::new(Cuda::default()), &Limits::default())?.gpu.ok_or("no card")?;
    println!(
        "| from memory | card GB/s | of the way there | processor GB/s | card : processor |\n|---|---|---|---|---|"
    );
    let row = |what: &str, bytes: f64, (card, processor): (f64, f64)| {
        let (card, processor) = (bytes / card, bytes / processor);
        println!(
            "| {what} | {:.1} | {:.2} | {:.1} | {:.2} |",
            card / 1e9,
            card / there,
            processor / 1e9,
            card / processor
        );
    };
    for models in [3, 9, 33] {
        let family = Family::new(models, 3 * budget);
        let (got, expected) = (family.sums_on(&gpu)?, family.sums());
        let apart = (got.dot(0, 1) - expected.dot(0, 1)).abs() / expected.dot(0, 0);
        if apart > 1e-6 {
            return Err(format!("the sums differ by {apart:e}").into());
        }
        let times = (fastest(|| family.sums_on(&gpu))?, fastest(|| Ok(family.sums()))?);
        row(&format!("kinship of {} models with a base", models - 1), family.bytes(), times);
    }
    let family = Family::new(3, 3 * budget);
    let mut outs = [vec![0; family.0[0].len()], vec![0; family.0[0].len()]];
    let [on_card, here] = &mut outs;
    let times = (
        fastest(|| {
            family.blend(Some(&gpu), on_card);
            Ok(())
        })?,
        fastest(|| {
            family.blend(None, here);
            Ok(())
        })?,
    );
    if outs[0] != outs[1] {
        return Err("the merges differ".into());
    }
    row("linear merge of 3, shared with the processor", family.bytes(), times);
    Ok(())
}
