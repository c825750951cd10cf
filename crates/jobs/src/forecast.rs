//! What a merge will need and give, told without reading a weight.

use analysis::merge::Touched;
use domain::{Digest, Item};
use serde::Serialize;
use weights::{TensorInfo, TensorSource as _};

use crate::{MergePlan, licences};

/// The answer to a dry run.
#[derive(Debug, Serialize)]
pub struct Forecast {
    pub method: String,
    pub recipe_digest: Digest,
    pub tensors: usize,
    /// Rows of the tables of tokens; null for a model without one.
    pub vocabulary: Option<u64>,
    /// Bytes of the tensors of the result.
    pub bytes: u64,
    /// Bytes of memory that the merge stays below on this machine, files' own caches not counted.
    pub memory_bytes: u64,
    /// Bytes of disk that the merge needs while it runs: the result, and what is decomposed in scratch.
    pub disk_bytes: u64,
    /// Always empty: a recipe with faults is refused, and the refusal lists them.
    pub faults: Vec<Item>,
    pub warnings: Vec<Item>,
    /// What policies decide about tensors that the models do not have alike.
    pub policies: Vec<Touched>,
}

impl MergePlan {
    /// What the merge needs when its weights are written `copies` times.
    pub fn forecast(&self, copies: u64) -> Forecast {
        let tensors = self.source.tensors();
        let (bytes, needs) = (tensors.iter().map(TensorInfo::bytes).sum::<u64>(), self.needs());
        Forecast {
            method: self.method.clone(),
            recipe_digest: self.recipe.digest(),
            tensors: tensors.len(),
            bytes,
            vocabulary: self.vocabulary,
            memory_bytes: needs.memory,
            disk_bytes: bytes.saturating_mul(copies).saturating_add(needs.scratch),
            faults: Vec::new(),
            warnings: self.cautions(),
            policies: self.policies.clone(),
        }
    }

    /// What the recipe probably does not mean, and what its models ask to be minded.
    pub fn cautions(&self) -> Vec<Item> {
        self.warnings.iter().cloned().chain(licences::caution(self.inputs.values())).collect()
    }
}
