//! Counts from indexes alone: SQLite reads a row's table page for a column its partial index does not hold.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

const UP: &str = "
DROP INDEX models_that_are_ghosts;
DROP INDEX models_with_weights;
CREATE INDEX models_that_are_ghosts ON models (ghost) WHERE ghost;
CREATE INDEX models_with_weights ON models (has_weights) WHERE has_weights;
CREATE INDEX edges_that_are_rejected ON edges (status) WHERE status <> 'accepted';
";

const DOWN: &str = "
DROP INDEX edges_that_are_rejected;
DROP INDEX models_with_weights;
DROP INDEX models_that_are_ghosts;
CREATE INDEX models_that_are_ghosts ON models (id) WHERE ghost;
CREATE INDEX models_with_weights ON models (id) WHERE has_weights;
";

crate::statements!(UP, DOWN);
