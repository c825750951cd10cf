//! Whether two bases still number their neurons alike: of sampled MLP rows, how many are most like themselves.

use rayon::prelude::*;
use serde::Serialize;

use crate::{
    Error,
    computed::read_f64,
    kinship::{Module, Named, Shared},
};

/// Rows of one matrix that are compared, all with all.
const ROWS: u64 = 64;

/// Sampled neurons, evenly spread over each up-projection.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Neurons {
    /// Neurons compared.
    pub sampled: u64,
    /// Of these, neurons whose best match in the target base by cosine is themselves.
    pub in_place: u64,
    /// `in_place / sampled`; near 1 when both bases lie in one basin. `null` without such matrices.
    pub share: Option<f64>,
    /// What two unrelated models would share.
    pub chance: Option<f64>,
}

/// Compares the neurons of the source base and the target base.
pub(super) fn compare((base, target): (&Named, &Named), tensors: &[Shared<'_>]) -> Result<Neurons, Error> {
    let matrices: Vec<&Shared<'_>> = tensors.iter().filter(|tensor| is_neurons(tensor)).collect();
    let found: Vec<(u64, u64)> = matrices
        .par_iter()
        .map(|tensor| Ok(matches((base, tensor.base), (target, tensor.models[0]), &tensor.info.shape)?))
        .collect::<Result<_, Error>>()?;
    let sampled: u64 = found.iter().map(|(_, all)| all).sum();
    let in_place: u64 = found.iter().map(|(same, _)| same).sum();
    let share = |part: f64| (sampled > 0).then(|| part / sampled as f64);
    Ok(Neurons { sampled, in_place, share: share(in_place as f64), chance: share(found.len() as f64) })
}

/// A matrix with one neuron a row; GPT-2's layers store one a column.
fn is_neurons(tensor: &Shared<'_>) -> bool {
    let info = tensor.info;
    Module::of(&info.name) == Module::Up
        && info.shape.len() == 2
        && info.elements() > 0
        && !info.name.contains(".c_fc.")
}

fn matches(
    (base, at): (&Named, usize),
    (target, there): (&Named, usize),
    shape: &[u64],
) -> Result<(u64, u64), weights::Error> {
    let (count, width) = (shape[0], shape[1]);
    let sampled = ROWS.min(count);
    let rows = |model: &Named, index: usize| -> Result<Vec<Vec<f64>>, weights::Error> {
        let row = |at: u64| {
            let mut values = vec![0.0; width as usize];
            read_f64(&*model.source, index, (at * count / sampled) * width, &mut values)?;
            let norm = values.iter().map(|value| value * value).sum::<f64>().sqrt();
            if norm > 0.0 {
                values.iter_mut().for_each(|value| *value /= norm);
            }
            Ok(values)
        };
        (0..sampled).map(row).collect()
    };
    let (ours, theirs) = (rows(base, at)?, rows(target, there)?);
    let cosine = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let itself = |(at, row): &(usize, &Vec<f64>)| {
        let own = cosine(row, &theirs[*at]);
        own > 0.0 && theirs.iter().enumerate().all(|(other, there)| other == *at || cosine(row, there) < own)
    };
    Ok((ours.iter().enumerate().filter(itself).count() as u64, sampled))
}
