//! What a reader should know of a model's claims: what was odd when they were read, and what is odd among what is known now.

use std::collections::HashMap;

use domain::{Note, Source};
use store::{EdgeRow, ModelRow};

use crate::{Error, Registry};

/// Successors that are followed.
const SUCCESSORS: usize = 32;

/// The notes of a model: those of its metadata, then parents that are younger than it is, then that it is its own ancestor by
/// what is claimed.
///
/// # Errors
/// When the database cannot be read.
pub async fn notes(registry: &Registry, row: &ModelRow) -> Result<Vec<Note>, Error> {
    let mut notes = registry.store.notes_of(row.id).await?;
    let edges = registry.store.edges_of(row.id).await?;
    let parents: Vec<i64> = edges.iter().map(|edge| edge.parent).collect();
    let parents = registry.store.light_models(&parents).await?;
    notes.extend(younger(row, &edges, &parents));
    if registry.forests.current().await?.circles(row.id) {
        let detail = "by what is claimed it descends from itself; trees leave out one edge of the cycle";
        notes.push(Note { code: "cycle".to_owned(), detail: detail.to_owned() });
    }
    Ok(notes)
}

/// Parents that are dated after their child. A model that a recipe made here may well replace an older one of its name.
fn younger(row: &ModelRow, edges: &[EdgeRow], parents: &[ModelRow]) -> Vec<Note> {
    let Some(own) = row.created_at else { return Vec::new() };
    let known: HashMap<i64, &ModelRow> = parents.iter().map(|parent| (parent.id, parent)).collect();
    let note = |edge: &EdgeRow| {
        let parent = known.get(&edge.parent)?;
        let after = parent.created_at? - own;
        let made = edge.evidence.iter().any(|evidence| evidence.source == Source::Recipe);
        let days = match domain::days_between(own, parent.created_at?) {
            0 => "less than a day".to_owned(),
            1 => "1 day".to_owned(),
            days => format!("{days} days"),
        };
        let detail = format!("its parent `{}` is dated {days} after it", parent.name);
        (after > 0 && !made && edge.status.stands())
            .then(|| Note { code: "older_than_parent".to_owned(), detail })
    };
    edges.iter().filter_map(note).collect()
}

/// The last of the chain of successors that authors name; none where the author of this model names none.
///
/// # Errors
/// When the database cannot be read.
pub async fn newest_version(registry: &Registry, row: &ModelRow) -> Result<Option<String>, Error> {
    let Some(mut newest) = row.new_version.clone() else { return Ok(None) };
    let mut seen = vec![row.name.to_ascii_lowercase()];
    while seen.len() <= SUCCESSORS && !seen.contains(&newest.to_ascii_lowercase()) {
        seen.push(newest.to_ascii_lowercase());
        let next = registry.store.model_by_id(&newest).await?.and_then(|row| row.new_version);
        match next.filter(|next| !seen.contains(&next.to_ascii_lowercase())) {
            Some(next) => newest = next,
            None => break,
        }
    }
    Ok(Some(newest))
}
