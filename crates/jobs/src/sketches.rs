//! Models as sketches: stored ones, or made on the spot for a folder, an adapter, or an older revision.

use analysis::kinship::{Sketched, SketchedTensor};
use weights::{TensorFacts, canonical_name};

use crate::{Access, Error, Registry, adapter, open_operand, operand};

/// The sketches of `name`, read from the database where they are there.
///
/// # Errors
/// As [`open_operand`].
pub async fn open_sketched(registry: &Registry, name: &str, access: &Access) -> Result<Sketched, Error> {
    if let Some((label, revision)) = operand::revision(registry, name, access).await? {
        let rows = registry.store.sketches(revision).await?;
        let current = rows.iter().all(|row| row.sketch.scheme == weights::SCHEME);
        if current && !rows.is_empty() && !rows.iter().any(|row| adapter::is_factor(&row.name)) {
            return Ok(Sketched { label, tensors: rows.into_iter().map(stored).collect() });
        }
    }
    let operand = open_operand(registry, name, access).await?;
    let (source, cells) = (operand.source, registry.limits.sketch_cells);
    let facts = tokio::task::spawn_blocking(move || weights::survey(&*source, cells, &|_| Ok(()))).await??;
    Ok(Sketched { label: operand.label, tensors: facts.into_iter().filter_map(surveyed).collect() })
}

fn stored(row: store::SketchedTensor) -> (String, SketchedTensor) {
    let tensor = SketchedTensor {
        name: row.name,
        shape: row.shape,
        sum: row.sketch.sum,
        nonfinite: row.nonfinite,
        exact: row.sketch.exact,
        cells: row.sketch.cells,
    };
    (canonical_name(&tensor.name).to_owned(), tensor)
}

fn surveyed(facts: TensorFacts) -> Option<(String, SketchedTensor)> {
    let (sketch, stats) = facts.sketch.zip(facts.stats)?;
    let tensor = SketchedTensor {
        name: facts.name,
        shape: facts.shape,
        sum: stats.sum,
        nonfinite: stats.nans + stats.infs,
        exact: sketch.is_exact(),
        cells: sketch.cells().iter().map(|cell| *cell as f32).collect(),
    };
    Some((canonical_name(&tensor.name).to_owned(), tensor))
}
