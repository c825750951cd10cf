//! Jobs that ended long ago: removed with their logs.

use std::time::{Duration, SystemTime};

use sea_orm::DatabaseTransaction;
use ulid::Ulid;

use crate::{
    Result, Store,
    rows::get,
    sql::{self, MOST_KEYS, Params},
};

impl Store {
    /// Removes jobs that ended `kept_job_seconds` ago or earlier, with their logs and idempotency keys; gives their number. Those
    /// whose results are kept stay: they say what the bytes are, and who may read them.
    ///
    /// # Errors
    /// When the database refuses; what was removed before stays removed.
    pub(crate) async fn forget_jobs(&self) -> Result<u64> {
        let mut forgotten = 0;
        loop {
            let tx = self.begin_write().await?;
            let jobs = ended(&tx, self.limits().kept_job_seconds).await?;
            for table in ["job_log WHERE job", "jobs WHERE id"] {
                if !jobs.is_empty() {
                    let mut params = Params::default();
                    let sql =
                        format!("DELETE FROM {table} IN {}", params.list(jobs.iter().map(String::as_str)));
                    sql::run(&tx, &sql, params).await?;
                }
            }
            tx.commit().await?;
            forgotten += jobs.len() as u64;
            if jobs.len() < MOST_KEYS {
                return Ok(forgotten);
            }
        }
    }
}

/// Some of the jobs that ended this many seconds ago or earlier and have no results of their own.
async fn ended(tx: &DatabaseTransaction, seconds: u64) -> Result<Vec<String>> {
    use sea_orm::ConnectionTrait as _;
    let age = sql::capped(seconds);
    let mut params = Params::default();
    // What ended by then was queued before: ids sort by time, so that the younger jobs are not read.
    let queued =
        SystemTime::now().checked_sub(Duration::from_secs(seconds)).unwrap_or(SystemTime::UNIX_EPOCH);
    let millis = queued.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
    let last = Ulid::from_parts(u64::try_from(millis).unwrap_or(u64::MAX), u128::MAX);
    let sql = format!(
        "SELECT id FROM jobs WHERE state IN ('succeeded', 'failed', 'cancelled') AND id <= {}
             AND finished_at <= {} - {} AND NOT EXISTS (SELECT 1 FROM job_blobs WHERE job = jobs.id)
         ORDER BY id LIMIT {MOST_KEYS}",
        params.add(last.to_string()),
        sql::now(tx.get_database_backend()),
        params.add(age)
    );
    sql::all(tx, &sql, params).await?.iter().map(|row| get(row, "id")).collect()
}
