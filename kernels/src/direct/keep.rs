//! Which elements are kept, a bit each.

use std::arch::x86_64::*;

use super::lanes::{Codes, LANES, groups, load, single};
use crate::random::{GOLDEN, MIX};

/// A magnitude as f32 bits, and the index below which elements of exactly that are kept.
type Bounds = (u32, u64);

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,fma,bmi2")]
pub fn band(inputs: [&[[u8; 2]]; 2], bounds: [Bounds; 2], words: &mut [u64]) {
    let [(bases, last_base), (models, last_model)] = inputs.map(groups);
    let rest = inputs[0].len() % LANES;
    let mut group = |at: usize, base: &Codes, model: &Codes| {
        let kept = group_band([base, model], bounds, at as u64 * LANES as u64);
        set(words, at, kept);
    };
    for (at, (base, model)) in bases.iter().zip(models).enumerate() {
        group(at, base, model);
    }
    if rest > 0 {
        group(bases.len(), &last_base, &last_model);
    }
}

/// Puts the bits of group `at`; those of the groups before it in its word are there already.
#[inline(always)]
pub fn set(words: &mut [u64], at: usize, bits: u16) {
    let (word, shift) = (&mut words[at / 4], at % 4 * LANES);
    *word = if shift == 0 { 0 } else { *word } | u64::from(bits) << shift;
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,fma,bmi2")]
fn group_band([base, model]: [&Codes; 2], [within, beyond]: [Bounds; 2], from: u64) -> u16 {
    // The difference of two bf16 rounds to the same f32 whether it is taken in f32 or in f64.
    let delta = _mm512_sub_ps(single(load(model)), single(load(base)));
    let sizes = _mm512_and_si512(_mm512_castps_si512(delta), _mm512_set1_epi32(0x7FFF_FFFF));
    exceeds(sizes, within, from) & !exceeds(sizes, beyond, from)
}

/// Which of sixteen magnitudes, the first of index `from`, are kept.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,fma,bmi2")]
pub fn exceeds(sizes: __m512i, (threshold, cutoff): Bounds, from: u64) -> u16 {
    let threshold = _mm512_set1_epi32(threshold as i32);
    let before = cutoff.saturating_sub(from).min(LANES as u64);
    let first = ((1u32 << before) - 1) as u16;
    let above = _mm512_cmpgt_epu32_mask(sizes, threshold);
    above | _mm512_cmpeq_epi32_mask(sizes, threshold) & first
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,fma,bmi2")]
pub fn random((key, start): (u64, u64), share: f64, words: &mut [u64]) {
    let Some(below) = crate::mask::below(share) else { return words.fill(u64::MAX) };
    let below = _mm512_set1_epi64(below as i64);
    let step = _mm512_set1_epi64(GOLDEN.wrapping_mul(8) as i64);
    let mut state = first_state(key, start);
    for word in words {
        let mut bits = 0;
        for octet in 0..8 {
            bits |= u64::from(_mm512_cmplt_epu64_mask(scrambled(state), below)) << (8 * octet);
            state = _mm512_add_epi64(state, step);
        }
        *word = bits;
    }
}

/// The output of splitmix64 for a state.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,fma,bmi2")]
pub fn scrambled(state: __m512i) -> __m512i {
    let [first, second] = MIX.map(|factor| _mm512_set1_epi64(factor as i64));
    let z = _mm512_mullo_epi64(_mm512_xor_si512(state, _mm512_srli_epi64::<30>(state)), first);
    let z = _mm512_mullo_epi64(_mm512_xor_si512(z, _mm512_srli_epi64::<27>(z)), second);
    _mm512_xor_si512(z, _mm512_srli_epi64::<31>(z))
}

/// The states of splitmix64 for eight numbers from `start` on.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,fma,bmi2")]
pub fn first_state(key: u64, start: u64) -> __m512i {
    let lanes = _mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0);
    let first = key.wrapping_add(start.wrapping_add(1).wrapping_mul(GOLDEN));
    let spread = _mm512_mullo_epi64(lanes, _mm512_set1_epi64(GOLDEN as i64));
    _mm512_add_epi64(_mm512_set1_epi64(first as i64), spread)
}
