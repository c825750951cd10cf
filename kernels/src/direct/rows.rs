//! Random pruning by rank in rows: magnitudes fall into classes, and a class says of nearly every element what its rank
//! would say.

use std::arch::x86_64::*;

use super::{
    Pruning,
    keep::{first_state, scrambled},
    lanes::{Codes, LANES, groups, load, single},
};
use crate::{
    prune::{Row, Slope},
    random::GOLDEN,
    wide::from_bf16,
};

/// Classes of magnitudes: one for 0, then the 16 octaves below the largest, 64 to each.
const CLASSES: usize = 1_024;

/// Bits of an f32 below its class.
const BELOW: u32 = 17;

/// What marks an element that may share its class with elements of other magnitudes.
const MIXED: u32 = 1 << 16;

/// Room for one row.
#[derive(Debug, Clone, Default)]
pub struct Rows {
    sizes: Vec<[u32; LANES]>,
    /// Class of each element, with [`MIXED`] or without.
    codes: Vec<[u32; LANES]>,
    /// How many elements of its class come before each.
    before: Vec<u16>,
    /// Elements of each class, with [`MIXED`] where one of them has it.
    counts: Vec<u32>,
    /// Elements of smaller classes than each.
    smaller: Vec<u32>,
    /// For rows whose deltas are no f32.
    wide: (Row, Vec<f64>, Vec<bool>),
}

impl Rows {
    /// Sets the bits of what is kept of a row, of a word for every 64 elements; as [`Row::prune`].
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,fma,bmi2")]
    pub fn prune(
        &mut self,
        inputs: [&[[u8; 2]]; 2],
        pruning: &Pruning,
        (key, start): (u64, u64),
        words: &mut [u64],
    ) {
        let len = inputs[0].len();
        let fits = len == pruning.limits.len() && len < usize::from(u16::MAX);
        let Some(top) = fits.then(|| self.measure(inputs)).flatten() else {
            return self.prune_wide(inputs, pruning.slope, (key, start), words);
        };
        self.classify(top, len);
        self.add_up();
        self.decide(&pruning.limits, (key, start), words);
    }

    /// The row by way of f64.
    fn prune_wide(
        &mut self,
        [base, model]: [&[[u8; 2]]; 2],
        slope: Slope,
        stream: (u64, u64),
        words: &mut [u64],
    ) {
        let (row, deltas, kept) = &mut self.wide;
        deltas.clear();
        deltas.extend(base.iter().zip(model).map(|(base, model)| from_bf16(*model) - from_bf16(*base)));
        kept.resize(deltas.len(), false);
        row.prune(deltas, slope, stream, kept);
        words.copy_from_slice(&crate::task::packed(kept));
    }

    /// Takes the magnitudes, and gives the largest; `None` where a delta is no f32, so that equal ones in f32 may differ.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,fma,bmi2")]
    fn measure(&mut self, inputs: [&[[u8; 2]]; 2]) -> Option<u32> {
        let [(bases, last_base), (models, last_model)] = inputs.map(groups);
        let (mut top, mut off) = (_mm512_setzero_si512(), 0);
        let mut group = |base: &Codes, model: &Codes| {
            let (base, model) = (single(load(base)), single(load(model)));
            let delta = _mm512_sub_ps(model, base);
            // What the difference is off by (Knuth's TwoSum).
            let back = _mm512_sub_ps(delta, model);
            let error =
                _mm512_sub_ps(_mm512_sub_ps(model, _mm512_sub_ps(delta, back)), _mm512_add_ps(base, back));
            off |= _mm512_cmp_ps_mask::<_CMP_NEQ_UQ>(error, _mm512_setzero_ps());
            let size = _mm512_and_si512(_mm512_castps_si512(delta), _mm512_set1_epi32(0x7FFF_FFFF));
            top = _mm512_max_epu32(top, size);
            bytemuck::cast::<__m512i, [u32; LANES]>(size)
        };
        self.sizes.clear();
        self.sizes.extend(bases.iter().zip(models).map(|(base, model)| group(base, model)));
        if !inputs[0].len().is_multiple_of(LANES) {
            self.sizes.push(group(&last_base, &last_model));
        }
        (off == 0).then_some(_mm512_reduce_max_epu32(top))
    }

    /// Finds the class of every element, and counts them.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,fma,bmi2")]
    fn classify(&mut self, top: u32, len: usize) {
        let floor = _mm512_set1_epi32((top >> BELOW).saturating_sub(CLASSES as u32 - 2) as i32);
        let (one, mixed) = (_mm512_set1_epi32(1), _mm512_set1_epi32(MIXED as i32));
        self.codes.clear();
        self.codes.extend(self.sizes.iter().map(|sizes| {
            let sizes = bytemuck::cast::<[u32; LANES], __m512i>(*sizes);
            let octave = _mm512_srli_epi32::<BELOW>(sizes);
            let class = _mm512_add_epi32(_mm512_sub_epi32(_mm512_max_epu32(octave, floor), floor), one);
            let low = _mm512_cmplt_epu32_mask(octave, floor);
            let fine = _mm512_test_epi32_mask(sizes, _mm512_set1_epi32((1 << BELOW) - 1));
            let class = _mm512_mask_or_epi32(class, low | fine, class, mixed);
            let class = _mm512_maskz_mov_epi32(_mm512_test_epi32_mask(sizes, sizes), class);
            bytemuck::cast::<__m512i, [u32; LANES]>(class)
        }));
        self.counts.clear();
        self.counts.resize(CLASSES, 0);
        self.before.resize(self.codes.len() * LANES, 0);
        let codes = &self.codes.as_flattened()[..len];
        for (code, before) in codes.iter().zip(&mut self.before) {
            let count = &mut self.counts[*code as usize % CLASSES];
            *before = *count as u16;
            *count = (*count + 1) | (code & MIXED);
        }
    }

    /// Adds up how many elements the smaller classes have.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,fma,bmi2")]
    fn add_up(&mut self) {
        let (zero, low) = (_mm512_setzero_si512(), _mm512_set1_epi32(0xFFFF));
        let mut total = zero;
        self.smaller.clear();
        self.smaller.push(0);
        for counts in self.counts.as_chunks::<LANES>().0 {
            let mut sum = _mm512_and_si512(bytemuck::cast::<[u32; LANES], __m512i>(*counts), low);
            sum = _mm512_add_epi32(sum, _mm512_alignr_epi32::<15>(sum, zero));
            sum = _mm512_add_epi32(sum, _mm512_alignr_epi32::<14>(sum, zero));
            sum = _mm512_add_epi32(sum, _mm512_alignr_epi32::<12>(sum, zero));
            sum = _mm512_add_epi32(sum, _mm512_alignr_epi32::<8>(sum, zero));
            sum = _mm512_add_epi32(sum, total);
            total = _mm512_permutexvar_epi32(_mm512_set1_epi32(15), sum);
            self.smaller.extend_from_slice(&bytemuck::cast::<__m512i, [u32; LANES]>(sum));
        }
    }

    /// Draws for every element; those whose draw does not decide look at their class.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,fma,bmi2")]
    fn decide(&self, limits: &[u64], (key, start): (u64, u64), words: &mut [u64]) {
        let [Some(first), Some(last)] = [limits.first(), limits.last()] else { return };
        let least = _mm512_set1_epi64(*first.min(last) as i64);
        let most = _mm512_set1_epi64(*first.max(last) as i64);
        let step = _mm512_set1_epi64(GOLDEN.wrapping_mul(8) as i64);
        let mut state = first_state(key, start);
        let len = limits.len();
        for (at, word) in words.iter_mut().enumerate() {
            let (mut kept, mut open, mut count) = (0, 0, 0);
            let (mut draws, mut codes) = ([0u64; 72], [0u32; 72]);
            for octet in 0..8 {
                let draw = _mm512_srli_epi64::<11>(scrambled(state));
                state = _mm512_add_epi64(state, step);
                let from = 64 * at + 8 * octet;
                if from >= len {
                    break;
                }
                let live = (u16::MAX >> (16 - (len - from).min(8))) as u8;
                let keeps = _mm512_cmplt_epu64_mask(draw, least);
                let unsure = _mm512_cmplt_epu64_mask(draw, most) & !keeps & live;
                kept |= u64::from(keeps) << (8 * octet);
                open |= u64::from(unsure) << (8 * octet);
                let half = from % LANES;
                let own = &self.codes[from / LANES][half..half + 8];
                let own = own.first_chunk::<8>().copied().unwrap_or_default();
                let own = _mm256_maskz_compress_epi32(unsure, bytemuck::cast::<[u32; 8], __m256i>(own));
                codes[count..count + 8].copy_from_slice(&bytemuck::cast::<__m256i, [u32; 8]>(own));
                let draw = _mm512_maskz_compress_epi64(unsure, draw);
                draws[count..count + 8].copy_from_slice(&bytemuck::cast::<__m512i, [u64; 8]>(draw));
                count += unsure.count_ones() as usize;
            }
            let mut found = 0;
            for (place, (draw, code)) in draws.iter().zip(&codes).take(count).enumerate() {
                let class = *code as usize % CLASSES;
                let (rank, next) = (self.smaller[class], self.smaller[class + 1]);
                let [a, b] = [rank, next - 1].map(|rank| *draw < limits[rank as usize]);
                let keeps = if a == b {
                    a
                } else {
                    let index = 64 * at + _pdep_u64(1 << place, open).trailing_zeros() as usize;
                    *draw < limits[self.rank((index, len), class)]
                };
                found |= u64::from(keeps) << place;
            }
            *word = kept | _pdep_u64(found, open);
        }
    }

    /// How many elements of the row come before the one at `index` when they are sorted.
    #[cold]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,fma,bmi2")]
    fn rank(&self, (index, len): (usize, usize), class: usize) -> usize {
        if self.counts[class] & MIXED == 0 {
            return self.smaller[class] as usize + usize::from(self.before[index]);
        }
        let sizes = &self.sizes.as_flattened()[..len];
        let (before, after) = sizes.split_at(index);
        let own = sizes[index];
        let earlier: u32 = before.iter().map(|size| u32::from(*size <= own)).sum();
        let later: u32 = after.iter().map(|size| u32::from(*size < own)).sum();
        (earlier + later) as usize
    }
}
