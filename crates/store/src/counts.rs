//! Totals of the registry, counted from indexes, and once per change.

use std::sync::PoisonError;

use serde::Serialize;

use crate::{
    Result, Store,
    rows::unsigned,
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

impl Store {
    /// Totals for the front page.
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
        let row = sql::one(self.db(), QUEUED, Params::default()).await?;
        let jobs_queued = row.as_ref().map_or(Ok(0), |row| unsigned(row, "jobs_queued"))?;
        Ok(Counts { jobs_queued, ..counts })
    }

    async fn count(&self) -> Result<Counts> {
        let Some(row) = sql::one(self.db(), TOTALS, Params::default()).await? else {
            return Ok(Counts::default());
        };
        Ok(Counts {
            models: unsigned(&row, "models")?,
            ghosts: unsigned(&row, "ghosts")?,
            edges: unsigned(&row, "edges")?,
            with_weights: unsigned(&row, "with_weights")?,
            jobs_queued: 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn totals_are_read_from_indexes_alone() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open("sqlite::memory:", folder.path().to_str().unwrap()).await.unwrap();
        store.migrate().await.unwrap();

        for counted in [TOTALS, QUEUED] {
            let plan = format!("EXPLAIN QUERY PLAN {counted}");
            let rows = sql::all(store.db(), &plan, Params::default()).await.unwrap();

            let steps: Vec<String> = rows.iter().map(|row| row.try_get("", "detail").unwrap()).collect();
            let reads: Vec<&String> =
                steps.iter().filter(|step| step.starts_with("SCAN") || step.starts_with("SEARCH")).collect();
            assert!(
                reads
                    .iter()
                    .all(|step| step.contains("COVERING INDEX") || step.as_str() == "SCAN CONSTANT ROW"),
                "{steps:#?}"
            );
            assert!(reads.len() > 1 || counted == QUEUED, "{steps:#?}");
        }
    }
}
