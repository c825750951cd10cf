//! The HTML face of the registry: pages rendered on the server, readable without scripts.
//!
//! Knows no storage and no analysis; all data comes through [`Source`].

mod answer;
mod asked;
mod assets;
mod caller;
mod card;
mod form;
mod limits;
mod pages;
mod routes;
mod shallow;
mod source;
mod svg;
pub mod view;

pub use answer::{CONTENT_SECURITY_POLICY, error_page};
pub use routes::{configure, configure_docs, no_page};
pub use source::{Failure, Result, Source};
