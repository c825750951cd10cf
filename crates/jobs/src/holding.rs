//! The models that hold a tensor of a name, and what it may have meant where none does.

use store::ModelRow;

use crate::{Error, Registry};

/// Names offered instead of one that nobody holds.
const OFFERED: usize = 5;

/// A page of models that hold a tensor.
#[derive(Debug, Clone, Default)]
pub struct Holders {
    pub rows: Vec<ModelRow>,
    pub next: Option<String>,
    /// Where nobody holds it, the nearest names that somebody holds, the most alike first.
    pub near: Vec<String>,
}

/// Models that hold a tensor of this name, the latest first.
///
/// # Errors
/// [`store::Error::SearchTooLong`], [`store::Error::BadCursor`]; when the database cannot be read.
pub async fn holders(
    registry: &Registry,
    tensor: &str,
    (cursor, limit): (Option<&str>, u64),
) -> Result<Holders, Error> {
    let (given, most) = (tensor.len(), registry.limits.tensor_name_bytes);
    if given > most {
        return Err(
            store::Error::SearchTooLong { given, unit: "bytes", most, limit: "tensor_name_bytes" }.into()
        );
    }
    let page = registry.store.holders(tensor, cursor, limit).await?;
    let near = match page.items.is_empty() && cursor.is_none() {
        true => near(registry, tensor).await?,
        false => Vec::new(),
    };
    Ok(Holders { rows: page.items, next: page.next, near })
}

/// Names around the one asked for, and around its beginnings, that somebody whom the viewer sees holds.
async fn near(registry: &Registry, tensor: &str) -> Result<Vec<String>, Error> {
    let mut around = registry.store.tensor_names_around(tensor).await?;
    for (at, _) in tensor.rmatch_indices('.').take(3) {
        for name in registry.store.tensor_names_around(&tensor[..at]).await? {
            if !around.contains(&name) {
                around.push(name);
            }
        }
    }
    around.sort_by_cached_key(|name| (domain::distance(tensor, name), name.clone()));
    let mut offered = Vec::new();
    for name in around {
        if offered.len() == OFFERED {
            break;
        }
        if !registry.store.holders(&name, None, 1).await?.items.is_empty() {
            offered.push(name);
        }
    }
    Ok(offered)
}
