//! The device that computes, looked for when it is first wanted, and what it did for one piece of work.

use std::sync::{
    Arc, Mutex, OnceLock, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use domain::Used;
use kernels::{
    Dtype, Gram,
    device::{Declined, Device, Streamed},
    wide::Common,
};

/// A device, where there is one, and its name; else why there is none.
pub type Found = (Option<Arc<dyn Device>>, String);

/// Cheap to clone; clones share what was found, and what is told of the work.
#[derive(Clone)]
pub struct Devices {
    search: Arc<Search>,
    done: Arc<Done>,
}

struct Search {
    look: Box<dyn Fn() -> Found + Send + Sync>,
    found: OnceLock<Found>,
}

/// What was asked of a device.
#[derive(Default)]
struct Done {
    computed: AtomicU64,
    /// Why it failed last.
    failed: Mutex<Option<String>>,
    /// Why it left work to the processor.
    left: OnceLock<String>,
}

impl Devices {
    /// Looks with `look` when a device is first wanted.
    pub fn new(look: impl Fn() -> Found + Send + Sync + 'static) -> Self {
        Self {
            search: Arc::new(Search { look: Box::new(look), found: OnceLock::new() }),
            done: Arc::default(),
        }
    }

    /// The same device for another piece of work.
    #[must_use]
    pub fn afresh(&self) -> Self {
        Self { search: Arc::clone(&self.search), done: Arc::default() }
    }

    fn found(&self) -> &Found {
        self.search.found.get_or_init(|| (self.search.look)())
    }

    /// What would compute now, and why.
    pub fn present(&self) -> Used {
        let (device, why) = self.found();
        match device.as_ref().map(|device| device.fault()) {
            None => used("cpu", why.clone()),
            Some(Some(fault)) => used("cpu", format!("{why}: {fault}")),
            Some(None) => used("gpu", why.clone()),
        }
    }

    /// What computed this piece of work, and why.
    pub fn told(&self) -> Used {
        let (device, why) = self.found();
        let failed = self.done.failed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let computed = self.done.computed.load(Ordering::Relaxed) > 0;
        match (device, computed, failed) {
            (None, ..) => used("cpu", why.clone()),
            (_, true, None) => used("gpu", why.clone()),
            (_, true, Some(reason)) => used("gpu and cpu", format!("{why}, until it failed: {reason}")),
            (_, false, Some(reason)) => used("cpu", reason),
            (_, false, None) => {
                let unfit = || format!("nothing here was worth the way to {why}");
                used("cpu", self.done.left.get().cloned().unwrap_or_else(unfit))
            }
        }
    }

    /// The device, counting what it does for this piece of work.
    pub fn device(&self) -> Option<Arc<dyn Device>> {
        let inner = self.found().0.clone()?;
        Some(Arc::new(Counted { inner, done: Arc::clone(&self.done) }))
    }
}

impl Default for Devices {
    fn default() -> Self {
        Self::new(|| (None, "no other device was looked for".to_owned()))
    }
}

fn used(used: &str, why: String) -> Used {
    Used { used: used.to_owned(), why }
}

struct Counted {
    inner: Arc<dyn Device>,
    done: Arc<Done>,
}

impl Counted {
    fn count<T>(&self, outcome: Result<T, Declined>) -> Result<T, Declined> {
        match &outcome {
            Ok(_) => drop(self.done.computed.fetch_add(1, Ordering::Relaxed)),
            Err(Declined::Failed(reason)) => {
                let mut failed = self.done.failed.lock().unwrap_or_else(PoisonError::into_inner);
                if failed.as_ref() != Some(reason) {
                    tracing::warn!(reason, "the processor goes on where the device failed: {reason}");
                    *failed = Some(reason.clone());
                }
            }
            Err(Declined::Slower(reason)) => drop(self.done.left.set(reason.clone())),
            Err(Declined::Stopped | Declined::Busy | Declined::Unfit) => {}
        }
        outcome
    }
}

impl Device for Counted {
    fn fault(&self) -> Option<String> {
        self.inner.fault()
    }

    fn delta_sums(&self, inputs: Streamed<'_>) -> Result<Gram, Declined> {
        self.count(self.inner.delta_sums(inputs))
    }

    fn weighted_sum(
        &self,
        inputs: Streamed<'_>,
        sum: (&[f64], Common),
        out: (Dtype, &mut [u8]),
    ) -> Result<Option<u64>, Declined> {
        self.count(self.inner.weighted_sum(inputs, sum, out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails from the second call on.
    #[derive(Default)]
    struct Failing(AtomicU64);

    impl Device for Failing {
        fn fault(&self) -> Option<String> {
            (self.0.load(Ordering::Relaxed) > 1).then(|| "lost".to_owned())
        }

        fn delta_sums(&self, _: Streamed<'_>) -> Result<Gram, Declined> {
            match self.0.fetch_add(1, Ordering::Relaxed) {
                0 => Ok(Gram::new(1)),
                _ => Err(Declined::Failed("card: lost".to_owned())),
            }
        }

        fn weighted_sum(
            &self,
            _: Streamed<'_>,
            _: (&[f64], Common),
            _: (Dtype, &mut [u8]),
        ) -> Result<Option<u64>, Declined> {
            Err(Declined::Slower("the processor is quicker".to_owned()))
        }
    }

    #[test]
    fn each_piece_of_work_is_told_of_its_own_device() {
        let devices = Devices::new(|| (Some(Arc::new(Failing::default())), "card".to_owned()));
        let ask = |devices: &Devices| {
            let device = devices.device().unwrap();
            drop(device.delta_sums(Streamed {
                inputs: &[],
                elements: 0,
                read: &|_, _, _| std::ops::ControlFlow::Continue(()),
            }));
        };
        let (first, second, third) = (devices.afresh(), devices.afresh(), devices.afresh());

        let before = devices.present();
        ask(&first);
        let good = first.told();
        ask(&first);
        ask(&second);

        assert_eq!((before, good), (used("gpu", "card".into()), used("gpu", "card".into())));
        assert_eq!(first.told(), used("gpu and cpu", "card, until it failed: card: lost".into()));
        assert_eq!(second.told(), used("cpu", "card: lost".into()));
        assert_eq!(third.told(), used("cpu", "nothing here was worth the way to card".into()));
        assert_eq!(devices.present(), used("cpu", "card: lost".into()));
    }

    #[test]
    fn work_that_the_processor_does_quicker_says_so() {
        let devices = Devices::new(|| (Some(Arc::new(Failing::default())), "card".to_owned()));
        let device = devices.device().unwrap();
        let inputs =
            Streamed { inputs: &[], elements: 0, read: &|_, _, _| std::ops::ControlFlow::Continue(()) };

        drop(device.weighted_sum(inputs, (&[], Common::Blended), (Dtype::Bf16, &mut [])));

        assert_eq!(devices.told(), used("cpu", "the processor is quicker".into()));
    }
}
