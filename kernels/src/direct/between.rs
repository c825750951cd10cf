//! Which of many magnitudes lie in a range.

use std::arch::x86_64::*;

use super::lanes::LANES;
use crate::bracket::Range;

/// As [`crate::bracket`] counts whole groups of sixteen, at most 2³² elements: how many lie above the range and at its
/// guess; the others within it are added to the list.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,fma,bmi2")]
pub fn between(range: Range, groups: &[[f32; LANES]], listed: &mut Vec<u32>) -> (u64, u64) {
    let [low, guess, high] = [range.low, range.guess, range.high].map(|bits| _mm512_set1_epi32(bits as i32));
    let (mut above, mut equal) = (0, 0);
    // Written sixteen at a time, of which only those within the range count.
    let mut found = [0u32; ROOM + LANES];
    let mut count = 0;
    for group in groups {
        let values = bytemuck::cast::<[f32; LANES], __m512i>(*group);
        let bits = _mm512_and_si512(values, _mm512_set1_epi32(0x7FFF_FFFF));
        let at_guess = _mm512_cmpeq_epi32_mask(bits, guess);
        let beyond = _mm512_cmpgt_epu32_mask(bits, high);
        let within = _mm512_cmpge_epu32_mask(bits, low) & !beyond & !at_guess;
        above += u64::from(beyond.count_ones());
        equal += u64::from(at_guess.count_ones());
        let bits = bytemuck::cast::<__m512i, [u32; LANES]>(_mm512_maskz_compress_epi32(within, bits));
        found[count..count + LANES].copy_from_slice(&bits);
        count += within.count_ones() as usize;
        if count >= ROOM {
            listed.extend_from_slice(&found[..count]);
            count = 0;
        }
    }
    listed.extend_from_slice(&found[..count]);
    (above, equal)
}

/// Elements found before they are put on the list.
const ROOM: usize = 1_024;
