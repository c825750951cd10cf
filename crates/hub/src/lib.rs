//! Everything that speaks the Hub's language: cards, API rows, metadata dumps, an HTTP client, and its files.
//!
//! Reads what others wrote and treats every string as hostile; knows no database and nothing of what weights mean.

mod address;
mod budget;
mod cache;
pub mod card;
mod client;
pub mod dump;
mod error;
mod evaluations;
mod listing;
mod literal;
pub mod metadata;
mod remote;
mod repository;

pub use client::HubClient;
pub use error::Error;
pub use evaluations::{Evaluation, eval_entries, eval_result, evaluations};
pub use listing::Listed;
pub use remote::RemoteFile;
pub use repository::Repository;

/// Results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
