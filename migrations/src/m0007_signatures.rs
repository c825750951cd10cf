//! One short vector a revision, from which nearest relatives are found.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

const UP: &str = "
CREATE TABLE signatures (
    revision BIGINT PRIMARY KEY REFERENCES revisions (id) ON DELETE CASCADE,
    scheme INTEGER NOT NULL,
    layout TEXT NOT NULL,
    cells BYTEA NOT NULL
);
";

const DOWN: &str = "DROP TABLE signatures;";

crate::statements!(UP, DOWN);
