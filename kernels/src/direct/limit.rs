//! A base moved towards another model, no element of it farther than allowed.

use std::arch::x86_64::*;

use super::lanes::{Codes, LANES, double, groups, load, narrow};

/// How many elements were held back, and how many results bf16 does not hold.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,fma,bmi2")]
pub fn limited(inputs: [&[[u8; 2]]; 2], t: f64, out: &mut [[u8; 2]]) -> (u64, u64) {
    let [(bases, last_base), (models, last_model)] = inputs.map(groups);
    let (outs, rest) = out.as_chunks_mut::<LANES>();
    let mut counts = (0, 0);
    for ((base, model), out) in bases.iter().zip(models).zip(outs) {
        let (codes, held, over) = group([base, model], t);
        *out = bytemuck::cast::<__m256i, Codes>(codes);
        counts = (counts.0 + u64::from(held.count_ones()), counts.1 + u64::from(over.count_ones()));
    }
    if !rest.is_empty() {
        let (codes, held, over) = group([&last_base, &last_model], t);
        rest.copy_from_slice(&bytemuck::cast::<__m256i, Codes>(codes)[..rest.len()]);
        let live = (1 << rest.len()) - 1;
        let [held, over] = [held, over].map(|mask| u64::from((mask & live).count_ones()));
        counts = (counts.0 + held, counts.1 + over);
    }
    counts
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,fma,bmi2")]
fn group([base, model]: [&Codes; 2], t: f64) -> (__m256i, u16, u16) {
    let differing = _mm256_cmpneq_epi16_mask(load(model), load(base));
    let (base, model) = (double(base), double(model));
    let (limit, one, zero) = (_mm512_set1_pd(t), _mm512_set1_pd(1.0), _mm512_setzero_pd());
    let (mut sums, mut held) = (base, 0u16);
    for (side, out) in sums.iter_mut().enumerate() {
        let (base, model) = (base[side], model[side]);
        let size = _mm512_abs_pd(_mm512_sub_pd(model, base));
        let near = _mm512_cmp_pd_mask::<_CMP_LE_OQ>(size, limit);
        let factor = _mm512_mask_mov_pd(_mm512_div_pd(limit, size), near, one);
        held |= u16::from(_mm512_cmp_pd_mask::<_CMP_GT_OQ>(size, limit)) << (8 * side);
        let live = _mm512_cmp_pd_mask::<_CMP_NEQ_UQ>(factor, zero);
        let sum = _mm512_mask_mov_pd(_mm512_set1_pd(-0.0), live, _mm512_mul_pd(factor, model));
        let rest = _mm512_sub_pd(one, factor);
        let stays = _mm512_cmp_pd_mask::<_CMP_NEQ_UQ>(rest, zero);
        let sum = _mm512_mask_add_pd(sum, stays, _mm512_mul_pd(rest, base), sum);
        *out = _mm512_mask_mov_pd(base, (differing >> (8 * side)) as u8, sum);
    }
    let (codes, over) = narrow(sums);
    (codes, held, over)
}
