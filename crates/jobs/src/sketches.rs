//! Models as sketches: stored ones, or made on the spot for a folder, an adapter, or an older revision.

use std::collections::BTreeMap;

use analysis::kinship::{Sketched, SketchedTensor};
use domain::Digest;
use weights::{Dtype, TensorFacts, canonical_name};

use crate::{
    Access, Error, Registry, adapter, open_operand,
    operand::{self, Companion},
    tokens,
};

/// A model as sketches, and the files of its tokenizer.
pub struct OpenSketched {
    pub sketched: Sketched,
    /// Whether most of its weights are stored in eight bits or fewer.
    pub coarse: bool,
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
    let digests = facts.iter().map(|facts| (named(&facts.name), facts.digest)).collect();
    let coarse = mostly_coarse(facts.iter().map(|facts| (Some(facts.dtype), facts.shape.as_slice())));
    let tensors = facts.into_iter().filter_map(surveyed).collect();
    let sketched = sketched(operand.label, tensors, &digests);
    let coarse = coarse || stored_coarse(registry, operand.revision).await?;
    Ok(OpenSketched { sketched, coarse, tokenizer: operand.companions, difference })
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
    let rows = registry.store.sketches(revision).await?;
    let digests = rows.iter().filter_map(|row| Some((named(&row.name), row.digest?))).collect();
    let dtypes = rows.iter().map(|row| (Dtype::from_name(&row.dtype), row.shape.as_slice()));
    let coarse = mostly_coarse(dtypes);
    let Some(tensors) = current(rows) else { return Ok(None) };
    let tokenizer = tokens::among(registry.store.files(revision).await?);
    Ok(Some(OpenSketched {
        sketched: sketched(label, tensors, &digests),
        coarse,
        tokenizer,
        difference: false,
    }))
}

fn sketched(label: String, tensors: Tensors, digests: &BTreeMap<String, Digest>) -> Sketched {
    let ties = Sketched::ties_of(&tensors, digests);
    Sketched { label, tensors, ties, ..Sketched::default() }
}

/// Whether most of the elements of tensors of these number formats and shapes have eight bits or fewer.
pub fn mostly_coarse<'t>(tensors: impl Iterator<Item = (Option<Dtype>, &'t [u64])>) -> bool {
    let (mut coarse, mut all) = (0, 0);
    for (dtype, shape) in tensors {
        let elements: u64 = shape.iter().product();
        all += elements;
        coarse += if dtype.is_some_and(|dtype| dtype.bits() <= 8) { elements } else { 0 };
    }
    2 * coarse > all
}

/// The same of a stored revision, whose scaled codes are read as numbers.
pub async fn stored_coarse(registry: &Registry, revision: Option<i64>) -> Result<bool, Error> {
    let Some(revision) = revision else { return Ok(false) };
    let tensors = registry.store.tensors(revision).await?;
    Ok(mostly_coarse(tensors.iter().map(|row| (Dtype::from_name(&row.dtype), row.shape.as_slice()))))
}

fn named(name: &str) -> String {
    canonical_name(name).to_owned()
}

/// Stored sketches by canonical name, where they are of the current scheme and not those of an adapter's factors.
pub fn current(rows: Vec<store::SketchedTensor>) -> Option<Tensors> {
    let current = rows.iter().all(|row| row.sketch.scheme == weights::SCHEME);
    let whole = current && !rows.is_empty() && !rows.iter().any(|row| adapter::is_factor(&row.name));
    whole.then(|| rows.into_iter().map(stored).collect())
}

/// Sketched tensors by canonical name.
pub type Tensors = BTreeMap<String, SketchedTensor>;

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
    (named(&tensor.name), tensor)
}

pub(crate) fn surveyed(facts: TensorFacts) -> Option<(String, SketchedTensor)> {
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
    Some((named(&tensor.name), tensor))
}
