//! What the stored card of a revision states.

use std::collections::HashMap;

use domain::{Digest, files::README};
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

/// Results that the README.md of a revision states; none where it is not stored.
///
/// # Errors
/// As [`front_matters`].
pub async fn evaluations(registry: &Registry, revision: i64) -> Result<Vec<Evaluation>, Error> {
    let front = front_matter(registry, revision).await?.unwrap_or_default();
    Ok(hub::evaluations(&front))
}
