//! Number formats against `half`, against a search over every code, and against f64.

use half::{bf16, f16};
use kernels::{Dtype, decode, decode_f64, encode, encode_f64};
use proptest::prelude::*;

const FLOATS: [Dtype; 6] = [Dtype::F8E4M3, Dtype::F8E5M2, Dtype::F16, Dtype::Bf16, Dtype::F32, Dtype::F64];

fn encoded(dtype: Dtype, values: &[f32]) -> (Vec<u8>, u64) {
    let mut out = vec![0; values.len() * dtype.bits() as usize / 8];
    let over = encode(dtype, values, &mut out);
    (out, over)
}

fn decoded(dtype: Dtype, bytes: &[u8]) -> Vec<f32> {
    let mut out = vec![0.0; bytes.len() * 8 / dtype.bits() as usize];
    decode(dtype, bytes, &mut out);
    out
}

/// Every value of an eight-bit format, by its definition.
fn small_value(code: u8, mantissa: u32, bias: i32) -> f64 {
    let sign = if code & 0x80 == 0 { 1.0 } else { -1.0 };
    let fraction = f64::from(code & ((1 << mantissa) - 1)) / f64::from(1 << mantissa);
    let exponent = i32::from((code & 0x7F) >> mantissa);
    if exponent == 0 {
        sign * fraction * 2f64.powi(1 - bias)
    } else {
        sign * (1.0 + fraction) * 2f64.powi(exponent - bias)
    }
}

#[test]
fn every_eight_bit_code_has_the_value_of_its_definition() {
    for code in 0..=255u8 {
        let e4m3 = decoded(Dtype::F8E4M3, &[code])[0];
        if code & 0x7F == 0x7F {
            assert!(e4m3.is_nan());
        } else {
            assert_eq!(f64::from(e4m3), small_value(code, 3, 7), "{code:#x}");
        }
        let e5m2 = decoded(Dtype::F8E5M2, &[code])[0];
        match code & 0x7F {
            0x7C => assert!(e5m2.is_infinite()),
            0x7D.. => assert!(e5m2.is_nan()),
            _ => assert_eq!(f64::from(e5m2), small_value(code, 2, 15), "{code:#x}"),
        }
    }
}

#[test]
fn every_code_of_sixteen_bits_or_fewer_comes_back_bit_for_bit() {
    for dtype in [Dtype::F8E4M3, Dtype::F8E5M2] {
        let codes: Vec<u8> = (0..=255).collect();
        assert_eq!(encoded(dtype, &decoded(dtype, &codes)), (codes, 0), "{dtype}");
    }
    for dtype in [Dtype::F16, Dtype::Bf16] {
        for code in 0..=u16::MAX {
            let bytes = code.to_le_bytes();
            let value = decoded(dtype, &bytes);
            if dtype == Dtype::F16 && value[0].is_nan() {
                assert!(
                    f16::from_le_bytes([encoded(dtype, &value).0[0], encoded(dtype, &value).0[1]]).is_nan()
                );
            } else {
                assert_eq!(encoded(dtype, &value), (bytes.to_vec(), 0), "{dtype} {code:#x}");
            }
        }
    }
}

#[test]
fn finite_values_beyond_the_range_are_counted() {
    assert_eq!(encoded(Dtype::F16, &[65_504.0, 65_519.9, 65_520.0, f32::INFINITY, f32::NAN]).1, 1);
    assert_eq!(encoded(Dtype::Bf16, &[f32::MAX, 1.0, f32::NEG_INFINITY]).1, 1);
    assert_eq!(encoded(Dtype::F8E4M3, &[448.0, 464.0, 465.0, -1e9]), (vec![0x7E, 0x7E, 0x7E, 0xFE], 2));
    assert_eq!(encoded(Dtype::F8E5M2, &[57_344.0, 61_439.0, 61_440.0]), (vec![0x7B, 0x7B, 0x7C], 1));
    let mut out = [0; 8];
    assert_eq!(encode_f64(Dtype::F32, &[1e39, f64::INFINITY], &mut out), 1);
    assert_eq!(encode_f64(Dtype::F16, &[1e39, -1e300, 1.0, f64::NAN], &mut out), 2);
}

#[test]
fn infinities_and_nans_stay_what_they_are() {
    for dtype in FLOATS {
        let back = decoded(dtype, &encoded(dtype, &[f32::NAN, f32::INFINITY, f32::NEG_INFINITY]).0);
        assert!(back[0].is_nan(), "{dtype}");
        let kept = if dtype == Dtype::F8E4M3 {
            back[1].is_nan()
        } else {
            back[1..] == [f32::INFINITY, f32::NEG_INFINITY]
        };
        assert!(kept, "{dtype}: {back:?}");
    }
}

#[test]
fn f64_is_rounded_once_where_two_roundings_would_differ() {
    // Just above the tie between two bf16 values, by less than half an f32 step.
    let value = 1.0 + 2f64.powi(-8) + 2f64.powi(-40);
    let mut out = [0; 2];
    encode_f64(Dtype::Bf16, &[value], &mut out);
    assert_eq!(bf16::from_le_bytes(out).to_f64(), 1.0 + 2f64.powi(-7));
    encode(Dtype::Bf16, &[value as f32], &mut out);
    assert_eq!(bf16::from_le_bytes(out).to_f64(), 1.0, "the tie goes to even when rounded twice");
}

proptest! {
    #[test]
    fn half_formats_agree_with_the_half_crate(bits in prop::collection::vec(any::<u32>(), 0..700)) {
        let values: Vec<f32> = bits.into_iter().map(f32::from_bits).filter(|x| !x.is_nan()).collect();
        let f16s: Vec<u8> = values.iter().flat_map(|&x| f16::from_f32_const(x).to_le_bytes()).collect();
        prop_assert_eq!(encoded(Dtype::F16, &values).0, f16s);
        let bf16s: Vec<u8> = values.iter().flat_map(|&x| bf16::from_f32(x).to_le_bytes()).collect();
        prop_assert_eq!(encoded(Dtype::Bf16, &values).0, bf16s);
    }

    #[test]
    fn eight_bit_rounding_picks_the_nearest_code_and_the_even_one_on_ties(value in -70_000f32..70_000.0, down in 0i32..40) {
        let value = value * 2f32.powi(-down);
        for (dtype, max) in [(Dtype::F8E4M3, 448.0), (Dtype::F8E5M2, 57_344.0)] {
            if value.abs() > max {
                continue;
            }
            let code = encoded(dtype, &[value]).0[0];
            let gap = |code: u8| (f64::from(decoded(dtype, &[code])[0]) - f64::from(value)).abs();
            let all = (0..=255u8).filter(|&code| decoded(dtype, &[code])[0].is_finite());
            let best = all.clone().map(gap).fold(f64::INFINITY, f64::min);
            prop_assert_eq!(gap(code), best);
            if all.filter(|&other| gap(other) == best).any(|other| other & 0x7F != code & 0x7F) {
                prop_assert_eq!(code & 1, 0);
            }
        }
    }

    #[test]
    fn f64_encoding_picks_the_nearest_code_and_the_even_one_on_ties(value in -6e4f64..6e4, down in 0i32..40, tie in any::<bool>()) {
        for dtype in [Dtype::F16, Dtype::Bf16] {
            let code_of = |value: f64| {
                let mut bytes = [0; 2];
                encode_f64(dtype, &[value], &mut bytes);
                u16::from_le_bytes(bytes)
            };
            let value_of = |code: u16| f64::from(decoded(dtype, &code.to_le_bytes())[0]);
            let mut value = value * 2f64.powi(-down);
            if tie {
                let code = code_of(value);
                value = (value_of(code) + value_of(code + 1)) / 2.0;
            }
            let code = code_of(value);
            let gap = |code: u16| (value_of(code) - value).abs();
            for other in [code.wrapping_sub(1), code + 1].into_iter().filter(|&code| value_of(code).is_finite()) {
                prop_assert!(gap(code) <= gap(other), "{dtype}: {value}");
                prop_assert!(gap(code) < gap(other) || code & 1 == 0, "{dtype}: {value}");
            }
        }
    }

    #[test]
    fn f64_decoding_is_exact(values in prop::collection::vec(any::<f64>(), 0..600)) {
        let values: Vec<f64> = values.into_iter().filter(|x| !x.is_nan()).collect();
        for dtype in FLOATS {
            let mut bytes = vec![0; values.len() * dtype.bits() as usize / 8];
            encode_f64(dtype, &values, &mut bytes);
            let mut wide = vec![0.0; values.len()];
            decode_f64(dtype, &bytes, &mut wide);
            let expected: Vec<f64> =
                if dtype == Dtype::F64 { values.clone() } else { decoded(dtype, &bytes).into_iter().map(f64::from).collect() };
            let bits = |list: &[f64]| list.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            prop_assert_eq!(bits(&wide), bits(&expected), "{}", dtype);
        }
    }
}
