//! Advisories about models and digests.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

const UP: &str = "
CREATE TABLE advisories (
    id TEXT {bytewise} PRIMARY KEY,
    model BIGINT,
    digest TEXT,
    kind TEXT NOT NULL,
    severity TEXT NOT NULL,
    summary TEXT NOT NULL,
    details TEXT NOT NULL,
    link TEXT,
    person TEXT NOT NULL,
    filed_at BIGINT NOT NULL,
    withdrawn_at BIGINT,
    withdrawn_by TEXT,
    withdrawn_reason TEXT
);
CREATE INDEX advisories_by_model ON advisories (model);
CREATE INDEX advisories_by_digest ON advisories (digest);
CREATE INDEX revisions_by_digest ON revisions (digest);
";

const DOWN: &str = "
DROP INDEX revisions_by_digest;
DROP TABLE advisories;
";

crate::statements!(UP, DOWN);
