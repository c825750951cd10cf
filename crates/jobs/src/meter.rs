//! How fast a job is: bytes a second over its last moments.

use std::{collections::VecDeque, time::Duration};

use store::JobRow;

use crate::Registry;

/// What is looked back on; long enough to smooth tensors that need several passes.
const WINDOW: Duration = Duration::from_secs(20);
/// Too short a time to tell a rate of.
const SHORT: Duration = Duration::from_millis(500);

/// Remembers how many bytes were done when, within one step.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    step: String,
    seen: VecDeque<(Duration, u64)>,
}

impl Meter {
    /// Notes that `worked` bytes of `step` were done at `now`; gives bytes a second once that can be told.
    pub(crate) fn rate(&mut self, now: Duration, step: &str, worked: u64) -> Option<u64> {
        if self.step != step {
            step.clone_into(&mut self.step);
            self.seen.clear();
        }
        while self.seen.len() > 1 && self.seen.get(1).is_some_and(|(at, _)| now.saturating_sub(*at) >= WINDOW)
        {
            self.seen.pop_front();
        }
        self.seen.push_back((now, worked));
        let (since, before) = *self.seen.front()?;
        let time = now.saturating_sub(since);
        (time >= SHORT).then(|| (worked.saturating_sub(before) as f64 / time.as_secs_f64()) as u64)
    }
}

/// A job as it is shown: without a rate, once its worker has given no sign of life for as long as rates look back.
pub fn paced(registry: &Registry, job: JobRow) -> JobRow {
    let now = time::OffsetDateTime::now_utc().unix_timestamp();
    let heard = job.lease_until.map(|until| until.saturating_sub(registry.limits.lease_seconds));
    let fresh = heard.is_some_and(|heard| now.saturating_sub(heard) <= WINDOW.as_secs().cast_signed());
    JobRow { rate: job.rate.filter(|_| fresh), ..job }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_that_of_the_last_moments_of_the_present_step() {
        let mut meter = Meter::default();
        let at = Duration::from_secs;

        assert_eq!(meter.rate(at(0), "writing", 0), None);
        assert_eq!(meter.rate(at(10), "writing", 1_000), Some(100));
        assert_eq!(meter.rate(at(30), "writing", 1_000), Some(0));
        assert_eq!(meter.rate(at(40), "writing", 4_000), Some(100));
        assert_eq!(meter.rate(at(41), "publishing", 0), None);
        assert_eq!(meter.rate(at(43), "publishing", 10), Some(5));
    }
}
