//! The worker's side of the queue: claims under a lease, heartbeats, ends — each one statement, each fenced.

use sea_orm::{DatabaseTransaction, DbBackend};
use serde_json::Value;

use crate::{
    Error, Result, Store,
    jobs::{COLUMNS, JobRow, job},
    rows::{get, to_json},
    sql::{self, Params, text},
};

/// A job whose worker vanished this often is given up: it probably kills its workers.
const MOST_CLAIMS: i32 = 8;

/// How far a running job is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobProgress {
    pub step: String,
    pub done: i64,
    pub total: i64,
    /// Bytes a second.
    pub rate: Option<i64>,
}

/// What a worker hears when it reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beat {
    /// Go on; the lease is renewed.
    Go,
    /// Somebody asked to cancel: stop, then call `set_cancelled`.
    Cancel,
    /// The job belongs to another worker or has ended: stop and drop everything.
    Lost,
}

/// That a worker holds a job: nobody else may write of it while its fence is the newest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    pub job: String,
    pub fence: i64,
}

/// How a job failed.
#[derive(Debug, Clone, Copy)]
pub struct Failed<'a> {
    pub code: &'a str,
    pub message: &'a str,
    /// Seconds after which it is tried again; none where it is not.
    pub retry_after: Option<i64>,
}

impl Store {
    /// Takes the oldest waiting job of these kinds, or one whose worker's lease ran out. Leases are
    /// measured by the database's clock.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn claim(&self, kinds: &[&str], worker: &str, lease_seconds: i64) -> Result<Option<JobRow>> {
        // First: an ended job must not keep the name of its output while others are taken.
        self.bury().await?;
        let now = sql::now(self.backend());
        let skip = if self.backend() == DbBackend::Postgres { "FOR UPDATE SKIP LOCKED" } else { "" };
        let mut params = Params::default();
        let (worker, lease) = (params.add(worker), params.add(lease_seconds));
        let kinds = if kinds.is_empty() { "(NULL)".to_owned() } else { params.list(kinds.iter().copied()) };
        let sql = format!(
            "UPDATE jobs SET state = 'running', worker = {worker}, lease_until = {now} + {lease},
                 fence = fence + 1, attempts = attempts + 1, started_at = COALESCE(started_at, {now}),
                 step = NULL, done = 0, total = 0, rate = NULL
             WHERE id = (
                 SELECT id FROM jobs
                 WHERE kind IN {kinds} AND NOT cancel_requested AND (
                     (state = 'queued' AND run_after <= {now})
                     OR (state = 'running' AND lease_until < {now} AND attempts < {MOST_CLAIMS}))
                 ORDER BY id LIMIT 1 {skip})
             RETURNING {COLUMNS}"
        );
        self.changed(&sql, params).await?.as_ref().map(job).transpose()
    }

    /// Ends jobs whose worker vanished and that nobody should take again.
    async fn bury(&self) -> Result<()> {
        let sql = format!(
            "UPDATE jobs SET finished_at = {now}, lease_until = NULL,
                 state = CASE WHEN cancel_requested THEN 'cancelled' ELSE 'failed' END,
                 error_code = CASE WHEN cancel_requested THEN error_code ELSE 'worker_vanished' END,
                 error_message = CASE WHEN cancel_requested THEN error_message
                     ELSE 'its worker vanished {MOST_CLAIMS} times; the job is given up' END
             WHERE state = 'running' AND lease_until < {now}
                 AND (cancel_requested OR attempts >= {MOST_CLAIMS})",
            now = sql::now(self.backend())
        );
        sql::run(self.db(), &sql, Params::default()).await?;
        Ok(())
    }

    /// Reports progress and renews the lease.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn heartbeat(&self, hold: &Hold, progress: JobProgress, lease_seconds: i64) -> Result<Beat> {
        let mut params = Params::default();
        let sql = format!(
            "UPDATE jobs SET step = {}, done = {}, total = {}, rate = {}, lease_until = {} + {}
             WHERE id = {} AND fence = {} AND state = 'running' RETURNING cancel_requested",
            params.add(text(&progress.step)),
            params.add(progress.done),
            params.add(progress.total),
            params.add(progress.rate),
            sql::now(self.backend()),
            params.add(lease_seconds),
            params.add(hold.job.as_str()),
            params.add(hold.fence)
        );
        Ok(match self.changed(&sql, params).await? {
            None => Beat::Lost,
            Some(row) if get(&row, "cancel_requested")? => Beat::Cancel,
            Some(_) => Beat::Go,
        })
    }

    /// Records success.
    ///
    /// # Errors
    /// [`Error::LeaseLost`] for a stale fence.
    pub async fn finish(&self, hold: &Hold, result: Value) -> Result<()> {
        let mut params = Params::default();
        let set = format!(
            "state = 'succeeded', result = {}, error_code = NULL, error_message = NULL,
             finished_at = {}, lease_until = NULL",
            params.add(to_json(&result)?),
            sql::now(self.backend())
        );
        self.end(hold, &set, params).await
    }

    /// Records failure; a job that is tried again waits until then.
    ///
    /// # Errors
    /// [`Error::LeaseLost`] for a stale fence.
    pub async fn fail(&self, hold: &Hold, failed: Failed<'_>) -> Result<()> {
        let now = sql::now(self.backend());
        let mut params = Params::default();
        let (code, message) = (params.add(text(failed.code)), params.add(text(failed.message)));
        let state = match failed.retry_after {
            // A job somebody cancelled meanwhile is not tried again.
            Some(seconds) => format!(
                "state = CASE WHEN cancel_requested THEN 'cancelled' ELSE 'queued' END,
                 finished_at = CASE WHEN cancel_requested THEN {now} ELSE NULL END,
                 run_after = {now} + {}",
                params.add(seconds)
            ),
            None => format!("state = 'failed', finished_at = {now}"),
        };
        let set = format!("{state}, error_code = {code}, error_message = {message}, lease_until = NULL");
        self.end(hold, &set, params).await
    }

    /// Records that a running job stopped because somebody cancelled it.
    ///
    /// # Errors
    /// [`Error::LeaseLost`] for a stale fence.
    pub async fn set_cancelled(&self, hold: &Hold) -> Result<()> {
        let set =
            format!("state = 'cancelled', finished_at = {}, lease_until = NULL", sql::now(self.backend()));
        self.end(hold, &set, Params::default()).await
    }

    /// Gives a running job back unharmed, for a worker that has to stop: it waits again at once and the try
    /// does not count. One that somebody cancelled meanwhile has ended instead.
    ///
    /// # Errors
    /// [`Error::LeaseLost`] for a stale fence.
    pub async fn give_back(&self, hold: &Hold) -> Result<()> {
        // No worker claims a cancelled job, so that a queued one would wait, and block its output, for ever.
        let set = format!(
            "state = CASE WHEN cancel_requested THEN 'cancelled' ELSE 'queued' END,
             finished_at = CASE WHEN cancel_requested THEN {} ELSE NULL END,
             attempts = attempts - 1, lease_until = NULL, worker = NULL",
            sql::now(self.backend())
        );
        self.end(hold, &set, Params::default()).await
    }

    async fn end(&self, hold: &Hold, set: &str, mut params: Params) -> Result<()> {
        let sql = format!(
            "UPDATE jobs SET {set} WHERE id = {} AND fence = {} AND state = 'running'",
            params.add(hold.job.as_str()),
            params.add(hold.fence)
        );
        match sql::run(self.db(), &sql, params).await? {
            0 => Err(Error::LeaseLost(hold.job.clone())),
            _ => Ok(()),
        }
    }
}

/// Holds the job's row until the transaction ends, provided the fence is still the newest and nobody asked
/// to cancel.
pub async fn hold(tx: &DatabaseTransaction, hold: &Hold) -> Result<()> {
    let mut params = Params::default();
    let sql = format!(
        "UPDATE jobs SET fence = fence WHERE id = {} AND fence = {} AND state = 'running'
         RETURNING cancel_requested",
        params.add(hold.job.as_str()),
        params.add(hold.fence)
    );
    match sql::one(tx, &sql, params).await? {
        None => Err(Error::LeaseLost(hold.job.clone())),
        Some(row) if get(&row, "cancel_requested")? => Err(Error::Cancelled(hold.job.clone())),
        Some(_) => Ok(()),
    }
}
