//! Elementwise steps of merging, bit by bit.

use gpu::{Argument, Call};
use kernels::{
    Dtype, Encoded,
    prune::{Row, Slope},
    task::{self, By, Divisor, Election, Strip, ZeroSign},
    wide::{self, Common, Term},
};

use super::{
    Case, LEN, bytes_of, bytes_of_f32, codes, count, grid, numbers, same, stored, strip, weights, width,
};

const MODELS: usize = 3;

/// Numbers in f64 and in f32, and three models of a base.
struct Inputs {
    base: Vec<f64>,
    models: Vec<Vec<f64>>,
    factors: Vec<f64>,
}

fn inputs() -> Inputs {
    let base = strip(20, LEN);
    let model = |seed: u64| -> Vec<f64> {
        let other = strip(20 + seed, LEN);
        // Every fifth element is the base's in all models.
        base.iter().zip(other).enumerate().map(|(at, (b, x))| if at % 5 == 0 { *b } else { x }).collect()
    };
    // Now and then no model counts.
    let factor =
        |at: usize| if at % LEN % 3 == 1 { 0.0 } else { [0.0, 1.0, 0.3, -0.7, 0.5][(at * 31 + at / 97) % 5] };
    let factors = (0..MODELS * LEN).map(factor).collect();
    Inputs { models: (1..=MODELS as u64).map(model).collect(), base, factors }
}

fn narrow(values: &[f64]) -> Vec<f32> {
    values.iter().map(|value| *value as f32).collect()
}

pub fn compare(case: Case<'_>) -> Result<(), String> {
    match case.kernel.entry {
        "weighted_sum" => weighted(case),
        "prune_rows" => prune(case),
        "norms" | "dot" => spans(case),
        "add_deltas" | "elect" | "votes" | "share_out" | "variances" => several(case),
        _ => single(case),
    }
}

/// Kernels that change or make one array.
fn single(mut case: Case<'_>) -> Result<(), String> {
    let Inputs { base, models, factors } = inputs();
    let (a, b) = (&base, &models[0]);
    let mut out = vec![0.0; LEN];
    let mut call = Call::new();
    let (part, expected) = match case.kernel.entry {
        "subtract_f32" => {
            let (a, b) = (narrow(a), narrow(b));
            let out: Vec<f32> = a.iter().zip(&b).map(|(a, b)| a - b).collect();
            call.bytes(bytes_of_f32(&a));
            call.bytes(bytes_of_f32(&b));
            call.bytes(vec![0; LEN * 4]);
            (2, bytes_of_f32(&out))
        }
        "subtract_f64" => {
            wide::subtract(a, b, &mut out);
            call.bytes(bytes_of(a));
            call.bytes(bytes_of(b));
            call.bytes(vec![0; LEN * 8]);
            (2, bytes_of(&out))
        }
        "add_scaled" => {
            out.clone_from(a);
            kernels::add_scaled(&mut out, 0.3, &narrow(b));
            call.bytes(bytes_of(a));
            call.argument(Argument::F64(0.3)).bytes(bytes_of_f32(&narrow(b)));
            (0, bytes_of(&out))
        }
        "low_rank_row" => {
            let (left, width, from) = (narrow(&weights(30, 5)), LEN + 11, 7);
            let right = narrow(&weights(31, 5 * width));
            out.clone_from(a);
            kernels::low_rank_row(&mut out, 1.7, (&left, &right), (width, from));
            call.bytes(bytes_of(a));
            call.argument(Argument::F64(1.7)).bytes(bytes_of_f32(&left));
            call.argument(Argument::U32(5)).bytes(bytes_of_f32(&right));
            call.argument(count(width)).argument(count(from));
            (0, bytes_of(&out))
        }
        "zero_nonfinite" | "magnitudes" => {
            let mut values = a.clone();
            (values[5], values[6], values[7], values[8]) =
                (f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1e300);
            call.bytes(bytes_of(&values));
            if case.kernel.entry == "magnitudes" {
                let mut out = vec![0.0; LEN];
                wide::magnitudes(&values, &mut out);
                call.bytes(vec![0; LEN * 4]);
                (1, bytes_of_f32(&out))
            } else {
                wide::zero_nonfinite(&mut values);
                (0, bytes_of(&values))
            }
        }
        "keep_largest" | "drop_largest" => {
            let (threshold, cutoff) = (0.5f32.to_bits(), 40_000);
            out.copy_from_slice(&factors[..LEN]);
            let step =
                if case.kernel.entry == "keep_largest" { task::keep_largest } else { task::drop_largest };
            step((threshold, cutoff), a, &mut out);
            call.argument(Argument::U32(threshold)).argument(Argument::U64(cutoff)).bytes(bytes_of(a));
            call.bytes(bytes_of(&factors[..LEN]));
            (1, bytes_of(&out))
        }
        "keep_random" => {
            let (key, start, share) = (0xFEED_5EED_0123, 987_654_321_012, 0.37f64);
            let below = (share * 2f64.powi(53)).ceil() as u64;
            out.clone_from(a);
            kernels::keep_random(key, start, share, &mut out);
            call.argument(Argument::U64(key)).argument(Argument::U64(start)).argument(Argument::U64(below));
            call.bytes(bytes_of(a));
            (0, bytes_of(&out))
        }
        "keep_listed" => {
            let words: Vec<u64> = weights(33, LEN / 64).iter().map(|value| value.to_bits()).collect();
            out.clone_from(a);
            task::keep_listed(&words, 77, &mut out);
            call.bytes(words.iter().flat_map(|word| word.to_le_bytes()).collect());
            call.argument(count(words.len())).argument(count(77)).bytes(bytes_of(a));
            (1, bytes_of(&out))
        }
        "nearswap" => {
            let t = 0.011;
            for (out, delta) in out.iter_mut().zip(a) {
                *out = if delta.abs() <= t { 1.0 } else { t / delta.abs() };
            }
            call.bytes(bytes_of(a));
            call.argument(Argument::F64(t)).bytes(vec![0; LEN * 8]);
            (1, bytes_of(&out))
        }
        other => return Err(format!("no comparison for {other}")),
    };
    call.argument(count(LEN));
    let got = case.run(&call, grid(LEN))?;
    same("the element", &got[part], &expected, expected.len() / LEN)
}

/// Kernels over a base and the models tuned from it.
fn several(mut case: Case<'_>) -> Result<(), String> {
    let Inputs { base, models, factors } = inputs();
    let views: Vec<&[f64]> = models.iter().map(Vec::as_slice).collect();
    let strip = Strip { base: &base, models: &views };
    let (flat, shares) = (models.concat(), [0.25, 0.5, 0.125]);
    let models = Argument::U32(MODELS as u32);
    match case.kernel.entry {
        "add_deltas" => {
            let mut expected = vec![0.0; LEN];
            task::add_deltas(strip, &factors, &mut expected);
            let mut call = Call::new();
            call.bytes(bytes_of(&base));
            call.bytes(bytes_of(&flat));
            call.bytes(bytes_of(&factors));
            call.argument(models).bytes(vec![0; LEN * 8]);
            call.argument(count(LEN));
            let got = case.run(&call, grid(LEN))?;
            same("the element", &got[3], &bytes_of(&expected), 8)
        }
        "elect" => (0..8).try_for_each(|flags: u32| {
            let mut expected = factors.clone();
            let election = Election {
                shares: &shares,
                by: if flags & 1 == 0 { By::Sum } else { By::Count },
                divisor: if flags & 2 == 0 { Divisor::One } else { Divisor::Agreeing },
                zero: if flags & 4 == 0 { ZeroSign::Plus } else { ZeroSign::Minus },
                scale: 0.9,
            };
            task::elect(strip, election, &mut expected);
            let mut call = Call::new();
            call.bytes(bytes_of(&base));
            call.bytes(bytes_of(&flat));
            call.bytes(bytes_of(&factors));
            call.bytes(bytes_of(&shares));
            call.argument(models)
                .argument(Argument::U32(flags))
                .argument(Argument::F64(0.9))
                .argument(count(LEN));
            let got = case.run(&call, grid(LEN))?;
            same(&format!("the factor, flags {flags},"), &got[2], &bytes_of(&expected), 8)
        }),
        "votes" => [By::Sum, By::Count].into_iter().zip(0..).try_for_each(|(by, flag)| {
            let mut expected = vec![0.0; LEN];
            task::votes(by, strip, &factors, &mut expected);
            let mut call = Call::new();
            call.bytes(bytes_of(&base));
            call.bytes(bytes_of(&flat));
            call.bytes(bytes_of(&factors));
            call.argument(models).argument(Argument::U32(flag)).bytes(vec![0; LEN * 8]);
            call.argument(count(LEN));
            let got = case.run(&call, grid(LEN))?;
            same("the vote", &got[3], &bytes_of(&expected), 8)
        }),
        "share_out" => [0.0, 0.4].into_iter().try_for_each(|floor| {
            let kept: Vec<f64> = (0..LEN).map(|at| f64::from(u8::from(at % 3 != 0))).collect();
            let mut expected = vec![0.0; MODELS * LEN];
            task::share_out((&flat, &shares), &kept, floor, &mut expected);
            let mut call = Call::new();
            call.bytes(bytes_of(&flat));
            call.bytes(bytes_of(&shares));
            call.bytes(bytes_of(&kept));
            call.argument(Argument::F64(floor)).bytes(vec![0; MODELS * LEN * 8]);
            call.argument(models).argument(count(LEN));
            let got = case.run(&call, grid(LEN))?;
            same("the factor", &got[3], &bytes_of(&expected), 8)
        }),
        _ => {
            let mut expected = vec![0.0; LEN];
            task::variances(&views, &mut expected);
            let mut call = Call::new();
            call.bytes(bytes_of(&flat));
            call.argument(models).bytes(vec![0; LEN * 8]);
            call.argument(count(LEN));
            let got = case.run(&call, grid(LEN))?;
            same("the variance", &got[1], &bytes_of(&expected), 8)
        }
    }
}

fn spans(mut case: Case<'_>) -> Result<(), String> {
    let (a, b) = (strip(40, LEN), strip(41, LEN));
    let two = case.kernel.entry == "norms";
    let (first, second) = if two { task::norms(&a, &b) } else { (wide::dot(&a, &b), 0.0) };
    let spans = LEN.div_ceil(16_384);
    let mut call = Call::new();
    call.bytes(bytes_of(&a));
    call.bytes(bytes_of(&b));
    call.argument(count(LEN)).bytes(vec![0; spans * if two { 16 } else { 8 }]);
    let got = case.run(&call, (spans as u32, 1))?;
    let got = numbers(&got[2]);
    let size = (wide::dot(&a, &a) * wide::dot(&b, &b)).sqrt();
    if two {
        case.close("the norm", (got.iter().step_by(2).sum(), first, first))?;
        return case.close("the kept norm", (got.iter().skip(1).step_by(2).sum(), second, second));
    }
    case.close("the product", (got.iter().sum(), first, size))
}

fn prune(mut case: Case<'_>) -> Result<(), String> {
    for (len, slope) in [
        (301, Slope { density: 0.5, epsilon: 0.2 }),
        (1, Slope { density: 0.5, epsilon: 0.2 }),
        (1_500, Slope { density: 0.7, epsilon: -0.3 }),
    ] {
        let (rows, key, start) = (9, 17, 1_000);
        let values: Vec<f64> = strip(50, rows * len)
            .into_iter()
            .zip(0..)
            .map(|(x, at)| if at % 11 == 0 { x * 1e-9 } else { x })
            .collect();
        let mut expected = vec![false; values.len()];
        for (at, (row, expected)) in values.chunks(len).zip(expected.chunks_mut(len)).enumerate() {
            Row::default().prune(row, slope, (key, start + (at * len) as u64), expected);
        }
        let expected: Vec<u8> = expected.into_iter().map(u8::from).collect();
        let mut call = Call::new();
        call.bytes(bytes_of(&values));
        call.argument(count(len))
            .argument(Argument::F64(slope.density))
            .argument(Argument::F64(slope.epsilon));
        call.argument(Argument::U64(key)).argument(Argument::U64(start)).bytes(vec![9; rows * len]);
        let got = case.run(&call, (rows as u32, 1))?;
        same(&format!("the mask of rows of {len}"), &got[1], &expected, 1)?;
    }
    Ok(())
}

fn weighted(mut case: Case<'_>) -> Result<(), String> {
    let dtype = case.dtype;
    let made: Vec<Vec<u8>> = inputs().models.iter().map(|values| stored(dtype, values)).collect();
    let bad = {
        let mut values = strip(60, LEN);
        values[LEN - 2] = f64::INFINITY;
        stored(Dtype::F32, &values)
    };
    let runs = [
        ([0.5, 0.25, 0.25], Common::Blended, dtype, 1.0),
        ([1.0, 0.0, 0.0], Common::Blended, Dtype::Bf16, 1.0),
        ([0.0, 0.0, 0.0], Common::Blended, Dtype::F32, 1.0),
        ([0.3, -0.2, 0.9], Common::Kept, Dtype::F64, 1.0),
        ([0.3, -0.2, 0.9], Common::Kept, Dtype::F16, 1e7),
        ([0.3, -0.2, 0.9], Common::Blended, Dtype::F8E4M3, 1e5),
    ];
    for (nth, (factors, common, out, scale)) in runs.into_iter().enumerate() {
        // The last run has an input that is not finite.
        let with_bad = nth + 1 == runs.len();
        let mut held: Vec<(&[u8], Dtype)> = made.iter().map(|bytes| (bytes.as_slice(), dtype)).collect();
        if with_bad {
            held[1] = (&bad, Dtype::F32);
        }
        let terms: Vec<Term<'_>> = held
            .iter()
            .zip(factors)
            .map(|((bytes, dtype), factor)| Term {
                factor: factor * scale,
                values: Encoded { dtype: *dtype, bytes },
            })
            .collect();
        let mut expected = vec![0; LEN * width(out)];
        let beyond = wide::weighted_sum(&terms, common, (out, &mut expected));

        let input = |term: &Term<'_>| {
            let mut padded = term.values.bytes.to_vec();
            padded.resize(padded.len().next_multiple_of(32), 0xFF);
            (padded, term.factor, gpu::code(term.values.dtype).unwrap())
        };
        let mut call = Call::new();
        call.inputs(terms.iter().map(input).collect()).argument(Argument::U32(3));
        call.argument(Argument::U32(u32::from(common == Common::Kept))).argument(codes(out));
        call.bytes(vec![0; expected.len()]);
        call.argument(count(LEN)).bytes(vec![0; 16]);
        let got = case.run(&call, (LEN.div_ceil(2_048) as u32, 1))?;
        let counters = got[5].as_chunks::<8>().0;
        let (over, nonfinite) = (u64::from_le_bytes(counters[0]), u64::from_le_bytes(counters[1]));
        if with_bad != beyond.is_none() || with_bad != (nonfinite > 0) {
            return Err(format!("{nonfinite} values are not finite, run {nth}"));
        }
        if let Some(beyond) = beyond {
            same(&format!("run {nth}"), &got[4], &expected, width(out))?;
            same("what left the range", &over.to_le_bytes(), &beyond.to_le_bytes(), 8)?;
        }
    }
    Ok(())
}
