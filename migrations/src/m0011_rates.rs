//! How fast jobs are.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

const UP: &str = "
ALTER TABLE jobs ADD COLUMN rate BIGINT;
";

const DOWN: &str = "
ALTER TABLE jobs DROP COLUMN rate;
";

crate::statements!(UP, DOWN);
