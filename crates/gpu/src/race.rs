//! Whether the processor adds up deltas quicker than their bytes reach the card.

use std::time::Instant;

use kernels::{BLOCK, Dtype, Encoded, Gram};
use rayon::prelude::*;

use crate::{Fault, Lane};

/// Models whose sums are timed on the processor.
const MODELS: [usize; 3] = [2, 8, 32];
/// Rounds of each measurement; the fastest counts, as others may use the machine.
const ROUNDS: usize = 3;
/// Most bytes sent to the card at once.
const SENT: usize = 32 << 20;

/// Bytes a second of both.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Race {
    way: f64,
    /// For each of [`MODELS`].
    processor: [f64; 3],
}

impl Race {
    /// Measures both, on all threads of the pool.
    pub fn run(lane: &mut dyn Lane) -> Result<Self, Fault> {
        let bytes = lane.host().len().min(SENT);
        let mut way = 0.0f64;
        for _ in 0..ROUNDS {
            let started = Instant::now();
            lane.upload(0..bytes)?;
            lane.finish()?;
            way = way.max(bytes as f64 / started.elapsed().as_secs_f64());
        }
        let block: Vec<u8> = (0..BLOCK).flat_map(|at| [(at % 256) as u8, 0x3C]).collect();
        Ok(Self { way, processor: MODELS.map(|models| processor(&block, models)) })
    }

    /// Why the processor is the one to add up the deltas of so many models; `None` where the card is.
    pub fn lost(&self, models: usize) -> Option<String> {
        let rate = self.of_processor(models);
        let whole = |rate: f64| (rate / 1e9).round();
        (rate > self.way).then(|| {
            format!(
                "the processor is quicker: it adds up {} GB/s of {models} models, {} GB/s reach the card",
                whole(rate),
                whole(self.way)
            )
        })
    }

    /// The time for a byte grows with the number of models that it is multiplied with.
    fn of_processor(&self, models: usize) -> f64 {
        let after = MODELS.iter().position(|known| *known >= models).unwrap_or(MODELS.len() - 1).max(1);
        let (from, to) = (MODELS[after - 1] as f64, MODELS[after] as f64);
        let (least, most) = (1.0 / self.processor[after - 1], 1.0 / self.processor[after]);
        1.0 / (least + (most - least) * ((models as f64 - from) / (to - from)).max(0.0))
    }
}

fn processor(block: &[u8], models: usize) -> f64 {
    let inputs: Vec<Encoded<'_>> = vec![Encoded { dtype: Dtype::Bf16, bytes: block }; models];
    let tasks = 4 * rayon::current_num_threads();
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let started = Instant::now();
        (0..tasks).into_par_iter().for_each(|_| {
            let mut sums = Gram::new(models);
            sums.add_deltas(inputs[0], &inputs);
            std::hint::black_box(&sums);
        });
        best = best.min(started.elapsed().as_secs_f64());
    }
    (tasks * (models + 1) * block.len()) as f64 / best
}

#[cfg(test)]
mod tests {
    use super::*;

    const RACE: Race = Race { way: 50e9, processor: [100e9, 60e9, 20e9] };

    #[test]
    fn few_models_are_left_to_a_processor_of_many_cores() {
        let why = RACE.lost(2).unwrap();

        assert_eq!(why, "the processor is quicker: it adds up 100 GB/s of 2 models, 50 GB/s reach the card");
        assert!(RACE.lost(1).is_some() && RACE.lost(8).is_some());
    }

    #[test]
    fn many_models_go_to_the_card() {
        assert!(RACE.lost(32).is_none() && RACE.lost(16).is_none() && RACE.lost(500).is_none());
        assert!(Race { way: 120e9, ..RACE }.lost(2).is_none());
    }

    #[test]
    fn what_lies_between_two_measurements_takes_a_time_between_theirs() {
        let rate = RACE.of_processor(20);

        assert!((rate - 30e9).abs() < 1e6, "{rate:e}");
    }
}
