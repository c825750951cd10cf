//! Which models each change touched, and the number format of a model's weights.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

const UP: &str = "
CREATE TABLE touched (
    at BIGINT PRIMARY KEY,
    models TEXT NOT NULL
);
ALTER TABLE models ADD COLUMN dtype TEXT;
UPDATE models SET dtype = (
    SELECT tensors.dtype FROM tensors WHERE tensors.revision = models.revision
    GROUP BY tensors.dtype ORDER BY SUM(tensors.offset_end - tensors.offset_begin) DESC, tensors.dtype LIMIT 1
) WHERE has_weights;
";

const DOWN: &str = "
ALTER TABLE models DROP COLUMN dtype;
DROP TABLE touched;
";

crate::statements!(UP, DOWN);
