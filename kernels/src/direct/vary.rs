//! How much models vary around a base, element by element.

use std::arch::x86_64::*;

use super::{
    keep::{exceeds, set},
    lanes::{Codes, LANES, Wide, double, groups},
};
use crate::task::Ratio;

/// Population variances of the deltas of a group.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,fma,bmi2")]
fn variances<const M: usize>((base, models): (&Codes, [&Codes; M]), ratio: Ratio) -> Wide {
    let base = double(base);
    let values = models.map(|model| double(model));
    // What is computed of deltas of bf16 stays far inside the range of f64, where the corrected product is the quotient.
    let [count, inverse] = [ratio.count, ratio.inverse].map(|number| _mm512_set1_pd(number));
    let share = |value: __m512d| {
        let near = _mm512_mul_pd(value, inverse);
        _mm512_fmadd_pd(_mm512_fnmadd_pd(near, count, value), inverse, near)
    };
    let mut found = [_mm512_setzero_pd(); 2];
    for (side, found) in found.iter_mut().enumerate() {
        let deltas = values.map(|value: Wide| _mm512_sub_pd(value[side], base[side]));
        let distances = deltas.map(|delta| _mm512_sub_pd(delta, deltas[0]));
        let mut mean = _mm512_setzero_pd();
        for distance in distances {
            mean = _mm512_add_pd(mean, share(distance));
        }
        for distance in distances {
            let apart = _mm512_sub_pd(distance, mean);
            *found = _mm512_add_pd(*found, share(_mm512_mul_pd(apart, apart)));
        }
    }
    found
}

/// f64 as f32, rounded to nearest.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,fma,bmi2")]
fn rounded([low, high]: Wide) -> __m512 {
    _mm512_insertf32x8::<1>(_mm512_castps256_ps512(_mm512_cvtpd_ps(low)), _mm512_cvtpd_ps(high))
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,fma,bmi2")]
pub fn spread<const M: usize>(
    (base, models): (&[[u8; 2]], [&[[u8; 2]]; M]),
    ratio: Ratio,
    out: &mut [f32],
) -> u64 {
    let ((bases, last_base), models) = (groups(base), models.map(groups));
    let (outs, rest) = out.as_chunks_mut::<LANES>();
    let mut varying = 0;
    let mut group = |base: &Codes, models: [&Codes; M]| {
        let found = variances((base, models), ratio);
        for half in found {
            varying += u64::from(_mm512_cmp_pd_mask::<_CMP_GT_OQ>(half, _mm512_setzero_pd()).count_ones());
        }
        bytemuck::cast::<__m512, [f32; LANES]>(rounded(found))
    };
    for (at, (base, out)) in bases.iter().zip(outs).enumerate() {
        *out = group(base, models.map(|(models, _)| &models[at]));
    }
    if !rest.is_empty() {
        // What fills the group up is 0 in all inputs, and does not vary.
        let last = group(&last_base, models.each_ref().map(|(_, last)| last));
        rest.copy_from_slice(&last[..rest.len()]);
    }
    varying
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,fma,bmi2")]
pub fn varying<const M: usize>(
    (base, models): (&[[u8; 2]], [&[[u8; 2]]; M]),
    ratio: Ratio,
    bounds: (u32, u64),
    words: &mut [u64],
) {
    let ((bases, last_base), models) = (groups(base), models.map(groups));
    let mut group = |at: usize, base: &Codes, models: [&Codes; M]| {
        let sizes = _mm512_castps_si512(rounded(variances((base, models), ratio)));
        set(words, at, exceeds(sizes, bounds, at as u64 * LANES as u64));
    };
    for (at, base) in bases.iter().enumerate() {
        group(at, base, models.map(|(models, _)| &models[at]));
    }
    if !base.len().is_multiple_of(LANES) {
        group(bases.len(), &last_base, models.each_ref().map(|(_, last)| last));
    }
}
