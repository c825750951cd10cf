//! Inner products of the deltas of one tensor, streamed block by block.

use kernels::{Dtype, Gram};
use rayon::prelude::*;
use weights::{TensorInfo, TensorSource};

use super::Named;
use crate::{
    Error,
    computed::{blocks, read_f64},
};

/// Blocks of one tensor in flight at once.
const AHEAD: usize = 16;

pub(super) struct Sums {
    pub(super) gram: Gram,
    /// Squared norm of the base.
    pub(super) base: f64,
}

impl Sums {
    pub(super) fn new(models: usize) -> Self {
        Self { gram: Gram::new(models), base: 0.0 }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.gram.merge(&other.gram);
        self.base += other.base;
    }
}

/// A tensor every model holds: its position in the base and in each model.
pub(super) struct Shared<'a> {
    pub(super) info: &'a TensorInfo,
    pub(super) base: usize,
    pub(super) models: Vec<usize>,
}

/// Sums of one tensor; blocks are added up in index order, so the bits do not depend on the thread count.
pub(super) fn tensor_sums(models: &[Named], reference: &Named, tensor: &Shared<'_>) -> Result<Sums, Error> {
    let all: Vec<(u64, usize)> = blocks(tensor.info.elements()).collect();
    let mut total = Sums::new(models.len());
    for window in all.chunks(AHEAD) {
        let partials: Vec<Sums> = window
            .par_iter()
            .map(|&(start, len)| block_sums(models, reference, tensor, (start, len)))
            .collect::<Result<_, _>>()?;
        partials.iter().for_each(|partial| total.merge(partial));
    }
    Ok(total)
}

fn block_sums(
    models: &[Named],
    reference: &Named,
    tensor: &Shared<'_>,
    (start, len): (u64, usize),
) -> Result<Sums, weights::Error> {
    let mut base = vec![0.0; len];
    let mut deltas = vec![0.0f32; len * models.len()];
    let wide = |source: &dyn TensorSource, at: usize| source.tensors()[at].dtype == Dtype::F64;
    if wide(&*reference.source, tensor.base)
        || models.iter().zip(&tensor.models).any(|(model, &at)| wide(&*model.source, at))
    {
        // A small difference of two f64 would vanish if each were rounded before it is taken.
        let mut exact = vec![0.0; len];
        read_f64(&*reference.source, tensor.base, start, &mut exact)?;
        let mut values = vec![0.0; len];
        for ((model, &at), delta) in models.iter().zip(&tensor.models).zip(deltas.chunks_mut(len)) {
            read_f64(&*model.source, at, start, &mut values)?;
            delta.iter_mut().zip(values.iter().zip(&exact)).for_each(|(d, (v, b))| *d = (v - b) as f32);
        }
        base.iter_mut().zip(&exact).for_each(|(narrow, exact)| *narrow = *exact as f32);
    } else {
        reference.source.read_f32(tensor.base, start, &mut base)?;
        for ((model, &at), delta) in models.iter().zip(&tensor.models).zip(deltas.chunks_mut(len)) {
            model.source.read_f32(at, start, delta)?;
            delta.iter_mut().zip(&base).for_each(|(value, base)| *value -= base);
        }
    }
    let mut sums = Sums::new(models.len());
    sums.gram.add_block(&deltas.chunks(len).collect::<Vec<_>>());
    sums.base = base.iter().map(|v| f64::from(*v) * f64::from(*v)).sum();
    Ok(sums)
}
