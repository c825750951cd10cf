//! What the models that count at an element are given, for every set of them.

use super::MOST;
use crate::task::{By, Election, Strip, ZeroSign, elect, share_out};

/// Sets of models.
pub(super) const SETS: usize = 1 << MOST;

/// Factors of the models for every set of them that may count at an element.
#[derive(Debug, Clone, PartialEq)]
pub struct Shares {
    /// Of each model for every set; the lowest bit of a set stands for the first model.
    pub(super) factors: [[f64; SETS]; MOST],
    /// Of the base.
    pub(super) rests: [f64; SETS],
}

/// Which models vote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Voters {
    /// Those whose delta is kept.
    Kept,
    /// All.
    All,
}

/// An election of the sign of an element; models of another sign do not count there.
#[derive(Debug, Clone, Copy)]
pub struct Vote<'a> {
    /// Factors of the models' deltas.
    pub weights: &'a [f64],
    pub by: By,
    pub zero: ZeroSign,
    pub voters: Voters,
}

impl Shares {
    /// `factor(at, counts)` is the factor of model `at` where it counts, and where it does not. `None` for more models
    /// than [`MOST`].
    pub fn plain(models: usize, factor: impl Fn(usize, f64) -> f64) -> Option<Self> {
        Self::of(models, |sets, factors| {
            for (at, (factors, set)) in factors.chunks_mut(SETS).zip(sets.chunks(SETS)).enumerate() {
                factors.iter_mut().zip(set).for_each(|(out, counts)| *out = factor(at, *counts));
            }
        })
    }

    /// As [`elect`] leaves factors that were `factors` before.
    pub fn elected(factors: &[f64], election: Election<'_>) -> Option<Self> {
        Self::of(factors.len(), |sets, out| {
            // Deltas that agree in every set, and are nothing outside it.
            let signed = |at: usize| move |counts: &f64| if factors[at] < 0.0 { -counts } else { *counts };
            let models: Vec<Vec<f64>> =
                sets.chunks(SETS).enumerate().map(|(at, set)| set.iter().map(signed(at)).collect()).collect();
            let models: Vec<&[f64]> = models.iter().map(Vec::as_slice).collect();
            out.chunks_mut(SETS).zip(factors).for_each(|(out, factor)| out.fill(*factor));
            elect(Strip { base: &[0.0; SETS], models: &models }, election, out);
        })
    }

    /// As [`share_out`] gives them where an element is kept.
    pub fn shared(weights: &[f64], floor: f64) -> Option<Self> {
        Self::of(weights.len(), |sets, out| share_out((sets, weights), &[1.0; SETS], floor, out))
    }

    /// What `fill` makes of 1 for a model in a set and 0 for others, those of one model after those of the one before.
    fn of(models: usize, fill: impl FnOnce(&[f64], &mut [f64])) -> Option<Self> {
        if models > MOST {
            return None;
        }
        let sets: Vec<f64> =
            (0..models * SETS).map(|at| f64::from(((at % SETS) >> (at / SETS) & 1) as u8)).collect();
        let mut found = vec![0.0; models * SETS];
        fill(&sets, &mut found);
        let mut shares = Self { factors: [[0.0; SETS]; MOST], rests: [0.0; SETS] };
        let mut moved = [0.0; SETS];
        for (factors, found) in shares.factors.iter_mut().zip(found.chunks(SETS)) {
            factors.copy_from_slice(found);
            moved.iter_mut().zip(found).for_each(|(moved, factor)| *moved += factor);
        }
        shares.rests.iter_mut().zip(&moved).for_each(|(rest, moved)| *rest = 1.0 - moved);
        Some(shares)
    }
}
