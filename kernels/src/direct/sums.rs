//! Sums over deltas and over what is kept of them, in the order in which arrays of f64 are added up.

use std::arch::x86_64::*;

use super::{
    Sizes,
    lanes::{Codes, LANES, Stretch, Wide, bits, double},
};
use crate::wide::from_bf16;

/// `δ` of a group.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,fma,bmi2")]
pub fn delta([base, model]: [&Codes; 2]) -> Wide {
    let (base, model) = (double(base), double(model));
    [_mm512_sub_pd(model[0], base[0]), _mm512_sub_pd(model[1], base[1])]
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,fma,bmi2")]
pub fn sizes(inputs: [&[[u8; 2]]; 2], kept: &[u64]) -> Sizes {
    let [(bases, base_rest), (models, model_rest)] = inputs.map(|codes| codes.as_chunks::<LANES>());
    let zero = [_mm512_setzero_pd(); 2];
    let (mut whole, mut part, mut squares, mut kept_squares) = (zero, zero, zero, zero);
    let mut found = Sizes::default();
    for (at, (base, model)) in bases.iter().zip(models).enumerate() {
        let mask = bits(kept, at);
        found.kept += u64::from(mask.count_ones());
        for (side, delta) in delta([base, model]).into_iter().enumerate() {
            let mask = (mask >> (8 * side)) as u8;
            let size = _mm512_abs_pd(delta);
            let square = _mm512_mul_pd(delta, delta);
            whole[side] = _mm512_add_pd(whole[side], size);
            squares[side] = _mm512_add_pd(squares[side], square);
            part[side] = _mm512_mask_add_pd(part[side], mask, part[side], size);
            kept_squares[side] = _mm512_mask_add_pd(kept_squares[side], mask, kept_squares[side], square);
        }
    }
    let total = |lanes: Wide| bytemuck::cast::<Wide, [f64; LANES]>(lanes).iter().sum::<f64>();
    found.absolute = (total(whole), total(part));
    found.squares = (total(squares), total(kept_squares));
    for (at, (base, model)) in base_rest.iter().zip(model_rest).enumerate() {
        let [base, model] = [base, model].map(|code| from_bf16(*code));
        let delta = model - base;
        let live = bits(kept, bases.len()) >> at & 1 == 1;
        let own = if live { delta } else { 0.0 };
        found.absolute = (found.absolute.0 + delta.abs(), found.absolute.1 + own.abs());
        found.squares = (found.squares.0 + delta * delta, found.squares.1 + own * own);
        found.kept += u64::from(live);
    }
    found
}

/// `Σ δ²` of what is kept and of everything, in the order of [`crate::wide::dot`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,fma,bmi2")]
pub fn squares(inputs: [&[[u8; 2]]; 2], kept: &[u64]) -> (f64, f64) {
    const PAIR: usize = 2 * LANES;
    let [(bases, base_rest), (models, model_rest)] = inputs.map(|codes| codes.as_chunks::<PAIR>());
    let zero = [_mm512_setzero_pd(); 4];
    let (mut whole, mut part) = (zero, zero);
    for (at, (base, model)) in bases.iter().zip(models).enumerate() {
        let (bases, models) = (base.as_chunks::<LANES>().0, model.as_chunks::<LANES>().0);
        for (place, (base, model)) in bases.iter().zip(models).enumerate() {
            let mask = bits(kept, 2 * at + place);
            for (side, delta) in delta([base, model]).into_iter().enumerate() {
                let (lane, mask) = (2 * place + side, (mask >> (8 * side)) as u8);
                let square = _mm512_mul_pd(delta, delta);
                whole[lane] = _mm512_add_pd(whole[lane], square);
                part[lane] = _mm512_mask_add_pd(part[lane], mask, part[lane], square);
            }
        }
    }
    let total = |lanes| bytemuck::cast::<[__m512d; 4], [f64; PAIR]>(lanes).iter().sum::<f64>();
    let rest = || {
        base_rest.iter().zip(model_rest).enumerate().map(|(at, (base, model))| {
            let [base, model] = [base, model].map(|code| from_bf16(*code));
            let live = bits(kept, 2 * bases.len() + at / LANES) >> (at % LANES) & 1 == 1;
            let square = (model - base) * (model - base);
            (if live { square } else { 0.0 }, square)
        })
    };
    let (kept_rest, whole_rest) =
        (rest().map(|(kept, _)| kept).sum::<f64>(), rest().map(|(_, square)| square).sum::<f64>());
    (total(part) + kept_rest, total(whole) + whole_rest)
}

/// `⟨x_i, x_j⟩`, `i <= j`, of vectors, or of their differences to a base, in the order of [`crate::wide::dot`]: those of
/// the first vector before those of the second, added to a row-major matrix whose lower half mirrors the upper.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,fma,bmi2")]
pub fn products<const M: usize>((base, models): (Option<Stretch<'_>>, [Stretch<'_>; M]), out: &mut [f64]) {
    const PAIR: usize = 2 * LANES;
    const OCTETS: usize = PAIR / 8;
    let models = models.map(|codes| codes.as_chunks::<PAIR>());
    let base = base.map(|codes| codes.as_chunks::<PAIR>());
    let octet = |codes: &[[u8; 2]; PAIR], at: usize| eight(&codes.as_chunks::<8>().0[at]);
    let mut lanes = [[[0.0; PAIR]; M]; M];
    for at in 0..OCTETS {
        let mut sums = [[_mm512_setzero_pd(); M]; M];
        for chunk in 0..models[0].0.len() {
            let mut values = models.map(|(chunks, _)| octet(&chunks[chunk], at));
            if let Some((chunks, _)) = base {
                let base = octet(&chunks[chunk], at);
                values = values.map(|value| _mm512_sub_pd(value, base));
            }
            for i in 0..M {
                for j in i..M {
                    sums[i][j] = _mm512_add_pd(sums[i][j], _mm512_mul_pd(values[i], values[j]));
                }
            }
        }
        for (lanes, sums) in lanes.as_flattened_mut().iter_mut().zip(sums.as_flattened()) {
            lanes[at * 8..][..8].copy_from_slice(&bytemuck::cast::<__m512d, [f64; 8]>(*sums));
        }
    }
    let rest = |model: usize, at: usize| {
        let own = base.map_or(0.0, |(_, rest)| from_bf16(rest[at]));
        from_bf16(models[model].1[at]) - own
    };
    for i in 0..M {
        for j in i..M {
            let left = (0..models[0].1.len()).map(|at| rest(i, at) * rest(j, at)).sum::<f64>();
            out[i * M + j] += lanes[i][j].iter().sum::<f64>() + left;
            out[j * M + i] = out[i * M + j];
        }
    }
}

/// Eight elements of bf16 as f64.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,fma,bmi2")]
fn eight(codes: &[[u8; 2]; 8]) -> __m512d {
    let codes = _mm256_cvtepu16_epi32(bytemuck::cast::<[[u8; 2]; 8], __m128i>(*codes));
    _mm512_cvtps_pd(_mm256_castsi256_ps(_mm256_slli_epi32::<16>(codes)))
}
