//! Values that are not 0 and become 0 in the number format of the result. Only formats with few exponents lose values of
//! the size that weights have.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use kernels::Dtype;
use rayon::prelude::*;

use super::strips::Merging;
use crate::{computed::BLOCK, room::Room};

/// How many there are, by tensor and by the first element of the block they are in: a block read twice counts once.
#[derive(Default)]
pub(super) struct Underflow(Mutex<BTreeMap<(usize, u64), u64>>);

impl Underflow {
    /// How many a tensor has in the blocks read so far.
    pub fn of(&self, index: usize) -> u64 {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.range((index, 0)..=(index, u64::MAX)).map(|(_, count)| count).sum()
    }

    /// Counts those among the elements from `start` on, which were merged to `out`; what is 0 there is computed again.
    ///
    /// # Errors
    /// When an input cannot be read.
    pub fn count(
        &self,
        (index, start): (usize, u64),
        merging: &Merging<'_>,
        (dtype, out): (Dtype, &[u8]),
    ) -> Result<(), weights::Error> {
        let width = match dtype {
            Dtype::F16 => 2,
            Dtype::F8E4M3 | Dtype::F8E5M2 => 1,
            _ => return Ok(()),
        };
        let of = |(at, block): (usize, &[u8])| -> Result<u64, weights::Error> {
            let zeros = || block.chunks_exact(width).map(is_zero);
            if !zeros().any(|zero| zero) {
                return Ok(0);
            }
            let mut values = Room::of(block.len() / width);
            merging.fill(start + (at * BLOCK) as u64, &mut values)?;
            Ok(values.iter().zip(zeros()).filter(|(value, zero)| *zero && **value != 0.0).count() as u64)
        };
        let counts = out.par_chunks(BLOCK * width).enumerate().map(of).collect::<Result<Vec<_>, _>>()?;
        let count = counts.iter().sum();
        if count > 0 {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert((index, start), count);
        }
        Ok(())
    }
}

/// Whether the little-endian bytes of a float are 0, of either sign.
fn is_zero(code: &[u8]) -> bool {
    code.split_last().is_some_and(|(last, rest)| last & 0x7F == 0 && rest.iter().all(|byte| *byte == 0))
}
