//! Sums of a pair stored as half floats.
//!
//! As for the other formats a delta is taken in f32 and multiplied in f64, where the product is exact. Sums of deltas
//! gather in f32 over a few elements before they go to f64: a half has eleven bits, so that next to nothing is rounded off.

use multiversion::{multiversion, target::target_cfg_f};

use crate::{
    Dtype, decode,
    deltas::{LANES, PairLanes},
};

/// Elements a lane adds up in f32 before they go to f64, where it does.
const GROUP: usize = 8;
/// Bytes of one element a lane.
const CODES: usize = 2 * LANES;

/// Adds whole groups; gives the elements done.
#[allow(unsafe_code)]
pub(crate) fn pair(inputs: [&[u8]; 3], lanes: &mut PairLanes) -> usize {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("fma")
    {
        // SAFETY: the processor has what the function is compiled for.
        return unsafe { x86::by_sixteen(inputs, lanes) };
    } else if x86::has_eight() {
        // SAFETY: the processor has what the function is compiled for.
        return unsafe { x86::by_eight(inputs, lanes) };
    }
    decoded(inputs, lanes)
}

/// By way of decoded strips, where the processor has no conversion of its own.
fn decoded(inputs: [&[u8]; 3], lanes: &mut PairLanes) -> usize {
    let [base, a, b] = inputs.map(|bytes| <[u8]>::as_chunks::<{ GROUP * CODES }>(bytes).0);
    let mut values = [[0.0f32; GROUP * LANES]; 3];
    for ((base, a), b) in base.iter().zip(a).zip(b) {
        for (codes, values) in [base, a, b].into_iter().zip(&mut values) {
            decode(Dtype::F16, codes, values);
        }
        add_values(&values, lanes);
    }
    base.len().min(a.len()).min(b.len()) * GROUP * LANES
}

#[multiversion(targets("x86_64+avx2+fma", "aarch64+neon"))]
fn add_values(values: &[[f32; GROUP * LANES]; 3], lanes: &mut PairLanes) {
    let groups = values.each_ref().map(|values| values.as_chunks::<LANES>().0.as_chunks::<GROUP>().0);
    if target_cfg_f!(any(target_feature = "fma", target_arch = "aarch64")) {
        add_groups(groups, lanes, (|values| *values, f64::mul_add));
    } else {
        add_groups(groups, lanes, (|values| *values, |x, y, sum| x * y + sum));
    }
}

/// Adds groups of what `wide` makes into a number a lane; gives the elements. `fma` is as for the other formats.
#[inline(always)]
fn add_groups<T>(
    inputs: [&[[T; GROUP]]; 3],
    lanes: &mut PairLanes,
    (wide, fma): (impl Fn(&T) -> [f32; LANES], impl Fn(f64, f64, f64) -> f64),
) -> usize {
    let [base, a, b] = inputs;
    let count = base.len().min(a.len()).min(b.len());
    let [mut ab, mut aa, mut bb, mut sums_a, mut sums_b, mut norm] = lanes.0;
    for ((base, a), b) in base.iter().zip(a).zip(b) {
        let [mut square, mut sum_a, mut sum_b] = [[0.0f32; LANES]; 3];
        for ((base, a), b) in base.iter().zip(a).zip(b) {
            let (base, a, b) = (wide(base), wide(a), wide(b));
            for lane in 0..LANES {
                square[lane] += base[lane] * base[lane];
                let (x, y) = (a[lane] - base[lane], b[lane] - base[lane]);
                sum_a[lane] += x;
                sum_b[lane] += y;
                let (x, y) = (f64::from(x), f64::from(y));
                ab[lane] = fma(x, y, ab[lane]);
                aa[lane] = fma(x, x, aa[lane]);
                bb[lane] = fma(y, y, bb[lane]);
            }
        }
        for lane in 0..LANES {
            norm[lane] += f64::from(square[lane]);
            sums_a[lane] += f64::from(sum_a[lane]);
            sums_b[lane] += f64::from(sum_b[lane]);
        }
    }
    lanes.0 = [ab, aa, bb, sums_a, sums_b, norm];
    count * GROUP * LANES
}

/// The conversions of x86, which no portable loop becomes.
#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{__m128i, __m256, __m256i, __m512, _mm256_cvtph_ps, _mm512_cvtph_ps};

    use super::{CODES, GROUP, LANES, PairLanes, add_groups};

    #[target_feature(enable = "avx512f,avx512dq,fma")]
    pub(super) fn by_sixteen(inputs: [&[u8]; 3], lanes: &mut PairLanes) -> usize {
        let wide = |codes: &[u8; CODES]| {
            bytemuck::cast::<__m512, _>(_mm512_cvtph_ps(bytemuck::cast::<_, __m256i>(*codes)))
        };
        add_groups(inputs.map(groups), lanes, (wide, f64::mul_add))
    }

    /// Whether the processor can [`by_eight`].
    pub(super) fn has_eight() -> bool {
        is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("f16c")
            && is_x86_feature_detected!("fma")
    }

    #[target_feature(enable = "avx2,f16c,fma")]
    pub(super) fn by_eight(inputs: [&[u8]; 3], lanes: &mut PairLanes) -> usize {
        let wide = |codes: &[u8; CODES]| {
            let [low, high] = bytemuck::cast::<_, [__m128i; 2]>(*codes);
            bytemuck::cast::<[__m256; 2], [f32; LANES]>([_mm256_cvtph_ps(low), _mm256_cvtph_ps(high)])
        };
        add_groups(inputs.map(groups), lanes, (wide, f64::mul_add))
    }

    fn groups(bytes: &[u8]) -> &[[[u8; CODES]; GROUP]] {
        bytes.as_chunks::<CODES>().0.as_chunks::<GROUP>().0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Halves of all magnitudes up to about 2, signs and subnormals among them.
    fn halves(key: u64) -> Vec<u8> {
        (0..5 * GROUP * LANES + 3)
            .flat_map(|at| (crate::random::splitmix(key, at as u64) as u16 & 0xBFFF).to_le_bytes())
            .collect()
    }

    #[test]
    fn every_way_of_converting_halves_gives_the_same_bits() {
        let inputs = [halves(1), halves(2), halves(3)];
        let inputs = inputs.each_ref().map(Vec::as_slice);
        let run = |way: fn([&[u8]; 3], &mut PairLanes) -> usize| {
            let mut lanes = PairLanes::default();
            (way(inputs, &mut lanes), lanes.0)
        };

        let plain = run(decoded);

        assert_eq!(plain.0, 5 * GROUP * LANES);
        assert!(plain.1.iter().flatten().all(|sum| sum.is_finite() && *sum != 0.0));
        assert_eq!(run(pair), plain);
        #[cfg(target_arch = "x86_64")]
        if x86::has_eight() {
            #[allow(unsafe_code)]
            // SAFETY: the processor has what the function is compiled for.
            let eight = run(|inputs, lanes| unsafe { x86::by_eight(inputs, lanes) });
            assert_eq!(eight, plain);
        }
    }
}
