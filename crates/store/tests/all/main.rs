//! The store's promises, kept on SQLite and on PostgreSQL by one body of tests.

#![allow(clippy::unwrap_used)]

mod access;
mod backup;
mod blobs;
mod bulk;
mod commits;
mod common;
mod due;
mod ended;
mod holders;
mod jobs;
mod models;
mod names;
mod people;
mod revisions;
mod schema;
mod searches;
mod squash;
mod standing;
mod trouble;
mod trust;
mod words;
