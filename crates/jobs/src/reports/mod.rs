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

/// The state of the registry that a report was made of, and the numbers of the models hidden from it, ascending.
type Basis = (i64, Vec<i64>);

/// Reports by what they are about.
type Made = HashMap<Subject, (Basis, Arc<Report>)>;

/// The last report on each subject.
#[derive(Clone, Default)]
pub struct Reports {
    made: Arc<RwLock<Made>>,
    /// Held by whoever makes one: a report reads every model.
    turn: Arc<Mutex<()>>,
}

impl Reports {
    fn made(&self, subject: Subject, basis: &Basis) -> Option<Arc<Report>> {
        let made = self.made.read().unwrap_or_else(PoisonError::into_inner);
        made.get(&subject).filter(|(at, _)| at == basis).map(|(_, report)| Arc::clone(report))
    }
}

/// The report on a subject, made again when the registry changed since. Whoever asked may go away meanwhile.
///
/// # Errors
/// When the database cannot be read.
pub async fn report(registry: &Registry, subject: Subject) -> Result<Arc<Report>, Error> {
    let registry = registry.clone();
    tokio::spawn(async move {
        if let Some(report) = registry.reports.made(subject, &basis(&registry).await?) {
            return Ok(report);
        }
        let _turn = registry.reports.turn.lock().await;
        let basis = basis(&registry).await?;
        if let Some(report) = registry.reports.made(subject, &basis) {
            return Ok(report);
        }
        let report = Arc::new(make(&registry, subject).await?);
        let mut made = registry.reports.made.write().unwrap_or_else(PoisonError::into_inner);
        made.insert(subject, (basis, Arc::clone(&report)));
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
    let (version, hidden) = basis(registry).await?;
    let last = {
        let made = registry.reports.made.read().unwrap_or_else(PoisonError::into_inner);
        // An older report may count what is hidden now.
        let last = made.get(&subject).filter(|((_, theirs), _)| *theirs == hidden);
        last.map(|((at, _), report)| (Arc::clone(report), *at != version))
    };
    if last.as_ref().is_some_and(|(_, stale)| !stale) {
        return Ok(last);
    }
    // Another report is being made already: this one would only queue up behind it.
    if last.is_some() && registry.reports.turn.try_lock().is_err() {
        return Ok(last);
    }
    let (making, large) = (registry.clone(), registry.forests.current().await?.len() > LARGE);
    let new = tokio::spawn(async move { report(&making, subject).await });
    let patience = if last.is_some() && large { Duration::ZERO } else { PATIENCE };
    match tokio::time::timeout(patience, new).await {
        Ok(report) => Ok(Some((report??, false))),
        Err(_) => Ok(last),
    }
}

async fn basis(registry: &Registry) -> Result<Basis, Error> {
    let version = registry.store.change_counter().await?;
    let mut hidden: Vec<i64> = registry.store.hidden().await?.into_iter().collect();
    hidden.sort_unstable();
    Ok((version, hidden))
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
