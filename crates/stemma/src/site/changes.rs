//! When a name came to stand for other weights.

use std::collections::BTreeSet;

use ::web::view::WeightChange;
use domain::{Digest, files};
use jobs::Registry;
use store::CommitRow;

use super::Result;

/// The last commit, of these from new to old, whose weights are others than those of the commit before it.
pub async fn last(registry: &Registry, commits: &[CommitRow]) -> Result<Option<WeightChange>> {
    let mut since: Option<(&CommitRow, BTreeSet<Digest>)> = None;
    for commit in commits {
        if since.as_ref().is_some_and(|(newer, _)| newer.revision == commit.revision) {
            since = since.map(|(_, files)| (commit, files));
            continue;
        }
        let files = weight_files(registry, commit).await?;
        // What came before the first weights, or between them, stands for none.
        if files.is_empty() {
            continue;
        }
        if let Some((newer, own)) = &since
            && *own != files
            && tensors(registry, newer).await? != tensors(registry, commit).await?
        {
            let hands = newer.author.clone().zip(commit.author.clone()).filter(|(new, old)| new != old);
            return Ok(Some(WeightChange {
                at: newer.created_at,
                from: commit.oid.clone(),
                to: newer.oid.clone(),
                hands: hands.map(|(new, old)| (old, new)),
            }));
        }
        since = Some((commit, files));
    }
    Ok(None)
}

async fn weight_files(registry: &Registry, commit: &CommitRow) -> Result<BTreeSet<Digest>> {
    let all = registry.store.files(commit.revision).await?;
    let weights = all.into_iter().filter(|file| files::is_weights(&file.path));
    Ok(weights.map(|file| file.digest).collect())
}

/// Names and digests: the same weights in other shards are the same.
async fn tensors(registry: &Registry, commit: &CommitRow) -> Result<BTreeSet<(String, Digest)>> {
    let rows = registry.store.tensors(commit.revision).await?;
    Ok(rows.into_iter().map(|row| (row.name, row.digest)).collect())
}
