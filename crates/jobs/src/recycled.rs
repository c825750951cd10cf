//! What a model was tuned from, as its lineage says: the base that a diff is taken against when a fine-tune is carried from
//! version to version.

use analysis::recipe::Recipe;
use domain::RepoId;

use crate::{Error, Registry};

/// The model that `tuned` was tuned from. Where its line leads to a transfer or a stored difference that was applied, such as
/// what an earlier version's changes gave on a newer base, it is the base that the changes were added to: the diff then
/// holds them as well (recycling, <https://arxiv.org/abs/2503.20110>).
///
/// # Errors
/// [`Error::UnknownModel`], or why its lineage does not tell.
pub async fn tuned_from(registry: &Registry, tuned: &str) -> Result<String, Error> {
    let name = tuned.split('@').next().unwrap_or(tuned);
    let untold = |why: &str| {
        Error::Invalid(format!("what `{tuned}` was tuned from is not told: {why}; name its base"))
    };
    if RepoId::parse(name).is_err() {
        return Err(untold("it is no model of the registry"));
    }
    let row = registry.store.model_by_id(name).await?.filter(|row| !row.ghost);
    let row = row.ok_or_else(|| Error::UnknownModel(tuned.to_owned()))?;
    let forest = registry.forests.current().await?;
    let parent = forest.primary_parent(row.id).ok_or_else(|| untold("it has no parent here"))?;
    // From the model itself up: the first that changes were carried to.
    for id in forest.path_from_root(row.id).iter().rev() {
        let Some(revision) = registry.store.model(*id).await?.and_then(|row| row.revision) else { continue };
        let Some(stored) = registry.store.recipe_of(revision).await? else { continue };
        match serde_json::from_value(stored) {
            Ok(Recipe::Transfer { target_base, .. } | Recipe::TransferDiff { target_base, .. }) => {
                return Ok(target_base.id);
            }
            Ok(Recipe::ApplyDiff { base, .. }) => return Ok(base.id),
            Ok(_) | Err(_) => {}
        }
    }
    let parent = forest.node(parent).map(|node| node.name.to_owned());
    parent.ok_or_else(|| untold("its parent is hidden"))
}
