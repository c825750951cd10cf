//! How products were made.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

const UP: &str = "
CREATE TABLE provenance (
    revision BIGINT PRIMARY KEY REFERENCES revisions (id),
    body TEXT NOT NULL
);
";

const DOWN: &str = "
DROP TABLE provenance;
";

crate::statements!(UP, DOWN);
