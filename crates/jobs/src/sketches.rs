//! Models as sketches: stored ones, or made on the spot for a folder, an adapter, or an older revision.

use analysis::kinship::{Sketched, SketchedTensor};
use weights::{TensorFacts, canonical_name};

use crate::{
    Access, Error, Registry, adapter, open_operand,
    operand::{self, Companion},
    tokens,
};

/// A model as sketches, and the files of its tokenizer.
pub struct OpenSketched {
    pub sketched: Sketched,
    pub tokenizer: Vec<Companion>,
    /// Whether it is the stored difference of two models.
    pub difference: bool,
}

/// The sketches of `name`, read from the database where they are there.
///
/// # Errors
/// As [`open_operand`].
pub async fn open_sketched(registry: &Registry, name: &str, access: &Access) -> Result<OpenSketched, Error> {
    if let Some(stored) = stored_sketches(registry, name, access).await? {
        return Ok(stored);
    }
    let operand = open_operand(registry, name, access).await?;
    let difference = weights::is_difference(&*operand.source);
    let (source, cells) = (operand.source, registry.limits.sketch_cells);
    let facts = tokio::task::spawn_blocking(move || weights::survey(&*source, cells, &|_| Ok(()))).await??;
    let tensors = facts.into_iter().filter_map(surveyed).collect();
    let sketched = Sketched { label: operand.label, tensors, moved_tokens: false };
    Ok(OpenSketched { sketched, tokenizer: operand.companions, difference })
}

/// The sketches of `name` that the database holds; none for a folder, an adapter, an adapted base, or a revision
/// without sketches of the current scheme. No weights are read, nor need they be there.
///
/// # Errors
/// Unknown models and revisions; when the database cannot be read.
pub async fn stored_sketches(
    registry: &Registry,
    name: &str,
    access: &Access,
) -> Result<Option<OpenSketched>, Error> {
    let Some((label, revision)) = operand::revision(registry, name, access).await? else { return Ok(None) };
    let Some(tensors) = current(registry.store.sketches(revision).await?) else { return Ok(None) };
    let tokenizer = tokens::among(registry.store.files(revision).await?);
    let sketched = Sketched { label, tensors, moved_tokens: false };
    Ok(Some(OpenSketched { sketched, tokenizer, difference: false }))
}

/// Stored sketches by canonical name, where they are of the current scheme and not those of an adapter's factors.
pub fn current(rows: Vec<store::SketchedTensor>) -> Option<Tensors> {
    let current = rows.iter().all(|row| row.sketch.scheme == weights::SCHEME);
    let whole = current && !rows.is_empty() && !rows.iter().any(|row| adapter::is_factor(&row.name));
    whole.then(|| rows.into_iter().map(stored).collect())
}

/// Sketched tensors by canonical name.
pub type Tensors = std::collections::BTreeMap<String, SketchedTensor>;

fn stored(row: store::SketchedTensor) -> (String, SketchedTensor) {
    let tensor = SketchedTensor {
        name: row.name,
        shape: row.shape,
        sum: row.sketch.sum,
        block_sums: row.sketch.block_sums,
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
        block_sums: sketch.block_sums().to_vec(),
        nonfinite: stats.nans + stats.infs,
        exact: sketch.is_exact(),
        cells: sketch.cells().iter().map(|cell| *cell as f32).collect(),
    };
    Some((canonical_name(&tensor.name).to_owned(), tensor))
}
