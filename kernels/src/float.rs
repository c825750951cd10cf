//! Stored bytes to numbers and back. Little-endian, one rounding, ties to even.

use half::{f16, slice::HalfFloatSliceExt};
use multiversion::multiversion;

use crate::{
    Dtype,
    small::{E4M3, E4M3_VALUES, E5M2, E5M2_VALUES, Small},
};

/// Elements converted at a time where a stack buffer is needed.
const CHUNK: usize = 1_024;

/// Reads `out.len()` elements from little-endian `bytes`. F64 rounds to nearest.
///
/// The caller guarantees a float dtype and matching lengths; a dtype that is not a float reads as zeros.
pub fn decode(dtype: Dtype, bytes: &[u8], out: &mut [f32]) {
    check(dtype, bytes.len(), out.len());
    match dtype {
        Dtype::F8E4M3 => fill(out, bytes, |[code]| E4M3_VALUES[usize::from(code)]),
        Dtype::F8E5M2 => fill(out, bytes, |[code]| E5M2_VALUES[usize::from(code)]),
        Dtype::F16 => decode_f16(bytes, out),
        Dtype::Bf16 => decode_bf16(bytes, out),
        Dtype::F32 => fill(out, bytes, f32::from_le_bytes),
        Dtype::F64 => fill(out, bytes, |eight| f64::from_le_bytes(eight) as f32),
        _ => out.fill(0.0),
    }
}

/// As [`decode`], into f64 without any rounding.
pub fn decode_f64(dtype: Dtype, bytes: &[u8], out: &mut [f64]) {
    check(dtype, bytes.len(), out.len());
    if dtype == Dtype::F64 {
        return fill(out, bytes, f64::from_le_bytes);
    }
    let width = (dtype.bits() / 8) as usize;
    let mut buffer = [0.0f32; CHUNK];
    for (bytes, out) in bytes.chunks(CHUNK * width).zip(out.chunks_mut(CHUNK)) {
        let buffer = &mut buffer[..out.len()];
        decode(dtype, bytes, buffer);
        fill_from(out, buffer, f64::from);
    }
}

/// Writes `values` as little-endian bytes, rounding once, ties to even. Returns how many finite values
/// left the range: they become infinite, or ±448 in `F8_E4M3`, which has no infinity.
///
/// The caller guarantees a float dtype and matching lengths; for other dtypes zeros are written.
pub fn encode(dtype: Dtype, values: &[f32], out: &mut [u8]) -> u64 {
    check(dtype, out.len(), values.len());
    match dtype {
        Dtype::F8E4M3 => encode_small(&E4M3, values, out),
        Dtype::F8E5M2 => encode_small(&E5M2, values, out),
        Dtype::F16 => encode_f16(values, out),
        Dtype::Bf16 => encode_bf16(values, out),
        Dtype::F32 => store(out, values, f32::to_le_bytes),
        Dtype::F64 => store(out, values, |value| f64::from(value).to_le_bytes()),
        _ => {
            out.fill(0);
            0
        }
    }
}

/// As [`encode`] for f64 values: still one rounding, never by way of a rounded f32.
pub fn encode_f64(dtype: Dtype, values: &[f64], out: &mut [u8]) -> u64 {
    check(dtype, out.len(), values.len());
    match dtype {
        Dtype::F64 => store(out, values, f64::to_le_bytes),
        Dtype::F32 => {
            let over = values.iter().map(|&x| u64::from(x.is_finite() && !(x as f32).is_finite())).sum();
            store(out, values, |value| (value as f32).to_le_bytes());
            over
        }
        _ => {
            let width = (dtype.bits() / 8).max(1) as usize;
            let mut buffer = [0.0f32; CHUNK];
            let mut over = 0;
            for (values, out) in values.chunks(CHUNK).zip(out.chunks_mut(CHUNK * width)) {
                let buffer = &mut buffer[..values.len()];
                round_to_odd(values, buffer);
                over += encode(dtype, buffer, out);
            }
            over
        }
    }
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2", "aarch64+neon"))]
fn round_to_odd(values: &[f64], out: &mut [f32]) {
    fill_from(out, values, to_odd);
}

/// f64 to f32 rounding to odd, which keeps a later rounding to a narrower format exact.
#[inline(always)]
fn to_odd(value: f64) -> f32 {
    let bits = (value as f32).to_bits();
    let back = f64::from(f32::from_bits(bits));
    // An even result that was rounded moves one step back towards the value; comparisons with NaN are false.
    let away = u32::from(back.abs() > value.abs());
    let short = u32::from(back.abs() < value.abs());
    let even = !bits & 1;
    f32::from_bits(bits.wrapping_add(even & short).wrapping_sub(even & away))
}

fn check(dtype: Dtype, bytes: usize, elements: usize) {
    debug_assert!(dtype.is_float(), "{dtype} is not a float the kernels read");
    debug_assert_eq!(bytes as u64 * 8, elements as u64 * dtype.bits(), "bytes and elements must match");
}

#[inline(always)]
fn fill<const N: usize, T>(out: &mut [T], bytes: &[u8], read: impl Fn([u8; N]) -> T) {
    for (out, chunk) in out.iter_mut().zip(bytes.as_chunks::<N>().0) {
        *out = read(*chunk);
    }
}

#[inline(always)]
fn fill_from<S: Copy, T>(out: &mut [T], values: &[S], convert: impl Fn(S) -> T) {
    for (out, &value) in out.iter_mut().zip(values) {
        *out = convert(value);
    }
}

#[inline(always)]
fn store<const N: usize, S: Copy>(out: &mut [u8], values: &[S], write: impl Fn(S) -> [u8; N]) -> u64 {
    for (chunk, &value) in out.as_chunks_mut::<N>().0.iter_mut().zip(values) {
        *chunk = write(value);
    }
    0
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2", "aarch64+neon"))]
fn decode_bf16(bytes: &[u8], out: &mut [f32]) {
    fill(out, bytes, |pair| f32::from_bits(u32::from(u16::from_le_bytes(pair)) << 16));
}

#[allow(unsafe_code)]
fn decode_f16(bytes: &[u8], out: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512f") {
        // SAFETY: the processor has what the function is compiled for.
        return unsafe { decode_f16_by_sixteen(bytes, out) };
    } else if is_x86_feature_detected!("avx") && is_x86_feature_detected!("f16c") {
        // SAFETY: the processor has what the function is compiled for.
        return unsafe { decode_f16_by_eight(bytes, out) };
    }
    fill(out, bytes, |pair| f16::from_le_bytes(pair).to_f32());
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn decode_f16_by_sixteen(bytes: &[u8], out: &mut [f32]) {
    use std::arch::x86_64::{__m256i, __m512, _mm512_cvtph_ps};
    let (sixteens, rest) = bytes.as_chunks::<32>();
    let (wide, narrow) = out.as_chunks_mut::<16>();
    for (codes, out) in sixteens.iter().zip(wide) {
        let values = _mm512_cvtph_ps(bytemuck::cast::<[u8; 32], __m256i>(*codes));
        *out = bytemuck::cast::<__m512, [f32; 16]>(values);
    }
    fill(narrow, rest, |pair| f16::from_le_bytes(pair).to_f32());
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx,f16c")]
fn decode_f16_by_eight(bytes: &[u8], out: &mut [f32]) {
    use std::arch::x86_64::{__m128i, __m256, _mm256_cvtph_ps};
    let (eights, rest) = bytes.as_chunks::<16>();
    let (wide, narrow) = out.as_chunks_mut::<8>();
    for (codes, out) in eights.iter().zip(wide) {
        let values = _mm256_cvtph_ps(bytemuck::cast::<[u8; 16], __m128i>(*codes));
        *out = bytemuck::cast::<__m256, [f32; 8]>(values);
    }
    fill(narrow, rest, |pair| f16::from_le_bytes(pair).to_f32());
}

fn encode_f16(values: &[f32], out: &mut [u8]) -> u64 {
    let mut buffer = [f16::ZERO; CHUNK];
    let mut over = 0;
    for (values, out) in values.chunks(CHUNK).zip(out.chunks_mut(CHUNK * 2)) {
        let buffer = &mut buffer[..values.len()];
        buffer.convert_from_f32_slice(values);
        over +=
            values.iter().zip(&*buffer).map(|(x, y)| u64::from(x.is_finite() & y.is_infinite())).sum::<u64>();
        store(out, buffer, f16::to_le_bytes);
    }
    over
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2", "aarch64+neon"))]
fn encode_bf16(values: &[f32], out: &mut [u8]) -> u64 {
    let mut total = 0;
    for (values, out) in values.chunks(CHUNK).zip(out.chunks_mut(CHUNK * 2)) {
        // Counted in 32 bits a chunk: as wide as the values, so that counting fits the same vectors.
        let mut over = 0u32;
        for (chunk, &value) in out.as_chunks_mut::<2>().0.iter_mut().zip(values) {
            let code = bf16_bits(value.to_bits());
            over += u32::from((code & 0x7FFF == 0x7F80) & value.is_finite());
            *chunk = code.to_le_bytes();
        }
        total += u64::from(over);
    }
    total
}

/// Nearest bf16, ties to even; a NaN stays one and keeps its payload's upper bits.
#[inline(always)]
fn bf16_bits(bits: u32) -> u16 {
    let cut = (bits >> 16) as u16;
    let nan = cut | if cut & 0x7F == 0 { 0x40 } else { 0 };
    let rounded = (bits.wrapping_add(0x7FFF + ((bits >> 16) & 1)) >> 16) as u16;
    if bits & 0x7FFF_FFFF > 0x7F80_0000 { nan } else { rounded }
}

fn encode_small(format: &Small, values: &[f32], out: &mut [u8]) -> u64 {
    let mut over = 0;
    for (out, &value) in out.iter_mut().zip(values) {
        let (code, left) = format.narrow(value);
        *out = code;
        over += u64::from(left);
    }
    over
}
