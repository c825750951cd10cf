//! Iso-C (arXiv 2502.04959): the summed delta of a matrix with all its singular values made equal to their mean.

use faer::Accum;

use super::prelude::*;
use crate::merge::spectral::{decompose, decomposed};

pub struct IsoC;

const SPEC: MethodSpec = MethodSpec {
    id: "iso_c",
    name: "Iso-C",
    summary: "Gives the summed delta of every matrix equal singular values. Takes minutes for a large matrix.",
    formula: "b + λ·σ̄·U·Vᵀ with Σ δᵢ = U·S·Vᵀ, δᵢ = xᵢ − b, and σ̄ the mean of the singular values; anything but a matrix b + λ·mean δᵢ",
    reference: "https://arxiv.org/abs/2502.04959",
    base: BaseNeed::Delta,
    models: ModelCount::from(2),
    parameters: &[LAMBDA],
    laws: &[Law::Identity, Law::Symmetry],
};

impl Method for IsoC {
    fn spec(&self) -> &'static MethodSpec {
        &SPEC
    }

    fn scratch(&self, operands: &Operands) -> u64 {
        if !is_matrix(operands) {
            return 0;
        }
        // The delta, in which the result takes its place, and its decomposition.
        let (rows, columns) = sides(operands);
        operands.elements.saturating_add(decomposed(rows, columns))
    }

    fn prepare(&self, operands: &Operands) -> Result<Arc<dyn Combine>, weights::Error> {
        let lambda = operands.params.number("lambda");
        if !is_matrix(operands) {
            return Ok(mean(operands, lambda));
        }
        let scratch = operands.scratch.for_all(8 * self.scratch(operands));
        let (rows, columns) = sides(operands);
        let mut delta = Matrix::zeros(&scratch, (rows, columns))?;
        delta.fill(operands, |block, out| {
            out.copy_from_slice(block.delta(0));
            for model in &block.deltas()[1..] {
                out.iter_mut().zip(*model).for_each(|(sum, delta)| *sum += delta);
            }
        })?;
        operands.go_on()?;
        let spectrum = decompose(&scratch, delta.view())?;
        // Directions that are zero count for the mean, but have no vectors to be enlarged along.
        let level = spectrum.values.iter().sum::<f64>() / rows.min(columns) as f64;
        let (left, right) = spectrum.vectors();
        multiply(delta.view_mut(), Accum::Replace, (left, right.transpose()), 1.0);
        Ok(Dense::of(delta, lambda * level))
    }
}
