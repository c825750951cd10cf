//! A card that fails when it is told to.
#![allow(clippy::unwrap_used, dead_code)]

use std::{
    ops::Range,
    sync::{Arc, Mutex},
};

use gpu::{Card, Driver, Fault, Lane, Launch, Platform};

use super::Emulated;

/// What can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Open,
    Memory,
    Upload,
    Launch,
    Download,
    Finish,
}

/// Failures to come.
#[derive(Debug, Clone, Default)]
pub struct Failures(Arc<Mutex<Vec<(Step, u32, Fault)>>>);

impl Failures {
    /// The step fails the next `times` times.
    pub fn expect(&self, step: Step, times: u32, fault: Fault) {
        self.0.lock().unwrap().push((step, times, fault));
    }

    fn check(&self, step: Step) -> Result<(), Fault> {
        let mut failures = self.0.lock().unwrap();
        match failures.iter_mut().find(|(at, times, _)| *at == step && *times > 0) {
            Some((_, times, fault)) => {
                *times -= 1;
                Err(fault.clone())
            }
            None => Ok(()),
        }
    }
}

/// The emulated card with failures.
pub struct Faulty(pub Failures);

impl Platform for Faulty {
    fn cards(&self) -> Result<Vec<Card>, Fault> {
        Emulated.cards()
    }

    fn open(&self, card: &Card) -> Result<Box<dyn Driver>, Fault> {
        self.0.check(Step::Open)?;
        Ok(Box::new(FaultyDriver { inner: Emulated.open(card)?, failures: self.0.clone() }))
    }
}

struct FaultyDriver {
    inner: Box<dyn Driver>,
    failures: Failures,
}

impl Driver for FaultyDriver {
    fn free(&self) -> Result<u64, Fault> {
        self.inner.free()
    }

    fn lane(&self, bytes: usize) -> Result<Box<dyn Lane>, Fault> {
        self.failures.check(Step::Memory)?;
        Ok(Box::new(FaultyLane { inner: self.inner.lane(bytes)?, failures: self.failures.clone() }))
    }
}

struct FaultyLane {
    inner: Box<dyn Lane>,
    failures: Failures,
}

impl Lane for FaultyLane {
    fn host(&mut self) -> &mut [u8] {
        self.inner.host()
    }

    fn upload(&mut self, range: Range<usize>) -> Result<(), Fault> {
        self.failures.check(Step::Upload)?;
        self.inner.upload(range)
    }

    fn launch(&mut self, launch: &Launch<'_>) -> Result<(), Fault> {
        self.failures.check(Step::Launch)?;
        self.inner.launch(launch)
    }

    fn download(&mut self, range: Range<usize>) -> Result<(), Fault> {
        self.failures.check(Step::Download)?;
        self.inner.download(range)
    }

    fn finish(&mut self) -> Result<(), Fault> {
        self.failures.check(Step::Finish)?;
        self.inner.finish()
    }
}
