//! Reports over the whole registry: models are read page by page, and only words, numbers and edges stay.

mod tables;

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use analysis::{
    licence::{LicenceSurvey, survey},
    traits::{
        Card, CardDrift, Drift, Families, Likeness, MutationRate, Trait, TraitTable, card_drift, drift,
        families, mutation, pairs, similarity,
    },
    versions::{Naming, NamingSurvey},
};
use domain::Digest;
use serde::Serialize;
use store::ModelRow;
use tokio::sync::Mutex;

use crate::{Error, Registry};

pub use tables::Table;

/// Models read at once.
const PAGE: u64 = 5_000;

/// How long somebody waits for a report, and the size of a registry from which nobody does when there is an older one.
const PATIENCE: Duration = Duration::from_secs(2);
const LARGE: usize = 100_000;

/// Reports that are kept: those on every subject for some ten circles of readers to whom different models are hidden.
const MOST: usize = 64;

/// Of samples and resamples: fixed, so that one registry has one report.
const SEED: u64 = 20_250_812;

/// What a report is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Subject {
    /// How alike relatives are.
    Traits,
    Mutation,
    Drift,
    Families,
    Licences,
    Names,
}

impl Subject {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Traits, Self::Mutation, Self::Drift, Self::Families, Self::Licences, Self::Names];

    /// The word that asks for it.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Traits => "traits",
            Self::Mutation => "mutation",
            Self::Drift => "drift",
            Self::Families => "families",
            Self::Licences => "licences",
            Self::Names => "names",
        }
    }

    /// The subject of this word.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|subject| subject.label() == word)
    }
}

/// How many models report a trait at all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Coverage {
    #[serde(rename = "trait")]
    pub kind: Trait,
    pub models: u64,
    pub reporting: u64,
}

/// A finished report.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Report {
    Traits(Likeness),
    Mutation { coverage: Vec<Coverage>, rates: Vec<MutationRate> },
    Drift { traits: Vec<Drift>, cards: Vec<CardDrift> },
    Families(Families),
    Licences(LicenceSurvey),
    Names(Naming),
}

/// What a report is about, and of which models: the digest of the numbers of those that are hidden.
type Scope = (Subject, Digest);

/// A report with the state of the registry that it was made of.
struct Made {
    scope: Scope,
    at: i64,
    report: Arc<Report>,
}

/// The last report of each scope, as far as there is room for them.
#[derive(Clone, Default)]
pub struct Reports {
    /// Those that were made last come last.
    made: Arc<RwLock<Vec<Made>>>,
    /// Each locked by whoever makes the report of this scope while others wait.
    making: Arc<std::sync::Mutex<HashMap<Scope, Arc<Mutex<()>>>>>,
    /// Held by whoever makes one: a report reads every model.
    turn: Arc<Mutex<()>>,
}

impl Reports {
    /// The last report of a scope, and whether the registry has changed since by its state `now`.
    fn last(&self, scope: &Scope, now: i64) -> Option<(Arc<Report>, bool)> {
        let made = self.made.read().unwrap_or_else(PoisonError::into_inner);
        made.iter().find(|made| made.scope == *scope).map(|made| (Arc::clone(&made.report), made.at < now))
    }

    fn fresh(&self, scope: &Scope, now: i64) -> Option<Arc<Report>> {
        self.last(scope, now).filter(|(_, stale)| !stale).map(|(report, _)| report)
    }

    fn keep(&self, new: Made) {
        let mut made = self.made.write().unwrap_or_else(PoisonError::into_inner);
        made.retain(|old| old.scope != new.scope);
        if made.len() >= MOST {
            made.remove(0);
        }
        made.push(new);
    }

    fn making(&self, scope: Scope) -> Arc<Mutex<()>> {
        let mut making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        making.retain(|_, one| Arc::strong_count(one) > 1);
        Arc::clone(making.entry(scope).or_default())
    }
}

/// The report on a subject, made again when the registry changed since. Whoever asked may go away meanwhile.
///
/// # Errors
/// When the database cannot be read.
pub async fn report(registry: &Registry, subject: Subject) -> Result<Arc<Report>, Error> {
    let registry = registry.clone();
    tokio::spawn(async move {
        let (now, scope) = basis(&registry, subject).await?;
        if let Some(report) = registry.reports.fresh(&scope, now) {
            return Ok(report);
        }
        let _turn = registry.reports.turn.lock().await;
        let (at, scope) = basis(&registry, subject).await?;
        if let Some(report) = registry.reports.fresh(&scope, at) {
            return Ok(report);
        }
        let report = Arc::new(make(&registry, subject).await?);
        registry.reports.keep(Made { scope, at, report: Arc::clone(&report) });
        Ok(report)
    })
    .await?
}

/// The report on a subject without a long wait, and whether the registry changed since it was made: the last one while a
/// new one is being made, none while that is the first.
///
/// # Errors
/// When the database cannot be read.
pub async fn report_at_hand(
    registry: &Registry,
    subject: Subject,
) -> Result<Option<(Arc<Report>, bool)>, Error> {
    let (now, scope) = basis(registry, subject).await?;
    let last = registry.reports.last(&scope, now);
    if last.as_ref().is_some_and(|(_, stale)| !stale) {
        return Ok(last);
    }
    let making = registry.reports.making(scope);
    let Ok(first) = Arc::clone(&making).try_lock_owned() else {
        // Whoever asked first makes the very same.
        if last.is_none() {
            let _over = tokio::time::timeout(PATIENCE, making.lock()).await;
        }
        return Ok(registry.reports.last(&scope, now));
    };
    // Another report is being made already: this one would only queue up behind it.
    if last.is_some() && registry.reports.turn.try_lock().is_err() {
        return Ok(last);
    }
    let (asking, large) = (registry.clone(), registry.forests.current().await?.len() > LARGE);
    let new = tokio::spawn(async move {
        let _first = first;
        report(&asking, subject).await
    });
    let patience = if last.is_some() && large { Duration::ZERO } else { PATIENCE };
    match tokio::time::timeout(patience, new).await {
        Ok(report) => Ok(Some((report??, false))),
        Err(_) => Ok(last),
    }
}

/// The present state of the registry, and what of it a report on `subject` is of.
async fn basis(registry: &Registry, subject: Subject) -> Result<(i64, Scope), Error> {
    let now = registry.store.change_counter().await?;
    let mut hidden: Vec<i64> = registry.store.hidden().await?.into_iter().collect();
    hidden.sort_unstable();
    let hidden: Vec<u8> = hidden.into_iter().flat_map(i64::to_le_bytes).collect();
    Ok((now, (subject, Digest::of(&hidden))))
}

async fn make(registry: &Registry, subject: Subject) -> Result<Report, Error> {
    let forest = registry.forests.newest().await?;
    let limits = registry.limits;
    match subject {
        Subject::Families => {
            Ok(tokio::task::spawn_blocking(move || Report::Families(families(&forest))).await?)
        }
        Subject::Licences => {
            Ok(tokio::task::spawn_blocking(move || Report::Licences(survey(&forest, limits.report_rows)))
                .await?)
        }
        Subject::Names => {
            let made = move || {
                let mut names = NamingSurvey::default();
                forest.nodes().filter(|node| !node.ghost).for_each(|node| names.add(node.name));
                Report::Names(names.finish(limits.report_rows))
            };
            Ok(tokio::task::spawn_blocking(made).await?)
        }
        Subject::Mutation | Subject::Drift => {
            let table = table(registry).await?;
            let made = move || {
                let edges = forest.descents();
                if subject == Subject::Drift {
                    let of = |kind| drift(&table, &edges, (kind, limits.report_rows));
                    return Report::Drift {
                        traits: Trait::ALL.map(of).to_vec(),
                        cards: card_drift(&table, &edges),
                    };
                }
                let models = table.len() as u64;
                let coverage = |kind| Coverage { kind, models, reporting: table.reporting(kind) };
                Report::Mutation {
                    coverage: Trait::ALL.map(coverage).to_vec(),
                    rates: mutation(&table, &edges),
                }
            };
            Ok(tokio::task::spawn_blocking(made).await?)
        }
        Subject::Traits => {
            let classes = pairs(&forest, limits.report_pairs, SEED);
            let mut ids: Vec<i64> =
                classes.iter().flat_map(|class| class.pairs.iter().flat_map(|&(a, b)| [a, b])).collect();
            ids.sort_unstable();
            ids.dedup();
            let rows = registry.store.light_models(&ids).await?;
            let texts = rows.iter().map(|row| (row.id, record(row, limits.report_text))).collect();
            let made = move || Report::Traits(similarity(&classes, &texts, SEED));
            Ok(tokio::task::spawn_blocking(made).await?)
        }
    }
}

async fn table(registry: &Registry) -> Result<TraitTable, Error> {
    let mut table = TraitTable::default();
    let mut after = i64::MIN;
    loop {
        let rows = registry.store.trait_rows(after, PAGE).await?;
        let Some(last) = rows.last() else { return Ok(table) };
        after = last.id;
        for row in &rows {
            let card = Card { characters: row.card_characters, generated: row.card_generated };
            table.add(row.id, card, |kind| match kind {
                Trait::Licence => row.license.as_deref().into_iter().collect(),
                Trait::Task => row.pipeline_tag.as_deref().into_iter().collect(),
                Trait::Library => row.library.as_deref().into_iter().collect(),
                Trait::Architecture => row.model_type.as_deref().into_iter().collect(),
                Trait::Language => row.languages.iter().map(String::as_str).collect(),
                Trait::Dataset => row.datasets.iter().map(String::as_str).collect(),
            });
        }
    }
}

/// A model's record as the text that is compared, cut at `most` characters.
fn record(row: &ModelRow, most: usize) -> String {
    let record = serde_json::json!({
        "id": row.name,
        "author": row.author,
        "created_at": row.created_at,
        "downloads": row.downloads,
        "library_name": row.library,
        "likes": row.likes,
        "pipeline_tag": row.pipeline_tag,
        "license": row.license,
        "model_type": row.model_type,
        "architecture": row.architecture,
        "parameters": row.parameters,
        "languages": row.languages,
        "datasets": row.datasets,
        "tags": row.tags,
    });
    record.to_string().chars().take(most).collect()
}

#[cfg(test)]
mod tests {
    use domain::{Metadata, RepoId, Viewer};
    use store::{Openness, Store};

    use super::*;

    async fn upsert(store: &Store, name: &str) {
        store.upsert(&[(Metadata::named(RepoId::parse(name).unwrap()), vec![])]).await.unwrap();
    }

    /// A registry with a private model.
    async fn registry(folder: &tempfile::TempDir) -> Registry {
        let registry = crate::testing::registry(folder).await;
        upsert(&registry.store, "acme/secret").await;
        let row = registry.store.model_by_id("acme/secret").await.unwrap().unwrap();
        registry.store.set_openness(row.id, Openness { private: Some(true), gated: None }).await.unwrap();
        registry
    }

    #[tokio::test]
    async fn readers_who_see_different_models_leave_each_other_their_reports() {
        let folder = tempfile::tempdir().unwrap();
        let house = registry(&folder).await;
        let stranger = house.seen_by(Viewer::default());

        let first = report(&stranger, Subject::Names).await.unwrap();
        let whole = report(&house, Subject::Names).await.unwrap();
        let again = report(&stranger, Subject::Names).await.unwrap();

        assert!(Arc::ptr_eq(&first, &again) && first != whole);
    }

    #[tokio::test]
    async fn a_report_that_somebody_waits_for_is_made_once() {
        let folder = tempfile::tempdir().unwrap();
        let registry = registry(&folder).await;
        let (_, scope) = basis(&registry, Subject::Names).await.unwrap();
        let old = report(&registry, Subject::Names).await.unwrap();
        upsert(&registry.store, "acme/other").await;
        let place = registry.reports.making(scope);
        let making = place.lock().await;

        let meanwhile = report_at_hand(&registry, Subject::Names).await.unwrap().unwrap();
        drop(making);
        let then = report_at_hand(&registry, Subject::Names).await.unwrap().unwrap();

        assert!(Arc::ptr_eq(&meanwhile.0, &old) && meanwhile.1);
        assert!(!then.1 && then.0 != old);
    }
}
