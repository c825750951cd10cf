//! `b + Σ c·(x − b)` with the factors of the models that count at an element, after a vote if asked.

use std::arch::x86_64::*;

use super::{
    lanes::{Codes, LANES, Wide, bits, double, groups, load, narrow},
    shares::{SETS, Shares, Vote, Voters},
};
use crate::task::{By, ZeroSign};

/// Numbers of one register.
const HALF: usize = LANES / 2;

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,fma,bmi2")]
pub fn blend<const M: usize>(
    (base, models): (&[[u8; 2]], [&[[u8; 2]]; M]),
    kept: &[&[u64]],
    (shares, vote): (&Shares, Option<Vote<'_>>),
    out: &mut [[u8; 2]],
) -> u64 {
    let tables = Tables::<M>::new(shares);
    let vote = vote.map(|vote| Ballot::<M>::new(&vote));
    let ((bases, last_base), models) = (groups(base), models.map(groups));
    let (outs, rest) = out.as_chunks_mut::<LANES>();
    let mut beyond = 0;
    let kept: [&[u64]; M] = std::array::from_fn(|at| kept[at]);
    for (at, (base, out)) in bases.iter().zip(outs).enumerate() {
        let masks = kept.map(|words| bits(words, at));
        let group = (base, models.map(|(models, _)| &models[at]));
        let (codes, over) = blend_group(group, masks, &tables, vote.as_ref());
        *out = bytemuck::cast::<__m256i, Codes>(codes);
        if over != 0 {
            beyond += u64::from(over.count_ones());
        }
    }
    if !rest.is_empty() {
        let masks = kept.map(|words| bits(words, bases.len()));
        let group = (&last_base, models.each_ref().map(|(_, last)| last));
        let (codes, over) = blend_group(group, masks, &tables, vote.as_ref());
        let live = (1 << rest.len()) - 1;
        rest.copy_from_slice(&bytemuck::cast::<__m256i, Codes>(codes)[..rest.len()]);
        beyond += u64::from((over & live).count_ones());
    }
    beyond
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,fma,bmi2")]
fn blend_group<const M: usize>(
    (base, models): (&Codes, [&Codes; M]),
    masks: [u16; M],
    tables: &Tables<M>,
    vote: Option<&Ballot<M>>,
) -> (__m256i, u16) {
    let own = load(base);
    let mut differing = 0;
    let mut values = [double(base); M];
    for (value, model) in values.iter_mut().zip(models) {
        differing |= _mm256_cmpneq_epi16_mask(load(model), own);
        *value = double(model);
    }
    let base = double(base);
    let half = |side: usize| {
        let (differing, masks) =
            ((differing >> (side * HALF)) as u8, masks.map(|mask| (mask >> (side * HALF)) as u8));
        let values = values.map(|value: Wide| value[side]);
        blend_half((base[side], values), (masks, differing), tables, vote)
    };
    narrow([half(0), half(1)])
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,fma,bmi2")]
fn blend_half<const M: usize>(
    (base, values): (__m512d, [__m512d; M]),
    (kept, differing): ([u8; M], u8),
    tables: &Tables<M>,
    vote: Option<&Ballot<M>>,
) -> __m512d {
    let counts = match vote {
        Some(vote) => vote.agreeing((base, values), kept),
        None => kept,
    };
    let mut set = _mm512_setzero_si512();
    for (at, counts) in counts.into_iter().enumerate() {
        set = _mm512_mask_or_epi64(set, counts, set, _mm512_set1_epi64(1 << at));
    }
    let zero = _mm512_setzero_pd();
    // Adding to -0 changes no value, not even the sign of a zero.
    let mut sum = _mm512_set1_pd(-0.0);
    for (table, value) in tables.factors.iter().zip(values) {
        let factor = chosen::<M>(table, set);
        let live = _mm512_cmp_pd_mask::<_CMP_NEQ_UQ>(factor, zero);
        sum = _mm512_mask_add_pd(sum, live, sum, _mm512_mul_pd(factor, value));
    }
    let rest = chosen::<M>(&tables.rests, set);
    let live = _mm512_cmp_pd_mask::<_CMP_NEQ_UQ>(rest, zero);
    sum = _mm512_mask_add_pd(sum, live, _mm512_mul_pd(rest, base), sum);
    _mm512_mask_mov_pd(base, differing, sum)
}

/// The number of a set.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,fma,bmi2")]
fn chosen<const M: usize>(table: &[__m512d; 2], set: __m512i) -> __m512d {
    match M {
        4 => _mm512_permutex2var_pd(table[0], set, table[1]),
        _ => _mm512_permutexvar_pd(set, table[0]),
    }
}

/// [`Shares`] in registers.
struct Tables<const M: usize> {
    factors: [[__m512d; 2]; M],
    rests: [__m512d; 2],
}

impl<const M: usize> Tables<M> {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,fma,bmi2")]
    fn new(shares: &Shares) -> Self {
        let wide = |table: &[f64; SETS]| bytemuck::cast::<[f64; SETS], [__m512d; 2]>(*table);
        Self { factors: std::array::from_fn(|at| wide(&shares.factors[at])), rests: wide(&shares.rests) }
    }
}

/// [`Vote`] in registers.
struct Ballot<const M: usize> {
    weights: [__m512d; M],
    by: By,
    /// Where votes that cancel out elect minus.
    minus: u8,
    /// Who votes although its delta is not kept.
    all: u8,
}

impl<const M: usize> Ballot<M> {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,fma,bmi2")]
    fn new(vote: &Vote<'_>) -> Self {
        let mask = |all| if all { u8::MAX } else { 0 };
        Self {
            weights: std::array::from_fn(|at| _mm512_set1_pd(vote.weights[at])),
            by: vote.by,
            minus: mask(vote.zero == ZeroSign::Minus),
            all: mask(vote.voters == Voters::All),
        }
    }

    /// Which models are kept and have the elected sign.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,fma,bmi2")]
    fn agreeing(&self, (base, values): (__m512d, [__m512d; M]), kept: [u8; M]) -> [u8; M] {
        let zero = _mm512_setzero_pd();
        let (mut sum, mut terms) = (zero, [zero; M]);
        for at in 0..M {
            let delta = _mm512_sub_pd(values[at], base);
            let term = _mm512_maskz_mul_pd(kept[at] | self.all, self.weights[at], delta);
            sum = match self.by {
                By::Sum => _mm512_add_pd(sum, term),
                By::Count => {
                    let one = _mm512_set1_pd(1.0);
                    let more = _mm512_cmp_pd_mask::<_CMP_GT_OQ>(term, zero);
                    let less = _mm512_cmp_pd_mask::<_CMP_LT_OQ>(term, zero);
                    let sum = _mm512_mask_add_pd(sum, more, sum, one);
                    _mm512_mask_sub_pd(sum, less, sum, one)
                }
            };
            terms[at] = term;
        }
        let minus = _mm512_cmp_pd_mask::<_CMP_LT_OQ>(sum, zero)
            | _mm512_cmp_pd_mask::<_CMP_EQ_OQ>(sum, zero) & self.minus;
        let sign = _mm512_set1_pd(-0.0);
        let mut counts = [0; M];
        for at in 0..M {
            let term = _mm512_mask_xor_pd(terms[at], minus, terms[at], sign);
            counts[at] = _mm512_cmp_pd_mask::<_CMP_GT_OQ>(term, zero) & kept[at];
        }
        counts
    }
}
