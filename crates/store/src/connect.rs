//! [`Store`]: one database and one blob store, opened together.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use domain::Limits;
use migrations::{Migrator, MigratorTrait as _};
use sea_orm::{
    ConnAcquireErr, ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction,
    DbBackend, DbErr, QueryResult, SqliteTransactionMode, TransactionOptions, TransactionTrait as _,
    sqlx::{
        Connection as _,
        sqlite::{SqliteJournalMode, SqliteSynchronous},
    },
};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::{
    Counts, Error, Result,
    access::Eyes,
    blobs::{Blobs, create_private},
    health::Health,
    integrity::Compared,
    rows::get,
    sql::{self, Params},
    touched,
};

/// How long a question waits for a connection to a SQLite file, whose writers take turns.
const PATIENCE: Duration = Duration::from_secs(30);
/// The same for a server, which may be down.
const SERVER_PATIENCE: Duration = Duration::from_secs(10);
/// Key of the advisory lock that forest writers hold on PostgreSQL.
const WRITERS: i64 = 0x7374_656d_6d61_0001;
/// How the writers' lock is taken on PostgreSQL: whoever waits for it hears in time that nobody gives it back, and a process
/// that was stopped, or lost its network, while it had it has it no longer after a while.
const TAKE_TURN: &str = "SET LOCAL lock_timeout = '30s'; SELECT pg_advisory_xact_lock(KEY);
    SET LOCAL lock_timeout TO DEFAULT; SET LOCAL idle_in_transaction_session_timeout = '5min'";
/// Key of the advisory lock that migrations hold on PostgreSQL.
const MIGRATIONS: i64 = 0x7374_656d_6d61_0002;

/// The registry's storage; cheap to clone.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
    limits: Limits,
    eyes: Arc<Eyes>,
    /// Where what goes into a bucket is staged.
    staging: Option<Arc<Path>>,
}

struct Inner {
    db: DatabaseConnection,
    blobs: Blobs,
    counted: Mutex<Option<(i64, Counts)>>,
    /// The address of a SQLite file.
    file: Option<String>,
    /// Writers that wait with a connection for the lock that they take turns at; the others leave theirs to readers.
    next: Semaphore,
    health: Health,
    compared: Compared,
}

impl Inner {
    fn new(db: DatabaseConnection, blobs: Blobs, file: Option<String>) -> Self {
        let (health, compared) = (Health::default(), Compared::default());
        Self { db, blobs, counted: Mutex::default(), file, next: Semaphore::new(1), health, compared }
    }
}

/// How a SQLite file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Room {
    /// For questions and single changes: several connections, every change on disk before it is told.
    Shared,
    /// For filling it: one connection that keeps much in memory and waits for the disk when it moves its log. A lost
    /// machine takes the last batches along, and the position of the import with them.
    Bulk,
}

/// Rows that a connection may be ahead of their reader; a short queue changes threads every few rows.
const AHEAD: usize = 2_048;

impl Store {
    /// Opens `sqlite:///path?mode=rwc` or `postgres://…`, and a blob folder or `s3://bucket/prefix`
    /// (credentials from the usual `AWS_…` variables). Call [`Self::migrate`] before first use.
    ///
    /// # Errors
    /// [`Error::BadUrl`] for other schemes; whatever stops the connection.
    pub async fn open(database_url: &str, blobs_url: &str) -> Result<Self> {
        let sqlite = database_url.starts_with("sqlite:");
        if !sqlite && !["postgres://", "postgresql://"].iter().any(|s| database_url.starts_with(s)) {
            let scheme = database_url.split(':').next().unwrap_or_default();
            return Err(Error::BadUrl(format!(
                "database `{scheme}:…` is not supported; use sqlite:///path?mode=rwc or postgres://user@host/name"
            )));
        }
        let memory = database_url.contains(":memory:");
        let db = if sqlite {
            if !memory {
                create_parent(database_url)?;
            }
            open_sqlite(database_url, Room::Shared).await?
        } else {
            let mut options = ConnectOptions::new(database_url);
            options.sqlx_logging(false).acquire_timeout(SERVER_PATIENCE).max_connections(16);
            Database::connect(options).await?
        };
        let file = (sqlite && !memory).then(|| database_url.to_owned());
        let inner = Inner::new(db, Blobs::open(blobs_url)?, file);
        let eyes = Arc::new(Eyes::house());
        Ok(Self { inner: Arc::new(inner), limits: Limits::default(), eyes, staging: None })
    }

    /// The same storage through a connection for filling it; on PostgreSQL and in memory the same connections.
    ///
    /// # Errors
    /// When the database cannot be opened once more.
    pub(crate) async fn through_bulk(&self) -> Result<Self> {
        let Some(file) = &self.inner.file else { return Ok(self.clone()) };
        let db = open_sqlite(file, Room::Bulk).await?;
        let inner = Inner::new(db, self.inner.blobs.clone(), Some(file.clone()));
        Ok(Self { inner: Arc::new(inner), ..self.clone() })
    }

    /// The same storage under these limits instead of the default ones.
    #[must_use]
    pub fn limited(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// The same storage with a folder of this machine for what goes into a bucket and may be broken off on the way.
    #[must_use]
    pub fn staged_in(self, folder: &Path) -> Self {
        Self { staging: Some(folder.into()), ..self }
    }

    /// The same database with another place for blobs.
    #[cfg(test)]
    pub(crate) fn keeping_in(self, blobs: Blobs) -> Self {
        let inner = Inner::new(self.inner.db.clone(), blobs, self.inner.file.clone());
        Self { inner: Arc::new(inner), ..self }
    }

    /// The folder for blobs that are not whole yet; a bucket has one only where [`Self::staged_in`] names it.
    pub(crate) fn staging(&self) -> Option<PathBuf> {
        match self.blobs() {
            Blobs::Local(root) => Some(root.join("staging")),
            Blobs::Remote(..) => self.staging.as_deref().map(Path::to_path_buf),
        }
    }

    /// Brings the schema up to date; safe when several processes start at once.
    ///
    /// # Errors
    /// When a statement fails, or the schema is newer than this program.
    pub async fn migrate(&self) -> Result<()> {
        // First: what an import that was killed left out may be what a migration changes.
        self.make_late_indexes().await?;
        let turn = self.begin_alone(MIGRATIONS).await?;
        Migrator::up(&turn, None).await?;
        Ok(turn.commit().await?)
    }

    /// Undoes every migration: all metadata is lost, blobs stay.
    ///
    /// # Errors
    /// When a statement fails.
    pub async fn unmigrate(&self) -> Result<()> {
        let turn = self.begin_alone(MIGRATIONS).await?;
        Migrator::down(&turn, None).await?;
        Ok(turn.commit().await?)
    }

    /// A number that grows with every change of models or edges.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn change_counter(&self) -> Result<i64> {
        counter(self.db()).await
    }

    pub(crate) fn db(&self) -> &DatabaseConnection {
        &self.inner.db
    }

    /// The address of a SQLite file; none for PostgreSQL or memory.
    pub(crate) fn file(&self) -> Option<&str> {
        self.inner.file.as_deref()
    }

    pub(crate) fn compared(&self) -> &Compared {
        &self.inner.compared
    }

    pub(crate) fn health(&self) -> &Health {
        &self.inner.health
    }

    pub(crate) fn eyes(&self) -> &Eyes {
        &self.eyes
    }

    pub(crate) fn with_eyes(&self, eyes: Eyes) -> Self {
        Self { eyes: Arc::new(eyes), ..self.clone() }
    }

    pub(crate) const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Totals as of a value of the change counter.
    pub(crate) fn counted(&self) -> &Mutex<Option<(i64, Counts)>> {
        &self.inner.counted
    }

    pub(crate) fn backend(&self) -> DbBackend {
        self.inner.db.get_database_backend()
    }

    pub(crate) fn blobs(&self) -> &Blobs {
        &self.inner.blobs
    }

    /// The row that a statement changes, once that is committed: without a transaction of its own the row arrives before
    /// the commit, whose failure nobody hears of.
    pub(crate) async fn changed(&self, sql: &str, params: Params) -> Result<Option<QueryResult>> {
        let tx = self.begin_immediate().await?;
        let row = sql::one(&tx, sql, params).await?;
        tx.commit().await?;
        Ok(row)
    }

    /// A transaction that no other forest writer overlaps, on either database.
    pub(crate) async fn begin_write(&self) -> Result<DatabaseTransaction> {
        self.begin_alone(WRITERS).await
    }

    /// The place of the writer that comes next.
    async fn next(&self) -> Result<SemaphorePermit<'_>> {
        match tokio::time::timeout(PATIENCE, self.inner.next.acquire()).await {
            Ok(Ok(next)) => Ok(next),
            Ok(Err(_)) | Err(_) => Err(DbErr::ConnectionAcquire(ConnAcquireErr::Timeout).into()),
        }
    }

    async fn begin_immediate(&self) -> Result<DatabaseTransaction> {
        let _next = if self.backend() == DbBackend::Sqlite { Some(self.next().await?) } else { None };
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        Ok(self.db().begin_with_options(options).await?)
    }

    /// A transaction that holds SQLite's write lock, or PostgreSQL's advisory lock `key`, from its start.
    async fn begin_alone(&self, key: i64) -> Result<DatabaseTransaction> {
        if self.backend() != DbBackend::Postgres {
            return self.begin_immediate().await;
        }
        let _next = self.next().await?;
        let tx = self.begin_immediate().await?;
        let take = match key {
            WRITERS => TAKE_TURN.replace("KEY", &key.to_string()),
            // Another process may need long for its migrations.
            _ => format!("SELECT pg_advisory_xact_lock({key})"),
        };
        tx.execute_unprepared(&take).await?;
        Ok(tx)
    }
}

/// [`Store::change_counter`], also inside a transaction.
pub async fn counter<C: ConnectionTrait>(db: &C) -> Result<i64> {
    let row = sql::one(db, "SELECT value FROM counters WHERE name = 'changes'", Params::default()).await?;
    row.as_ref().map_or(Ok(0), |row| get(row, "value"))
}

/// Counts a change, inside the transaction that makes it, and notes the models whose rows or edges it touched.
pub async fn bump(tx: &DatabaseTransaction, models: &[i64]) -> Result<()> {
    let counted = "UPDATE counters SET value = value + 1 WHERE name = 'changes' RETURNING value";
    let Some(row) = sql::one(tx, counted, Params::default()).await? else { return Ok(()) };
    touched::note(tx, get(&row, "value")?, models).await
}

async fn open_sqlite(url: &str, room: Room) -> Result<DatabaseConnection> {
    let mut options = ConnectOptions::new(url);
    options.sqlx_logging(false).acquire_timeout(PATIENCE);
    let connections = if room == Room::Bulk || url.contains(":memory:") { 1 } else { 8 };
    if !url.contains(":memory:") {
        // SQLite ends a transaction by itself when the disk is full. The driver counts it as open all the same, and
        // what the next one to take the connection writes would never be committed.
        options.map_sqlx_sqlite_pool_opts(|pool| {
            pool.after_release(|connection, _| {
                Box::pin(async move {
                    // A rollback may still be on its way to the connection's thread.
                    connection.ping().await?;
                    Ok(!connection.is_in_transaction())
                })
            })
        });
    }
    options.max_connections(connections).map_sqlx_sqlite_opts(move |sqlite| {
        let sqlite = sqlite
            .journal_mode(SqliteJournalMode::Wal)
            .busy_timeout(Duration::from_secs(20))
            .row_buffer_size(AHEAD);
        match room {
            Room::Shared => {
                sqlite.foreign_keys(true).synchronous(SqliteSynchronous::Full).pragma("cache_size", "-4000")
            }
            // What fills it has the numbers of both ends of an edge from the same transaction: looking them up again
            // would read a page of each parent.
            Room::Bulk => sqlite
                .foreign_keys(false)
                .synchronous(SqliteSynchronous::Normal)
                .pragma("threads", "1")
                .pragma("cache_size", "-320000")
                .pragma("wal_autocheckpoint", "64000")
                .pragma("temp_store", "memory"),
        }
    });
    Ok(Database::connect(options).await?)
}

/// The file of a SQLite address; none for a server or memory.
pub fn sqlite_path(database_url: &str) -> Option<PathBuf> {
    let path = database_url.strip_prefix("sqlite:")?.split('?').next().unwrap_or_default();
    let path = path.strip_prefix("//").unwrap_or(path);
    (!path.is_empty() && !database_url.contains(":memory:")).then(|| PathBuf::from(path))
}

/// Makes the folder of a SQLite file.
pub fn create_parent(database_url: &str) -> Result<()> {
    let path = sqlite_path(database_url).unwrap_or_default();
    match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => Ok(create_private(parent)?),
        None => Ok(()),
    }
}
