//! What search and the page of a model ask besides: who has sketches, who holds a tensor, when bytes were checked.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

const UP: &str = "
ALTER TABLE models ADD COLUMN sketched BOOLEAN NOT NULL DEFAULT FALSE;
UPDATE models SET sketched = TRUE
    WHERE revision IN (SELECT revision FROM signatures WHERE layout <> '');

CREATE INDEX tensors_by_name ON tensors (name {bytewise}, revision);

CREATE TABLE shape_names (
    name TEXT {bytewise} NOT NULL,
    model BIGINT NOT NULL REFERENCES models (id),
    PRIMARY KEY (name, model)
);
CREATE INDEX shape_names_by_model ON shape_names (model);

ALTER TABLE files ADD COLUMN verified_at BIGINT;
UPDATE files SET verified_at = (SELECT created_at FROM revisions WHERE revisions.id = files.revision);
";

const DOWN: &str = "
ALTER TABLE files DROP COLUMN verified_at;
DROP TABLE shape_names;
DROP INDEX tensors_by_name;
ALTER TABLE models DROP COLUMN sketched;
";

crate::statements!(UP, DOWN);
