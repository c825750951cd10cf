//! Sketches of tensors, from which kinship is answered without weights.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

const UP: &str = "
CREATE TABLE sketches (
    revision BIGINT NOT NULL REFERENCES revisions (id),
    position BIGINT NOT NULL,
    scheme INTEGER NOT NULL,
    exact BOOLEAN NOT NULL,
    sum DOUBLE PRECISION NOT NULL,
    cells BYTEA NOT NULL,
    PRIMARY KEY (revision, position)
);
";

const DOWN: &str = "DROP TABLE sketches;";

crate::statements!(UP, DOWN);
