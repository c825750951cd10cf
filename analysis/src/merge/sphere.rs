//! Directions of tensors as vectors: inner products, angles, and blends with a factor a vector.

pub use kernels::wide::Common;
use kernels::{
    Encoded,
    task::{Strip, add_deltas},
    wide::dot,
};
use rayon::prelude::*;

use super::{
    Combine,
    blend::{around, keep_common, weighted},
    operands::{Block, Operands},
    spec::Sum,
    strips::STRIP,
};
use crate::computed::BLOCK;

/// What one vector of a tensor is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vectors {
    /// The whole tensor.
    Whole,
    /// Everything along the last axis.
    Rows,
    /// Everything along the first axis.
    Columns,
}

impl Vectors {
    /// Numbers held at once by [`geometry`]: the products of every vector, and a row of every input.
    pub fn held(self, operands: &Operands) -> u64 {
        let models = operands.models.len() as u64;
        let row = if self == Self::Rows { (models + 1) * operands.columns() } else { 0 };
        (models + 1) * models * (operands.elements / self.stride(operands).1) + row
    }

    /// Elements from one of a vector to its next, and how many there are of a vector.
    fn stride(self, operands: &Operands) -> (u64, u64) {
        let elements = operands.elements.max(1);
        match self {
            Self::Whole => (1, elements),
            Self::Rows => (1, operands.columns()),
            Self::Columns => {
                let first = operands.shape.first().copied().unwrap_or(1).max(1);
                (elements / first, first)
            }
        }
    }
}

/// Inner products of all pairs of some vectors.
#[derive(Debug, Clone)]
pub struct Products {
    count: usize,
    sums: Vec<f64>,
}

impl Products {
    /// No products yet.
    pub fn new(count: usize) -> Self {
        Self { count, sums: vec![0.0; count * count] }
    }

    /// Of vectors in memory.
    pub fn of(vectors: &[&[f64]]) -> Self {
        let mut products = Self::new(vectors.len());
        for (i, a) in vectors.iter().enumerate() {
            for (j, b) in vectors.iter().enumerate().skip(i) {
                let sum = dot(a, b);
                products.sums[i * vectors.len() + j] = sum;
                products.sums[j * vectors.len() + i] = sum;
            }
        }
        products
    }

    /// Adds those of the vectors' next elements.
    pub fn add(&mut self, next: &Self) {
        self.sums.iter_mut().zip(&next.sums).for_each(|(sum, next)| *sum += next);
    }

    /// `⟨x_i, x_j⟩`.
    pub fn at(&self, i: usize, j: usize) -> f64 {
        self.sums[i * self.count + j]
    }

    /// `‖x_i‖`.
    pub fn norm(&self, i: usize) -> f64 {
        self.at(i, i).sqrt()
    }

    /// Number of vectors.
    pub fn count(&self) -> usize {
        self.count
    }
}

/// A tensor's inner products, vector by vector, and whether all models have the same bits.
pub struct Geometry {
    pub products: Vec<Products>,
    pub same: bool,
}

struct Part {
    products: Vec<Products>,
    same: bool,
}

/// Inner products of the models' deltas, or of the models where there is no base.
pub fn geometry(operands: &Operands, vectors: Vectors) -> Result<Geometry, weights::Error> {
    let count = operands.models.len();
    let (stride, length) = vectors.stride(operands);
    if vectors == Vectors::Columns {
        return columns(operands, (stride, length));
    }
    let part = |block: &Block| {
        let views = block.deltas();
        let same = block.models.iter().all(|model| kernels::wide::same(model, &block.models[0]));
        let products = match vectors {
            Vectors::Whole => vec![strips(&views)],
            _ => (0..block.len() / length as usize)
                .map(|row| {
                    let place = row * length as usize..(row + 1) * length as usize;
                    Products::of(&views.iter().map(|view| &view[place.clone()]).collect::<Vec<_>>())
                })
                .collect(),
        };
        Part { products, same }
    };
    let stored = |inputs: &[Encoded<'_>]| {
        let (models, base) = inputs.split_at(count);
        let sums = kernels::direct::products(models, base.first().copied(), STRIP)?;
        let same = models.iter().all(|model| model.bytes == models[0].bytes);
        Some(Part { products: vec![Products { count, sums }], same })
    };
    let parts = match vectors {
        Vectors::Whole => operands.each_stored(stored, part)?,
        _ => operands.each_rows(part)?,
    };
    let same = parts.iter().all(|part| part.same);
    let all = parts.into_iter().flat_map(|part| part.products);
    let products = match vectors {
        Vectors::Rows => all.collect(),
        _ => {
            let mut total = Products::new(count);
            all.for_each(|part| total.add(&part));
            vec![total]
        }
    };
    Ok(Geometry { products, same })
}

/// Inner products strip by strip, so that every vector's stays in the first-level cache for all of its products.
fn strips(views: &[&[f64]]) -> Products {
    let len = views.first().map_or(0, |view| view.len());
    let mut total = Products::new(views.len());
    for from in (0..len).step_by(STRIP) {
        let place = from..(from + STRIP).min(len);
        total.add(&Products::of(&views.iter().map(|view| &view[place.clone()]).collect::<Vec<_>>()));
    }
    total
}

/// Inner products of columns, which cross all blocks: sums of a window of blocks at a time, added in the order of the blocks.
fn columns(operands: &Operands, (stride, length): (u64, u64)) -> Result<Geometry, weights::Error> {
    let count = operands.models.len();
    let mut found = Geometry { products: vec![Products::new(count); stride as usize], same: true };
    let step = (BLOCK as u64).min(stride * length).max(1);
    let blocks: Vec<u64> = (0..operands.elements.div_ceil(step)).collect();
    let part = |at: &u64| -> Result<(Vec<f64>, bool), weights::Error> {
        let start = at * step;
        let block = operands.read_finite(start, (operands.elements - start).min(step) as usize)?;
        let same = block.models.iter().all(|model| kernels::wide::same(model, &block.models[0]));
        Ok((crossed(&block.deltas(), stride as usize), same))
    };
    for window in blocks.chunks(rayon::current_num_threads().max(1)) {
        let parts: Vec<(Vec<f64>, bool)> =
            window.par_iter().map(part).collect::<Result<_, weights::Error>>()?;
        for (at, (sums, same)) in window.iter().zip(parts) {
            let (first, width) = ((at * step % stride) as usize, sums.len() / (count * count).max(1));
            for (pair, sums) in sums.chunks(width.max(1)).enumerate() {
                for (place, sum) in sums.iter().enumerate() {
                    found.products[(first + place) % stride as usize].sums[pair] += sum;
                }
            }
            found.same &= same;
        }
    }
    Ok(found)
}

/// Inner products over a block of the parts of columns in it, of which a row has `stride`: for every pair of vectors those of
/// the block's first element, of the next and so on, as many as the block reaches.
fn crossed(vectors: &[&[f64]], stride: usize) -> Vec<f64> {
    let (count, len) = (vectors.len(), vectors.first().map_or(0, |vector| vector.len()));
    let width = len.min(stride);
    let mut all = vec![0.0; count * count * width];
    for (i, a) in vectors.iter().enumerate() {
        for (j, b) in vectors.iter().enumerate().skip(i) {
            let sums = &mut all[(i * count + j) * width..][..width];
            // Runs as long as a row begin in the same column.
            for (a, b) in a.chunks(width.max(1)).zip(b.chunks(width.max(1))) {
                sums.iter_mut().zip(a).zip(b).for_each(|((sum, a), b)| *sum += a * b);
            }
            if j > i {
                all.copy_within(
                    (i * count + j) * width..(i * count + j + 1) * width,
                    (j * count + i) * width,
                );
            }
        }
    }
    all
}

/// `y = Σ c_i·x_i`, or `b + Σ c_i·(x_i − b)` with a base; the factors are those of the vector an element is in.
pub struct Blend {
    vectors: Vectors,
    /// Elements from one of a vector to its next, and length of a vector.
    shape: (u64, u64),
    /// Of all models for the first vector, then for the next.
    factors: Vec<f64>,
    /// Where the models agree, they are the answer.
    common: Common,
    account: weights::Account,
}

impl Blend {
    /// `factors`: of all models for the first vector, then for the next.
    pub fn new(operands: &Operands, vectors: Vectors, factors: Vec<f64>, common: Common) -> Self {
        Self { vectors, shape: vectors.stride(operands), factors, common, account: weights::Account::new() }
    }

    /// The same with a fact for the record.
    #[must_use]
    pub fn told(mut self, name: &str, fact: impl Into<serde_json::Value>) -> Self {
        self.account.insert(name.to_owned(), fact.into());
        self
    }

    /// The model at `at` as it is.
    pub fn copy(operands: &Operands, at: usize) -> Self {
        let factors = (0..operands.models.len()).map(|other| f64::from(u8::from(other == at))).collect();
        Self::new(operands, Vectors::Whole, factors, Common::Kept)
    }

    fn whole(&self, models: &[&[f64]], base: &[f64], out: &mut [f64]) {
        if !base.is_empty() {
            return around(base, models, &self.factors, out);
        }
        weighted(self.factors.iter().copied().zip(models.iter().copied()), out);
    }

    fn each(&self, start: u64, models: &[&[f64]], base: &[f64], out: &mut [f64]) {
        let vector = |index: u64| match self.vectors {
            Vectors::Columns => index % self.shape.0,
            _ => index / self.shape.1,
        } as usize;
        let count = models.len();
        let factors: Vec<f64> = (0..count)
            .flat_map(|model| {
                (start..start + out.len() as u64).map(move |at| self.factors[vector(at) * count + model])
            })
            .collect();
        if !base.is_empty() {
            return add_deltas(Strip { base, models }, &factors, out);
        }
        out.fill(0.0);
        for (factors, model) in factors.chunks(out.len()).zip(models) {
            for ((out, factor), value) in out.iter_mut().zip(factors).zip(*model) {
                *out = if *factor == 0.0 { *out } else { *out + factor * value };
            }
        }
    }
}

impl Combine for Blend {
    fn account(&self) -> weights::Account {
        self.account.clone()
    }

    fn combine(&self, start: u64, models: &[&[f64]], base: &[f64], out: &mut [f64]) {
        if out.is_empty() {
            return;
        }
        match self.vectors {
            Vectors::Whole => self.whole(models, base, out),
            _ => self.each(start, models, base, out),
        }
        if self.common == Common::Kept {
            keep_common(models[0], models.iter().copied(), out);
        }
    }
    fn sum(&self) -> Option<Sum> {
        (self.vectors == Vectors::Whole).then(|| Sum { factors: self.factors.clone(), common: self.common })
    }
}
