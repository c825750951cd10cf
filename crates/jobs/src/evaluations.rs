//! What the stored card of a revision states of evaluations.

use hub::{Evaluation, card};
use tokio::task::spawn_blocking;

use crate::{Error, Registry};

/// Results that the README.md of a revision states; none where it is not stored.
///
/// # Errors
/// When the database cannot be read.
pub async fn evaluations(registry: &Registry, revision: i64) -> Result<Vec<Evaluation>, Error> {
    let files = registry.store.files(revision).await?;
    let Some(file) = files.into_iter().find(|file| file.path == "README.md") else { return Ok(Vec::new()) };
    let limits = registry.limits;
    // A card that is too long, is no text or has lost its bytes states nothing.
    let Ok(text) = registry.store.read_text(&file.digest, limits.card_bytes).await else {
        return Ok(Vec::new());
    };
    Ok(spawn_blocking(move || hub::evaluations(&card::parse(&text, &limits).front)).await?)
}
