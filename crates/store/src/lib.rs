//! The only room that speaks SQL and the only one that writes blobs.
//!
//! Metadata lives in SQLite or PostgreSQL, bytes in a local folder or an S3 bucket, named by digest.
//! Every write is one statement or one transaction; forest writers take turns, jobs are claimed under fences.

mod advisories;
mod aliases;
mod blobfile;
mod blobs;
mod blobwriter;
mod catalogue;
mod commits;
mod connect;
mod counts;
mod decisions;
mod edges;
mod error;
mod gitoids;
mod imports;
mod jobs;
mod models;
mod pins;
mod queue;
mod reports;
mod repositories;
mod republish;
mod revisions;
mod rows;
mod search;
mod searches;
mod signatures;
mod sketches;
mod sql;
mod sweep;
mod tokens;
mod touched;
mod upsert;
mod verdicts;

pub use advisories::{AdvisoryKind, AdvisoryRow, NewAdvisory, Severity};
pub use blobfile::BlobFile;
pub use blobwriter::BlobWriter;
pub use catalogue::CatalogueRow;
pub use commits::{CommitRow, MAIN, NewCommit, RefKind, RefRow};
pub use connect::Store;
pub use counts::Counts;
pub use decisions::{Decision, DecisionRow, NewDecision};
pub use edges::{EdgeRow, ForestEdgeRow, ForestNodeRow};
pub use error::{Error, Result};
pub use jobs::{JobRow, NewJob, PINS};
pub use models::ModelRow;
pub use pins::Holder;
pub use queue::{Beat, JobProgress};
pub use reports::{RevisionRow, TraitRow};
pub use revisions::{Attach, FileRow, Publish, TensorRow};
pub use search::{Page, SearchQuery, Sort};
pub use searches::{CandidateRow, NewCandidate, NewSearch, SearchRow, Step};
pub use signatures::{CurrentRevision, SignatureRow};
pub use sketches::{SketchRow, SketchedTensor};
pub use sweep::sweep_folder;
pub use tokens::{Scope, TokenRow};
pub use upsert::Upserted;
pub use verdicts::{Findings, VerdictRow, VerdictWord, WeightEdge};
