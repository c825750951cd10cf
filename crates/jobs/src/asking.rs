//! Whether somebody still waits for what a thread computes.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// Held by whoever waits; once it is dropped, the listeners stop their work at the next block.
#[derive(Default)]
pub struct Asking(Arc<AtomicBool>);

/// What the working thread listens to.
pub struct Listener(Arc<AtomicBool>);

impl Asking {
    /// A listener for one thread.
    pub fn listener(&self) -> Listener {
        Listener(Arc::clone(&self.0))
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Listener {
    /// # Errors
    /// [`weights::Error::Stopped`] when nobody waits any more.
    pub fn go_on(&self) -> Result<(), weights::Error> {
        if self.0.load(Ordering::Relaxed) { Err(weights::Error::Stopped) } else { Ok(()) }
    }
}
