//! Weighted sums of a strip of elements, exact where the answer is an input.

use kernels::{
    Dtype, Encoded,
    task::{Strip, add_deltas},
};

use super::Combine;
use crate::room::Room;

/// What a sum starts from: adding to it changes no value, not even the sign of a zero.
pub const NOTHING: f64 = -0.0;

/// `Σ c_i·x_i`. Terms of factor zero are not looked at, so factors of (1, 0) give the first input exactly.
pub fn weighted<'x>(terms: impl Iterator<Item = (f64, &'x [f64])>, out: &mut [f64]) {
    out.fill(NOTHING);
    let mut live = false;
    for (factor, values) in terms.filter(|(factor, _)| *factor != 0.0) {
        live = true;
        for (out, value) in out.iter_mut().zip(values) {
            *out += factor * value;
        }
    }
    if !live {
        out.fill(0.0);
    }
}

/// Puts `first` where all `others` have its bits: the mean of equal inputs is that input.
pub fn keep_common<'x>(first: &[f64], others: impl Iterator<Item = &'x [f64]>, out: &mut [f64]) {
    let mut differing = vec![0u64; first.len()];
    for other in others {
        for ((differing, first), other) in differing.iter_mut().zip(first).zip(other) {
            *differing |= first.to_bits() ^ other.to_bits();
        }
    }
    for ((out, first), differing) in out.iter_mut().zip(first).zip(differing) {
        *out = if differing == 0 { *first } else { *out };
    }
}

/// `b + Σ c_i·(x_i − b)`, written as one sum; exactly `b` where no input differs from it.
pub fn around(base: &[f64], models: &[&[f64]], factors: &[f64], out: &mut [f64]) {
    let rest = 1.0 - factors.iter().sum::<f64>();
    let models = || models.iter().copied();
    weighted(std::iter::once((rest, base)).chain(factors.iter().copied().zip(models())), out);
    keep_common(base, models(), out);
}

/// `b + Σ c_i·(x_i − b)` with factors that a method computes for the elements `start..` of all models: those of
/// one model after those of the one before, all 0 at first.
pub struct Factored<F>(pub F);

impl<F> Combine for Factored<F>
where
    F: Fn(u64, &Deltas<'_>, &mut [f64]) + Send + Sync,
{
    fn combine(&self, start: u64, models: &[&[f64]], base: &[f64], out: &mut [f64]) {
        let mut factors = Room::filled(models.len() * base.len(), 0.0);
        (self.0)(start, &Deltas::new(models, base), &mut factors);
        add_deltas(Strip { base, models }, &factors, out);
    }
}

/// A combination with what is worth a record of it.
pub struct Told<C> {
    combine: C,
    account: weights::Account,
}

impl<C> Told<C> {
    /// With these facts.
    pub fn new(combine: C, facts: impl IntoIterator<Item = (&'static str, serde_json::Value)>) -> Self {
        let account = facts.into_iter().map(|(name, fact)| (name.to_owned(), fact)).collect();
        Self { combine, account }
    }
}

impl<C: Combine> Combine for Told<C> {
    fn combine(&self, start: u64, models: &[&[f64]], base: &[f64], out: &mut [f64]) {
        self.combine.combine(start, models, base, out);
    }

    fn encode(&self, start: u64, inputs: &[Encoded<'_>], out: (Dtype, &mut [u8])) -> Option<u64> {
        self.combine.encode(start, inputs, out)
    }

    fn account(&self) -> weights::Account {
        self.account.clone()
    }
}

/// Deltas of a strip, those of one model after those of the one before.
pub struct Deltas<'a> {
    base: &'a [f64],
    values: Room,
}

impl<'a> Deltas<'a> {
    /// Of the models to the base.
    pub fn new(models: &[&[f64]], base: &'a [f64]) -> Self {
        let mut values = Room::of(models.len() * base.len());
        for (delta, model) in values.chunks_mut(base.len().max(1)).zip(models) {
            kernels::wide::subtract(model, base, delta);
        }
        Self { base, values }
    }

    /// Elements of the strip.
    pub fn len(&self) -> usize {
        self.base.len()
    }

    /// Those of one model after those of the one before.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// Every model's deltas.
    pub fn each(&self) -> impl Iterator<Item = &[f64]> {
        self.values.chunks(self.base.len().max(1))
    }
}
