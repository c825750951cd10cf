//! Indexes left out while a registry is filled from nothing.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

const UP: &str = "
CREATE TABLE late_indexes (
    name TEXT PRIMARY KEY,
    definition TEXT NOT NULL
);
";

const DOWN: &str = "
DROP TABLE late_indexes;
";

crate::statements!(UP, DOWN);
