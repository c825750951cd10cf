//! Memory that a thread keeps from one block to the next: pages fresh from the system cost more than what is written
//! into them.

use std::{
    cell::RefCell,
    ops::{Deref, DerefMut},
};

use crate::computed::BLOCK;

/// Buffers that a thread keeps at most, none of them longer than a block.
const KEPT: usize = 32;

thread_local! {
    static SPARE: RefCell<Vec<Vec<f64>>> = const { RefCell::new(Vec::new()) };
}

/// Numbers of some length that go back to the thread they are dropped on.
#[derive(Debug, Default)]
pub struct Room {
    /// Never made shorter: what is made longer again is filled with zeros.
    values: Vec<f64>,
    len: usize,
}

impl Room {
    /// Room for `len` numbers; what it holds at first means nothing.
    pub fn of(len: usize) -> Self {
        let mut values = SPARE.with_borrow_mut(Vec::pop).unwrap_or_default();
        if values.len() < len {
            values.resize(len, 0.0);
        }
        Self { values, len }
    }

    /// Room for `len` numbers, all of them `value`.
    pub fn filled(len: usize, value: f64) -> Self {
        let mut room = Self::of(len);
        room.fill(value);
        room
    }
}

impl Deref for Room {
    type Target = [f64];

    fn deref(&self) -> &[f64] {
        &self.values[..self.len]
    }
}

impl DerefMut for Room {
    fn deref_mut(&mut self) -> &mut [f64] {
        &mut self.values[..self.len]
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if (1..=BLOCK).contains(&self.values.capacity()) {
            let values = std::mem::take(&mut self.values);
            // A thread that ends has nowhere to keep it.
            let _ = SPARE.try_with(|spare| {
                let mut spare = spare.borrow_mut();
                if spare.len() < KEPT {
                    spare.push(values);
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_given_back_is_used_again_and_has_the_length_asked_for() {
        let first = Room::filled(1_000, 2.0);
        let place = first.as_ptr();
        drop(first);

        let again = Room::of(700);
        let filled = Room::filled(10, 1.0);

        assert_eq!((again.as_ptr(), again.len()), (place, 700));
        assert!(filled.iter().all(|value| *value == 1.0) && filled.len() == 10);
    }
}
