//! The low-rank form of a difference: for each matrix two thin factors, everything else whole.

use std::{io, sync::Arc};

use kernels::Dtype;
use serde_json::{Map, Value, json};
use weights::TensorSource as _;

use super::{DiffSource, Energies, source::float_only};
use crate::{
    Error, Progress,
    computed::{Computed, blocks},
    lowrank::{Plan, Rank, Spool, share, truncate},
};

/// Writes the factors of every matrix to `out` as they are found: `<name>.lora_A` = √S·Vᵀ (`[rank, columns]`) and
/// `<name>.lora_B` = U·√S (`[rows, rank]`), so that B·A is the difference. Tensors of other than two dimensions, and
/// matrices whose factors would be larger than they are, stay whole. `progress` is told the bytes of each tensor.
///
/// # Errors
/// A rank or an energy out of range, values that are not finite, read or write errors, or `progress` asking to stop.
pub fn low_rank(
    diff: &Arc<DiffSource>,
    (rank, dtype): (Rank, Dtype),
    out: &mut dyn io::Write,
    progress: Progress<'_>,
) -> Result<(Plan, Energies), Error> {
    rank.check()?;
    float_only(dtype)?;
    let mut spool = Spool::new(out);
    let (mut factored, mut squares) = (Map::new(), Vec::new());
    for (index, info) in diff.infos().iter().enumerate() {
        let found = match limit(rank, &info.shape) {
            Some(rank) => truncate(&**diff, index, rank, progress)?,
            None => None,
        };
        let found = found.filter(|factors| worth(factors.rank, &info.shape));
        let (part, all, rank) = match &found {
            Some(factors) => {
                let names = ["lora_A", "lora_B"].map(|end| format!("{}.{end}", info.name));
                spool.factors(names, factors, dtype)?;
                (factors.captured(), factors.norm_sq, Some(factors.rank))
            }
            None => {
                spool.whole(info.name.clone(), Arc::clone(diff) as _, index);
                let all = norm(diff, index, progress)?;
                (all, all, None)
            }
        };
        if let Some(rank) = rank {
            let energy = share(part, all);
            factored
                .insert(info.name.clone(), json!({ "shape": info.shape, "rank": rank, "energy": energy }));
        }
        squares.push((info.name.as_str(), [part.min(all), all], rank));
        progress(info.bytes())?;
    }
    let energies = Energies::of(squares.into_iter());
    let mut metadata = diff.metadata();
    metadata.insert("form".into(), "low-rank".into());
    metadata.insert("energy".into(), energies.energy.to_string());
    metadata.insert("tensors".into(), Value::Object(factored).to_string());
    Ok((spool.finish(metadata)?, energies))
}

/// Whether two factors hold fewer elements than the matrix.
fn worth(rank: usize, shape: &[u64]) -> bool {
    matches!(shape, [rows, columns] if (rank as u64).saturating_mul(rows + columns) < rows * columns)
}

/// The request with its rank bounded by what is worth storing; none where nothing is.
fn limit(rank: Rank, shape: &[u64]) -> Option<Rank> {
    if !worth(1, shape) {
        return None;
    }
    let fits = |rank: &usize| worth(*rank, shape);
    match rank {
        Rank::Fixed(rank) => Some(rank).filter(fits).map(Rank::Fixed),
        // One more than is worth storing says that the energy needs more.
        Rank::Energy { energy, most } => {
            let &[rows, columns] = shape else { return None };
            let least = usize::try_from(rows * columns / (rows + columns) + 1).unwrap_or(most);
            Some(Rank::Energy { energy, most: most.min(least) })
        }
    }
}

/// `‖Δ‖²` of one tensor.
pub(super) fn norm(diff: &DiffSource, index: usize, progress: Progress<'_>) -> Result<f64, Error> {
    let mut sum = 0.0;
    for (start, len) in blocks(diff.infos()[index].elements()) {
        progress(0)?;
        let mut values = vec![0.0; len];
        diff.fill(index, start, &mut values)?;
        sum += values.iter().map(|value| value * value).sum::<f64>();
    }
    Ok(sum)
}
