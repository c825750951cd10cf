//! Strips of elements in f64: taken from stored bytes without rounding, summed, and rounded once at the end.

use multiversion::multiversion;

use crate::{Dtype, decode_f64, deltas::Encoded, direct, encode_f64};

/// Elements of a tile: its arrays stay in the first-level cache.
const TILE: usize = 512;

/// Elements taken together where what is known of them stays in registers.
const LANES: usize = 32;

/// One input of a weighted sum.
#[derive(Debug, Clone, Copy)]
pub struct Term<'a> {
    pub factor: f64,
    pub values: Encoded<'a>,
}

/// What a weighted sum gives where all its inputs have the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Common {
    /// That input.
    Kept,
    /// Their sum, like anywhere else.
    Blended,
}

/// Reads `out.len()` elements without rounding; tells whether all are finite. The caller guarantees a float dtype and
/// matching lengths.
pub fn widen(values: Encoded<'_>, out: &mut [f64]) -> bool {
    match values.dtype {
        Dtype::Bf16 => widen_bf16(values.bytes, out),
        Dtype::F32 => widen_f32(values.bytes, out),
        dtype => {
            decode_f64(dtype, values.bytes, out);
            all_finite(out)
        }
    }
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2", "aarch64+neon"))]
fn all_finite(values: &[f64]) -> bool {
    const EXPONENT: u64 = 0x7FF0_0000_0000_0000;
    values.iter().fold(0u64, |bad, value| bad | u64::from(value.to_bits() & EXPONENT == EXPONENT)) == 0
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2", "aarch64+neon"))]
fn widen_bf16(bytes: &[u8], out: &mut [f64]) -> bool {
    const EXPONENT: u16 = 0x7F80;
    let mut bad = [0u16; LANES];
    let (lanes, rest) = out.as_chunks_mut::<LANES>();
    let (codes, code_rest) = bytes.as_chunks::<2>().0.as_chunks::<LANES>();
    for (out, codes) in lanes.iter_mut().zip(codes) {
        for lane in 0..LANES {
            bad[lane] |= u16::from(u16::from_le_bytes(codes[lane]) & EXPONENT == EXPONENT);
            out[lane] = from_bf16(codes[lane]);
        }
    }
    for (out, code) in rest.iter_mut().zip(code_rest) {
        bad[0] |= u16::from(u16::from_le_bytes(*code) & EXPONENT == EXPONENT);
        *out = from_bf16(*code);
    }
    bad == [0; LANES]
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2", "aarch64+neon"))]
fn widen_f32(bytes: &[u8], out: &mut [f64]) -> bool {
    const EXPONENT: u32 = 0x7F80_0000;
    let mut bad = 0;
    for (out, code) in out.iter_mut().zip(bytes.as_chunks::<4>().0) {
        let bits = u32::from_le_bytes(*code);
        bad |= u32::from(bits & EXPONENT == EXPONENT);
        *out = f64::from(f32::from_bits(bits));
    }
    bad == 0
}

#[inline(always)]
pub(crate) fn from_bf16(code: [u8; 2]) -> f64 {
    f64::from(f32::from_bits(u32::from(u16::from_le_bytes(code)) << 16))
}

/// `Σ c·x` over the terms in their order, written as `dtype`: f64 arithmetic and one rounding. Terms of factor zero
/// are not added, so that factors of (1, 0) give the first input exactly; without any other the sum is 0. Gives how
/// many sums are not finite or left the range of the dtype; `None` when an input is not finite, and then what was written
/// means nothing. The caller guarantees float dtypes and matching lengths.
pub fn weighted_sum(terms: &[Term<'_>], common: Common, (dtype, out): (Dtype, &mut [u8])) -> Option<u64> {
    if dtype == Dtype::Bf16
        && let Some(beyond) = direct::weighted_sum(terms, common, out)
    {
        return Some(beyond);
    }
    let width = (dtype.bits() / 8) as usize;
    let narrow = terms.iter().all(|term| term.values.dtype == Dtype::Bf16);
    let nothing = terms.iter().all(|term| term.factor == 0.0);
    let mut tile = Tile { sums: [0.0; TILE], first: [0.0; TILE], differing: [0; TILE] };
    let mut beyond = 0;
    for (at, out) in out.chunks_mut(TILE * width).enumerate() {
        let len = out.len() / width;
        let whole = narrow && len == TILE;
        let finite = match (whole, narrow) {
            (true, _) => add_tile(terms, at * TILE, (common, nothing), &mut tile.sums),
            (_, true) => add_bf16(terms, at * TILE, (&mut tile, len)),
            _ => add_wide(terms, at * TILE, (&mut tile, len)),
        };
        if !finite {
            return None;
        }
        if nothing && !whole {
            tile.sums.fill(0.0);
        }
        if common == Common::Kept && !whole {
            keep_first(&mut tile);
        }
        beyond += nonfinite(&tile.sums[..len]) + encode_f64(dtype, &tile.sums[..len], out);
    }
    Some(beyond)
}

/// Sums of a few elements, the first input, and where the bits of the others differ from it.
struct Tile {
    sums: [f64; TILE],
    first: [f64; TILE],
    differing: [u32; TILE],
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2", "aarch64+neon"))]
fn keep_first(tile: &mut Tile) {
    for ((sum, first), differing) in tile.sums.iter_mut().zip(&tile.first).zip(&tile.differing) {
        *sum = if *differing == 0 { *first } else { *sum };
    }
}

/// Sums the elements `from..from + len` of all terms; tells whether all are finite.
fn add_wide(terms: &[Term<'_>], from: usize, (tile, len): (&mut Tile, usize)) -> bool {
    let mut values = [0.0; TILE];
    tile.sums.fill(-0.0);
    tile.differing.fill(0);
    let mut finite = true;
    for (place, term) in terms.iter().enumerate() {
        finite &= widen(term.values.part(from, len), &mut values[..len]);
        if place == 0 {
            tile.first = values;
        }
        add_term(term.factor, &values, tile);
    }
    finite
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2", "aarch64+neon"))]
fn add_term(factor: f64, values: &[f64; TILE], tile: &mut Tile) {
    for ((differing, value), first) in tile.differing.iter_mut().zip(values).zip(&tile.first) {
        let bits = value.to_bits() ^ first.to_bits();
        *differing |= (bits | bits >> 32) as u32;
    }
    if factor != 0.0 {
        tile.sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += factor * value);
    }
}

#[inline(always)]
fn codes<'a>(term: &Term<'a>, from: usize, len: usize) -> &'a [[u8; 2]] {
    term.values.bytes[from * 2..(from + len) * 2].as_chunks::<2>().0
}

/// Sums of a whole tile of bf16 terms as they are in the end; tells whether all terms are finite.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2", "aarch64+neon"))]
fn add_tile(
    terms: &[Term<'_>],
    from: usize,
    (common, nothing): (Common, bool),
    sums: &mut [f64; TILE],
) -> bool {
    const EXPONENT: u16 = 0x7F80;
    let Some(first) = terms.first() else { return true };
    let mut bad = [0u16; LANES];
    for (at, sums) in (from..).step_by(LANES).zip(sums.as_chunks_mut::<LANES>().0) {
        let Some(first) = codes(first, at, LANES).first_chunk::<LANES>() else { return false };
        let (mut total, mut differing) = ([if nothing { 0.0 } else { -0.0 }; LANES], [0u16; LANES]);
        for term in terms {
            let Some(codes) = codes(term, at, LANES).first_chunk::<LANES>() else { return false };
            for lane in 0..LANES {
                let code = u16::from_le_bytes(codes[lane]);
                bad[lane] |= u16::from(code & EXPONENT == EXPONENT);
                differing[lane] |= code ^ u16::from_le_bytes(first[lane]);
            }
            if term.factor != 0.0 {
                for lane in 0..LANES {
                    total[lane] += term.factor * from_bf16(codes[lane]);
                }
            }
        }
        for lane in 0..LANES {
            let same = common == Common::Kept && differing[lane] == 0;
            sums[lane] = if same { from_bf16(first[lane]) } else { total[lane] };
        }
    }
    bad == [0; LANES]
}

/// [`add_wide`] of bf16 terms, without the detour over an array of f64 for each.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2", "aarch64+neon"))]
fn add_bf16(terms: &[Term<'_>], from: usize, (tile, len): (&mut Tile, usize)) -> bool {
    const EXPONENT: u16 = 0x7F80;
    let (sums, differing) = (&mut tile.sums[..len], &mut tile.differing[..len]);
    sums.fill(-0.0);
    differing.fill(0);
    let mut bad = 0u16;
    let Some(first) = terms.first().map(|term| codes(term, from, len)) else { return true };
    for (wide, code) in tile.first.iter_mut().zip(first) {
        *wide = from_bf16(*code);
    }
    for term in terms {
        let codes = codes(term, from, len);
        for ((code, first), differing) in codes.iter().zip(first).zip(differing.iter_mut()) {
            let code = u16::from_le_bytes(*code);
            bad |= u16::from(code & EXPONENT == EXPONENT);
            *differing |= u32::from(code ^ u16::from_le_bytes(*first));
        }
        if term.factor != 0.0 {
            sums.iter_mut().zip(codes).for_each(|(sum, code)| *sum += term.factor * from_bf16(*code));
        }
    }
    bad == 0
}

/// `Σ a·b` in a fixed order; slices of one length.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2", "aarch64+neon"))]
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut lanes = [0.0; LANES];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            lanes[lane] += a[lane] * b[lane];
        }
    }
    lanes.iter().sum::<f64>() + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f64>()
}

/// `out = a − b`; slices of one length.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2", "aarch64+neon"))]
pub fn subtract(a: &[f64], b: &[f64], out: &mut [f64]) {
    for ((out, a), b) in out.iter_mut().zip(a).zip(b) {
        *out = a - b;
    }
}

/// `out = a·b` element by element; slices of one length.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2", "aarch64+neon"))]
pub fn product(a: &[f64], b: &[f64], out: &mut [f64]) {
    for ((out, a), b) in out.iter_mut().zip(a).zip(b) {
        *out = a * b;
    }
}

/// 1, −1 or 0 for each value, as it is above, below or equal to 0; slices of one length.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2", "aarch64+neon"))]
pub fn signs(values: &[f64], out: &mut [f64]) {
    for (out, value) in out.iter_mut().zip(values) {
        *out = f64::from(i8::from(*value > 0.0) - i8::from(*value < 0.0));
    }
}

/// Whether two slices of one length hold the same bits.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2", "aarch64+neon"))]
pub fn same(a: &[f64], b: &[f64]) -> bool {
    a.iter().zip(b).fold(0, |differing, (a, b)| differing | (a.to_bits() ^ b.to_bits())) == 0
}

/// How many values are above 0.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2", "aarch64+neon"))]
pub fn positive(values: &[f64]) -> u64 {
    values.iter().map(|value| u64::from(*value > 0.0)).sum()
}

/// How many values are NaN or infinite.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2", "aarch64+neon"))]
pub fn nonfinite(values: &[f64]) -> u64 {
    const EXPONENT: u64 = 0x7FF0_0000_0000_0000;
    values.iter().map(|value| u64::from(value.to_bits() & EXPONENT == EXPONENT)).sum()
}

/// Puts 0 where a value is not finite.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2", "aarch64+neon"))]
pub fn zero_nonfinite(values: &mut [f64]) {
    for value in values {
        *value = if value.is_finite() { *value } else { 0.0 };
    }
}

/// Magnitudes of `a − b` as [`magnitudes`] gives them of the difference in f64, straight from stored bf16: the
/// difference of two of them rounds to the same f32 either way. Tells whether all values are finite; what was written
/// means nothing otherwise. `None` for other dtypes. Inputs and `out` of one length.
pub fn magnitudes_apart(a: Encoded<'_>, b: Encoded<'_>, out: &mut [f32]) -> Option<bool> {
    (a.dtype == Dtype::Bf16 && b.dtype == Dtype::Bf16).then(|| apart_bf16(a.bytes, b.bytes, out))
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2", "aarch64+neon"))]
fn apart_bf16(a: &[u8], b: &[u8], out: &mut [f32]) -> bool {
    const EXPONENT: u32 = 0x7F80_0000;
    let mut bad = 0;
    for ((out, a), b) in out.iter_mut().zip(a.as_chunks::<2>().0).zip(b.as_chunks::<2>().0) {
        let [a, b] = [a, b].map(|code| u32::from(u16::from_le_bytes(*code)) << 16);
        bad |= u32::from(a & EXPONENT == EXPONENT) | u32::from(b & EXPONENT == EXPONENT);
        *out = (f32::from_bits(a) - f32::from_bits(b)).abs();
    }
    bad == 0
}

/// What elements are ranked by: magnitudes in f32; NaN ranks as zero.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq", "x86_64+avx2", "aarch64+neon"))]
pub fn magnitudes(values: &[f64], out: &mut [f32]) {
    for (out, value) in out.iter_mut().zip(values) {
        *out = if value.is_nan() { 0.0 } else { value.abs() as f32 };
    }
}
