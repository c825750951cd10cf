//! Authors of the Hub whose models are brought in; tensors known by their headers alone.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

const UP: &str = "
CREATE TABLE watches (
    key TEXT {bytewise} PRIMARY KEY,
    author TEXT NOT NULL,
    take TEXT NOT NULL,
    parents BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    checked_at BIGINT
);

CREATE TABLE shapes (
    model BIGINT PRIMARY KEY REFERENCES models (id),
    body TEXT NOT NULL
);
";

const DOWN: &str = "
DROP TABLE shapes;
DROP TABLE watches;
";

crate::statements!(UP, DOWN);
