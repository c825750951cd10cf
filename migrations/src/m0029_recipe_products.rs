//! Revisions are found by the recipe that made them.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

const UP: &str = "
CREATE INDEX revisions_recipe ON revisions (recipe);
";

const DOWN: &str = "
DROP INDEX revisions_recipe;
";

crate::statements!(UP, DOWN);
