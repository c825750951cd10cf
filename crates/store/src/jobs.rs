//! Jobs as rows: queued once per idempotency key, listed newest first, cancelled.

use domain::{Act, Digest, RepoId, Role};
use sea_orm::{DatabaseTransaction, DbBackend, QueryResult};
use serde::Serialize;
use serde_json::Value;
use ulid::Ulid;

use crate::{
    Error, Hold, Page, Result, Store,
    discretion::text_of,
    rows::{get, json, maybe_json, to_json},
    sql::{self, Params},
};

/// What a job may be, in the order of its life.
pub const JOB_STATES: [&str; 5] = ["queued", "running", "succeeded", "failed", "cancelled"];

/// A job.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct JobRow {
    /// A ULID: sorts by time of queueing.
    pub id: String,
    pub kind: String,
    /// queued, running, succeeded, failed or cancelled.
    pub state: String,
    pub payload: Value,
    pub result: Option<Value>,
    pub error_code: Option<String>,
    pub error_message: Option<String>,
    pub step: Option<String>,
    pub done: i64,
    pub total: i64,
    /// Bytes a second of late, once that can be told.
    pub rate: Option<i64>,
    /// How often a worker took it.
    pub attempts: i32,
    /// Grows with every claim; only the holder of the newest may write.
    pub fence: i64,
    pub idempotency_key: Option<String>,
    pub created_at: i64,
    pub started_at: Option<i64>,
    pub finished_at: Option<i64>,
    pub cancel_requested: bool,
    /// Unix seconds until which the present worker has it; moved with every sign of life.
    pub lease_until: Option<i64>,
}

impl JobRow {
    /// That whoever claimed it holds it.
    pub fn hold(&self) -> Hold {
        Hold { job: self.id.clone(), fence: self.fence }
    }

    /// Whether nothing more will happen.
    pub fn over(&self) -> bool {
        !matches!(self.state.as_str(), "queued" | "running")
    }

    /// Seconds until the present step ends at the present rate.
    pub fn eta(&self) -> Option<i64> {
        let rate = self.rate.filter(|rate| *rate > 0 && self.state == "running" && self.total > 0)?;
        Some(self.total.saturating_sub(self.done).max(0) / rate)
    }
}

/// A job to queue.
#[derive(Debug, Clone)]
pub struct NewJob {
    pub kind: String,
    pub payload: Value,
    /// Two requests with one key are one job.
    pub idempotency_key: Option<String>,
    /// Key of the model it will publish; no two jobs that are not done share one.
    pub output: Option<String>,
}

/// Field of a payload that holds the digests its inputs had when it was queued.
pub const PINS: &str = "pins";

/// Jobs that made the same bytes and are looked at; as many as that show who may have them.
const MOST_MAKERS: u32 = 100;

/// Models of the registry that a job was pinned to; of an adapter on a base both.
pub fn pinned_models(payload: &Value) -> impl Iterator<Item = RepoId> + '_ {
    let names = payload.get(PINS).and_then(Value::as_object).into_iter().flat_map(|pins| pins.keys());
    let names = names.flat_map(|name| name.split('+'));
    names.filter_map(|name| RepoId::parse(name.split(['@', '#']).next().unwrap_or(name)).ok())
}

/// Columns of a [`JobRow`].
pub const COLUMNS: &str = "id, kind, state, payload, result, error_code, error_message, step, done, total, \
    rate, attempts, fence, idempotency_key, created_at, started_at, finished_at, cancel_requested, \
    lease_until";

/// Reads a row of [`COLUMNS`].
pub fn job(row: &QueryResult) -> Result<JobRow> {
    Ok(JobRow {
        id: get(row, "id")?,
        kind: get(row, "kind")?,
        state: state(row)?,
        payload: json(row, "payload")?,
        result: maybe_json(row, "result")?,
        error_code: get(row, "error_code")?,
        error_message: get(row, "error_message")?,
        step: get(row, "step")?,
        done: get(row, "done")?,
        total: get(row, "total")?,
        rate: get(row, "rate")?,
        attempts: get(row, "attempts")?,
        fence: get(row, "fence")?,
        idempotency_key: get(row, "idempotency_key")?,
        created_at: get(row, "created_at")?,
        started_at: get(row, "started_at")?,
        finished_at: get(row, "finished_at")?,
        cancel_requested: get(row, "cancel_requested")?,
        lease_until: get(row, "lease_until")?,
    })
}

fn state(row: &QueryResult) -> Result<String> {
    let word: String = get(row, "state")?;
    match JOB_STATES.contains(&word.as_str()) {
        true => Ok(word),
        false => {
            Err(Error::stored("state of a job", format!("`{word}` is none of {}", JOB_STATES.join(", "))))
        }
    }
}

impl Store {
    /// Queues a job; `false` when its idempotency key already stands for the same request, whose job is
    /// given then. At most `most` jobs wait or run.
    ///
    /// # Errors
    /// [`Error::IdempotencyMismatch`] when the key stands for another request, [`Error::OutputQueued`] when
    /// another job that is not done has this output, [`Error::QueueFull`], and [`Error::QueuedEnough`] where
    /// as many wait or run that the viewer asked for as one may have.
    pub async fn enqueue(&self, new: NewJob, most: u64) -> Result<(JobRow, bool)> {
        let (sql, params) = self.queued(&new, (most, self.most_of_own()))?;
        match self.changed(&sql, params).await {
            Ok(Some(row)) => return Ok((job(&row)?, true)),
            Ok(None) => {}
            // The key is tried first: whoever repeats a request hears of its own job, not of its output.
            Err(Error::Database(error)) if unique(&error) => {
                if let Some(known) = self.known(&new).await? {
                    return Ok((known, false));
                }
                return Err(Error::OutputQueued(new.output.unwrap_or_default()));
            }
            Err(error) => return Err(error),
        }
        match (self.known(&new).await?, self.most_of_own()) {
            (Some(known), _) => Ok((known, false)),
            (None, Some(each)) if self.own_unfinished().await? >= each => {
                Err(Error::QueuedEnough { most: each })
            }
            (None, _) => Err(Error::QueueFull { most }),
        }
    }

    /// Queues a job with the transaction that makes it necessary: however many wait, for it is owed.
    ///
    /// # Errors
    /// When the database refuses.
    pub(crate) async fn queue(&self, tx: &DatabaseTransaction, new: NewJob) -> Result<()> {
        let (sql, params) = self.queued(&new, (u64::MAX, None))?;
        sql::one(tx, &sql, params).await.map(drop)
    }

    /// How many jobs of the viewer may wait or run; the program itself and administrators ask for what is to be done.
    fn most_of_own(&self) -> Option<u64> {
        let each = self.limits().queued_jobs_each;
        (each > 0 && self.viewer().everywhere != Some(Role::Admin)).then_some(each)
    }

    /// Counts the jobs that the viewer waits for; whoever comes without a name is one of all who do.
    fn counting_own(&self, params: &mut Params) -> String {
        let own = match self.owner() {
            Some(name) => format!("owner = {}", params.add(sql::text(&name))),
            None => "owner IS NULL".to_owned(),
        };
        format!("(SELECT COUNT(*) FROM jobs WHERE state IN ('queued', 'running') AND {own})")
    }

    async fn own_unfinished(&self) -> Result<u64> {
        let mut params = Params::default();
        let sql = format!("SELECT {} AS number", self.counting_own(&mut params));
        let row = sql::one(self.db(), &sql, params).await?;
        let number: i64 = row.map_or(Ok(0), |row| get(&row, "number"))?;
        Ok(number.cast_unsigned())
    }

    /// The statement that queues a job where fewer than `most` wait or run, and fewer than `each` of the viewer's.
    fn queued(&self, new: &NewJob, (most, each): (u64, Option<u64>)) -> Result<(String, Params)> {
        let mut params = Params::default();
        let values = [
            params.add(Ulid::generate().to_string()),
            params.add(new.kind.as_str()),
            params.add(to_json(&new.payload)?),
            params.add(sql::maybe_text(new.idempotency_key.as_ref())),
            params.add(new.output.clone()),
            params.add(self.owner()),
        ];
        let private = match self.eyes().met_private() {
            true => "TRUE".to_owned(),
            false => concerns_private(new, &mut params),
        };
        let few = match each {
            Some(each) => {
                let own = self.counting_own(&mut params);
                format!("AND {own} < {}", params.add(sql::capped(each)))
            }
            None => String::new(),
        };
        // Columns take their types from the table only where a row is given as VALUES.
        let text = |value: &String| format!("CAST({value} AS TEXT)");
        let sql = format!(
            "INSERT INTO jobs (id, kind, payload, idempotency_key, output, owner, private, state, created_at)
             SELECT {}, {private}, 'queued', {}
             WHERE (SELECT COUNT(*) FROM jobs WHERE state IN ('queued', 'running')) < {} {few}
             ON CONFLICT (idempotency_key) DO NOTHING RETURNING {COLUMNS}",
            values.iter().map(text).collect::<Vec<_>>().join(", "),
            sql::now(self.backend()),
            params.add(sql::capped(most))
        );
        Ok((sql, params))
    }

    /// Whether the name of a result is still to be had.
    ///
    /// # Errors
    /// [`Error::OutputQueued`] when a job that is not done has this output.
    pub async fn awaited(&self, output: &str) -> Result<()> {
        let mut params = Params::default();
        let sql = format!(
            "SELECT id FROM jobs WHERE output = {} AND state IN ('queued', 'running')",
            params.add(sql::text(output))
        );
        match sql::one(self.db(), &sql, params).await? {
            Some(_) => Err(Error::OutputQueued(output.to_owned())),
            None => Ok(()),
        }
    }

    /// The job that an idempotency key stands for already; none for a new key, or without one.
    ///
    /// # Errors
    /// [`Error::IdempotencyMismatch`] when the key stands for another request.
    pub async fn known(&self, new: &NewJob) -> Result<Option<JobRow>> {
        let Some(key) = &new.idempotency_key else { return Ok(None) };
        let mut params = Params::default();
        let key_is = params.add(sql::text(key));
        let open = self.visible_work(&mut params);
        let sql = format!("SELECT {COLUMNS}, {open} AS open FROM jobs WHERE idempotency_key = {key_is}");
        let row = sql::one(self.db(), &sql, params).await?;
        let open = row.as_ref().map_or(Ok(true), |row| get(row, "open"))?;
        match row.as_ref().map(job).transpose()? {
            Some(stored)
                if open && stored.kind == new.kind && request(&stored.payload) == request(&new.payload) =>
            {
                Ok(Some(stored))
            }
            Some(_) => Err(Error::IdempotencyMismatch(key.clone())),
            None => Ok(None),
        }
    }

    /// A job by id.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn job(&self, id: &str) -> Result<Option<JobRow>> {
        let mut params = Params::default();
        let mut sql = format!("SELECT {COLUMNS} FROM jobs WHERE id = {}", params.add(sql::text(id)));
        sql.push_str(&format!(" AND {}", self.visible_work(&mut params)));
        let found = sql::all(self.db(), &sql, params).await?.iter().map(job).collect::<Result<_>>()?;
        Ok(self.discreet(found, said).await?.pop())
    }

    /// The user who asked for a job, in lower case; none for the program itself and for whoever has no token.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn asker(&self, id: &str) -> Result<Option<String>> {
        self.asker_in("jobs", id).await
    }

    /// Who asked for a row of a table of work.
    pub(crate) async fn asker_in(&self, table: &str, id: &str) -> Result<Option<String>> {
        let mut params = Params::default();
        let sql = format!("SELECT owner FROM {table} WHERE id = {}", params.add(sql::text(id)));
        let row = sql::one(self.db(), &sql, params).await?;
        Ok(row.map(|row| get::<Option<String>>(&row, "owner")).transpose()?.flatten())
    }

    /// Whether a job that the viewer sees made this blob: one of their own, or one that read what they may read too. Of a
    /// model that is gone nobody knows whom it was open to.
    pub(crate) async fn made_for_viewer(&self, digest: &Digest) -> Result<bool> {
        let mut params = Params::default();
        let wanted = params.add(digest.to_string());
        let visible = self.visible_work(&mut params);
        let sql = format!(
            "SELECT jobs.owner AS owner, payload FROM job_blobs JOIN jobs ON jobs.id = job_blobs.job
             WHERE digest = {wanted} AND {visible} ORDER BY jobs.id LIMIT {MOST_MAKERS}"
        );
        for row in sql::all(self.db(), &sql, params).await? {
            let asker: Option<String> = get(&row, "owner")?;
            if asker.is_some() && asker == self.owner() {
                return Ok(true);
            }
            let mut open = true;
            for model in pinned_models(&json(&row, "payload")?) {
                open = open && self.may_read(model.as_str()).await?;
            }
            if open {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether a model is here whose files the viewer may read.
    async fn may_read(&self, name: &str) -> Result<bool> {
        let Some(row) = self.model_by_id(name).await?.filter(|row| !row.ghost) else { return Ok(false) };
        match self.may_with(Act::Read, &row).await {
            Ok(()) => Ok(true),
            Err(Error::Hidden(_) | Error::Gated(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// One page of jobs, newest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn jobs(&self, cursor: Option<&str>, limit: u64, state: Option<&str>) -> Result<Page<JobRow>> {
        let limit = limit.clamp(1, 10_000);
        let mut params = Params::default();
        let mut sql = format!("SELECT {COLUMNS} FROM jobs WHERE TRUE");
        if let Some(cursor) = cursor {
            let last: Ulid = cursor.parse().map_err(|_| Error::bad_cursor(cursor))?;
            sql.push_str(&format!(" AND id < {}", params.add(last.to_string())));
        }
        sql.push_str(&format!(" AND {}", self.visible_work(&mut params)));
        if let Some(state) = state {
            sql.push_str(&format!(" AND state = {}", params.add(sql::text(state))));
        }
        sql.push_str(&format!(" ORDER BY id DESC LIMIT {}", limit + 1));
        let rows = sql::all(self.db(), &sql, params).await?;
        let items = rows.iter().map(job).collect::<Result<_>>()?;
        let Page { items, next } = Page::of(items, limit, |row: &JobRow| row.id.clone());
        Ok(Page { items: self.discreet(items, said).await?, next })
    }

    /// Cancels a job: at once when it waits, at its next heartbeat when it runs. `false` when it is
    /// unknown or has ended.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn cancel(&self, id: &str) -> Result<bool> {
        let mut params = Params::default();
        let sql = format!("{} AND id = {}", cancelling(self.backend()), params.add(sql::text(id)));
        Ok(sql::run(self.db(), &sql, params).await? > 0)
    }
}

/// The statement that cancels jobs which have not ended: those that wait at once, those that run at their next heartbeat.
pub fn cancelling(backend: DbBackend) -> String {
    let now = sql::now(backend);
    format!(
        "UPDATE jobs SET cancel_requested = TRUE,
             finished_at = CASE WHEN state = 'queued' THEN {now} ELSE finished_at END,
             state = CASE WHEN state = 'queued' THEN 'cancelled' ELSE state END
         WHERE state IN ('queued', 'running')"
    )
}

/// Everything that a job says in words.
fn said(job: &JobRow) -> String {
    let words = text_of(&job.payload, job.result.as_ref());
    format!("{words} {}", job.error_message.as_deref().unwrap_or_default())
}

/// Whether what a job publishes, or the one model that it is about, is private.
fn concerns_private(new: &NewJob, params: &mut Params) -> String {
    let about = new.payload.get("model").and_then(Value::as_str);
    let about = about.map(|name| name.split('@').next().unwrap_or(name).to_ascii_lowercase());
    let keys: Vec<String> = new.output.iter().cloned().chain(about).map(|key| sql::text(&key)).collect();
    if keys.is_empty() {
        return "FALSE".to_owned();
    }
    format!("EXISTS (SELECT 1 FROM models WHERE private AND key IN {})", params.list(keys))
}

fn unique(error: &sea_orm::DbErr) -> bool {
    matches!(error.sql_err(), Some(sea_orm::SqlErr::UniqueConstraintViolation(_)))
}

/// What was asked for: a payload without the digests it was pinned to when it was queued.
fn request(payload: &Value) -> Value {
    let mut payload = payload.clone();
    if let Some(fields) = payload.as_object_mut() {
        fields.remove(PINS);
    }
    payload
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::pinned_models;

    #[test]
    fn what_was_read_is_a_model_whatever_part_of_it_was_named() {
        let payload =
            json!({ "pins": { "o/a@sha256:00": "", "o/b#member": "", "o/c+o/d": "", "hub:o/e": "" } });

        let names: Vec<String> = pinned_models(&payload).map(|name| name.to_string()).collect();

        assert_eq!(names, ["o/a", "o/b", "o/c", "o/d"]);
    }
}
