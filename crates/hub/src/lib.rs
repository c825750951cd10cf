//! Everything that speaks the Hub's language: cards, API rows, metadata dumps, and an HTTP client.
//!
//! Reads what others wrote and treats every string as hostile; knows no database and no weights.

pub mod card;
mod client;
pub mod dump;
mod error;
pub mod metadata;

pub use client::HubClient;
pub use error::Error;

/// Results of this crate.
pub type Result<T> = std::result::Result<T, Error>;
