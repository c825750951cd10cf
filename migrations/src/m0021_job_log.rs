//! What happened to a job, line by line.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

const UP: &str = "
CREATE TABLE job_log (
    id {pk},
    job TEXT {bytewise} NOT NULL,
    at BIGINT NOT NULL,
    line TEXT NOT NULL
);
CREATE INDEX job_log_by_job ON job_log (job, id);
";

const DOWN: &str = "DROP TABLE job_log;";

crate::statements!(UP, DOWN);
