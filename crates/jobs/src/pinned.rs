//! Search results by kinship to one pinned model: the signatures of its layout, nearest first.

use std::collections::{HashMap, HashSet};

use analysis::kinship::Signature;
use domain::Fault as _;
use tokio::task::spawn_blocking;

use crate::{Access, Error, Registry, measure::Turn, relatives::current_signature, sketches::open_sketched};

/// Most models that are ordered.
pub const MOST: usize = domain::FIXED.ordered_by_kinship;

/// Models of the pinned one's layout, nearest first, and how many of them stand on pages before.
pub struct Kin {
    nearest: Vec<(i64, f32)>,
    skip: usize,
}

/// The kin of the model called `pin` whose sketches are stored; `cursor` is `kinship.` and a number.
///
/// # Errors
/// [`Error::UnknownModel`]; [`Error::Invalid`] for a model without weights; [`store::Error::BadCursor`]; when the
/// database cannot be read.
pub async fn kin_of(registry: &Registry, (pin, cursor): (&str, Option<&str>)) -> Result<Kin, Error> {
    let skip = match cursor {
        None => 0,
        Some(cursor) => cursor
            .strip_prefix("kinship.")
            .and_then(|place| place.parse().ok())
            .ok_or_else(|| store::Error::BadCursor(cursor.chars().take(120).collect()))?,
    };
    let row = registry.store.model_by_id(pin).await?;
    let row = row.ok_or_else(|| Error::UnknownModel(pin.chars().take(200).collect()))?;
    let signed = match row.revision {
        Some(revision) => registry.store.signatures(&[revision]).await?.pop(),
        None => None,
    };
    let signature = match signed.and_then(|(_, row)| current_signature(row)) {
        Some(signature) => signature,
        None => measured(registry, &row.name).await?,
    };
    let index = registry.relatives.current().await?;
    let found = spawn_blocking(move || index.nearest(&signature, MOST, Some(row.id))).await?;
    let same = found.near.into_iter().filter(|near| near.same_layout);
    Ok(Kin { nearest: same.map(|near| (near.of.model, near.cosine)).collect(), skip })
}

/// The signature of a model that has none stored, such as an adapter with its base: its weights are read.
async fn measured(registry: &Registry, name: &str) -> Result<Signature, Error> {
    let turn = Turn::take(registry).await?;
    let none = || {
        Error::Invalid(format!(
            "`{name}` has no stored sketches, so nothing is ordered by kinship to it; pin a model whose weights are here"
        ))
    };
    let opened = match open_sketched(registry, name, &Access::registry()).await {
        Err(error) if matches!(error.code(), "no_weights" | "blob_missing") => return Err(none()),
        opened => opened?,
    };
    let tensors = opened.sketched.tensors;
    turn.run(move |_| Ok(Signature::of(&tensors))).await?.ok_or_else(none)
}

impl Kin {
    /// All of them, by number.
    pub fn ids(&self) -> Vec<i64> {
        self.nearest.iter().map(|(id, _)| *id).collect()
    }

    /// The page of those among `passing`, and the cursor of the next one.
    pub fn page(&self, passing: &[i64], limit: usize) -> (Vec<i64>, Option<String>) {
        let passing: HashSet<i64> = passing.iter().copied().collect();
        let mut left =
            self.nearest.iter().map(|(id, _)| *id).filter(|id| passing.contains(id)).skip(self.skip);
        let page: Vec<i64> = left.by_ref().take(limit).collect();
        let next = left.next().map(|_| format!("kinship.{}", self.skip + page.len()));
        (page, next)
    }

    /// Cosines of the signatures, by number.
    pub fn cosines(&self, ids: &[i64]) -> HashMap<i64, f32> {
        self.nearest.iter().copied().filter(|(id, _)| ids.contains(id)).collect()
    }
}
