//! The versions of a model's line: from the root of its family down, then its own revisions.

use std::collections::BTreeMap;

use analysis::versions::{Named, Release, State, Tensor, release};
use domain::{Digest, Relation, files};
use serde::Serialize;
use store::{CommitRow, ModelRow};
use tokio::sync::Semaphore;
use weights::{canonical_name, changed_tensor};

use crate::{Error, Registry, adapter, documents::parsed};

/// Models of more tensors are looked at one after another: their rows take hundreds of megabytes.
const MANY: u64 = 10_000;

static ONE_BY_ONE: Semaphore = Semaphore::const_new(1);

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
    let _turn = match row.revision {
        Some(revision) if registry.store.tensor_count(revision).await? > MANY => {
            Some(ONE_BY_ONE.acquire().await.map_err(|error| Error::Task(error.to_string()))?)
        }
        _ => None,
    };
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
        if Some(revision.id) != row.revision && begins_empty(registry, revision.id).await? {
            continue;
        }
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

/// Whether a revision holds nothing but files about files, as the first one of a repository that is made before it is
/// filled: no release.
async fn begins_empty(registry: &Registry, revision: i64) -> Result<bool, Error> {
    let files = registry.store.files(revision).await?;
    Ok(files.iter().all(|file| file.path.starts_with('.')))
}

/// What is known of a revision, or of the metadata alone. An adapter is its base with the adapter applied, where the base
/// is here.
async fn state_of(registry: &Registry, row: &ModelRow, revision: Option<i64>) -> Result<State, Error> {
    let own = stored_state(registry, row, revision).await?;
    let Some(revision) = revision else { return Ok(own) };
    let config = registry.store.files(revision).await?.into_iter().find(|file| file.path == adapter::CONFIG);
    let Some(config) = config else { return Ok(own) };
    let config = registry.store.read_text(&config.digest, registry.limits.config_bytes).await?;
    let config = parsed(&config, adapter::CONFIG).ok();
    let Some(base) = config.as_ref().and_then(adapter::base_of) else { return Ok(own) };
    let base = registry.store.model_by_id(&base).await?.filter(|base| base.has_weights);
    let Some(base) = base else { return Ok(own) };
    Ok(applied(own, stored_state(registry, &base, base.revision).await?))
}

/// The state of an adapter applied to its base: the base's parts, but for those that the adapter brings, with every tensor
/// that it changes under a digest of its own.
fn applied(own: State, base: State) -> State {
    let places: BTreeMap<String, String> =
        base.tensors.keys().map(|name| (canonical_name(name).to_owned(), name.clone())).collect();
    let mut tensors = base.tensors;
    for (name, factor) in own.tensors {
        let place = changed_tensor(&name).and_then(|changed| places.get(canonical_name(&changed)));
        match place.and_then(|place| tensors.get_mut(place)) {
            Some(tensor) => {
                let both = format!("{} {name} {}", tensor.digest, factor.digest);
                tensor.digest = Digest::of(both.as_bytes());
            }
            None => {
                tensors.insert(name, factor);
            }
        }
    }
    State {
        architecture: base.architecture.or(own.architecture),
        config: base.config.or(own.config),
        generation: own.generation.or(base.generation),
        tokenizer: if own.tokenizer.is_empty() { base.tokenizer } else { own.tokenizer },
        tensors,
        ..own
    }
}

/// What is known of a revision as it is stored. The licence is that of the model's present metadata.
async fn stored_state(registry: &Registry, row: &ModelRow, revision: Option<i64>) -> Result<State, Error> {
    let mut state = State {
        architecture: row.architecture.clone().or_else(|| row.model_type.clone()),
        licence: row.licence().map(str::to_owned),
        ..State::default()
    };
    let Some(revision) = revision else {
        state.config.clone_from(&row.config);
        state.card = row.card.as_ref().map(|card| Digest::of(card.as_bytes()));
        return Ok(state);
    };
    for file in registry.store.files(revision).await? {
        match file.path.as_str() {
            files::README => state.card = Some(file.digest),
            files::GENERATION_CONFIG => state.generation = Some(file.digest),
            files::CONFIG => {
                let text = registry.store.read_text(&file.digest, registry.limits.config_bytes).await?;
                state.config = parsed(&text, files::CONFIG).ok();
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
    let named = [files::TOKENIZER, "tokenizer.model", "merges.txt", "spiece.model", "added_tokens.json"];
    named.contains(&path) || path.starts_with("vocab.") || path.ends_with(".tiktoken")
}

#[cfg(test)]
mod tests {
    use analysis::versions::{Level, Part};

    use super::*;

    fn state(tensors: &[(&str, u64, &str)]) -> State {
        let tensor = |(name, rows, value): &(&str, u64, &str)| {
            let tensor = Tensor {
                dtype: "F32".to_owned(),
                shape: vec![*rows, 4],
                digest: Digest::of(value.as_bytes()),
            };
            ((*name).to_owned(), tensor)
        };
        State { tensors: tensors.iter().map(tensor).collect(), ..State::default() }
    }

    #[test]
    fn an_adapter_is_a_change_of_weights_and_not_of_architecture() {
        let base = state(&[("model.layers.0.q.weight", 4, "q"), ("model.layers.0.k.weight", 4, "k")]);
        let adapter = state(&[
            ("base_model.model.model.layers.0.q.lora_A.weight", 1, "a"),
            ("base_model.model.model.layers.0.q.lora_B.weight", 4, "b"),
        ]);
        let named = |model: &str| Named { model: model.to_owned(), revision: None, ghost: false };

        let after = applied(adapter, base.clone());
        let first = release(None, named("t/base"), (&base, None));
        let next = release(Some((&first, &base)), named("t/lora"), (&after, Some(Relation::Adapter)));

        assert_eq!(after.tensors["model.layers.0.k.weight"], base.tensors["model.layers.0.k.weight"]);
        let parts: Vec<_> = next.changes.iter().map(|change| (change.part, change.level)).collect();
        assert_eq!(parts, [(Part::Weights, Level::Minor)]);
    }
}
