//! Failures of ingest, measuring and jobs.

use std::io::ErrorKind;

use domain::{BadDigest, BadPath, BadRepoId, Class, Fault, Item, out_of_descriptors};

use crate::member;

/// Anything that can stop an ingest, a measurement or a job.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Weights(#[from] weights::Error),
    #[error(transparent)]
    Analysis(#[from] analysis::Error),
    #[error(transparent)]
    Hub(#[from] hub::Error),
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Name(#[from] BadRepoId),
    #[error(transparent)]
    Path(#[from] BadPath),
    #[error(transparent)]
    Digest(#[from] BadDigest),
    /// What is wrong with the stored files of a model.
    #[error("`{model}`: {error}")]
    Operand { model: String, error: Box<Error> },
    /// An error of a request with its places there; several faults stand under the first.
    #[error("{}", match .items.as_slice() { [] | [_] => .error.to_string(), several => told(several) })]
    At { items: Vec<Item>, error: Box<Error> },
    #[error("`{0}` is no model of this registry")]
    UnknownModel(String),
    /// The same where a folder would do too.
    #[error("`{0}` is neither a model of this registry nor a checkpoint folder")]
    UnknownOperand(String),
    #[error("`{model}` has no revision `{revision}`; name one by its digest, or `main`")]
    UnknownRevision { model: String, revision: String },
    /// What the Hub's client reads of it is in its words.
    #[error("`{0}` cannot be deleted: A file with this name doesn't exist")]
    NoSuchFile(String),
    #[error(
        "other processes commit to branch `{branch}` of `{model}` all the time; commit again in a moment"
    )]
    BusyBranch { model: String, branch: String },
    /// No member of a difference that several models share: none is named, or none of this name is there.
    #[error("{}", member::told(file, asked.as_deref(), held))]
    UnknownMember { file: String, asked: Option<String>, held: Vec<String> },
    #[error(
        "`{adapter}` is an adapter; its base `{base}` is not here with weights (import it first, or name one \
         that is: base+adapter)"
    )]
    NoBase { adapter: String, base: String },
    #[error("that would close a cycle: {0}, each a parent of the next")]
    ClosesCycle(String),
    #[error(
        "`{0}` is a stored difference, not a whole model; `stemma diff apply BASE {0} OUT` makes one of it"
    )]
    IsDifference(String),
    #[error("`{0}` is known by its metadata only; its weights are needed here (import the checkpoint first)")]
    NoWeights(String),
    #[error("`{0}` is on the Hub, and no Hub is configured here; set `hub` to its address (STEMMA_HUB)")]
    NoHub(String),
    #[error("`{0}` has changed on the Hub since the job was queued; name a commit: hub:org/name@COMMIT")]
    HubMoved(String),
    #[error("the folder holds no checkpoint, config.json or README.md: {0}")]
    EmptyFolder(String),
    #[error("`{0}` would hide behind an address of this service; choose another organisation or name")]
    ReservedName(String),
    /// Rows that were read, those of them that were skipped, and the row that cannot be read.
    #[error(
        "{file} breaks off at row {position}: {reason}; of {rows} rows read {skipped} were skipped, and the others are kept"
    )]
    DumpBroken { file: String, rows: u64, skipped: u64, position: u64, reason: String },
    #[error("`{0}` exists already; choose another name for the result")]
    OutputExists(String),
    /// Bytes that the result takes, and bytes that are left.
    #[error(
        "the result takes {needed} bytes, and the disk of {folder} has {free} left; make room there, or choose another place"
    )]
    NoRoom { needed: u64, free: u64, folder: String },
    #[error("there is no search `{0}`; list them to see those that are there")]
    UnknownSearch(String),
    #[error("nobody watches `{0}` here; list the watches to see those that are there")]
    UnknownWatch(String),
    #[error("there is no advisory `{0}`; list them to see those that are there")]
    UnknownAdvisory(String),
    #[error("there is no user, organisation or member `{0}`")]
    UnknownAccount(String),
    #[error("you have no token {0}; list them to see those that are there")]
    UnknownToken(i64),
    #[error("`{0}` is not a user's or an organisation's name; expected the first part of a model's id")]
    BadAccount(String),
    #[error("only {0} may do this")]
    NotAdmin(String),
    /// A job or a search.
    #[error(
        "{0} is somebody else's: whoever asked for it may stop it, a member with the role write where its result \
         goes, or an administrator"
    )]
    OthersWork(String),
    #[error("job `{id}` has ended already: it is {state}")]
    JobOver { id: String, state: String },
    /// Several models that are named and not here.
    #[error("{}", told(.0))]
    Missing(Vec<Item>),
    /// Everything wrong with a search or with scores for it.
    #[error("{}", told(.0))]
    BadSearch(Vec<Item>),
    #[error("{0}")]
    Invalid(String),
    #[error("{0} connections follow jobs already; ask for the job itself, or again in a moment")]
    TooManyListeners(usize),
    #[error(
        "{0} merges are computed for downloads already (`merge_downloads`); ask again later, or queue a job"
    )]
    TooManyDownloads(usize),
    #[error("the search index is still being read in; ask again in a moment")]
    IndexPending,
    #[error("the report is still being made; ask again in a moment")]
    ReportPending,
    #[error("the question is not SPARQL: {0}")]
    BadSparql(String),
    #[error("the question is refused: {0}")]
    SparqlRefused(String),
    #[error("the question is given up: {0}")]
    SparqlSpent(String),
    #[error("as many questions are answered as may be at once (`sparql_at_once`); ask again in a moment")]
    SparqlBusy,
    #[error("cancelled")]
    Cancelled,
    #[error("another worker took this job over")]
    LeaseLost,
    #[error("a task stopped unexpectedly: {0}")]
    Task(String),
}

/// The first of the faults, and how many more there are.
fn told(items: &[Item]) -> String {
    let told = |item: &Item| format!("{}: {}", item.pointer, item.message);
    let first = items.first().map(told).unwrap_or_default();
    let first = first.trim_start_matches(": ");
    match items.len() {
        0 | 1 => first.to_owned(),
        count => format!("{first}; and {} more", count - 1),
    }
}

impl Error {
    /// The same with its files in this folder.
    pub(crate) fn within(self, folder: &str) -> Self {
        match self {
            Self::Weights(error) => Self::Weights(error.within(folder)),
            other => other,
        }
    }

    /// Whether a name that was given stands for nothing here.
    pub(crate) const fn is_unknown(&self) -> bool {
        matches!(self, Self::UnknownModel(_) | Self::UnknownOperand(_))
    }
}

impl Fault for Error {
    fn code(&self) -> &'static str {
        match self {
            Self::Store(error) => error.code(),
            Self::Weights(error) => error.code(),
            Self::Analysis(error) => error.code(),
            Self::Hub(error) => error.code(),
            Self::Name(error) => error.code(),
            Self::Path(error) => error.code(),
            Self::Digest(error) => error.code(),
            Self::Operand { error, .. } | Self::At { error, .. } => error.code(),
            Self::Io(_) => "io",
            Self::DumpBroken { .. } => "dump_broken",
            Self::UnknownModel(_) | Self::UnknownOperand(_) => "unknown_model",
            Self::UnknownRevision { .. } => "unknown_revision",
            Self::NoSuchFile(_) => "unknown_file",
            Self::BusyBranch { .. } => "branch_busy",
            Self::UnknownMember { .. } => "unknown_member",
            Self::NoBase { .. } => "no_base",
            Self::NoWeights(_) => "no_weights",
            Self::IsDifference(_) => "is_difference",
            Self::ClosesCycle(_) => "closes_cycle",
            Self::NoHub(_) => "no_hub",
            Self::HubMoved(_) => "hub_changed",
            Self::EmptyFolder(_) => "empty_folder",
            Self::ReservedName(_) => "reserved_name",
            Self::OutputExists(_) => "output_exists",
            Self::NoRoom { .. } => "no_room",
            Self::UnknownSearch(_) => "unknown_search",
            Self::UnknownWatch(_) => "unknown_watch",
            Self::UnknownAdvisory(_) => "unknown_advisory",
            Self::UnknownAccount(_) => "unknown_account",
            Self::UnknownToken(_) => "unknown_token",
            Self::BadAccount(_) => "bad_user",
            Self::NotAdmin(_) => "not_admin",
            Self::OthersWork(_) => "not_yours",
            Self::JobOver { .. } => "job_over",
            Self::Missing(_) => "unknown_model",
            Self::BadSearch(_) => "invalid_search",
            Self::Invalid(_) => "invalid_request",
            Self::TooManyListeners(_) => "too_many_listeners",
            Self::TooManyDownloads(_) => "too_many_downloads",
            Self::IndexPending => "index_pending",
            Self::ReportPending => "report_pending",
            Self::BadSparql(_) => "sparql_malformed",
            Self::SparqlRefused(_) => "sparql_refused",
            Self::SparqlSpent(_) => "sparql_spent",
            Self::SparqlBusy => "sparql_busy",
            Self::Cancelled => "cancelled",
            Self::LeaseLost => "lease_lost",
            Self::Task(_) => "task_failed",
        }
    }

    fn class(&self) -> Class {
        match self {
            Self::Store(error) => error.class(),
            Self::Weights(error) => error.class(),
            Self::Analysis(error) => error.class(),
            Self::Hub(error) => error.class(),
            Self::Name(error) => error.class(),
            Self::Path(error) => error.class(),
            Self::Digest(error) => error.class(),
            Self::Operand { error, .. } | Self::At { error, .. } => error.class(),
            Self::UnknownModel(_)
            | Self::UnknownOperand(_)
            | Self::Missing(_)
            | Self::UnknownRevision { .. }
            | Self::NoSuchFile(_)
            | Self::UnknownMember { .. }
            | Self::UnknownSearch(_)
            | Self::UnknownWatch(_)
            | Self::UnknownAdvisory(_)
            | Self::UnknownAccount(_)
            | Self::UnknownToken(_) => Class::NotFound,
            Self::NotAdmin(_) | Self::OthersWork(_) => Class::Forbidden,
            Self::NoBase { .. }
            | Self::NoWeights(_)
            | Self::IsDifference(_)
            | Self::ClosesCycle(_)
            | Self::NoHub(_)
            | Self::HubMoved(_)
            | Self::OutputExists(_)
            | Self::JobOver { .. }
            | Self::Cancelled
            | Self::LeaseLost => Class::Conflict,
            Self::DumpBroken { .. }
            | Self::EmptyFolder(_)
            | Self::ReservedName(_)
            | Self::BadSearch(_)
            | Self::BadAccount(_)
            | Self::BadSparql(_)
            | Self::Invalid(_) => Class::Invalid,
            Self::SparqlRefused(_) => Class::Unsupported,
            Self::SparqlSpent(_) => Class::TooLarge,
            Self::NoRoom { .. } => Class::Full,
            Self::BusyBranch { .. }
            | Self::TooManyListeners(_)
            | Self::TooManyDownloads(_)
            | Self::IndexPending
            | Self::ReportPending
            | Self::SparqlBusy => Class::Unavailable,
            // There may be room again at the next attempt.
            Self::Io(error) if error.kind() == ErrorKind::StorageFull || out_of_descriptors(error) => {
                Class::Unavailable
            }
            Self::Io(_) | Self::Task(_) => Class::Internal,
        }
    }

    fn wait(&self) -> Option<u64> {
        match self {
            Self::Weights(error) => error.wait(),
            Self::Analysis(error) => error.wait(),
            Self::Hub(error) => error.wait(),
            Self::Operand { error, .. } | Self::At { error, .. } => error.wait(),
            _ => None,
        }
    }

    fn items(&self) -> Vec<Item> {
        match self {
            Self::Weights(error) => error.items(),
            Self::Analysis(error) => error.items(),
            Self::Operand { error, .. } => error.items(),
            Self::Missing(items) | Self::BadSearch(items) | Self::At { items, .. } => items.clone(),
            _ => Vec::new(),
        }
    }

    fn subject(&self) -> &'static str {
        match self {
            Self::Weights(error) => error.subject(),
            Self::Analysis(error) => error.subject(),
            Self::Operand { error, .. } | Self::At { error, .. } => error.subject(),
            _ => "the request",
        }
    }

    fn headline(&self) -> String {
        match self {
            Self::Analysis(error) => error.headline(),
            other => domain::headline(other),
        }
    }
}

impl From<tokio::task::JoinError> for Error {
    fn from(error: tokio::task::JoinError) -> Self {
        Self::Task(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use domain::{Digest, RelativePath, RepoId};

    use super::*;

    #[test]
    fn a_malformed_name_has_one_code_whoever_reads_it() {
        let bad = [
            (Error::from(RepoId::parse("no id").unwrap_err()), "bad_id"),
            (Error::from(RelativePath::parse("../up").unwrap_err()), "bad_path"),
            (Error::from("no digest".parse::<Digest>().unwrap_err()), "bad_digest"),
        ];

        for (error, code) in bad {
            assert_eq!((error.code(), error.class()), (code, Class::Invalid), "{error}");
        }
    }

    #[test]
    fn a_process_with_too_many_open_files_is_asked_again_later() {
        let crowded = || std::io::Error::from_raw_os_error(24);

        let all = [
            Error::from(crowded()),
            store::Error::from(crowded()).into(),
            weights::Error::from(crowded()).into(),
        ];

        for error in all {
            assert_eq!(error.class(), Class::Unavailable, "{error:?}");
        }
    }

    #[test]
    fn a_full_disk_is_waited_for_whoever_noticed_it() {
        let full = || std::io::Error::from(ErrorKind::StorageFull);

        for error in [Error::from(full()), Error::from(store::Error::from(full()))] {
            assert_eq!(error.class(), Class::Unavailable, "{error:?}");
        }
        assert_eq!(Error::from(std::io::Error::from(ErrorKind::NotFound)).class(), Class::Internal);
    }
}
