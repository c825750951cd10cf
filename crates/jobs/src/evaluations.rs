//! What the stored card of a revision states.

use hub::Evaluation;
use serde_json::{Map, Value};
use tokio::task::spawn_blocking;

use crate::{Error, Registry, ingest};

/// The front matter of a revision's README.md; none where it is not stored, or has lost its bytes.
///
/// # Errors
/// When the database cannot be read.
pub async fn front_matter(registry: &Registry, revision: i64) -> Result<Option<Map<String, Value>>, Error> {
    let files = registry.store.files(revision).await?;
    let Some(file) = files.into_iter().find(|file| file.path == "README.md") else { return Ok(None) };
    let limits = registry.limits;
    let Ok(readme) = ingest::readme(registry, &file.digest).await else { return Ok(None) };
    Ok(Some(spawn_blocking(move || hub::card::read(&readme, &limits).1.front).await?))
}

/// Results that the README.md of a revision states; none where it is not stored.
///
/// # Errors
/// When the database cannot be read.
pub async fn evaluations(registry: &Registry, revision: i64) -> Result<Vec<Evaluation>, Error> {
    let front = front_matter(registry, revision).await?.unwrap_or_default();
    Ok(hub::evaluations(&front))
}
