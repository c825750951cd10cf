//! The card as a device: what fails there is given back as a reason, and the card is opened anew for what comes next.

use std::sync::{Arc, Mutex, PoisonError};

use domain::Limits;
use kernels::{
    Dtype, Gram,
    device::{Declined, Device, Streamed},
    wide::Common,
};

use crate::{
    Card, Fault, Platform, Room,
    gram::delta_sums,
    race::Race,
    session::{Session, Trouble},
    sums::weighted_sum,
};

/// Bytes of all inputs below which the way to the card costs more than the sums.
const LEAST_MEASURED: u64 = 8 << 20;
/// The same for one call of a blend.
const LEAST_BLENDED: u64 = 1 << 20;
/// Times a card is opened anew after a failure before it is left alone.
const REOPENED: u32 = 3;

/// A card and what has become of it.
pub struct Gpu {
    platform: Box<dyn Platform>,
    card: Card,
    limits: Limits,
    /// None where the card computes whatever it can.
    race: Option<Race>,
    state: Mutex<State>,
}

struct State {
    session: Option<Arc<Session>>,
    failures: u32,
    /// Why there is no session.
    last: Option<Fault>,
}

impl Gpu {
    pub(crate) fn open(platform: Box<dyn Platform>, card: Card, limits: Limits) -> Result<Self, Fault> {
        let session = session(&*platform, &card, &limits)?;
        let state = Mutex::new(State { session: Some(Arc::new(session)), failures: 0, last: None });
        Ok(Self { platform, card, limits, race: None, state })
    }

    /// Leaves to the processor what that does quicker.
    pub(crate) fn racing(self) -> Result<Self, Fault> {
        let session = self.state.lock().unwrap_or_else(PoisonError::into_inner).session.clone();
        let Some(session) = session else { return Ok(self) };
        let race = session.measuring().map(|mut lanes| Race::run(&mut *lanes[0])).ok().transpose()?;
        Ok(Self { race, ..self })
    }

    /// The card.
    pub fn card(&self) -> &Card {
        &self.card
    }

    /// The session in use, or a new one where the last has failed.
    fn session(&self) -> Result<Arc<Session>, Declined> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(session) = &state.session {
            return Ok(Arc::clone(session));
        }
        if state.failures >= REOPENED {
            let fault = state.last.as_ref().map(Fault::to_string).unwrap_or_default();
            return Err(Declined::Failed(format!(
                "{}: {fault}; it is left alone until a restart",
                self.card.name
            )));
        }
        match session(&*self.platform, &self.card, &self.limits) {
            Ok(opened) => {
                state.last = None;
                Ok(Arc::clone(state.session.insert(Arc::new(opened))))
            }
            Err(fault) => {
                state.failures += 1;
                state.last = Some(fault.clone());
                Err(Declined::Failed(format!("{}: {fault}", self.card.name)))
            }
        }
    }

    /// Gives up a session after a fault: its context may answer nothing any more, and goes with the last who uses it.
    fn declined(&self, session: &Arc<Session>, trouble: Trouble) -> Declined {
        let fault = match trouble {
            Trouble::Stopped => return Declined::Stopped,
            Trouble::Unfit => return Declined::Unfit,
            Trouble::Fault(fault) => fault,
        };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // Others on the same session report the same failure.
        if state.session.as_ref().is_some_and(|current| Arc::ptr_eq(current, session)) {
            state.session = None;
            // A card that does not answer would keep whoever opens it waiting, too.
            let stuck = matches!(fault, Fault::Timeout { .. });
            state.failures = if stuck { REOPENED } else { state.failures + 1 };
            state.last = Some(fault.clone());
        }
        Declined::Failed(format!("{}: {fault}", self.card.name))
    }
}

fn session(platform: &dyn Platform, card: &Card, limits: &Limits) -> Result<Session, Fault> {
    let driver = platform.open(card)?;
    let free = driver.free()?;
    let room = Room::within(limits, free)
        .ok_or_else(|| Fault::Memory { bytes: 0, reason: format!("only {free} are free") })?;
    Session::open(&*driver, room)
}

fn bytes(inputs: &Streamed<'_>) -> u64 {
    inputs.inputs.iter().map(|dtype| dtype.bits() / 8 * inputs.elements).sum()
}

impl Device for Gpu {
    fn fault(&self) -> Option<String> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.last.as_ref().map(Fault::to_string)
    }

    fn delta_sums(&self, inputs: Streamed<'_>) -> Result<Gram, Declined> {
        if bytes(&inputs) < LEAST_MEASURED {
            return Err(Declined::Unfit);
        }
        let models = inputs.inputs.len().saturating_sub(1);
        if let Some(why) = self.race.as_ref().and_then(|race| race.lost(models)) {
            return Err(Declined::Slower(why));
        }
        let session = self.session()?;
        let outcome = delta_sums(&mut *session.measuring()?, inputs);
        outcome.map_err(|trouble| self.declined(&session, trouble))
    }

    fn weighted_sum(
        &self,
        inputs: Streamed<'_>,
        sum: (&[f64], Common),
        out: (Dtype, &mut [u8]),
    ) -> Result<Option<u64>, Declined> {
        if bytes(&inputs) < LEAST_BLENDED {
            return Err(Declined::Unfit);
        }
        let session = self.session()?;
        let outcome = session.blending(|lane| weighted_sum(lane, inputs, sum, out))?;
        outcome.map_err(|trouble| self.declined(&session, trouble))
    }
}

impl std::fmt::Debug for Gpu {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Gpu({})", self.card.name)
    }
}
