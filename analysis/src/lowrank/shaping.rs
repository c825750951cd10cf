//! What of a decomposition an adapter keeps, and how its factors share the singular values.

use serde::{Deserialize, Serialize};

use super::Factors;
use crate::Error;

/// How the factors of an adapter are made of singular vectors and values.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Shaping {
    /// Only singular values above this are kept, the largest in any case; in the units of the weights.
    #[serde(skip_serializing_if = "is_zero")]
    pub sv_epsilon: f64,
    /// Whether tables of tokens and the head get factors too, instead of being stored whole.
    #[serde(skip_serializing_if = "is_off")]
    pub embed_lora: bool,
    /// Whether both factors get the root of each singular value; else `A = S·Vᵀ` gets all of it and `B = U` none.
    #[serde(skip_serializing_if = "is_on")]
    pub distribute_scale: bool,
}

impl Default for Shaping {
    fn default() -> Self {
        Self { sv_epsilon: 0.0, embed_lora: false, distribute_scale: true }
    }
}

fn is_zero(value: &f64) -> bool {
    *value == 0.0
}

fn is_off(flag: &bool) -> bool {
    !flag
}

fn is_on(flag: &bool) -> bool {
    *flag
}

impl Shaping {
    /// # Errors
    /// An epsilon below 0, or that is no number.
    pub(super) fn check(&self) -> Result<(), Error> {
        match self.sv_epsilon.is_finite() && self.sv_epsilon >= 0.0 {
            true => Ok(()),
            false => Err(Error::fault("/sv_epsilon", "it must be 0 or more, e.g. 1e-6")),
        }
    }

    /// The factors as asked for.
    pub(super) fn apply(&self, factors: Factors) -> Factors {
        let kept = factors.singular.iter().take_while(|value| **value > self.sv_epsilon).count();
        let factors = first(factors, kept.max(1));
        if self.distribute_scale { factors } else { uneven(factors) }
    }
}

/// The factors of the first `rank` singular values.
fn first(factors: Factors, rank: usize) -> Factors {
    let Factors { rank: all, up, down, mut singular, norm_sq } = factors;
    if rank >= all {
        return Factors { rank: all, up, down, singular, norm_sq };
    }
    let columns = down.len() / all;
    singular.truncate(rank);
    let up = up.chunks_exact(all).flat_map(|row| row[..rank].iter().copied()).collect();
    Factors { rank, up, down: down[..rank * columns].to_vec(), singular, norm_sq }
}

/// The same product with all of the singular values in `down`.
fn uneven(mut factors: Factors) -> Factors {
    let roots: Vec<f64> = factors.singular.iter().map(|value| value.sqrt()).collect();
    let columns = factors.down.len() / factors.rank.max(1);
    for (at, value) in factors.up.iter_mut().enumerate() {
        let root = roots[at % factors.rank];
        // A matrix of zeros has no directions.
        *value = if root > 0.0 { *value / root } else { 0.0 };
    }
    for (at, value) in factors.down.iter_mut().enumerate() {
        *value *= roots[at / columns];
    }
    factors
}
