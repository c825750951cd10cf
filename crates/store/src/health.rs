//! Whether the registry can be used: read, and written to.

use std::{
    collections::HashSet,
    str::FromStr as _,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use migrations::{Migrator, MigratorTrait as _};
use sea_orm::{
    DbBackend, DbErr, RuntimeErr,
    sqlx::{self, Connection as _, Executor as _, SqliteConnection, sqlite::SqliteConnectOptions},
};

use crate::{
    Error, Result, Store,
    blobs::Blobs,
    rows::get,
    sql::{self, Params},
    trouble::Trouble,
};

/// How long a part may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long an answer holds: probes come from several sides, and each one that is asked writes.
const HOLDS: Duration = Duration::from_secs(2);

/// When the storage was last found well.
#[derive(Default)]
pub struct Health(Mutex<Option<Instant>>);

impl Health {
    fn last(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store {
    /// Answers when database and blob store can be read and written; what was found well 2 s ago is not asked again.
    /// A SQLite file that somebody else is writing to counts as writable. Of a bucket and of PostgreSQL only what they
    /// say is known, not whether their disks are full.
    ///
    /// # Errors
    /// Whatever stands in the way; [`Error::Silent`] for a part that says nothing for 3 s.
    pub async fn check(&self) -> Result<()> {
        if self.health().last().is_some_and(|at| at.elapsed() < HOLDS) {
            return Ok(());
        }
        within("the database", self.check_database()).await?;
        within("the blob store", self.blobs().check()).await?;
        *self.health().last() = Some(Instant::now());
        Ok(())
    }

    /// How many migrations this program has and the database has not seen.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn pending_migrations(&self) -> Result<u64> {
        let rows = sql::all(self.db(), "SELECT version FROM seaql_migrations", Params::default()).await?;
        let made: HashSet<String> = rows.iter().map(|row| get(row, "version")).collect::<Result<_>>()?;
        Ok(Migrator::migrations().iter().filter(|one| !made.contains(one.name())).count() as u64)
    }

    /// Bytes that the disk of the blob folder has left; a bucket does not say.
    pub fn free_bytes(&self) -> Option<u64> {
        let Blobs::Local(root) = self.blobs() else { return None };
        let disk = rustix::fs::statvfs(root).ok()?;
        Some(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    /// Refuses what the disk of the blob folder has no room for beside what is kept free there. What comes in at the same
    /// time is not counted, and a bucket takes everything.
    ///
    /// # Errors
    /// [`Error::NoRoom`].
    pub fn room_for(&self, bytes: u64) -> Result<()> {
        let Some(free) = self.free_bytes() else { return Ok(()) };
        let room = free.saturating_sub(self.limits().reserve_bytes);
        if bytes > room { Err(Error::NoRoom { needed: bytes, room }) } else { Ok(()) }
    }

    async fn check_database(&self) -> Result<()> {
        sql::one(self.db(), "SELECT value FROM counters WHERE name = 'changes'", Params::default()).await?;
        if self.backend() == DbBackend::Postgres {
            let sql = "SELECT current_setting('transaction_read_only') AS value";
            let answer = sql::one(self.db(), sql, Params::default()).await?;
            return match answer.map(|row| get::<String>(&row, "value")).transpose()?.as_deref() {
                Some("on") => Err(Error::ReadOnly),
                _ => Ok(()),
            };
        }
        let Some(file) = self.file() else { return Ok(()) };
        let Err(error) = write_nothing(file).await else { return Ok(()) };
        let error = DbErr::Exec(RuntimeErr::SqlxError(error.into()));
        if Trouble::of(&error) == Trouble::Busy { Ok(()) } else { Err(error.into()) }
    }
}

/// Commits a change that changes nothing, through a connection of its own: one of the pool would be held up by whoever
/// holds the lock.
async fn write_nothing(file: &str) -> Result<(), sqlx::Error> {
    let options = SqliteConnectOptions::from_str(file)?.create_if_missing(false).busy_timeout(Duration::ZERO);
    let mut connection = SqliteConnection::connect_with(&options).await?;
    let written = connection.execute("UPDATE counters SET value = value WHERE name = 'changes'").await;
    let closed = connection.close().await;
    written?;
    closed
}

async fn within(part: &'static str, asked: impl Future<Output = Result<()>>) -> Result<()> {
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(answer) => answer,
        Err(_) => Err(Error::Silent { part, seconds: PATIENCE.as_secs() }),
    }
}
