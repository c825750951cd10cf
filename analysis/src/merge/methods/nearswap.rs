//! Nearswap: every element of the base moves towards the other model's, by at most `t`.

use std::sync::atomic::{AtomicU64, Ordering};

use kernels::{Dtype, Encoded, direct::Tuned};

use super::prelude::*;

pub struct Nearswap;

const SPEC: MethodSpec = MethodSpec {
    id: "nearswap",
    name: "NearSwap",
    summary: "Moves every element of the base towards another model's, by at most t.",
    formula: "b + clamp(x − b, −t, t)",
    reference: "https://huggingface.co/alchemonaut/QuartetAnemoi-70B-t0.0001",
    base: BaseNeed::Delta,
    models: ModelCount::exactly(1),
    parameters: &[ParamSpec::number("t", "The farthest an element moves.").usually(0.0, 0.01)],
    laws: &[Law::Identity],
};

impl Method for Nearswap {
    fn spec(&self) -> &'static MethodSpec {
        &SPEC
    }

    fn faults(&self, params: &Params) -> Vec<Refusal> {
        Refusal::below_zero(params, &["t"])
    }

    fn prepare(&self, operands: &Operands) -> Result<Arc<dyn Combine>, weights::Error> {
        let t = operands.params.number("t");
        let limited = Arc::new(Limited::default());
        let counts = Arc::clone(&limited);
        let combine = Factored(move |_: u64, deltas: &Deltas<'_>, factors: &mut [f64]| {
            counts.add(kernels::task::limit(t, deltas.values(), factors), factors.len());
        });
        Ok(Arc::new(Swap { combine, limited, t }))
    }
}

/// Elements combined so far, and those of them that were held back at the distance.
#[derive(Default)]
struct Limited {
    seen: AtomicU64,
    beyond: AtomicU64,
}

impl Limited {
    fn add(&self, beyond: u64, seen: usize) {
        self.beyond.fetch_add(beyond, Ordering::Relaxed);
        self.seen.fetch_add(seen as u64, Ordering::Relaxed);
    }
}

struct Swap<C> {
    combine: C,
    limited: Arc<Limited>,
    t: f64,
}

impl<C: Combine> Combine for Swap<C> {
    fn combine(&self, start: u64, models: &[&[f64]], base: &[f64], out: &mut [f64]) {
        self.combine.combine(start, models, base, out);
    }

    fn encode(&self, _: u64, inputs: &[Encoded<'_>], (dtype, out): (Dtype, &mut [u8])) -> Option<u64> {
        let tuned = Tuned::of(inputs).filter(|_| dtype == Dtype::Bf16)?;
        let (beyond, over) = tuned.limited(self.t, out);
        self.limited.add(beyond, tuned.len());
        Some(over)
    }

    /// A tensor that was read once has the share of its elements.
    fn account(&self) -> weights::Account {
        let [seen, beyond] =
            [&self.limited.seen, &self.limited.beyond].map(|count| count.load(Ordering::Relaxed) as f64);
        let share = (seen > 0.0).then(|| ("saturation".to_owned(), (beyond / seen).into()));
        share.into_iter().collect()
    }
}
