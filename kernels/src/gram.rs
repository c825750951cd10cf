//! All inner products of several vectors in one pass.

use rayon::prelude::*;

use crate::{
    pair::PairSums,
    reduce::{STRIP, dot, sum},
};

/// Inner products ⟨xᵢ, xⱼ⟩ and sums Σxᵢ of `m` vectors, gathered block by block.
#[derive(Debug, Clone, PartialEq)]
pub struct Gram {
    models: usize,
    elements: u64,
    /// Row-major `m × m`; only `j >= i` is used.
    dots: Vec<f64>,
    sums: Vec<f64>,
}

impl Gram {
    /// For `models` vectors, none of whose elements has been seen.
    pub fn new(models: usize) -> Self {
        Self { models, elements: 0, dots: vec![0.0; models * models], sums: vec![0.0; models] }
    }

    /// From inner products (row-major, `j >= i` used) and sums known otherwise.
    pub fn from_sums(elements: u64, dots: Vec<f64>, sums: Vec<f64>) -> Self {
        debug_assert_eq!(dots.len(), sums.len() * sums.len(), "a square matrix");
        Self { models: sums.len(), elements, dots, sums }
    }

    /// Adds the next elements of every vector: one slice each, all of one length.
    /// Rows run in parallel; the bits do not depend on the number of threads, only on the order of blocks.
    pub fn add_block(&mut self, deltas: &[&[f32]]) {
        debug_assert_eq!(deltas.len(), self.models, "one slice per model");
        debug_assert!(deltas.windows(2).all(|pair| pair[0].len() == pair[1].len()), "slices of one length");
        let n = deltas.iter().map(|delta| delta.len()).min().unwrap_or(0);
        if n == 0 || deltas.len() != self.models {
            return;
        }
        self.elements += n as u64;
        self.dots.par_chunks_mut(self.models).zip(self.sums.par_iter_mut()).enumerate().for_each(
            |(i, (row, total))| {
                for begin in (0..n).step_by(STRIP) {
                    let strip = begin..(begin + STRIP).min(n);
                    let mine = &deltas[i][strip.clone()];
                    *total += sum(mine);
                    for (cell, other) in row[i..].iter_mut().zip(&deltas[i..]) {
                        *cell += dot(mine, &other[strip.clone()]);
                    }
                }
            },
        );
    }

    /// Adds what another gathered over further elements of the same vectors.
    pub fn merge(&mut self, other: &Self) {
        debug_assert_eq!(self.models, other.models, "Gram matrices of one size");
        self.elements += other.elements;
        self.dots.iter_mut().zip(&other.dots).for_each(|(mine, theirs)| *mine += theirs);
        self.sums.iter_mut().zip(&other.sums).for_each(|(mine, theirs)| *mine += theirs);
    }

    /// Number of vectors.
    pub fn models(&self) -> usize {
        self.models
    }

    /// ⟨xᵢ, xⱼ⟩.
    pub fn dot(&self, i: usize, j: usize) -> f64 {
        self.dots[i.min(j) * self.models + i.max(j)]
    }

    /// Σ xᵢ.
    pub fn sum(&self, i: usize) -> f64 {
        self.sums[i]
    }

    /// Elements seen of each vector.
    pub fn elements(&self) -> u64 {
        self.elements
    }

    /// The sums of one pair.
    pub fn pair(&self, i: usize, j: usize) -> PairSums {
        PairSums {
            n: self.elements,
            ab: self.dot(i, j),
            aa: self.dot(i, i),
            bb: self.dot(j, j),
            sa: self.sums[i],
            sb: self.sums[j],
        }
    }
}
