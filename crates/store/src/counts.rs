//! Totals of the registry, counted from indexes, and once per change.

use std::{collections::BTreeMap, sync::PoisonError};

use sea_orm::QueryResult;
use serde::Serialize;

use crate::{
    JOB_STATES, Result, Store,
    rows::{get, unsigned},
    sql::{self, Params},
};

/// How much the registry holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Counts {
    /// Without ghosts.
    pub models: u64,
    pub ghosts: u64,
    pub edges: u64,
    pub with_weights: u64,
    pub jobs_queued: u64,
}

/// Ghosts and rejected edges are few and indexed; the rest is a difference, so that no table is read.
const TOTALS: &str =
    "SELECT (SELECT COUNT(*) FROM models) - (SELECT COUNT(*) FROM models WHERE ghost) AS models,
    (SELECT COUNT(*) FROM models WHERE ghost) AS ghosts,
    (SELECT COUNT(*) FROM edges) - (SELECT COUNT(*) FROM edges WHERE status <> 'accepted') AS edges,
    (SELECT COUNT(*) FROM models WHERE has_weights) AS with_weights";

const QUEUED: &str = "SELECT COUNT(*) AS jobs_queued FROM jobs WHERE state = 'queued'";

/// `{open}` is the condition on what a viewer may see; nothing but the index is read where that is everything.
const STATES: &str = "SELECT state, COUNT(*) AS jobs FROM jobs WHERE {open} GROUP BY state";

/// Jobs that wait are bounded in number.
const OLDEST: &str = "SELECT {now} - MIN(created_at) AS age FROM jobs WHERE state = 'queued' AND {open}";

/// Of the same, what the models that are hidden from a viewer have; `{hidden}` is the condition on them.
const HIDDEN: &str = "SELECT COUNT(*) - COUNT(CASE WHEN models.ghost THEN 1 END) AS models,
    COUNT(CASE WHEN models.ghost THEN 1 END) AS ghosts,
    (SELECT COUNT(*) FROM edges WHERE status = 'accepted'
     AND child IN (SELECT models.id FROM models WHERE {hidden})) AS edges,
    COUNT(CASE WHEN models.has_weights THEN 1 END) AS with_weights
    FROM models WHERE {hidden}";

/// Jobs by their states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Work {
    /// Each state with how many jobs are in it.
    pub states: Vec<(&'static str, u64)>,
    /// For how long the oldest of the jobs that wait has waited; 0 where none does.
    pub oldest_queued_seconds: u64,
}

impl Store {
    /// The jobs that the viewer may see, by their states.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn count_work(&self) -> Result<Work> {
        let mut params = Params::default();
        let open = self.visible_work(&mut params);
        let mut counted = BTreeMap::new();
        let sql = STATES.replace("{open}", &open);
        for row in sql::all(self.db(), &sql, params).await? {
            counted.insert(get::<String>(&row, "state")?, unsigned(&row, "jobs")?);
        }
        let mut params = Params::default();
        let open = self.visible_work(&mut params);
        let sql = OLDEST.replace("{open}", &open).replace("{now}", sql::now(self.backend()));
        let row = sql::one(self.db(), &sql, params).await?;
        let age: Option<i64> = row.map(|row| get(&row, "age")).transpose()?.flatten();
        let oldest = age.and_then(|age| u64::try_from(age).ok()).unwrap_or_default();
        let states =
            JOB_STATES.into_iter().map(|state| (state, counted.get(state).copied().unwrap_or_default()));
        Ok(Work { states: states.collect(), oldest_queued_seconds: oldest })
    }

    /// Totals of what the viewer may see.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn count_models(&self) -> Result<Counts> {
        // Read first: what is counted may be newer than this, and is then counted once more.
        let version = self.change_counter().await?;
        let known = *self.counted().lock().unwrap_or_else(PoisonError::into_inner);
        let counts = match known {
            Some((at, counts)) if at == version => counts,
            _ => {
                let counts = self.count().await?;
                *self.counted().lock().unwrap_or_else(PoisonError::into_inner) = Some((version, counts));
                counts
            }
        };
        // Jobs come and go without a change of the registry.
        let mut params = Params::default();
        let sql = format!("{QUEUED} AND {}", self.visible_work(&mut params));
        let row = sql::one(self.db(), &sql, params).await?;
        let jobs_queued = row.as_ref().map_or(Ok(0), |row| unsigned(row, "jobs_queued"))?;
        let mut params = Params::default();
        let hidden = match self.visible(&mut params) {
            None => Counts::default(),
            Some(visible) => {
                let sql = HIDDEN.replace("{hidden}", &format!("models.private AND NOT {visible}"));
                counted(sql::one(self.db(), &sql, params).await?.as_ref())?
            }
        };
        // What was hidden since the totals were counted may be more than they hold.
        Ok(Counts {
            models: counts.models.saturating_sub(hidden.models),
            ghosts: counts.ghosts.saturating_sub(hidden.ghosts),
            edges: counts.edges.saturating_sub(hidden.edges),
            with_weights: counts.with_weights.saturating_sub(hidden.with_weights),
            jobs_queued,
        })
    }

    async fn count(&self) -> Result<Counts> {
        counted(sql::one(self.db(), TOTALS, Params::default()).await?.as_ref())
    }
}

fn counted(row: Option<&QueryResult>) -> Result<Counts> {
    let Some(row) = row else { return Ok(Counts::default()) };
    Ok(Counts {
        models: unsigned(row, "models")?,
        ghosts: unsigned(row, "ghosts")?,
        edges: unsigned(row, "edges")?,
        with_weights: unsigned(row, "with_weights")?,
        jobs_queued: 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn empty() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open("sqlite::memory:", folder.path().to_str().unwrap()).await.unwrap();
        store.migrate().await.unwrap();
        (folder, store)
    }

    /// The steps by which SQLite answers a question.
    async fn plan(store: &Store, asked: &str) -> Vec<String> {
        let asked = format!("EXPLAIN QUERY PLAN {asked}");
        let rows = sql::all(store.db(), &asked, Params::default()).await.unwrap();
        rows.iter().map(|row| row.try_get("", "detail").unwrap()).collect()
    }

    #[tokio::test]
    async fn what_is_hidden_is_counted_without_reading_all_models_or_edges() {
        let (_folder, store) = empty().await;
        let hidden = HIDDEN.replace("{hidden}", "models.private AND NOT (NOT models.private)");

        let steps = plan(&store, &hidden).await;

        let scans: Vec<&String> = steps.iter().filter(|step| step.starts_with("SCAN")).collect();
        assert!(scans.iter().all(|step| step.ends_with("models_private")), "{steps:#?}");
        assert!(steps.iter().any(|step| step.starts_with("SEARCH edges")), "{steps:#?}");
    }

    #[tokio::test]
    async fn jobs_are_counted_by_state_and_the_oldest_that_waits_is_timed() {
        let (_folder, store) = empty().await;
        let idle = store.count_work().await.unwrap();
        for (id, state, age) in [("a", "queued", 90), ("b", "queued", 5), ("c", "failed", 900)] {
            let sql = format!(
                "INSERT INTO jobs (id, kind, state, payload, created_at)
                 VALUES ('{id}', 'merge_models', '{state}', '{{}}', {} - {age})",
                sql::now(store.backend())
            );
            sql::run(store.db(), &sql, Params::default()).await.unwrap();
        }

        let work = store.count_work().await.unwrap();

        assert_eq!(idle.oldest_queued_seconds, 0);
        assert!(idle.states.iter().all(|(_, jobs)| *jobs == 0) && idle.states.len() == JOB_STATES.len());
        assert!(work.oldest_queued_seconds >= 90 && work.oldest_queued_seconds < 900);
        let count = |wanted: &str| work.states.iter().find(|(state, _)| *state == wanted).unwrap().1;
        assert_eq!([count("queued"), count("failed"), count("running")], [2, 1, 0]);
    }

    #[tokio::test]
    async fn totals_are_read_from_indexes_alone() {
        let (_folder, store) = empty().await;

        let states = STATES.replace("{open}", "TRUE");
        for counted in [TOTALS, QUEUED, &states] {
            let steps = plan(&store, counted).await;

            let reads: Vec<&String> =
                steps.iter().filter(|step| step.starts_with("SCAN") || step.starts_with("SEARCH")).collect();
            assert!(
                reads
                    .iter()
                    .all(|step| step.contains("COVERING INDEX") || step.as_str() == "SCAN CONSTANT ROW"),
                "{steps:#?}"
            );
            assert!(reads.len() > 1 || counted != TOTALS, "{steps:#?}");
        }
    }
}
