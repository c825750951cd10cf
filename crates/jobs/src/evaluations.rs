//! What the stored card of a revision states, and its files of results of evaluations.

use std::collections::HashMap;

use domain::{
    Digest,
    files::{EVAL_RESULTS, README},
};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use hub::Evaluation;
use serde_json::{Map, Value};
use tokio::task::spawn_blocking;

use crate::{Error, Registry, ingest};

/// Cards that are read at once.
const AT_ONCE: usize = 16;

/// The front matter of the README.md of some revisions, by revision; those whose card is not stored, or has lost its
/// bytes, are left out.
///
/// # Errors
/// When the database or the blob store cannot be read.
pub async fn front_matters(
    registry: &Registry,
    revisions: &[i64],
) -> Result<HashMap<i64, Map<String, Value>>, Error> {
    let cards = registry.store.digests_of(README, revisions).await?;
    let read: Vec<_> =
        cards.into_iter().map(|(revision, digest)| front(registry, revision, digest)).collect();
    stream::iter(read).buffer_unordered(AT_ONCE).try_filter_map(async |found| Ok(found)).try_collect().await
}

async fn front(
    registry: &Registry,
    revision: i64,
    digest: Digest,
) -> Result<Option<(i64, Map<String, Value>)>, Error> {
    let limits = registry.limits;
    let readme = match ingest::readme(registry, &digest).await {
        Ok(readme) => readme,
        Err(store::Error::BlobMissing(_) | store::Error::BlobDamaged(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    Ok(Some((revision, spawn_blocking(move || hub::card::read(&readme, &limits).1.front).await?)))
}

/// The front matter of a revision's README.md; none where it is not stored, or has lost its bytes.
///
/// # Errors
/// As [`front_matters`].
pub async fn front_matter(registry: &Registry, revision: i64) -> Result<Option<Map<String, Value>>, Error> {
    Ok(front_matters(registry, &[revision]).await?.remove(&revision))
}

/// Files of results that are read of a revision, and the most bytes of each.
const RESULTS: (usize, u64) = (50, 64 << 10);

/// The entries of a revision's `.eval_results/*.yaml`, each with the path of its file; files that are too long, are no text or
/// have lost their bytes are left out, and all but the first 50.
///
/// # Errors
/// When the database or the blob store cannot be read.
pub async fn eval_results(registry: &Registry, revision: i64) -> Result<Vec<(String, Value)>, Error> {
    let is_of_results = |path: &str| {
        let name = path.strip_prefix(EVAL_RESULTS).and_then(|rest| rest.strip_prefix('/'));
        name.is_some_and(|name| {
            !name.contains('/') && [".yaml", ".yml"].iter().any(|end| name.ends_with(end))
        })
    };
    let mut found = Vec::new();
    let files = registry.store.files(revision).await?;
    for file in files.into_iter().filter(|file| is_of_results(&file.path)).take(RESULTS.0) {
        match registry.store.read_text(&file.digest, RESULTS.1).await {
            Ok(text) => {
                let entries = spawn_blocking(move || hub::eval_entries(&text)).await?;
                found.extend(entries.into_iter().map(|entry| (file.path.clone(), entry)));
            }
            Err(
                store::Error::BlobMissing(_)
                | store::Error::BlobDamaged(_)
                | store::Error::TextTooLong { .. }
                | store::Error::NotText(_),
            ) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(found)
}

/// Results that the README.md of a revision and its files of results state; none where they are not stored.
///
/// # Errors
/// As [`front_matters`].
pub async fn evaluations(registry: &Registry, revision: i64) -> Result<Vec<Evaluation>, Error> {
    let front = front_matter(registry, revision).await?.unwrap_or_default();
    let mut found = hub::evaluations(&front);
    let results = eval_results(registry, revision).await?;
    found.extend(results.iter().filter_map(|(_, entry)| hub::eval_result(entry)));
    Ok(found)
}
