//! A card in use: its lanes, and who has them.

use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use kernels::device::Declined;

use crate::{Driver, Fault, Lane, Room};

/// Two lanes, used in turn.
pub(crate) type Pair = [Box<dyn Lane>; 2];

pub(crate) struct Session {
    measuring: Mutex<Pair>,
    blending: Mutex<Vec<Box<dyn Lane>>>,
}

impl Session {
    /// Takes lanes on a card.
    pub fn open(driver: &dyn Driver, room: Room) -> Result<Self, Fault> {
        let measuring = Mutex::new([driver.lane(room.measuring)?, driver.lane(room.measuring)?]);
        let blending = (0..Room::BLENDING).map(|_| driver.lane(room.blending)).collect::<Result<_, _>>()?;
        Ok(Self { measuring, blending: Mutex::new(blending) })
    }

    /// The lanes that measure. On a thread of a pool nobody waits: the work that has them may be waiting for this thread.
    pub fn measuring(&self) -> Result<MutexGuard<'_, Pair>, Declined> {
        if rayon::current_thread_index().is_none() {
            return Ok(self.measuring.lock().unwrap_or_else(PoisonError::into_inner));
        }
        match self.measuring.try_lock() {
            Ok(lanes) => Ok(lanes),
            Err(TryLockError::Poisoned(lanes)) => Ok(lanes.into_inner()),
            Err(TryLockError::WouldBlock) => Err(Declined::Busy),
        }
    }

    /// Runs `work` on a lane that blends, where one is free.
    pub fn blending<T>(
        &self,
        work: impl FnOnce(&mut dyn Lane) -> Result<T, Trouble>,
    ) -> Result<Result<T, Trouble>, Declined> {
        let lanes = || self.blending.lock().unwrap_or_else(PoisonError::into_inner);
        let mut lane = lanes().pop().ok_or(Declined::Busy)?;
        let outcome = work(&mut *lane);
        if outcome.is_err() {
            // What was started before must not touch the lane of whoever has it next.
            drop(lane.finish());
        }
        lanes().push(lane);
        Ok(outcome)
    }
}

/// What ends work on a card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Reading an input failed.
    Stopped,
    /// The work does not fit the lanes, or no kernel is for it.
    Unfit,
    Fault(Fault),
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}
