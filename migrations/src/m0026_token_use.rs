//! The day on which a token was last used.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

const UP: &str = "
ALTER TABLE tokens ADD COLUMN last_used_on BIGINT;
";

const DOWN: &str = "
ALTER TABLE tokens DROP COLUMN last_used_on;
";

crate::statements!(UP, DOWN);
