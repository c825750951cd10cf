//! Iso-C (arXiv 2502.04959): the summed delta of a matrix with all its singular values made equal to their mean.

use super::prelude::*;
use crate::merge::spectral::{Spectrum, decompose};

pub struct IsoC;

const SPEC: MethodSpec = MethodSpec {
    id: "iso_c",
    name: "Iso-C",
    summary: "Gives the summed delta of every matrix equal singular values. Takes minutes for a large matrix.",
    reference: "https://arxiv.org/abs/2502.04959",
    base: BaseNeed::Delta,
    models: ModelCount::from(2),
    parameters: &[LAMBDA],
    ignored: &["weight", "density", "normalize"],
    laws: &[Law::Identity, Law::Symmetry],
};

impl Method for IsoC {
    fn spec(&self) -> &'static MethodSpec {
        &SPEC
    }

    fn held(&self, operands: &Operands) -> u64 {
        // The delta, its singular vectors, and the result.
        if is_matrix(operands) { 4 * operands.elements } else { 0 }
    }

    fn prepare(&self, operands: &Operands) -> Result<Arc<dyn Combine>, weights::Error> {
        let lambda = operands.params.number("lambda");
        if !is_matrix(operands) {
            return Ok(mean(operands, lambda));
        }
        let mut sum = matrix(operands, 0)?;
        for at in 1..operands.models.len() {
            sum += matrix(operands, at)?;
        }
        let Spectrum { left, values, right } = decompose(&sum)?;
        // Directions that are zero count for the mean, but have no vectors to be enlarged along.
        let level = values.iter().sum::<f64>() / sum.nrows().min(sum.ncols()) as f64;
        Ok(Arc::new(Dense::new(&(&left * right.transpose()), lambda * level)))
    }
}
