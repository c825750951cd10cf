//! The idempotency keys of searches, with the requests that they stand for.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

const UP: &str = "
ALTER TABLE searches ADD COLUMN idempotency_key TEXT;
ALTER TABLE searches ADD COLUMN request TEXT;
CREATE UNIQUE INDEX searches_by_idempotency_key ON searches (idempotency_key);
";

const DOWN: &str = "
DROP INDEX searches_by_idempotency_key;
ALTER TABLE searches DROP COLUMN request;
ALTER TABLE searches DROP COLUMN idempotency_key;
";

crate::statements!(UP, DOWN);
