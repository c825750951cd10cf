//! Merging models stored as bf16 straight from their bytes: what is kept of each delta as bits, then one pass over all.

use std::cell::Cell;

use kernels::{
    Dtype,
    direct::{MOST, Tuned},
};
use rayon::prelude::*;

use super::{
    operands::{Block, Operands},
    sparse::Kept,
};
use crate::{
    computed::{self, CHUNK},
    trim::Trim,
};

/// Words that hold a bit for each element of a chunk.
const WORDS: usize = CHUNK / 64;

/// Bounds that keep nothing.
const NONE: (u32, u64) = (u32::MAX, 0);

/// Of each model which elements of a chunk are kept.
pub struct Masks {
    words: [[u64; WORDS]; MOST],
    len: usize,
}

impl Masks {
    /// Of the elements `start..` of `tuned`; `None` where a kept element has a factor of its own, or where there is more
    /// than a chunk.
    pub fn of(kept: &[Kept], start: u64, tuned: &Tuned<'_>) -> Option<Self> {
        let mut masks = Self { words: [[0; WORDS]; MOST], len: tuned.words() };
        if masks.len > WORDS {
            return None;
        }
        for (at, (kept, words)) in kept.iter().zip(&mut masks.words).enumerate() {
            let words = &mut words[..masks.len];
            match kept {
                Kept::All => words.fill(u64::MAX),
                Kept::Nothing => {}
                Kept::Largest(trim) => tuned.band(at, (trim.from(start).bounds(), NONE), words),
                Kept::Between(within, beyond) => {
                    tuned.band(at, (within.from(start).bounds(), beyond.from(start).bounds()), words);
                }
                Kept::Random { key, share } => tuned.random(*key, start, *share, words),
                Kept::Listed(bits) => bits.copy(start, words),
                Kept::Scaled { .. } => return None,
            }
        }
        Some(masks)
    }

    /// Of the elements `start..` of `tuned` those that vary most, the same of every model; `None` keeps all.
    pub fn varying(selected: Option<Trim>, start: u64, tuned: &Tuned<'_>) -> Option<Self> {
        let mut masks = Self { words: [[0; WORDS]; MOST], len: tuned.words() };
        let [first, others @ ..] = &mut masks.words;
        let first = first.get_mut(..masks.len)?;
        match selected {
            Some(trim) => tuned.varying(trim.from(start).bounds(), first),
            None => first.fill(u64::MAX),
        }
        others.iter_mut().for_each(|words| words[..masks.len].copy_from_slice(first));
        Some(masks)
    }

    /// The bits of every model.
    pub fn each(&self) -> [&[u64]; MOST] {
        self.words.each_ref().map(|words| &words[..self.len])
    }
}

thread_local! {
    /// Stored bytes of every input, kept from one chunk to the next.
    static SPARE: Cell<Vec<Vec<u8>>> = const { Cell::new(Vec::new()) };
}

impl Operands {
    /// As [`Self::each_run`], by `direct` where it has an answer for the elements from an index on, by `of` elsewhere.
    pub fn each_direct<T: Send>(
        &self,
        step: u64,
        direct: impl Fn(u64, &Tuned<'_>) -> Option<T> + Sync,
        of: impl Fn(&Block) -> T + Sync,
    ) -> Result<Vec<T>, weights::Error> {
        let run = |range: (u64, usize)| match self.direct(range, |tuned| direct(range.0, tuned))? {
            Some(found) => Ok(found),
            None => self.read_finite(range.0, range.1).map(|block| of(&block)),
        };
        self.runs(step).map(run).collect()
    }

    /// As [`Self::each_block`], by `stored` where it has an answer for the inputs as they are stored, by `of` elsewhere.
    pub fn each_stored<T: Send>(
        &self,
        stored: impl Fn(&[kernels::Encoded<'_>]) -> Option<T> + Sync,
        of: impl Fn(&Block) -> T + Sync,
    ) -> Result<Vec<T>, weights::Error> {
        let run = |range: (u64, usize)| match self.stored(range, &stored)? {
            Some(found) => Ok(found),
            None => self.read_finite(range.0, range.1).map(|block| of(&block)),
        };
        self.runs(CHUNK as u64).map(run).collect()
    }

    /// What `of` makes of the elements of a range of models and a base, if it can.
    pub fn direct<T>(
        &self,
        range: (u64, usize),
        of: impl FnOnce(&Tuned<'_>) -> Option<T>,
    ) -> Result<Option<T>, weights::Error> {
        if self.base.is_none() {
            return Ok(None);
        }
        self.stored(range, |inputs| Tuned::of(inputs).and_then(|tuned| of(&tuned)))
    }

    /// What `of` makes of the elements of a range of all inputs as they are stored, if it can and all are few and bf16.
    pub fn stored<T>(
        &self,
        range: (u64, usize),
        of: impl FnOnce(&[kernels::Encoded<'_>]) -> Option<T>,
    ) -> Result<Option<T>, weights::Error> {
        let bf16 = |input: &computed::SourceTensor| {
            input.source.tensors().get(input.index).is_some_and(|info| info.dtype == Dtype::Bf16)
        };
        if self.models.len() > MOST || !self.inputs().all(bf16) {
            return Ok(None);
        }
        // Taken out while it is used: a source may read another merge on the same thread.
        let mut spare = SPARE.take();
        spare.resize_with(self.inputs().count(), Vec::new);
        let read = || {
            let inputs = self
                .inputs()
                .zip(&mut spare)
                .map(|(input, buffer)| computed::stored(&*input.source, input.index, range, buffer));
            Ok(of(&inputs.collect::<Result<Vec<_>, _>>()?))
        };
        let found = read();
        SPARE.set(spare);
        found
    }
}
