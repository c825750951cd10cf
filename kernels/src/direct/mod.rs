//! Task vectors of models stored as bf16, in registers straight from their bytes: what [`crate::task`], [`crate::wide`],
//! [`crate::prune`] and [`crate::keep_random`] say of arrays in f64, with the same bits.
//!
//! Written for AVX-512. Where a processor lacks it, or inputs are of another kind, there is no [`Tuned`], and the arrays
//! are taken.

// On other processors there is no `Tuned`, so that nothing here is reached.
#![cfg_attr(not(target_arch = "x86_64"), allow(unused, unreachable_code))]

#[cfg(target_arch = "x86_64")]
mod between;
#[cfg(target_arch = "x86_64")]
mod blend;
#[cfg(target_arch = "x86_64")]
mod keep;
#[cfg(target_arch = "x86_64")]
mod lanes;
#[cfg(target_arch = "x86_64")]
mod limit;
#[cfg(target_arch = "x86_64")]
mod rows;
mod shares;
#[cfg(target_arch = "x86_64")]
mod sums;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod vary;
#[cfg(target_arch = "x86_64")]
mod weigh;

pub use shares::{Shares, Vote, Voters};

use crate::{
    Dtype, Encoded,
    bracket::{LANES, Range},
    mask::below,
    prune::Slope,
    task::Ratio,
    wide::{Common, Term},
};

/// Most models.
pub const MOST: usize = 4;

/// Consecutive finite elements of a base and of models tuned from it, all bf16 and of one length, on a processor that
/// has what is needed here.
#[derive(Debug, Clone, Copy)]
pub struct Tuned<'a> {
    models: [&'a [[u8; 2]]; MOST],
    count: usize,
    base: &'a [[u8; 2]],
    /// No other processor has one.
    #[cfg(not(target_arch = "x86_64"))]
    never: std::convert::Infallible,
}

/// Calls a function of a submodule that is compiled for AVX-512.
macro_rules! compiled {
    ($tuned:expr, $call:expr) => {{
        #[cfg(target_arch = "x86_64")]
        {
            // SAFETY: a `Tuned` is made only where the processor has what the function is compiled for.
            unsafe { $call }
        }
        #[cfg(not(target_arch = "x86_64"))]
        match $tuned.never {}
    }};
}

/// The same with the models as an array: one function for each number of them.
macro_rules! by_count {
    ($tuned:expr, $otherwise:expr, |$models:ident| $call:expr) => {
        match *$tuned.models() {
            [a] => compiled!($tuned, {
                let $models = [a];
                $call
            }),
            [a, b] => compiled!($tuned, {
                let $models = [a, b];
                $call
            }),
            [a, b, c] => compiled!($tuned, {
                let $models = [a, b, c];
                $call
            }),
            [a, b, c, d] => compiled!($tuned, {
                let $models = [a, b, c, d];
                $call
            }),
            _ => $otherwise,
        }
    };
}

/// `Σ |δ|`, `Σ δ²`, and the same of what is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Sizes {
    /// Of everything, and of what is kept.
    pub absolute: (f64, f64),
    pub squares: (f64, f64),
    /// Elements kept.
    pub kept: u64,
}

#[allow(unsafe_code)]
impl<'a> Tuned<'a> {
    /// Of `inputs`, the base last; `None` unless there are 1 to [`MOST`] models, all inputs are bf16, of one length and
    /// finite, and the processor has AVX-512.
    pub fn of(inputs: &[Encoded<'a>]) -> Option<Self> {
        let (base, models) = inputs.split_last()?;
        let fits = (1..=MOST).contains(&models.len())
            && inputs.iter().all(|input| input.dtype == Dtype::Bf16 && input.bytes.len() == base.bytes.len());
        if !fits || !available() {
            return None;
        }
        let codes = |input: &Encoded<'a>| input.bytes.as_chunks::<2>().0;
        let mut tuned = Self::new(codes(base))?;
        for (codes, model) in tuned.models.iter_mut().zip(models) {
            *codes = model.bytes.as_chunks::<2>().0;
        }
        tuned.count = models.len();
        let finite = |codes: &[[u8; 2]]| compiled!(tuned, lanes::all_finite(codes));
        (finite(tuned.base) && tuned.models().iter().all(|model| finite(model))).then_some(tuned)
    }

    #[cfg(target_arch = "x86_64")]
    fn new(base: &'a [[u8; 2]]) -> Option<Self> {
        Some(Self { models: [&[]; MOST], count: 0, base })
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn new(_base: &'a [[u8; 2]]) -> Option<Self> {
        None
    }

    fn models(&self) -> &[&'a [[u8; 2]]] {
        &self.models[..self.count]
    }

    /// Elements.
    pub fn len(&self) -> usize {
        self.base.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.base.is_empty()
    }

    /// Words that hold a bit for each element.
    pub fn words(&self) -> usize {
        self.len().div_ceil(64)
    }

    /// How many of the elements' bits are set in `words`.
    pub fn count(&self, words: &[u64]) -> u64 {
        let live = |at: usize| u64::MAX >> (64 - (self.len() - at * 64).min(64));
        words[..self.words()]
            .iter()
            .enumerate()
            .map(|(at, word)| u64::from((word & live(at)).count_ones()))
            .sum()
    }

    /// Sets in `words` the bits of the elements whose delta of model `at` is kept: what [`crate::task::keep_largest`]
    /// keeps with `within`, less what it keeps with `beyond`. The lowest bit of a word comes first, and bits past the
    /// end mean nothing.
    pub fn band(&self, at: usize, (within, beyond): ((u32, u64), (u32, u64)), words: &mut [u64]) {
        compiled!(self, keep::band([self.base, self.models[at]], [within, beyond], words))
    }

    /// Sets in `words` the bits of the elements that [`crate::keep_random`] keeps.
    pub fn random(&self, key: u64, start: u64, share: f64, words: &mut [u64]) {
        compiled!(self, keep::random((key, start), share, &mut words[..self.words()]))
    }

    /// What [`crate::task::norms`] and [`crate::task::energies`] find with factors of 1 where a bit of `kept` is set.
    pub fn sizes(&self, at: usize, kept: &[u64]) -> Sizes {
        compiled!(self, sums::sizes([self.base, self.models[at]], kept))
    }

    /// Writes what [`crate::task::add_deltas`] gives with the factors of the models that count at each element,
    /// rounded to bf16; `kept` has a bit an element for each model. Gives how many results are not finite or left the range.
    pub fn blend(&self, kept: &[&[u64]], (shares, vote): (&Shares, Option<Vote<'_>>), out: &mut [u8]) -> u64 {
        let out = out.as_chunks_mut::<2>().0;
        by_count!(self, 0, |models| blend::blend((self.base, models), kept, (shares, vote), out))
    }

    /// As [`Self::blend`] with the factors that [`crate::task::limit`] gives the deltas of the first model; gives how
    /// many deltas are beyond `t`, and how many results are not finite or left the range.
    pub fn limited(&self, t: f64, out: &mut [u8]) -> (u64, u64) {
        compiled!(self, limit::limited([self.base, self.models[0]], t, out.as_chunks_mut::<2>().0))
    }

    /// What [`crate::wide::dot`] gives of deltas of model `at` with themselves: of those whose bit in `kept` is set,
    /// with 0 for the others, and of all.
    pub fn squares(&self, at: usize, kept: &[u64]) -> (f64, f64) {
        compiled!(self, sums::squares([self.base, self.models[at]], kept))
    }

    /// Writes [`crate::task::variances`] of the deltas, as f32; gives how many are above 0 in f64.
    pub fn variances(&self, out: &mut [f32]) -> u64 {
        let ratio = Ratio::new(self.count);
        by_count!(self, 0, |models| vary::spread((self.base, models), ratio, &mut out[..self.len()]))
    }

    /// Sets in `words` the bits of the elements whose variance [`crate::task::keep_largest`] keeps.
    pub fn varying(&self, bounds: (u32, u64), words: &mut [u64]) {
        let ratio = Ratio::new(self.count);
        by_count!(self, (), |models| vary::varying((self.base, models), ratio, bounds, words))
    }
}

/// `⟨x_i, x_j⟩`, row-major, of the models or of their deltas to a base: what [`crate::wide::dot`] gives for one strip of
/// elements after the other, added up. `None` unless there are 1 to [`MOST`] models, all inputs are bf16, of one length
/// and finite, and the processor has AVX-512.
#[allow(unsafe_code)]
pub fn products(models: &[Encoded<'_>], base: Option<Encoded<'_>>, strip: usize) -> Option<Vec<f64>> {
    let (last, _) = models.split_last()?;
    let inputs: Vec<Encoded<'_>> = models.iter().copied().chain([base.unwrap_or(*last)]).collect();
    let tuned = Tuned::of(&inputs)?;
    let mut sums = vec![0.0; models.len() * models.len()];
    for from in (0..tuned.len()).step_by(strip.max(1)) {
        let place = from..(from + strip).min(tuned.len());
        let base = base.is_some().then(|| &tuned.base[place.clone()]);
        by_count!(tuned, (), |models| {
            let models = models.map(|model| &model[place.clone()]);
            sums::products((base, models), &mut sums)
        });
    }
    Some(sums)
}

/// [`crate::wide::weighted_sum`] of bf16 terms as bf16; `None` unless there are 1 to `1 + `[`MOST`] of them, all bf16, of one
/// length and finite, and the processor has AVX-512.
#[allow(unsafe_code)]
pub(crate) fn weighted_sum(terms: &[Term<'_>], common: Common, out: &mut [u8]) -> Option<u64> {
    let (first, others) = terms.split_first()?;
    let factors = |at: usize| terms[at].factor;
    let out = out.as_chunks_mut::<2>().0;
    if others.is_empty() {
        let tuned = Tuned::of(&[first.values; 2])?;
        return Some(compiled!(tuned, weigh::weigh(([tuned.base], [first.factor]), common, out)));
    }
    let inputs: Vec<Encoded<'_>> = others.iter().chain([first]).map(|term| term.values).collect();
    let tuned = Tuned::of(&inputs)?;
    let base = tuned.base;
    Some(match *tuned.models() {
        [b] => compiled!(tuned, weigh::weigh(([base, b], std::array::from_fn(factors)), common, out)),
        [b, c] => compiled!(tuned, weigh::weigh(([base, b, c], std::array::from_fn(factors)), common, out)),
        [b, c, d] => {
            compiled!(tuned, weigh::weigh(([base, b, c, d], std::array::from_fn(factors)), common, out))
        }
        [b, c, d, e] => {
            compiled!(tuned, weigh::weigh(([base, b, c, d, e], std::array::from_fn(factors)), common, out))
        }
        _ => return None,
    })
}

/// How many of groups of magnitudes lie above a range and at its guess; the others within it are put on the list. `None`
/// unless the processor has AVX-512.
#[allow(unsafe_code)]
pub(crate) fn between(range: Range, groups: &[[f32; LANES]], listed: &mut Vec<u32>) -> Option<(u64, u64)> {
    #[cfg(target_arch = "x86_64")]
    if available() {
        // SAFETY: the processor has what the function is compiled for.
        return Some(unsafe { between::between(range, groups, listed) });
    }
    None
}

/// Random pruning of the rows of deltas.
#[derive(Debug, Clone)]
pub struct Pruning {
    columns: usize,
    slope: Slope,
    /// Of each rank in a row what a draw of 53 bits must be below.
    limits: Vec<u64>,
}

/// Room for one row.
#[derive(Debug, Clone, Default)]
pub struct RowRoom {
    #[cfg(target_arch = "x86_64")]
    rows: rows::Rows,
    row: Vec<u64>,
}

#[allow(unsafe_code)]
impl Pruning {
    /// Of rows of `columns` elements.
    pub fn new(columns: usize, slope: Slope) -> Self {
        let limit = |rank| below(slope.probability(rank, columns)).map_or(1 << 53, |below| below >> 11);
        Self { columns: columns.max(1), slope, limits: (0..columns).map(limit).collect() }
    }

    /// Sets in `words` the bits of what [`crate::prune::Row::prune`] keeps of the deltas of model `at`, one row after the
    /// other; the numbers drawn are those at `start..` of the stream `key`. Bits past the end are 0.
    pub fn prune(
        &self,
        (tuned, at): (&Tuned<'_>, usize),
        (key, start): (u64, u64),
        (room, words): (&mut RowRoom, &mut [u64]),
    ) {
        words.fill(0);
        room.row.resize(self.columns.div_ceil(64), 0);
        for from in (0..tuned.len()).step_by(self.columns) {
            let end = (from + self.columns).min(tuned.len());
            let inputs = [tuned.base, tuned.models[at]].map(|codes| &codes[from..end]);
            let row = &mut room.row[..(end - from).div_ceil(64)];
            compiled!(tuned, room.rows.prune(inputs, self, (key, start + from as u64), row));
            put(row, (from, end), words);
        }
    }
}

/// Puts the bits of a row where its elements are; those there are 0.
fn put(row: &[u64], (from, end): (usize, usize), words: &mut [u64]) {
    let (first, shift) = (from / 64, from % 64);
    for (at, word) in row.iter().enumerate() {
        let left = (end - from - 64 * at).min(64);
        let word = word & u64::MAX >> (64 - left);
        words[first + at] |= word << shift;
        if shift + left > 64 {
            words[first + at + 1] |= word >> (64 - shift);
        }
    }
}

/// Whether the processor has what the functions here are compiled for.
fn available() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("bmi2")
    }
    #[cfg(not(target_arch = "x86_64"))]
    false
}
