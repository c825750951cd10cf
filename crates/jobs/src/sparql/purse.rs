//! What one question may spend: time, memory, facts read.
//!
//! The evaluator holds nothing but terms, and copies one with every row that it makes. So each term counts itself, and
//! where the purse is empty the evaluation is unwound from wherever it is: no loop of it goes on without a term.

use std::{
    cell::{Cell, RefCell},
    panic::resume_unwind,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use domain::Limits;

/// Why an evaluation was unwound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spent {
    Time,
    Memory,
    Facts,
    /// Whoever asked has gone away.
    Gone,
}

/// Terms between two looks at the clock.
const LOOK: u64 = 1_024;
/// Bytes of an empty place in a row.
const PLACE: u64 = 24;

#[derive(Default)]
struct Purse {
    ticks: Cell<u64>,
    facts: Cell<u64>,
    held: Cell<u64>,
    memory: Cell<u64>,
    /// Bytes that one more term in a row may take, with the empty places around it.
    term: Cell<u64>,
    /// Whether the texts of terms are put together, out of sight.
    joins: Cell<bool>,
    until: Cell<Option<Instant>>,
    gone: RefCell<Option<Arc<AtomicBool>>>,
}

thread_local! {
    static PURSE: Purse = Purse::default();
}

/// Fills the purse of this thread for a question with this many variables.
pub(super) fn fill(limits: &Limits, variables: usize, gone: Arc<AtomicBool>) {
    PURSE.with(|purse| {
        purse.facts.set(limits.sparql_facts);
        purse.memory.set(limits.sparql_memory_bytes);
        purse.term.set(PLACE * (variables as u64 + 2));
        purse.until.set(Instant::now().checked_add(Duration::from_secs(limits.sparql_seconds)));
        purse.gone.replace(Some(gone));
    });
}

fn stop(why: Spent) -> ! {
    resume_unwind(Box::new(why))
}

impl Purse {
    fn tick(&self) {
        let ticks = self.ticks.get().wrapping_add(1);
        self.ticks.set(ticks);
        if !ticks.is_multiple_of(LOOK) {
            return;
        }
        if self.until.get().is_some_and(|until| Instant::now() >= until) {
            stop(Spent::Time);
        }
        if self.gone.borrow().as_ref().is_some_and(|gone| gone.load(Ordering::Relaxed)) {
            stop(Spent::Gone);
        }
    }

    fn take(&self, bytes: u64) {
        self.tick();
        let held = self.held.get().saturating_add(bytes);
        if held > self.memory.get() && self.until.get().is_some() {
            stop(Spent::Memory);
        }
        self.held.set(held);
    }
}

/// Counts a model or an edge that is looked at, told or not.
pub(super) fn tick() {
    PURSE.with(Purse::tick);
}

/// From here on the text of a term counts for good each time it is read: it may be put together with others.
pub(super) fn join_texts() {
    PURSE.with(|purse| purse.joins.set(true));
}

/// Counts a term whose text of so many bytes is read.
pub(super) fn read(bytes: usize) {
    PURSE.with(|purse| purse.take(if purse.joins.get() { bytes as u64 } else { 0 }));
}

/// Counts a fact that is told.
pub(super) fn fact() {
    PURSE.with(|purse| {
        purse.tick();
        match purse.facts.get().checked_sub(1) {
            Some(left) => purse.facts.set(left),
            None => stop(Spent::Facts),
        }
    });
}

/// A share of the memory, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Share(u64);

impl Share {
    /// Of one more term in a row.
    pub fn of_term() -> Self {
        Self::of(PURSE.with(|purse| purse.term.get()))
    }

    pub fn of(bytes: u64) -> Self {
        PURSE.with(|purse| purse.take(bytes));
        Self(bytes)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        // A thread that ends may have lost its purse already.
        let _ = PURSE.try_with(|purse| purse.held.set(purse.held.get().saturating_sub(self.0)));
    }
}
