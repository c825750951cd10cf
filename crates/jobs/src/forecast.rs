//! What a merge will need and give, told without reading a weight.

use std::path::Path;

use analysis::merge::Touched;
use domain::{Digest, Item};
use serde::Serialize;
use weights::{TensorInfo, TensorSource as _, room_left};

use crate::{Error, MergePlan, licences};

/// The answer to a dry run.
#[derive(Debug, Serialize)]
pub struct Forecast {
    pub method: String,
    pub recipe_digest: Digest,
    /// The same whatever the models are called.
    pub recipe_address: Digest,
    pub tensors: usize,
    /// Rows of the tables of tokens; null for a model without one.
    pub vocabulary: Option<u64>,
    /// Bytes of the tensors of the result.
    pub bytes: u64,
    /// Bytes of memory that the merge stays below on this machine, files' own caches not counted.
    pub memory_bytes: u64,
    /// Bytes of disk that the merge needs while it runs: the result, and what is decomposed in scratch.
    pub disk_bytes: u64,
    /// Bytes of disk that are left where the merge would work; null where that cannot be told.
    pub free_disk_bytes: Option<u64>,
    /// A model here that the recipe made before, whose tensors a job takes over where they are to lie in files of the same sizes;
    /// null where there is none.
    pub made: Option<String>,
    /// Always empty: a recipe with faults is refused, and the refusal lists them.
    pub faults: Vec<Item>,
    pub warnings: Vec<Item>,
    /// What policies decide about tensors that the models do not have alike.
    pub policies: Vec<Touched>,
}

/// Refuses to write tensors that the disk of `out` has no room for; what an earlier attempt left there need not be
/// written again.
///
/// # Errors
/// [`Error::NoRoom`].
pub(crate) fn has_room(out: &Path, tensors: &[TensorInfo]) -> Result<(), Error> {
    let left = fs_err::read_dir(out).into_iter().flatten().flatten();
    let kept: u64 = left.filter_map(|entry| Some(entry.metadata().ok()?.len())).sum();
    let bytes = tensors.iter().map(TensorInfo::bytes).fold(0, u64::saturating_add);
    enough(out, bytes.saturating_sub(kept))
}

fn enough(folder: &Path, needed: u64) -> Result<(), Error> {
    match room_left(folder) {
        Some(free) if free < needed => {
            Err(Error::NoRoom { needed, free, folder: folder.display().to_string() })
        }
        _ => Ok(()),
    }
}

impl MergePlan {
    /// Refuses a merge that the disk of `folder` has no room for.
    ///
    /// # Errors
    /// [`Error::NoRoom`].
    pub fn fits(&self, folder: &Path) -> Result<(), Error> {
        enough(folder, self.bytes().saturating_add(self.needs().scratch))
    }

    /// Refuses a merge that is not written and that the disk of `folder` has no room for what is decomposed of.
    ///
    /// # Errors
    /// [`Error::NoRoom`].
    pub(crate) fn fits_scratch(&self, folder: &Path) -> Result<(), Error> {
        enough(folder, self.needs().scratch)
    }

    fn bytes(&self) -> u64 {
        self.source.tensors().iter().map(TensorInfo::bytes).sum()
    }

    /// What the merge needs when its weights are written `copies` times, and what `folder` has.
    pub fn forecast(&self, copies: u64, folder: &Path) -> Forecast {
        let (bytes, needs) = (self.bytes(), self.needs());
        Forecast {
            method: self.method.clone(),
            recipe_digest: self.recipe.digest(),
            recipe_address: self.recipe.address(),
            tensors: self.source.tensors().len(),
            bytes,
            vocabulary: self.vocabulary,
            memory_bytes: needs.memory,
            disk_bytes: bytes.saturating_mul(copies).saturating_add(needs.scratch),
            free_disk_bytes: room_left(folder),
            made: None,
            faults: Vec::new(),
            warnings: self.cautions(),
            policies: self.policies.clone(),
        }
    }

    /// The models that it is made from, by their names.
    pub fn models(&self) -> Vec<String> {
        self.inputs.values().map(|input| input.of_file().to_owned()).collect()
    }

    /// What the recipe probably does not mean, and what its models ask to be minded.
    pub fn cautions(&self) -> Vec<Item> {
        self.warnings.iter().cloned().chain(licences::caution(self.inputs.values())).collect()
    }
}

#[cfg(test)]
mod tests {
    use domain::{Class, Fault as _};

    use super::enough;

    #[test]
    fn what_the_disk_has_no_room_for_is_not_begun() {
        let folder = tempfile::tempdir().unwrap();

        let refused = enough(folder.path(), u64::MAX).unwrap_err();

        assert_eq!((refused.code(), refused.class()), ("no_room", Class::Full));
        enough(folder.path(), 1).unwrap();
    }
}
