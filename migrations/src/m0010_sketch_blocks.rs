//! Sums of the blocks of rows that a sketch of a vocabulary is divided into.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

const UP: &str = "
ALTER TABLE sketches ADD COLUMN block_sums BYTEA;
";

const DOWN: &str = "
ALTER TABLE sketches DROP COLUMN block_sums;
";

crate::statements!(UP, DOWN);
