//! The one sum all linear methods share: `c_0·b + Σ c_i·x_i`, exact where the answer is an input.

/// A weighted sum in f64. Terms of weight zero are not looked at, so a weight of (1, 0) gives the first input exactly.
pub fn sum(terms: impl Iterator<Item = (f64, f64)>) -> f64 {
    let live =
        terms.filter(|(coefficient, _)| *coefficient != 0.0).map(|(coefficient, value)| coefficient * value);
    live.reduce(|sum, term| sum + term).unwrap_or(0.0)
}

/// Whether every value has the bits of `first`.
pub fn all_same(first: f64, others: impl IntoIterator<Item = f64>) -> bool {
    others.into_iter().all(|value| value.to_bits() == first.to_bits())
}

/// `b + Σ c_i·(x_i − b)`, written as one sum; exactly `b` when no input differs from it.
pub fn around(base: f64, inputs: impl Iterator<Item = (f64, f64)> + Clone) -> f64 {
    if all_same(base, inputs.clone().map(|(_, value)| value)) {
        return base;
    }
    let moved: f64 = inputs.clone().map(|(coefficient, _)| coefficient).sum();
    sum(std::iter::once((1.0 - moved, base)).chain(inputs))
}
