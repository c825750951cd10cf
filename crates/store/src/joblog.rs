//! What happened to a job, line by line; and how many wait before it.

use sea_orm::QueryResult;
use serde::Serialize;

use crate::{
    Result, Store,
    rows::{get, unsigned},
    sql::{self, MOST_KEYS, Params},
};

/// A line of a job's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LogLine {
    /// Unix seconds, by the database's clock.
    pub at: i64,
    pub line: String,
}

impl Store {
    /// Adds lines to a job's log.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn log_job(&self, job: &str, lines: &[String]) -> Result<()> {
        let now = sql::now(self.backend());
        for lines in lines.chunks(MOST_KEYS) {
            let mut params = Params::default();
            let job = params.add(job);
            let row = |line: &String| format!("({job}, {now}, {})", params.add(sql::text(line)));
            let rows: Vec<String> = lines.iter().map(row).collect();
            let sql = format!("INSERT INTO job_log (job, at, line) VALUES {}", rows.join(", "));
            sql::run(self.db(), &sql, params).await?;
        }
        Ok(())
    }

    /// The last lines of a job's log, oldest first. Whoever asks may see the job: look at it first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn job_log(&self, job: &str, most: u64) -> Result<Vec<LogLine>> {
        let mut params = Params::default();
        let sql = format!(
            "SELECT at, line FROM job_log WHERE job = {} ORDER BY id DESC LIMIT {}",
            params.add(sql::text(job)),
            params.add(sql::capped(most))
        );
        let read = |row: &QueryResult| Ok(LogLine { at: get(row, "at")?, line: get(row, "line")? });
        let mut lines: Vec<LogLine> =
            sql::all(self.db(), &sql, params).await?.iter().map(read).collect::<Result<_>>()?;
        lines.reverse();
        self.discreet(lines, |line| line.line.clone()).await
    }

    /// Jobs that wait and were asked for before this one.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn jobs_before(&self, job: &str) -> Result<u64> {
        let mut params = Params::default();
        let sql = format!(
            "SELECT COUNT(*) AS n FROM jobs WHERE state = 'queued' AND id < {}",
            params.add(sql::text(job))
        );
        sql::one(self.db(), &sql, params).await?.as_ref().map_or(Ok(0), |row| unsigned(row, "n"))
    }
}
