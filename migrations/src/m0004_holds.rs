//! What keeps a blob besides a published file, one job per output, and counts without a scan.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

const UP: &str = "
CREATE TABLE pins (
    holder TEXT NOT NULL,
    digest TEXT NOT NULL,
    until BIGINT NOT NULL,
    PRIMARY KEY (holder, digest)
);
CREATE INDEX pins_by_digest ON pins (digest);

CREATE TABLE job_blobs (
    job TEXT {bytewise} NOT NULL REFERENCES jobs (id),
    digest TEXT NOT NULL,
    PRIMARY KEY (job, digest)
);
CREATE INDEX job_blobs_by_digest ON job_blobs (digest);

ALTER TABLE jobs ADD COLUMN output TEXT;
CREATE UNIQUE INDEX jobs_by_output ON jobs (output) WHERE state IN ('queued', 'running');

CREATE INDEX models_that_are_ghosts ON models (id) WHERE ghost;
CREATE INDEX models_with_weights ON models (id) WHERE has_weights;
";

const DOWN: &str = "
DROP INDEX models_with_weights;
DROP INDEX models_that_are_ghosts;
DROP INDEX jobs_by_output;
ALTER TABLE jobs DROP COLUMN output;
DROP TABLE job_blobs;
DROP TABLE pins;
";

crate::statements!(UP, DOWN);
