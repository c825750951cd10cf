//! Sixteen elements at a time: bf16 to f64, and back with one rounding.

use std::arch::x86_64::*;

/// Elements taken together.
pub const LANES: usize = 16;

/// Stored elements of one input.
pub type Stretch<'a> = &'a [[u8; 2]];

/// Stored elements of one group.
pub type Codes = [[u8; 2]; LANES];

/// Numbers of one group, the first eight before the others.
pub type Wide = [__m512d; 2];

/// Whether no element is NaN or infinite.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,fma,bmi2")]
pub fn all_finite(codes: &[[u8; 2]]) -> bool {
    const EXPONENT: u16 = 0x7F80;
    let exponent = _mm512_set1_epi16(EXPONENT as i16);
    let (groups, rest) = codes.as_chunks::<32>();
    let mut bad = 0;
    for group in groups {
        let codes = bytemuck::cast::<[[u8; 2]; 32], __m512i>(*group);
        bad |= _mm512_cmpeq_epi16_mask(_mm512_and_si512(codes, exponent), exponent);
    }
    bad == 0 && rest.iter().all(|code| u16::from_le_bytes(*code) & EXPONENT != EXPONENT)
}

/// Whole groups of elements, and those left over followed by zeros.
pub fn groups(codes: &[[u8; 2]]) -> (&[Codes], Codes) {
    let (groups, rest) = codes.as_chunks::<LANES>();
    let mut last = [[0; 2]; LANES];
    last[..rest.len()].copy_from_slice(rest);
    (groups, last)
}

/// The bits of group `at` in words of 64.
#[inline(always)]
pub fn bits(words: &[u64], at: usize) -> u16 {
    (words[at / 4] >> (at % 4 * LANES)) as u16
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,fma,bmi2")]
pub fn load(codes: &Codes) -> __m256i {
    bytemuck::cast::<Codes, __m256i>(*codes)
}

/// bf16 as f32.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,fma,bmi2")]
pub fn single(codes: __m256i) -> __m512 {
    _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(codes)))
}

/// f32 as f64.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,fma,bmi2")]
pub fn widen(values: __m512) -> Wide {
    [_mm512_cvtps_pd(_mm512_castps512_ps256(values)), _mm512_cvtps_pd(_mm512_extractf32x8_ps::<1>(values))]
}

/// bf16 as f64.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,fma,bmi2")]
pub fn double(codes: &Codes) -> Wide {
    widen(single(load(codes)))
}

/// f64 to f32, rounded to odd: what is cut off shows in the last bit, so that rounding once more is exact.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,fma,bmi2")]
fn to_odd(values: __m512d) -> __m256 {
    let cut = _mm512_cvt_roundpd_ps::<{ _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC }>(values);
    let short = _mm512_cmp_pd_mask::<_CMP_NEQ_OQ>(_mm512_cvtps_pd(cut), values);
    let bits = _mm256_castps_si256(cut);
    _mm256_castsi256_ps(_mm256_mask_or_epi32(bits, short, bits, _mm256_set1_epi32(1)))
}

/// f64 to bf16, ties to even, and which of the results are not finite: of finite inputs none should be.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,fma,bmi2")]
pub fn narrow([low, high]: Wide) -> (__m256i, u16) {
    let values = _mm512_insertf32x8::<1>(_mm512_castps256_ps512(to_odd(low)), to_odd(high));
    let bits = _mm512_castps_si512(values);
    let cut = _mm512_srli_epi32::<16>(bits);
    let even = _mm512_and_si512(cut, _mm512_set1_epi32(1));
    let half = _mm512_add_epi32(even, _mm512_set1_epi32(0x7FFF));
    let rounded = _mm512_srli_epi32::<16>(_mm512_add_epi32(bits, half));
    // Quiet and signalling.
    let nan = _mm512_fpclass_ps_mask::<0x81>(values);
    let empty = _mm512_testn_epi32_mask(cut, _mm512_set1_epi32(0x7F));
    let quiet = _mm512_mask_or_epi32(cut, empty, cut, _mm512_set1_epi32(0x40));
    let codes = _mm512_mask_mov_epi32(rounded, nan, quiet);
    let magnitude = _mm512_and_si512(codes, _mm512_set1_epi32(0x7FFF));
    // A NaN has a greater code than an infinity.
    let over = _mm512_cmpge_epi32_mask(magnitude, _mm512_set1_epi32(0x7F80));
    (_mm512_cvtepi32_epi16(codes), over)
}
