//! Black-box harness: a real server process on either database, the tiny trained models, a real browser.
//!
//! Knows nothing of the rooms below: it starts the built `stemma` program and talks to it from outside.

mod browser;
mod bucket;
mod database;
mod files;
mod filled;
mod left_out;
mod place;
mod program;
mod proxy;
mod python;
mod rest;
pub mod steps;
mod zoo;

pub use browser::Browser;
pub use bucket::Bucket;
pub use database::{Database, databases};
pub use files::{root, rust_files};
pub use left_out::named;
pub use place::{Place, relative, run, run_json};
pub use program::{Server, client, program, stemma};
pub use proxy::{Answer, Proxy, Spoil};
pub use python::{hub_clients, python, tool};
pub use rest::{answer, ended, get, job};
pub use zoo::Zoo;
