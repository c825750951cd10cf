//! Failures of the database and the blob store.

use std::path::PathBuf;

use domain::{Class, Digest, Fault, Item, Role, out_of_descriptors};
use sea_orm::DbErr;

use crate::trouble::{Trouble, read_only, told};

/// Results of this room.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Anything that can go wrong while storing or finding.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{}", told(.0))]
    Database(#[from] DbErr),
    #[error("{}", read_only())]
    ReadOnly,
    #[error("{part} says nothing for {seconds} s; see that it runs and can be reached")]
    Silent { part: &'static str, seconds: u64 },
    #[error("the blob store refused: {0}")]
    BlobStore(#[from] object_store::Error),
    #[error("the blob folder refused: {0}")]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Weights(#[from] weights::Error),
    #[error("blob {0} is not stored; upload or import the file again")]
    BlobMissing(Digest),
    #[error("the stored bytes of {0} are damaged and are not given out; bring the file in again")]
    BlobDamaged(Digest),
    #[error("blob {digest} has {size} bytes; at most {max} are read as text")]
    TextTooLong { digest: Digest, size: u64, max: u64 },
    #[error("blob {0} is not UTF-8 text")]
    NotText(Digest),
    #[error(
        "`{0}` is not a cursor of this list; pass `next` of the page before, unchanged and with the same sort"
    )]
    BadCursor(String),
    #[error("Idempotency-Key `{0}` was used for a different request; choose another key")]
    IdempotencyMismatch(String),
    #[error("`{0}` is the output of another job that is not done; choose another name or wait for it")]
    OutputQueued(String),
    #[error("`{0}` was published meanwhile by somebody else; choose another name for the result")]
    OutputTaken(String),
    #[error("`{0}` is a name that somebody or something else has; choose another one")]
    NameTaken(String),
    #[error("the {kind} `{name}` exists already; choose another name or delete it first")]
    RefExists { kind: &'static str, name: String },
    #[error("branch `{branch}` has moved to {head} meanwhile; look at it and commit again")]
    StaleParent { branch: String, head: String },
    #[error("model `{0}` does not exist in this registry")]
    Hidden(String),
    #[error("the files of `{0}` are only for those who were let in; ask for access with your token")]
    Gated(String),
    #[error(
        "`{name}` is in a namespace with an owner; a token of somebody with the role {role} there is needed"
    )]
    NotYours { name: String, role: Role },
    #[error(
        "`{0}` can be private or gated only in a namespace of yours, or where you have the role admin; nobody could \
         see it otherwise"
    )]
    NotClosable(String),
    #[error("there is no organisation `{0}`; create it first")]
    NoOrg(String),
    #[error("there is no edge to `{0}`; add it, or name a parent that is listed")]
    NoEdge(String),
    #[error("`{0}` cannot be its own parent; name another model")]
    OwnParent(String),
    #[error("job {0} was cancelled before it could publish")]
    Cancelled(String),
    #[error("{most} jobs are waiting or running; try again when some are done")]
    QueueFull { most: u64 },
    #[error("`{path}` ({digest}) is shown by a branch, a tag or the model itself; delete it there first")]
    StillShown { path: String, digest: Digest },
    #[error("{needed} bytes are to come in, and the disk has room for {room}; make room there, or send less")]
    NoRoom { needed: u64, room: u64 },
    #[error("{most} jobs of yours are waiting or running; try again when some are done")]
    QueuedEnough { most: u64 },
    #[error("a text of the search has {given} {unit}; at most {most} are taken (limit `{limit}`)")]
    SearchTooLong { given: usize, unit: &'static str, most: usize, limit: &'static str },
    #[error("search {search} has no candidate {}; `ask` lists those that wait for a score", listed(.numbers))]
    NoCandidate { search: String, numbers: Vec<u64> },
    #[error("candidate {number} has the score {known} already and cannot be given {given}; a score is final")]
    Scored { number: u64, known: f64, given: f64 },
    #[error("search {0} has ended and takes no more scores; create another one")]
    SearchEnded(String),
    #[error("job {0} was handed to another worker or has ended; this result is dropped")]
    LeaseLost(String),
    #[error("{0}")]
    BadUrl(String),
    #[error("a stored {what} cannot be read back: {detail}")]
    Stored { what: &'static str, detail: String },
    #[error("another backup is being made in {}; wait for it or choose another folder", .0.display())]
    BackupBusy(PathBuf),
    #[error("there is no backup in {}; name the folder that `stemma backup` wrote", .0.display())]
    NoBackup(PathBuf),
    #[error(
        "there is a database at {} already; restore with `--data` of a new folder, or move that file away first",
        .0.display()
    )]
    NotEmpty(PathBuf),
    #[error("only a SQLite database is copied here; of PostgreSQL: {0}")]
    NotSqlite(&'static str),
    #[error("a task stopped unexpectedly: {0}")]
    Task(String),
}

impl Error {
    /// A cursor that is none of a list; as much of it as can be told.
    pub fn bad_cursor(cursor: &str) -> Self {
        Self::BadCursor(cursor.chars().take(120).collect())
    }

    /// A stored value that does not parse.
    pub(crate) fn stored(what: &'static str, detail: impl std::fmt::Display) -> Self {
        Self::Stored { what, detail: detail.to_string() }
    }
}

impl Fault for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::Database(_) | Self::ReadOnly => "database",
            Self::Silent { .. } => "storage_silent",
            Self::BlobStore(_) => "blob_store",
            Self::Io(_) => "blob_io",
            Self::Weights(error) => error.code(),
            Self::BlobMissing(_) => "blob_missing",
            Self::BlobDamaged(_) => "blob_damaged",
            Self::TextTooLong { .. } => "text_too_long",
            Self::NotText(_) => "not_text",
            Self::BadCursor(_) => "bad_cursor",
            Self::IdempotencyMismatch(_) => "idempotency_key_reused",
            Self::OutputQueued(_) | Self::OutputTaken(_) => "output_exists",
            Self::NameTaken(_) => "name_taken",
            Self::RefExists { .. } => "ref_exists",
            Self::StaleParent { .. } => "stale_parent",
            Self::Hidden(_) => "unknown_model",
            Self::Gated(_) => "gated",
            Self::NotYours { .. } | Self::NotClosable(_) => "not_yours",
            Self::NoOrg(_) => "unknown_org",
            Self::NoEdge(_) => "unknown_edge",
            Self::OwnParent(_) => "own_parent",
            Self::Cancelled(_) => "cancelled",
            Self::QueueFull { .. } => "queue_full",
            Self::NoRoom { .. } => "no_room",
            Self::StillShown { .. } => "still_shown",
            Self::QueuedEnough { .. } => "queued_enough",
            Self::SearchTooLong { .. } => "search_too_long",
            Self::NoCandidate { .. } => "unknown_candidate",
            Self::Scored { .. } => "already_scored",
            Self::SearchEnded(_) => "search_ended",
            Self::LeaseLost(_) => "lease_lost",
            Self::BadUrl(_) => "bad_store_url",
            Self::Stored { .. } => "stored_value",
            Self::BackupBusy(_) => "backup_busy",
            Self::NoBackup(_) => "no_backup",
            Self::NotEmpty(_) => "not_empty",
            Self::NotSqlite(_) => "not_sqlite",
            Self::Task(_) => "task_failed",
        }
    }

    fn class(&self) -> Class {
        match self {
            Self::Database(error) if Trouble::of(error).passes() => Class::Unavailable,
            Self::Database(error) if Trouble::of(error) == Trouble::Newer => Class::Unsupported,
            Self::BlobStore(_) | Self::QueueFull { .. } | Self::ReadOnly | Self::Silent { .. } => {
                Class::Unavailable
            }
            Self::Io(error) if self.is_full() || out_of_descriptors(error) => Class::Unavailable,
            Self::QueuedEnough { .. } => Class::TooMany,
            Self::NoRoom { .. } => Class::Full,
            Self::Weights(error) => error.class(),
            Self::BlobMissing(_)
            | Self::NoCandidate { .. }
            | Self::NoEdge(_)
            | Self::Hidden(_)
            | Self::NoOrg(_)
            | Self::NoBackup(_) => Class::NotFound,
            Self::NotSqlite(_) => Class::Unsupported,
            Self::Gated(_) | Self::NotYours { .. } | Self::NotClosable(_) => Class::Forbidden,
            Self::Scored { .. } | Self::SearchEnded(_) => Class::Conflict,
            Self::TextTooLong { .. } => Class::TooLarge,
            Self::NotText(_)
            | Self::OwnParent(_)
            | Self::BadCursor(_)
            | Self::BadUrl(_)
            | Self::IdempotencyMismatch(_)
            | Self::SearchTooLong { .. } => Class::Invalid,
            Self::BlobDamaged(_) => Class::Damaged,
            Self::LeaseLost(_)
            | Self::OutputQueued(_)
            | Self::OutputTaken(_)
            | Self::NameTaken(_)
            | Self::RefExists { .. }
            | Self::StaleParent { .. }
            | Self::StillShown { .. }
            | Self::BackupBusy(_)
            | Self::NotEmpty(_)
            | Self::Cancelled(_) => Class::Conflict,
            Self::Database(_) | Self::Io(_) | Self::Stored { .. } | Self::Task(_) => Class::Internal,
        }
    }

    fn items(&self) -> Vec<Item> {
        match self {
            Self::Weights(error) => error.items(),
            _ => Vec::new(),
        }
    }
}

impl Error {
    /// Whether a disk has no room left.
    pub fn is_full(&self) -> bool {
        match self {
            Self::Database(error) => Trouble::of(error) == Trouble::Full,
            Self::Io(error) => error.kind() == std::io::ErrorKind::StorageFull,
            _ => false,
        }
    }
}

impl From<tokio::task::JoinError> for Error {
    fn from(error: tokio::task::JoinError) -> Self {
        Self::Task(error.to_string())
    }
}

fn listed(numbers: &[u64]) -> String {
    numbers.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")
}
