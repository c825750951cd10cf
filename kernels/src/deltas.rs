//! Inner products of deltas straight from stored bytes: one pass over a base and the models tuned from it.
//!
//! A delta is taken in f32 and multiplied in f64, where the product of two f32 is exact (pairs of half floats: see
//! `halves`). The base's norm gathers in f32 over a few elements before it goes to f64. Short inputs, f64 inputs and
//! values near the ends of the f32 range are subtracted in f64 instead.

use multiversion::{multiversion, target::target_cfg_f};

use crate::{Dtype, decode, decode_f64, halves};

/// Stored elements of one vector.
#[derive(Debug, Clone, Copy)]
pub struct Encoded<'a> {
    /// A float dtype.
    pub dtype: Dtype,
    /// Little-endian, a whole number of elements.
    pub bytes: &'a [u8],
}

impl Encoded<'_> {
    pub(crate) fn elements(&self) -> usize {
        (self.bytes.len() as u64 * 8 / self.dtype.bits()) as usize
    }

    /// The elements from `from`, at most `count`.
    pub(crate) fn part(&self, from: usize, count: usize) -> Self {
        let width = (self.dtype.bits() / 8) as usize;
        let end = (from + count).min(self.elements());
        Self { bytes: self.bytes.get(from * width..end * width).unwrap_or_default(), ..*self }
    }
}

/// What one run over `m` deltas adds up.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sums {
    /// ⟨δᵢ, δⱼ⟩, row-major `m × m`, `j >= i`.
    pub dots: Vec<f64>,
    /// Σ δᵢ.
    pub sums: Vec<f64>,
    /// Σ base².
    pub base: f64,
}

impl Sums {
    fn new(models: usize) -> Self {
        Self { dots: vec![0.0; models * models], sums: vec![0.0; models], base: 0.0 }
    }

    fn add(&mut self, other: &Self) {
        self.dots.iter_mut().zip(&other.dots).for_each(|(mine, theirs)| *mine += theirs);
        self.sums.iter_mut().zip(&other.sums).for_each(|(mine, theirs)| *mine += theirs);
        self.base += other.base;
    }

    /// Whether f32 may have overflowed, or lost what lies near its smallest numbers.
    fn doubtful(&self, elements: usize) -> bool {
        !precise(elements, (&self.dots, &self.sums), self.base)
    }
}

/// Whether sums over `elements` whose deltas were taken in f32 are as good as those taken in f64.
pub(crate) fn enough(elements: usize, sums: (&[f64], &[f64]), base: f64) -> bool {
    elements >= SHORT && precise(elements, sums, base)
}

fn precise(elements: usize, (dots, sums): (&[f64], &[f64]), base: f64) -> bool {
    let models = sums.len();
    let sound = |square: f64| square.is_finite() && square > elements as f64 * FAINT;
    let zero = |square: f64, sum: f64| square == 0.0 && sum == 0.0;
    let model = |i: usize| {
        let square = dots[i * models + i];
        sound(square) || zero(square, sums[i])
    };
    sound(base) && (0..models).all(model)
}

/// Inputs shorter than this are subtracted in f64: little work, and no averaging of roundings.
const SHORT: usize = 32_768;
/// Mean squares below this are too near to the smallest f32 for the f32 sums.
const FAINT: f64 = 1e-30;
/// Elements of each vector held as numbers at a time; those of a few models fit the first-level cache.
const STRIP: usize = 256;
/// f64 lanes of the fused pair kernel.
pub(crate) const LANES: usize = 16;
/// Words a lane adds up in f32 before it goes to f64.
const GROUP: usize = 4;

/// The sums over `models` minus `base`; all of one length (the shortest decides).
pub(crate) fn delta_sums(base: Encoded<'_>, models: &[Encoded<'_>]) -> Sums {
    let elements = models.iter().map(Encoded::elements).fold(base.elements(), usize::min);
    let wide = |stored: &Encoded<'_>| stored.dtype == Dtype::F64;
    if elements < SHORT || wide(&base) || models.iter().any(wide) {
        return in_f64(base, models, 0..elements);
    }
    let quick = match models {
        [a, b] => pair(base, *a, *b, elements),
        _ => strips(base, models, elements),
    };
    if quick.doubtful(elements) { in_f64(base, models, 0..elements) } else { quick }
}

/// One strip of numbers, on whole cache lines.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct Strip<T>([T; STRIP]);

/// As exact as f64 is, at whatever speed.
fn in_f64(base: Encoded<'_>, models: &[Encoded<'_>], range: std::ops::Range<usize>) -> Sums {
    let mut total = Sums::new(models.len());
    let mut buffers = vec![Strip([0.0f64; STRIP]); models.len() + 1];
    let mut products = Tiles::new(models.len());
    let mut from = range.start;
    while from < range.end {
        let count = STRIP.min(range.end - from);
        for (stored, values) in std::iter::once(&base).chain(models).zip(&mut buffers) {
            decode_f64(stored.dtype, stored.part(from, count).bytes, &mut values.0[..count]);
        }
        let (base, deltas) = buffers.split_at_mut(1);
        for delta in deltas.iter_mut() {
            delta.0.iter_mut().zip(&base[0].0).for_each(|(value, base)| *value -= base);
            delta.0[count..].fill(0.0);
        }
        total.base += base[0].0[..count].iter().map(|x| x * x).sum::<f64>();
        total.sums.iter_mut().zip(&*deltas).for_each(|(sum, delta)| *sum += delta.0.iter().sum::<f64>());
        products.add(deltas);
        from += count;
    }
    total.dots = products.dots();
    total
}

/// Two models: everything in registers, words straight from the inputs.
fn pair(base: Encoded<'_>, a: Encoded<'_>, b: Encoded<'_>, elements: usize) -> Sums {
    let mut lanes = PairLanes::default();
    let same = base.dtype == a.dtype && a.dtype == b.dtype;
    let done = match base.dtype {
        Dtype::Bf16 if same => pair_bf16([base.bytes, a.bytes, b.bytes], &mut lanes),
        Dtype::F32 if same => pair_f32([base.bytes, a.bytes, b.bytes], &mut lanes),
        Dtype::F16 if same => halves::pair([base.bytes, a.bytes, b.bytes], &mut lanes),
        _ => pair_decoded([base, a, b], elements, &mut lanes),
    };
    let mut sums = lanes.sums();
    if done < elements {
        sums.add(&in_f64(base, &[a, b], done..elements));
    }
    sums
}

/// Dtypes that no word can be split into, or that differ: by way of f32 strips. Gives the elements done.
fn pair_decoded(inputs: [Encoded<'_>; 3], elements: usize, lanes: &mut PairLanes) -> usize {
    const LONG: usize = 1_024;
    let mut buffers = [[0.0f32; LONG]; 3];
    let whole = elements / LONG * LONG;
    for from in (0..whole).step_by(LONG) {
        for (stored, values) in inputs.iter().zip(&mut buffers) {
            decode(stored.dtype, stored.part(from, LONG).bytes, values);
        }
        pair_f32(buffers.each_ref().map(|values| bytemuck::cast_slice(values)), lanes);
    }
    whole
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq+fma", "x86_64+avx2+fma", "aarch64+neon"))]
fn pair_bf16(inputs: [&[u8]; 3], lanes: &mut PairLanes) -> usize {
    // A word holds two elements; sums do not mind which lane gets which, so nothing is shuffled.
    let split = |word: u32| [f32::from_bits(word << 16), f32::from_bits(word & 0xFFFF_0000)];
    if target_cfg_f!(any(target_feature = "fma", target_arch = "aarch64")) {
        pair_words(inputs, lanes, split, f64::mul_add)
    } else {
        pair_words(inputs, lanes, split, |x, y, sum| x * y + sum)
    }
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq+fma", "x86_64+avx2+fma", "aarch64+neon"))]
fn pair_f32(inputs: [&[u8]; 3], lanes: &mut PairLanes) -> usize {
    let split = |word: u32| [f32::from_bits(word)];
    if target_cfg_f!(any(target_feature = "fma", target_arch = "aarch64")) {
        pair_words(inputs, lanes, split, f64::mul_add)
    } else {
        pair_words(inputs, lanes, split, |x, y, sum| x * y + sum)
    }
}

pub(crate) type Lanes = [f64; LANES];

/// Running sums of a pair: ⟨a, b⟩, ⟨a, a⟩, ⟨b, b⟩, Σ a, Σ b, Σ base².
#[derive(Clone, Copy, Default)]
pub(crate) struct PairLanes(pub [Lanes; 6]);

impl PairLanes {
    fn sums(self) -> Sums {
        let [ab, aa, bb, sa, sb, base] = self.0.map(fold);
        Sums { dots: vec![aa, ab, 0.0, bb], sums: vec![sa, sb], base }
    }
}

/// Adds whole groups of words, each split into `K` elements; gives how many elements those were. `fma` multiplies
/// two f32 and adds to an f64: fused or not, the product is exact, so the bits are the same.
#[inline(always)]
fn pair_words<const K: usize>(
    inputs: [&[u8]; 3],
    lanes: &mut PairLanes,
    split: impl Fn(u32) -> [f32; K],
    fma: impl Fn(f64, f64, f64) -> f64,
) -> usize {
    let groups = |bytes| -> &[[[[u8; 4]; LANES]; GROUP]] {
        let words = <[u8]>::as_chunks::<4>(bytes).0;
        words.as_chunks::<LANES>().0.as_chunks::<GROUP>().0
    };
    let [base, a, b] = inputs.map(groups);
    let count = base.len().min(a.len()).min(b.len());
    let [mut ab, mut aa, mut bb, mut sa, mut sb, mut norm] = lanes.0;
    for ((base, a), b) in base.iter().zip(a).zip(b) {
        let mut square = [0.0f32; LANES];
        for ((base, a), b) in base.iter().zip(a).zip(b) {
            for lane in 0..LANES {
                let [base, a, b] = [base, a, b].map(|words| split(u32::from_le_bytes(words[lane])));
                for at in 0..K {
                    square[lane] += base[at] * base[at];
                    let x = f64::from(a[at] - base[at]);
                    let y = f64::from(b[at] - base[at]);
                    ab[lane] = fma(x, y, ab[lane]);
                    aa[lane] = fma(x, x, aa[lane]);
                    bb[lane] = fma(y, y, bb[lane]);
                    sa[lane] += x;
                    sb[lane] += y;
                }
            }
        }
        for lane in 0..LANES {
            norm[lane] += f64::from(square[lane]);
        }
    }
    lanes.0 = [ab, aa, bb, sa, sb, norm];
    count * GROUP * LANES * K
}

/// Pairwise, in one order. Kept apart from the loops that fill the lanes, which would otherwise be vectorised its way.
#[inline(never)]
fn fold(lanes: Lanes) -> f64 {
    let mut lanes = lanes;
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            lanes[lane] += lanes[lane + half];
        }
        half /= 2;
    }
    lanes[0]
}

/// Three models or more: deltas of one strip as f64, then all pairs of them.
fn strips(base: Encoded<'_>, models: &[Encoded<'_>], elements: usize) -> Sums {
    let mut deltas = vec![Strip([0.0f64; STRIP]); models.len()];
    let mut sums = vec![[0.0; LANES]; models.len()];
    let mut square = [0.0; LANES];
    let mut products = Tiles::new(models.len());
    for from in (0..elements).step_by(STRIP) {
        let mut zero = Strip([0.0f32; STRIP]);
        let count = STRIP.min(elements - from);
        decode(base.dtype, base.part(from, count).bytes, &mut zero.0[..count]);
        add_squares(&zero, &mut square);
        for ((stored, delta), sum) in models.iter().zip(&mut deltas).zip(&mut sums) {
            let stored = stored.part(from, count);
            match (stored.dtype, <&[u8; STRIP * 2]>::try_from(stored.bytes)) {
                (Dtype::Bf16, Ok(bytes)) => subtract_bf16(bytes, &zero, delta, sum),
                _ => {
                    let mut values = Strip([0.0f32; STRIP]);
                    decode(stored.dtype, stored.bytes, &mut values.0[..count]);
                    subtract(&values, &zero, delta, sum);
                }
            }
        }
        products.add(&deltas);
    }
    Sums { dots: products.dots(), sums: sums.into_iter().map(fold).collect(), base: fold(square) }
}

/// The delta of one strip, and its sum.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq+fma", "x86_64+avx2+fma", "aarch64+neon"))]
fn subtract(values: &Strip<f32>, base: &Strip<f32>, delta: &mut Strip<f64>, sum: &mut Lanes) {
    let (values, base) = (values.0.as_chunks::<LANES>().0, base.0.as_chunks::<LANES>().0);
    for ((values, base), delta) in values.iter().zip(base).zip(delta.0.as_chunks_mut::<LANES>().0) {
        for lane in 0..LANES {
            delta[lane] = f64::from(values[lane] - base[lane]);
            sum[lane] += delta[lane];
        }
    }
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq+fma", "x86_64+avx2+fma", "aarch64+neon"))]
fn subtract_bf16(values: &[u8; STRIP * 2], base: &Strip<f32>, delta: &mut Strip<f64>, sum: &mut Lanes) {
    let (values, base) = (values.as_chunks::<2>().0.as_chunks::<LANES>().0, base.0.as_chunks::<LANES>().0);
    for ((values, base), delta) in values.iter().zip(base).zip(delta.0.as_chunks_mut::<LANES>().0) {
        for lane in 0..LANES {
            let value = f32::from_bits(u32::from(u16::from_le_bytes(values[lane])) << 16);
            delta[lane] = f64::from(value - base[lane]);
            sum[lane] += delta[lane];
        }
    }
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq+fma", "x86_64+avx2+fma", "aarch64+neon"))]
fn add_squares(values: &Strip<f32>, squares: &mut Lanes) {
    for values in values.0.as_chunks::<LANES>().0 {
        for lane in 0..LANES {
            squares[lane] += f64::from(values[lane]) * f64::from(values[lane]);
        }
    }
}

/// Rows of the matrix computed together.
const HIGH: usize = 2;
/// Columns of the matrix computed together.
const WIDE: usize = 4;
/// f64 lanes of one cell.
const CELL: usize = 8;

/// Running inner products of all pairs of `m` strips, a tile of the `m × m` matrix at a time, in lanes.
struct Tiles {
    models: usize,
    /// Row-major over the tiles that hold a cell `j >= i`.
    tiles: Vec<Tile>,
}

type Tile = [[[f64; CELL]; WIDE]; HIGH];

impl Tiles {
    fn new(models: usize) -> Self {
        Self { models, tiles: vec![[[[0.0; CELL]; WIDE]; HIGH]; corners(models).count()] }
    }

    fn add(&mut self, deltas: &[Strip<f64>]) {
        let last = self.models - 1;
        for ((top, left), tile) in corners(self.models).zip(&mut self.tiles) {
            // Rows and columns past the end repeat the last model; nobody reads their cells.
            let rows = std::array::from_fn(|row| &deltas[(top + row).min(last)]);
            let columns = std::array::from_fn(|column| &deltas[(left + column).min(last)]);
            add_tile(rows, columns, tile);
        }
    }

    /// Row-major `m × m`, zero below the diagonal.
    fn dots(&self) -> Vec<f64> {
        let models = self.models;
        let mut dots = vec![0.0; models * models];
        for ((top, left), tile) in corners(models).zip(&self.tiles) {
            for (i, cells) in (top..models).zip(tile) {
                for (j, l) in (left..models).zip(cells).filter(|(j, _)| *j >= i) {
                    dots[i * models + j] = ((l[0] + l[1]) + (l[2] + l[3])) + ((l[4] + l[5]) + (l[6] + l[7]));
                }
            }
        }
        dots
    }
}

/// Top left cells of the tiles.
fn corners(models: usize) -> impl Iterator<Item = (usize, usize)> {
    let row = move |top: usize| (top / WIDE * WIDE..models).step_by(WIDE).map(move |left| (top, left));
    (0..models).step_by(HIGH).flat_map(row)
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl+avx512dq+fma", "x86_64+avx2+fma", "aarch64+neon"))]
fn add_tile(rows: [&Strip<f64>; HIGH], columns: [&Strip<f64>; WIDE], tile: &mut Tile) {
    if target_cfg_f!(any(target_feature = "fma", target_arch = "aarch64")) {
        add_products(rows, columns, tile, f64::mul_add)
    } else {
        add_products(rows, columns, tile, |x, y, sum| x * y + sum)
    }
}

#[inline(always)]
fn add_products(
    rows: [&Strip<f64>; HIGH],
    columns: [&Strip<f64>; WIDE],
    tile: &mut Tile,
    fma: impl Fn(f64, f64, f64) -> f64,
) {
    let mut cells = *tile;
    for at in 0..STRIP / CELL {
        let part = |strip: &Strip<f64>| -> [f64; CELL] { strip.0.as_chunks::<CELL>().0[at] };
        let columns = columns.map(part);
        for (row, cells) in rows.map(part).iter().zip(&mut cells) {
            for (column, cell) in columns.iter().zip(cells) {
                for lane in 0..CELL {
                    cell[lane] = fma(row[lane], column[lane], cell[lane]);
                }
            }
        }
    }
    *tile = cells;
}
