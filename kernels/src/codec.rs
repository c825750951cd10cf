//! Little-endian floats to f32 and back, rounding to nearest even.

use half::{bf16, f16};

use crate::Dtype;

/// Decodes stored elements; f64 rounds to nearest. `out` takes as many elements as fit both slices.
pub fn decode(dtype: Dtype, bytes: &[u8], out: &mut [f32]) {
    debug_assert!(dtype.is_float());
    match dtype {
        Dtype::F32 => each(bytes, out, f32::from_le_bytes),
        Dtype::Bf16 => each(bytes, out, |b| f32::from_bits(u32::from(u16::from_le_bytes(b)) << 16)),
        Dtype::F16 => each(bytes, out, |b| f16::from_le_bytes(b).to_f32()),
        #[allow(clippy::cast_possible_truncation)]
        Dtype::F64 => each(bytes, out, |b| f64::from_le_bytes(b) as f32),
        Dtype::F8E4M3 => each(bytes, out, |[b]| e4m3(b)),
        Dtype::F8E5M2 => each(bytes, out, |[b]| f16::from_bits(u16::from(b) << 8).to_f32()),
        _ => out.fill(f32::NAN),
    }
}

fn each<const N: usize>(bytes: &[u8], out: &mut [f32], read: impl Fn([u8; N]) -> f32) {
    for (raw, value) in bytes.as_chunks::<N>().0.iter().zip(out) {
        *value = read(*raw);
    }
}

/// Encodes values; answers how many finite ones became infinite or were clamped to the largest.
pub fn encode(dtype: Dtype, values: &[f32], out: &mut [u8]) -> u64 {
    debug_assert!(dtype.is_float());
    match dtype {
        Dtype::F32 => put(values, out, |v| (v.to_le_bytes(), false)),
        Dtype::F64 => put(values, out, |v| (f64::from(v).to_le_bytes(), false)),
        Dtype::Bf16 => put(values, out, |v| {
            let r = bf16::from_f32(v);
            (r.to_le_bytes(), v.is_finite() && !r.is_finite())
        }),
        Dtype::F16 => put(values, out, |v| {
            let r = f16::from_f32(v);
            (r.to_le_bytes(), v.is_finite() && !r.is_finite())
        }),
        Dtype::F8E4M3 => put(values, out, |v| {
            let (bits, clamped) = to_f8(v, e4m3, 0x7e, 0x7f);
            ([bits], clamped)
        }),
        Dtype::F8E5M2 => put(values, out, |v| {
            let (bits, clamped) = to_f8(v, |b| f16::from_bits(u16::from(b) << 8).to_f32(), 0x7b, 0x7f);
            ([bits], clamped)
        }),
        _ => 0,
    }
}

fn put<const N: usize>(values: &[f32], out: &mut [u8], write: impl Fn(f32) -> ([u8; N], bool)) -> u64 {
    let mut saturated = 0;
    for (value, raw) in values.iter().zip(out.as_chunks_mut::<N>().0) {
        let (bytes, clamped) = write(*value);
        *raw = bytes;
        saturated += u64::from(clamped);
    }
    saturated
}

/// The finite-only E4M3 of the OCP: no infinities, 0x7f is NaN.
fn e4m3(bits: u8) -> f32 {
    let sign = if bits & 0x80 == 0 { 1.0 } else { -1.0 };
    let (exponent, mantissa) = (i32::from(bits >> 3 & 0xf), f32::from(bits & 7));
    match (exponent, bits & 7) {
        (15, 7) => f32::NAN,
        (0, _) => sign * mantissa * 2_f32.powi(-9),
        _ => sign * (1.0 + mantissa / 8.0) * 2_f32.powi(exponent - 7),
    }
}

/// Nearest code by bisection over the monotone positive codes; ties to the even code.
fn to_f8(value: f32, decode: impl Fn(u8) -> f32, largest: u8, nan: u8) -> (u8, bool) {
    let sign = if value.is_sign_negative() { 0x80 } else { 0 };
    if value.is_nan() {
        return (sign | nan, false);
    }
    let magnitude = value.abs();
    let (mut low, mut high) = (0_u8, largest);
    if magnitude >= decode(largest) {
        return (sign | largest, magnitude > decode(largest) && value.is_finite());
    }
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if decode(middle) <= magnitude { low = middle } else { high = middle }
    }
    let (down, up) = (magnitude - decode(low), decode(high) - magnitude);
    let nearest = if down < up || (down == up && low & 1 == 0) { low } else { high };
    (sign | nearest, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_and_byte_code_survives_a_round_trip() {
        for (dtype, width) in [(Dtype::F16, 2), (Dtype::Bf16, 2), (Dtype::F8E4M3, 1), (Dtype::F8E5M2, 1)] {
            for code in 0..1_u32 << (8 * width) {
                let bytes = &code.to_le_bytes()[..width];
                let mut value = [0.0];
                decode(dtype, bytes, &mut value);
                if !value[0].is_finite() {
                    continue;
                }
                let mut back = vec![0; width];
                assert_eq!(encode(dtype, &value, &mut back), 0);
                assert_eq!(back, bytes, "{dtype} {code:#x}");
            }
        }
    }

    #[test]
    fn rounding_is_to_nearest_even_and_overflow_is_counted() {
        let mut out = [0; 2];
        assert_eq!(encode(Dtype::F16, &[1e6], &mut out), 1);
        assert_eq!(encode(Dtype::Bf16, &[f32::MAX], &mut out), 1);
        encode(Dtype::Bf16, &[1.0 + 1.0 / 256.0], &mut out);
        assert_eq!(bf16::from_le_bytes(out), bf16::ONE);
        let mut byte = [0];
        assert_eq!(encode(Dtype::F8E4M3, &[500.0], &mut byte), 1);
        assert!((e4m3(byte[0]) - 448.0).abs() < f32::EPSILON);
    }
}
