//! Task vectors added to a base: `b + Σ c·(x − b)` with a factor for every element, after an election of signs if asked.

use multiversion::{multiversion, target::target_cfg_f};

/// Elements of a tile: its arrays stay in the first-level cache.
const TILE: usize = 256;

/// Consecutive elements of a base and the models tuned from it, in f64, all of one length.
#[derive(Debug, Clone, Copy)]
pub struct Strip<'a> {
    pub base: &'a [f64],
    pub models: &'a [&'a [f64]],
}

/// How factors are divided before they are used.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Divisor {
    /// Not at all.
    One,
    /// By the sum of the shares of the models that agree at an element, where it is not 0.
    Agreeing,
}

/// What elects the sign of an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// `Σ c·(x − b)`.
    Sum,
    /// How many of its terms are positive, and how many negative.
    Count,
}

impl By {
    #[inline(always)]
    fn vote(self, term: f64) -> f64 {
        match self {
            Self::Sum => term,
            Self::Count if term == 0.0 => 0.0,
            Self::Count => term.signum(),
        }
    }
}

/// The sign that wins where the votes cancel out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ZeroSign {
    Plus,
    Minus,
}

/// An election at every element. Models whose own term has another sign are left out.
#[derive(Debug, Clone, Copy)]
pub struct Election<'a> {
    /// What each model's part is divided by when it alone agrees.
    pub shares: &'a [f64],
    pub by: By,
    pub divisor: Divisor,
    pub zero: ZeroSign,
    /// Factor of what is left.
    pub scale: f64,
}

/// Writes `b + Σ c·(x − b)` as one sum over the inputs; exactly `b` where no input differs from it. `factors` are
/// those of one model after those of the one before.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2", "aarch64+neon"))]
pub fn add_deltas(strip: Strip<'_>, factors: &[f64], out: &mut [f64]) {
    let len = strip.base.len();
    for from in (0..len).step_by(TILE) {
        let place = from..(from + TILE).min(len);
        let of = |model: usize| &factors[model * len..(model + 1) * len][place.clone()];
        add_tile(strip, place.clone(), of, &mut out[place.clone()]);
    }
}

#[inline(always)]
fn add_tile<'f>(
    strip: Strip<'_>,
    place: std::ops::Range<usize>,
    factors: impl Fn(usize) -> &'f [f64],
    out: &mut [f64],
) {
    let base = &strip.base[place.clone()];
    let (mut moved, mut differing) = ([0.0f64; TILE], [0u64; TILE]);
    // Adding to -0 changes no value, not even the sign of a zero.
    out.fill(-0.0);
    for (model, values) in strip.models.iter().enumerate() {
        let terms = factors(model).iter().zip(&values[place.clone()]).zip(base);
        for (((factor, value), base), (out, (moved, differing))) in
            terms.zip(out.iter_mut().zip(moved.iter_mut().zip(&mut differing)))
        {
            *moved += factor;
            *out = if *factor == 0.0 { *out } else { *out + factor * value };
            *differing |= value.to_bits() ^ base.to_bits();
        }
    }
    for ((out, base), (moved, differing)) in out.iter_mut().zip(base).zip(moved.iter().zip(&differing)) {
        let rest = 1.0 - moved;
        let sum = if rest == 0.0 { *out } else { rest * base + *out };
        *out = if *differing == 0 { *base } else { sum };
    }
}

/// Replaces the factors of every element by those that count after the election.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2", "aarch64+neon"))]
pub fn elect(strip: Strip<'_>, election: Election<'_>, factors: &mut [f64]) {
    let len = strip.base.len();
    for from in (0..len).step_by(TILE) {
        let place = from..(from + TILE).min(len);
        let base = &strip.base[place.clone()];
        let (mut signs, mut totals) = ([0.0f64; TILE], [0.0f64; TILE]);
        for (model, values) in strip.models.iter().enumerate() {
            let factors = &factors[model * len..(model + 1) * len][place.clone()];
            for (((sum, value), base), factor) in
                signs.iter_mut().zip(&values[place.clone()]).zip(base).zip(factors)
            {
                *sum += election.by.vote(factor * (value - base));
            }
        }
        for sign in &mut signs {
            let minus = if *sign == 0.0 { election.zero == ZeroSign::Minus } else { *sign < 0.0 };
            *sign = if minus { -1.0 } else { 1.0 };
        }
        for (model, values) in strip.models.iter().enumerate() {
            let share = election.shares[model];
            let factors = &mut factors[model * len..(model + 1) * len][place.clone()];
            let terms = factors.iter_mut().zip(&values[place.clone()]).zip(base);
            for (((factor, value), base), (sign, total)) in terms.zip(signs.iter().zip(&mut totals)) {
                let agrees = *factor * (value - base) * sign > 0.0;
                *factor = if agrees { *factor } else { 0.0 };
                *total += if agrees { share } else { 0.0 };
            }
        }
        for total in &mut totals {
            let divides = election.divisor == Divisor::Agreeing && *total != 0.0;
            *total = if divides { *total } else { 1.0 };
        }
        for model in 0..strip.models.len() {
            let factors = &mut factors[model * len..(model + 1) * len][place.clone()];
            if election.divisor == Divisor::Agreeing {
                factors.iter_mut().zip(&totals).for_each(|(factor, total)| *factor /= total);
            }
            factors.iter_mut().for_each(|factor| *factor *= election.scale);
        }
    }
}

/// Factors that move a base towards other values by at most `t`: 1 for a delta within it. Gives how many are beyond.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2", "aarch64+neon"))]
pub fn limit(t: f64, deltas: &[f64], factors: &mut [f64]) -> u64 {
    let mut beyond = 0;
    for (factor, delta) in factors.iter_mut().zip(deltas) {
        let size = delta.abs();
        beyond += u64::from(size > t);
        *factor = if size <= t { 1.0 } else { t / size };
    }
    beyond
}

/// Factors of deltas by SCE's rule, models one after the other: `w·k` where the delta has the sign of the plain sum of all
/// (a sum of 0 is positive), over the sum of these, or over `floor` where that is larger; by 1 where both are 0. `kept` is
/// 1 or 0 an element; all of `deltas` and `factors` have its length a model.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2", "aarch64+neon"))]
pub fn share_out((deltas, weights): (&[f64], &[f64]), kept: &[f64], floor: f64, factors: &mut [f64]) {
    let len = kept.len();
    for from in (0..len).step_by(TILE) {
        let place = from..(from + TILE).min(len);
        let (kept, size) = (&kept[place.clone()], place.len());
        let of = |model: usize| model * len + place.start..model * len + place.end;
        let (mut sums, mut totals) = ([0.0f64; TILE], [0.0f64; TILE]);
        for model in 0..weights.len() {
            sums.iter_mut().zip(&deltas[of(model)]).for_each(|(sum, delta)| *sum += delta);
        }
        for (model, weight) in weights.iter().enumerate() {
            let (deltas, factors) = (&deltas[of(model)][..size], &mut factors[of(model)][..size]);
            for at in 0..size {
                let agrees = (sums[at] >= 0.0) & (deltas[at] > 0.0) | (sums[at] < 0.0) & (deltas[at] < 0.0);
                factors[at] = if agrees { weight * kept[at] } else { 0.0 };
                totals[at] += factors[at];
            }
        }
        for total in &mut totals {
            *total = total.max(floor);
            *total = if *total == 0.0 { 1.0 } else { *total };
        }
        for model in 0..weights.len() {
            factors[of(model)].iter_mut().zip(&totals).for_each(|(factor, total)| *factor /= total);
        }
    }
}

/// The votes at every element, whose sign is the elected one; slices of one length.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2", "aarch64+neon"))]
pub fn votes(by: By, strip: Strip<'_>, factors: &[f64], sums: &mut [f64]) {
    sums.fill(0.0);
    for (values, factors) in strip.models.iter().zip(factors.chunks(strip.base.len().max(1))) {
        for (((sum, value), base), factor) in sums.iter_mut().zip(*values).zip(strip.base).zip(factors) {
            *sum += by.vote(factor * (value - base));
        }
    }
}

/// Zeroes the factors of deltas that a threshold drops: kept are magnitudes above `threshold` (f32 bits), and of those
/// at it the first `cutoff` elements.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2", "aarch64+neon"))]
pub fn keep_largest(bounds: (u32, u64), delta: &[f64], factors: &mut [f64]) {
    by_threshold(bounds, (delta, factors), |keeps, factor| if keeps { factor } else { 0.0 });
}

/// As [`keep_largest`], zeroing what is kept instead.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2", "aarch64+neon"))]
pub fn drop_largest(bounds: (u32, u64), delta: &[f64], factors: &mut [f64]) {
    by_threshold(bounds, (delta, factors), |keeps, factor| if keeps { 0.0 } else { factor });
}

#[inline(always)]
fn by_threshold(
    (threshold, cutoff): (u32, u64),
    (delta, factors): (&[f64], &mut [f64]),
    then: impl Fn(bool, f64) -> f64,
) {
    const LANES: usize = 16;
    let keeps = |delta: f64, before: bool| {
        let bits = if delta.is_nan() { 0 } else { (delta.abs() as f32).to_bits() };
        (bits > threshold) | ((bits == threshold) & before)
    };
    let (deltas, delta_rest) = delta.as_chunks::<LANES>();
    let (chunks, rest) = factors.as_chunks_mut::<LANES>();
    let mut left = cutoff;
    for (delta, factors) in deltas.iter().zip(chunks) {
        // How many of these lanes lie before the cutoff.
        let before = left.min(LANES as u64) as u32;
        left -= u64::from(before);
        for lane in 0..LANES {
            factors[lane] = then(keeps(delta[lane], (lane as u32) < before), factors[lane]);
        }
    }
    for (at, (delta, factor)) in delta_rest.iter().zip(rest).enumerate() {
        *factor = then(keeps(*delta, (at as u64) < left), *factor);
    }
}

/// `Σ |δ|` and `Σ |c·δ|` in a fixed order.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2", "aarch64+neon"))]
pub fn norms(delta: &[f64], factors: &[f64]) -> (f64, f64) {
    const LANES: usize = 16;
    let (mut whole, mut part) = ([0.0; LANES], [0.0; LANES]);
    let ((deltas, delta_rest), (factors, factor_rest)) =
        (delta.as_chunks::<LANES>(), factors.as_chunks::<LANES>());
    for (delta, factor) in deltas.iter().zip(factors) {
        for lane in 0..LANES {
            whole[lane] += delta[lane].abs();
            part[lane] += (delta[lane] * factor[lane]).abs();
        }
    }
    let mut sums = (whole.iter().sum::<f64>(), part.iter().sum::<f64>());
    for (delta, factor) in delta_rest.iter().zip(factor_rest) {
        sums = (sums.0 + delta.abs(), sums.1 + (delta * factor).abs());
    }
    sums
}

/// `Σ δ²` and `Σ (c·δ)²` in a fixed order, and how many factors are not 0.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2", "aarch64+neon"))]
pub fn energies(delta: &[f64], factors: &[f64]) -> (f64, f64, u64) {
    const LANES: usize = 16;
    let (mut whole, mut part, mut live) = ([0.0; LANES], [0.0; LANES], [0u64; LANES]);
    let ((deltas, delta_rest), (lanes, factor_rest)) =
        (delta.as_chunks::<LANES>(), factors.as_chunks::<LANES>());
    for (delta, factor) in deltas.iter().zip(lanes) {
        for lane in 0..LANES {
            let kept = delta[lane] * factor[lane];
            whole[lane] += delta[lane] * delta[lane];
            part[lane] += kept * kept;
            live[lane] += u64::from(factor[lane] != 0.0);
        }
    }
    let sums = (whole.iter().sum::<f64>(), part.iter().sum::<f64>(), live.iter().sum::<u64>());
    delta_rest.iter().zip(factor_rest).fold(sums, |(whole, part, live), (delta, factor)| {
        let kept = delta * factor;
        (whole + delta * delta, part + kept * kept, live + u64::from(*factor != 0.0))
    })
}

/// Zeroes the factors of the elements `start..` whose bit is not set in `words`, the lowest bit of a word first.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2", "aarch64+neon"))]
pub fn keep_listed(words: &[u64], start: u64, factors: &mut [f64]) {
    let (first, shift) = ((start / 64) as usize, start % 64);
    let word = |at: usize| words.get(at).copied().unwrap_or_default();
    for (at, factors) in (first..).zip(factors.chunks_mut(64)) {
        // The upper part of a word, then the lower part of the next; a shift by 64 in two steps.
        let bits = word(at) >> shift | word(at + 1) << 1 << (63 - shift);
        let (octets, rest) = factors.as_chunks_mut::<8>();
        let whole = octets.len();
        for (at, octet) in octets.iter_mut().enumerate() {
            let byte = bits >> (8 * at);
            for (lane, factor) in octet.iter_mut().enumerate() {
                // All ones or none: an and keeps the factor or leaves 0.
                let kept = (byte >> lane & 1).wrapping_neg();
                *factor = f64::from_bits(factor.to_bits() & kept);
            }
        }
        for (place, factor) in (8 * whole..).zip(rest) {
            *factor = if bits >> place & 1 == 1 { *factor } else { 0.0 };
        }
    }
}

/// One bit for each of `kept`, the lowest of a word first.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2", "aarch64+neon"))]
pub fn packed(kept: &[bool]) -> Vec<u64> {
    let word = |part: &[bool]| {
        let (octets, rest) = part.as_chunks::<8>();
        let mut word = 0;
        for (at, octet) in octets.iter().enumerate() {
            // Each byte holds one bit, which the product gathers in the uppermost.
            let bytes = u64::from_le_bytes(octet.map(u8::from));
            word |= (bytes.wrapping_mul(0x0102_0408_1020_4080) >> 56) << (8 * at);
        }
        rest.iter().zip(8 * octets.len()..).fold(word, |word, (kept, at)| word | u64::from(*kept) << at)
    };
    kept.chunks(64).map(word).collect()
}

/// Population variance of several values at every element, exactly 0 where they are equal; slices of one length.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq+fma", "x86_64+avx2+fma", "aarch64+neon"))]
pub fn variances(values: &[&[f64]], out: &mut [f64]) {
    let count = values.len() as f64;
    let ratio = Ratio::new(values.len());
    let corrects = target_cfg_f!(target_feature = "fma") && ratio.fits();
    for from in (0..out.len()).step_by(TILE) {
        let place = from..(from + TILE).min(out.len());
        let out = &mut out[place.clone()];
        if corrects && values.iter().all(|values| ordinary(&values[place.clone()])) {
            tile_variances(values, place, out, |value| ratio.of(value));
        } else {
            tile_variances(values, place, out, |value| value / count);
        }
    }
}

/// Whether nothing is so large or small that what is computed of it leaves the range of f64.
#[inline(always)]
fn ordinary(values: &[f64]) -> bool {
    let odd = |value: &f64| !(1e-100..1e140).contains(&value.abs()) & (*value != 0.0);
    values.iter().fold(0, |found, value| found | u64::from(odd(value))) == 0
}

#[inline(always)]
fn tile_variances(
    values: &[&[f64]],
    place: std::ops::Range<usize>,
    out: &mut [f64],
    share: impl Fn(f64) -> f64,
) {
    out.fill(0.0);
    let Some(first) = values.first().map(|first| &first[place.clone()]) else { return };
    // The mean of equal values may be off by a rounding, that of their distances from the first is 0.
    let mut means = [0.0f64; TILE];
    for values in values {
        for ((mean, value), first) in means.iter_mut().zip(&values[place.clone()]).zip(first) {
            *mean += share(value - first);
        }
    }
    for values in values {
        for (((variance, value), first), mean) in
            out.iter_mut().zip(&values[place.clone()]).zip(first).zip(&means)
        {
            let apart = (value - first) - mean;
            *variance += share(apart * apart);
        }
    }
}

/// Division by a small whole number, rounded like any other, without the processor's slow one: the product with the
/// inverse, corrected by what a fused multiplication finds it to be off (Markstein 1990).
#[derive(Clone, Copy)]
pub(crate) struct Ratio {
    pub count: f64,
    pub inverse: f64,
}

impl Ratio {
    pub fn new(count: usize) -> Self {
        let count = count as f64;
        Self { count, inverse: 1.0 / count }
    }

    /// Whether the inverse is so near that the product with it is off by less than a unit in the last place.
    fn fits(self) -> bool {
        const NEAR: f64 = f64::EPSILON / 4.0;
        self.inverse.mul_add(-self.count, 1.0).abs() <= NEAR
    }

    #[inline(always)]
    fn of(self, value: f64) -> f64 {
        let near = value * self.inverse;
        near.mul_add(-self.count, value).mul_add(self.inverse, near)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn variances_are_rounded_as_by_division(
            values in prop::collection::vec(prop_oneof![any::<f64>(), -1.0f64..1.0, Just(0.25), Just(0.0)], 700),
            count in 1usize..7,
        ) {
            let len = values.len() / count;
            let models: Vec<&[f64]> = values.chunks_exact(len).take(count).collect();
            let mut got = vec![0.0; len];

            variances(&models, &mut got);

            let share = |value: f64| value / count as f64;
            for (at, got) in got.iter().enumerate() {
                let first = models[0][at];
                let mean = models.iter().fold(0.0, |mean, model| mean + share(model[at] - first));
                let apart = |model: &&[f64]| (model[at] - first) - mean;
                let wanted = models.iter().fold(0.0, |sum, model| sum + share(apart(model) * apart(model)));
                prop_assert!(*got == wanted || got.is_nan() && wanted.is_nan(), "{at}: {got} {wanted}");
            }
        }

        #[test]
        fn equal_values_do_not_vary(value in prop_oneof![any::<f32>().prop_map(f64::from), -1.0f64..1.0], count in 1usize..65) {
            prop_assume!(value.is_finite());
            let values = [value; 3];
            let mut got = [1.0; 3];

            variances(&vec![&values[..]; count], &mut got);

            prop_assert_eq!(got, [0.0; 3]);
        }

        #[test]
        fn a_corrected_product_is_the_quotient(values in prop::collection::vec(0.5f64..2.0, 256)) {
            let ratios = (1..=64).map(f64::from).map(|count| Ratio { count, inverse: 1.0 / count });
            for ratio in ratios.filter(|ratio| ratio.fits()) {
                for value in &values {
                    prop_assert_eq!(ratio.of(*value), value / ratio.count);
                }
            }
        }
    }
}
