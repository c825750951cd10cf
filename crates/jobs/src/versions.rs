//! The versions of a model's line: from the root of its family down, then its own revisions.

use std::collections::BTreeMap;

use analysis::versions::{Named, Release, State, Tensor, release};
use domain::{Digest, Relation};
use serde::Serialize;
use store::{CommitRow, ModelRow};

use crate::{Error, Registry};

/// A model's derived version, and the line that leads to it.
#[derive(Debug, Clone, Serialize)]
pub struct Versions {
    pub model: String,
    /// Of its current revision.
    pub version: String,
    /// The oldest first; the model's current state last.
    pub line: Vec<Release>,
    /// Whether earlier models or revisions were left out; versions then start at the first one shown.
    pub truncated: bool,
}

/// Derives the versions along the line of primary parents down to `row`, and of its revisions.
///
/// # Errors
/// When the database or a stored configuration cannot be read.
pub async fn versions(registry: &Registry, row: &ModelRow) -> Result<Versions, Error> {
    let most = registry.limits.version_line;
    let forest = registry.forests.current().await?;
    let mut path = forest.path_from_root(row.id);
    let mut truncated = path.len() > most;
    path.drain(..path.len().saturating_sub(most));
    let mut line: Vec<Release> = Vec::new();
    let mut last: Option<State> = None;
    let mut push = |named: Named, state: State, relation: Option<Relation>| {
        let next = release(line.last().zip(last.as_ref()), named, (&state, relation));
        line.push(next);
        last = Some(state);
    };
    for id in path.iter().copied().filter(|id| *id != row.id) {
        let Some(model) = registry.store.model(id).await? else { continue };
        let relation = primary_relation(&forest, id);
        let state = state_of(registry, &model, model.revision).await?;
        push(named(&model, model.digest), state, relation);
    }
    let relation = primary_relation(&forest, row.id);
    let revisions = registry.store.revisions(row.id, most as u64 + 1).await?;
    truncated |= revisions.len() > most;
    let skip = revisions.len().saturating_sub(most);
    // Published again, an old revision is the current one; the others lead up to it.
    let (others, current): (Vec<_>, Vec<_>) =
        revisions.into_iter().skip(skip).partition(|revision| Some(revision.id) != row.revision);
    let mut relation = relation;
    for revision in others.iter().chain(&current) {
        let state = state_of(registry, row, Some(revision.id)).await?;
        push(named(row, Some(revision.digest)), state, relation.take());
    }
    if current.is_empty() {
        push(named(row, None), state_of(registry, row, None).await?, relation.take());
    }
    let version = line.last().map(|release| release.version.to_string()).unwrap_or_default();
    Ok(Versions { model: row.name.clone(), version, line, truncated })
}

/// How one revision of a model follows another: the parts that changed and how far the change reaches. Its version is
/// counted from 1.0.0 for `from`.
///
/// # Errors
/// When the database or a stored configuration cannot be read.
pub async fn version_step(
    registry: &Registry,
    row: &ModelRow,
    (from, to): (&CommitRow, &CommitRow),
) -> Result<Release, Error> {
    let before = state_of(registry, row, Some(from.revision)).await?;
    let after = state_of(registry, row, Some(to.revision)).await?;
    let first = release(None, named(row, Some(from.digest)), (&before, None));
    Ok(release(Some((&first, &before)), named(row, Some(to.digest)), (&after, None)))
}

fn primary_relation(forest: &analysis::lineage::Forest, id: i64) -> Option<Relation> {
    forest.parents(id).into_iter().find(|link| link.primary).map(|link| link.relation)
}

fn named(row: &ModelRow, digest: Option<Digest>) -> Named {
    Named { model: row.name.clone(), revision: digest.map(|digest| digest.to_string()), ghost: row.ghost }
}

/// What is known of a revision, or of the metadata alone. The licence is that of the model's present metadata.
async fn state_of(registry: &Registry, row: &ModelRow, revision: Option<i64>) -> Result<State, Error> {
    let mut state = State {
        architecture: row.architecture.clone().or_else(|| row.model_type.clone()),
        licence: row.license.clone(),
        ..State::default()
    };
    let Some(revision) = revision else {
        state.config.clone_from(&row.config);
        state.card = row.card.as_ref().map(|card| Digest::of(card.as_bytes()));
        return Ok(state);
    };
    for file in registry.store.files(revision).await? {
        match file.path.as_str() {
            "README.md" => state.card = Some(file.digest),
            "config.json" => {
                let text = registry.store.read_text(&file.digest, registry.limits.config_bytes).await?;
                state.config = serde_json::from_str(&text).ok();
            }
            path if is_tokenizer(path) => {
                state.tokenizer.insert(file.path, file.digest);
            }
            _ => {}
        }
    }
    let tensors = registry.store.tensors(revision).await?;
    state.tensors = tensors
        .into_iter()
        .map(|tensor| {
            (tensor.name, Tensor { dtype: tensor.dtype, shape: tensor.shape, digest: tensor.digest })
        })
        .collect::<BTreeMap<_, _>>();
    Ok(state)
}

/// Files that decide which numbers a text becomes.
fn is_tokenizer(path: &str) -> bool {
    let named = ["tokenizer.json", "tokenizer.model", "merges.txt", "spiece.model", "added_tokens.json"];
    named.contains(&path) || path.starts_with("vocab.") || path.ends_with(".tiktoken")
}
