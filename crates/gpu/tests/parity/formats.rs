//! Formats: every code of the short ones, and bit patterns of all kinds of the others.

use gpu::{Argument, Call};
use kernels::Dtype;

use super::{Case, LEN, bytes_of, bytes_of_f32, codes, count, grid, same, turns, width};

/// All codes, or bits drawn at random.
fn patterns(dtype: Dtype) -> Vec<u8> {
    let draw = |at: u64| (kernels::splitmix_unit(5, at) * 2f64.powi(53)) as u64;
    match width(dtype) {
        1 => (0..=255).cycle().take(LEN).collect(),
        2 => (0..=65_535u16).cycle().take(LEN).flat_map(u16::to_le_bytes).collect(),
        4 => (0..LEN as u64).flat_map(|at| (draw(at) as u32).to_le_bytes()).collect(),
        _ => (0..LEN as u64).flat_map(|at| (draw(2 * at) << 32 ^ draw(2 * at + 1)).to_le_bytes()).collect(),
    }
}

/// Numbers of every size, those halfway between two codes among them, infinities and NaN.
fn values() -> Vec<f64> {
    let mut codes: Vec<f64> = Vec::new();
    for dtype in [Dtype::F8E4M3, Dtype::F8E5M2, Dtype::F16, Dtype::Bf16] {
        let bytes: Vec<u8> = match width(dtype) {
            1 => (0..=255).collect(),
            _ => (0..=65_535u16)
                .step_by(13)
                .flat_map(|code| [code, code ^ 1])
                .flat_map(u16::to_le_bytes)
                .collect(),
        };
        let mut values = vec![0.0; bytes.len() / width(dtype)];
        kernels::decode_f64(dtype, &bytes, &mut values);
        codes.extend(&values);
        codes.extend(values.windows(2).map(|pair| (pair[0] + pair[1]) / 2.0));
    }
    let near =
        codes.iter().flat_map(|value| [*value, value * (1.0 + 1e-12), value * (1.0 - 1e-12), value * 1.3]);
    let mut all: Vec<f64> = near.collect();
    all.extend([1e39, -1e39, 1e-46, -1e-300, f64::MAX, f64::INFINITY, f64::NEG_INFINITY]);
    all.extend([
        f64::NAN,
        -f64::NAN,
        f64::from_bits(0x7FF0_0000_2000_0001),
        f64::from_bits(0xFFF4_5678_9ABC_DEF0),
    ]);
    all
}

pub fn compare(mut case: Case<'_>) -> Result<(), String> {
    let dtype = case.dtype;
    let mut call = Call::new();
    match case.kernel.entry {
        "decode_f32" => {
            let bytes = patterns(dtype);
            let mut expected = vec![0.0f32; LEN];
            kernels::decode(dtype, &bytes, &mut expected);
            call.argument(codes(dtype)).bytes(bytes);
            call.bytes(vec![0; LEN * 4]);
            call.argument(count(LEN));
            let got = case.run(&call, turns(LEN))?;
            same("the number", &got[1], &bytes_of_f32(&expected), 4)
        }
        "decode_f64" => {
            let bytes = patterns(dtype);
            let mut expected = vec![0.0; LEN];
            kernels::decode_f64(dtype, &bytes, &mut expected);
            call.argument(codes(dtype)).bytes(bytes);
            call.bytes(vec![0; LEN * 8]);
            call.argument(count(LEN));
            let got = case.run(&call, turns(LEN))?;
            same("the number", &got[1], &bytes_of(&expected), 8)
        }
        "encode_f32" => {
            let mut values: Vec<f32> = values().into_iter().map(|value| value as f32).collect();
            values
                .extend(patterns(Dtype::F32).as_chunks::<4>().0.iter().map(|bits| f32::from_le_bytes(*bits)));
            let mut expected = vec![0; values.len() * width(dtype)];
            let beyond = kernels::encode(dtype, &values, &mut expected);
            encoded(&mut case, (bytes_of_f32(&values), values.len()), (&expected, beyond))
        }
        "encode_f64" => {
            let mut values = values();
            values
                .extend(patterns(Dtype::F64).as_chunks::<8>().0.iter().map(|bits| f64::from_le_bytes(*bits)));
            let mut expected = vec![0; values.len() * width(dtype)];
            let beyond = kernels::encode_f64(dtype, &values, &mut expected);
            encoded(&mut case, (bytes_of(&values), values.len()), (&expected, beyond))
        }
        "delta_encode" => {
            let numbers = values();
            let (a, b) = (
                super::stored(Dtype::F32, &numbers),
                super::stored(dtype, &super::weights(1, numbers.len())),
            );
            let read = |dtype, bytes: &[u8]| {
                let mut values = vec![0.0; numbers.len()];
                kernels::decode_f64(dtype, bytes, &mut values);
                values
            };
            let deltas: Vec<f64> =
                read(Dtype::F32, &a).iter().zip(read(dtype, &b)).map(|(a, b)| a - b).collect();
            // The bits of a NaN that arithmetic makes are the processor's own.
            let sound = |delta: &f64| !delta.is_nan();
            let len = deltas.iter().take_while(|delta| sound(delta)).count();
            let mut expected = vec![0; len * width(dtype)];
            let beyond = kernels::encode_f64(dtype, &deltas[..len], &mut expected);
            let input = |bytes: Vec<u8>, of| (bytes, 1.0, gpu::code(of).unwrap());
            call.inputs(vec![input(a, Dtype::F32), input(b, dtype)]).argument(codes(dtype));
            call.bytes(vec![0; expected.len()]);
            call.argument(count(len));
            call.bytes(vec![0; 8]);
            let got = case.run(&call, turns(len))?;
            same("the code", &got[3], &expected, width(dtype))?;
            same("what left the range", &got[4], &beyond.to_le_bytes(), 8)
        }
        "copy_words" => {
            let bytes = patterns(Dtype::F64)[..LEN / 2 * 16].to_vec();
            call.bytes(bytes.clone());
            call.bytes(vec![0; bytes.len()]);
            call.argument(Argument::U64(LEN as u64 / 2));
            let got = case.run(&call, grid(LEN / 2))?;
            same("the word", &got[1], &bytes, 16)
        }
        other => Err(format!("no comparison for {other}")),
    }
}

fn encoded(
    case: &mut Case<'_>,
    (values, len): (Vec<u8>, usize),
    (codes, beyond): (&[u8], u64),
) -> Result<(), String> {
    let mut call = Call::new();
    call.argument(super::codes(case.dtype)).bytes(values);
    call.bytes(vec![0; codes.len()]);
    call.argument(count(len));
    call.bytes(vec![0; 8]);
    let got = case.run(&call, turns(len))?;
    same("the code", &got[1], codes, width(case.dtype))?;
    same("what left the range", &got[2], &beyond.to_le_bytes(), 8)
}
