//! All inner products of several vectors, and their distances, in one pass.

use crate::{
    apart,
    deltas::{Encoded, delta_sums, enough},
    pair::PairSums,
};

/// Inner products ⟨δᵢ, δⱼ⟩, squared distances ‖δᵢ − δⱼ‖² and sums Σδᵢ of `m` deltas of one base, gathered block by block.
#[derive(Debug, Clone, PartialEq)]
pub struct Gram {
    models: usize,
    elements: u64,
    /// Row-major `m × m`; only `j >= i` is used.
    dots: Vec<f64>,
    /// Row-major `m × m`; only `j > i` is used.
    apart: Vec<f64>,
    sums: Vec<f64>,
    base_square: f64,
}

impl Gram {
    /// For `models` vectors, none of whose elements has been seen.
    pub fn new(models: usize) -> Self {
        Self {
            models,
            elements: 0,
            dots: vec![0.0; models * models],
            apart: vec![0.0; models * models],
            sums: vec![0.0; models],
            base_square: 0.0,
        }
    }

    /// From inner products (row-major, `j >= i` used) and sums known otherwise; distances are those that follow from them.
    pub fn from_sums(elements: u64, dots: Vec<f64>, sums: Vec<f64>) -> Self {
        debug_assert_eq!(dots.len(), sums.len() * sums.len(), "a square matrix");
        let models = sums.len();
        let squared = |at: usize| {
            let (i, j) = (at / models, at % models);
            let squared = dots[i * models + i] + dots[j * models + j] - 2.0 * dots[at];
            if j > i { squared.max(0.0) } else { 0.0 }
        };
        let apart = (0..dots.len()).map(squared).collect();
        Self { models, elements, dots, apart, sums, base_square: 0.0 }
    }

    /// Adds the next elements of the deltas `models − base`, one input a model, all of one length. Sequential: blocks
    /// may be gathered by several threads and merged in index order, which gives the same bits on any number.
    pub fn add_deltas(&mut self, base: Encoded<'_>, models: &[Encoded<'_>]) {
        debug_assert_eq!(models.len(), self.models, "one input per model");
        debug_assert!(models.iter().all(|model| model.elements() == base.elements()), "inputs of one length");
        if models.len() != self.models || models.is_empty() {
            return;
        }
        let sums = delta_sums(base, models);
        self.add_block(models, (&sums.dots, &sums.sums), (base.elements() as u64, sums.base));
    }

    fn add_block(
        &mut self,
        models: &[Encoded<'_>],
        (dots, sums): (&[f64], &[f64]),
        (elements, base_square): (u64, f64),
    ) {
        let (mut apart, near) = apart::from_dots(dots, self.models);
        if !near.is_empty() {
            apart::add(models, &near, &mut apart);
        }
        self.elements += elements;
        self.base_square += base_square;
        for (mine, theirs) in
            [(&mut self.dots, dots), (&mut self.apart, apart.as_slice()), (&mut self.sums, sums)]
        {
            mine.iter_mut().zip(theirs).for_each(|(mine, theirs)| *mine += theirs);
        }
    }

    /// Adds what was summed elsewhere over the next elements of the deltas of `models`: inner products (row-major, `j >= i`
    /// used), sums, and Σ base²; distances that these do not tell are taken here. False, and nothing is added, where the f32 in which deltas are taken may not have
    /// sufficed or the sums do not fit; [`Self::add_deltas`] then says what they are.
    pub fn add_summed(
        &mut self,
        models: &[Encoded<'_>],
        (dots, sums): (&[f64], &[f64]),
        base_square: f64,
    ) -> bool {
        let Some(elements) = models.first().map(Encoded::elements) else { return false };
        let fits = models.len() == self.models && models.iter().all(|model| model.elements() == elements);
        if !fits || dots.len() != self.dots.len() || sums.len() != self.sums.len() {
            return false;
        }
        if !enough(elements, (dots, sums), base_square) {
            return false;
        }
        self.add_block(models, (dots, sums), (elements as u64, base_square));
        true
    }

    /// Adds what another gathered over further elements of the same vectors.
    pub fn merge(&mut self, other: &Self) {
        debug_assert_eq!(self.models, other.models, "Gram matrices of one size");
        self.elements += other.elements;
        self.base_square += other.base_square;
        self.dots.iter_mut().zip(&other.dots).for_each(|(mine, theirs)| *mine += theirs);
        self.apart.iter_mut().zip(&other.apart).for_each(|(mine, theirs)| *mine += theirs);
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

    /// Σ base².
    pub fn base_square(&self) -> f64 {
        self.base_square
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
            apart: self.apart[i.min(j) * self.models + i.max(j)],
        }
    }
}
