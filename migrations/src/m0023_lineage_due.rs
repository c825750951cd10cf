//! Models whose lineage rests on sketches until their weights are read.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

const UP: &str = "
CREATE TABLE lineage_due (
    model BIGINT PRIMARY KEY,
    revision BIGINT NOT NULL,
    marked_at BIGINT NOT NULL
);
";

const DOWN: &str = "
DROP TABLE lineage_due;
";

crate::statements!(UP, DOWN);
