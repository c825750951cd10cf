//! Whether stored elements are numbers.

use multiversion::multiversion;

use crate::{Dtype, Encoded};

/// Whether one of the elements of a float format is NaN; false for other formats.
pub fn holds_nan(Encoded { dtype, bytes }: Encoded<'_>) -> bool {
    match dtype {
        Dtype::Bf16 => above_16(bytes, 0x7F80),
        Dtype::F16 => above_16(bytes, 0x7C00),
        Dtype::F32 => above_32(bytes),
        Dtype::F64 => {
            bytes.as_chunks().0.iter().any(|of| u64::from_le_bytes(*of) << 1 > 0xFFE0_0000_0000_0000)
        }
        Dtype::F8E4M3 => bytes.iter().any(|code| code & 0x7F == 0x7F),
        Dtype::F8E5M2 => bytes.iter().any(|code| code & 0x7F > 0x7C),
        _ => false,
    }
}

/// Whether the magnitude of one of the codes is above that of infinity.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2", "aarch64+neon"))]
fn above_16(bytes: &[u8], infinity: u16) -> bool {
    let (chunks, rest) = bytes.as_chunks::<128>();
    let above = |codes: &[u8]| {
        codes
            .as_chunks()
            .0
            .iter()
            .fold(false, |found, of| found | (u16::from_le_bytes(*of) & 0x7FFF > infinity))
    };
    chunks.iter().any(|chunk| above(chunk)) || above(rest)
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2", "aarch64+neon"))]
fn above_32(bytes: &[u8]) -> bool {
    let (chunks, rest) = bytes.as_chunks::<256>();
    let above = |codes: &[u8]| {
        let nan = |of: &[u8; 4]| u32::from_le_bytes(*of) & 0x7FFF_FFFF > 0x7F80_0000;
        codes.as_chunks().0.iter().fold(false, |found, of| found | nan(of))
    };
    chunks.iter().any(|chunk| above(chunk)) || above(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nan_is_found_anywhere_and_infinity_is_none() {
        let formats = [Dtype::Bf16, Dtype::F16, Dtype::F32, Dtype::F64, Dtype::F8E4M3, Dtype::F8E5M2];
        for dtype in formats {
            for at in [0, 70, 299] {
                let mut values = vec![-1.5; 300];
                let mut bytes = vec![0; 300 * dtype.bits() as usize / 8];
                // The narrowest format has no infinity.
                values[0] = if dtype == Dtype::F8E4M3 { 448.0 } else { f64::NEG_INFINITY };
                crate::encode_f64(dtype, &values, &mut bytes);
                assert!(!holds_nan(Encoded { dtype, bytes: &bytes }), "{dtype}");

                values[at] = f64::NAN;
                crate::encode_f64(dtype, &values, &mut bytes);
                assert!(holds_nan(Encoded { dtype, bytes: &bytes }), "{dtype} at {at}");
            }
        }
        assert!(!holds_nan(Encoded { dtype: Dtype::I32, bytes: &[0xFF; 64] }));
    }
}
