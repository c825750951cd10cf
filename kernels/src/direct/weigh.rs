//! `Σ c·x` with one factor a term.

use std::arch::x86_64::*;

use super::lanes::{Codes, LANES, double, groups, load, narrow};
use crate::wide::Common;

/// Terms of one length with their factors; gives how many results bf16 does not hold.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,fma,bmi2")]
pub fn weigh<const M: usize>(
    (terms, factors): ([&[[u8; 2]]; M], [f64; M]),
    common: Common,
    out: &mut [[u8; 2]],
) -> u64 {
    let terms = terms.map(groups);
    let (outs, rest) = out.as_chunks_mut::<LANES>();
    let live = factors.map(|factor| factor != 0.0);
    let factors = factors.map(|factor| _mm512_set1_pd(factor));
    // Adding to -0 changes no value, not even the sign of a zero.
    let nothing = _mm512_set1_pd(if live.contains(&true) { -0.0 } else { 0.0 });
    let kept = if common == Common::Kept { u16::MAX } else { 0 };
    let group = |terms: [&Codes; M]| {
        let (mut sums, mut differing) = ([nothing; 2], !kept);
        for at in 0..M {
            differing |= _mm256_cmpneq_epi16_mask(load(terms[at]), load(terms[0]));
            if live[at] {
                for (sum, value) in sums.iter_mut().zip(double(terms[at])) {
                    *sum = _mm512_add_pd(*sum, _mm512_mul_pd(factors[at], value));
                }
            }
        }
        let (codes, over) = narrow(sums);
        // An input given back left nothing.
        (_mm256_mask_mov_epi16(load(terms[0]), differing, codes), over & differing)
    };
    let mut beyond = 0;
    for (at, out) in outs.iter_mut().enumerate() {
        let (codes, over) = group(terms.map(|(terms, _)| &terms[at]));
        *out = bytemuck::cast::<__m256i, Codes>(codes);
        beyond += u64::from(over.count_ones());
    }
    if !rest.is_empty() {
        let (codes, over) = group(terms.each_ref().map(|(_, last)| last));
        rest.copy_from_slice(&bytemuck::cast::<__m256i, Codes>(codes)[..rest.len()]);
        beyond += u64::from((over & ((1 << rest.len()) - 1)).count_ones());
    }
    beyond
}
