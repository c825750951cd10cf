//! Private and gated models; users, organisations and their members; whose a job is.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

const UP: &str = "
ALTER TABLE models ADD COLUMN private BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE models ADD COLUMN gated TEXT;
CREATE INDEX models_private ON models (id) WHERE private;

CREATE TABLE accounts (
    key TEXT {bytewise} PRIMARY KEY,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    admin BOOLEAN NOT NULL DEFAULT FALSE,
    created_at BIGINT NOT NULL
);

CREATE TABLE members (
    org TEXT {bytewise} NOT NULL REFERENCES accounts (key),
    person TEXT {bytewise} NOT NULL,
    role TEXT NOT NULL,
    PRIMARY KEY (org, person)
);
CREATE INDEX members_by_person ON members (person);

CREATE TABLE grants (
    model BIGINT NOT NULL REFERENCES models (id),
    person TEXT {bytewise} NOT NULL,
    state TEXT NOT NULL,
    asked_at BIGINT NOT NULL,
    decided_at BIGINT,
    decided_by TEXT,
    PRIMARY KEY (model, person)
);

ALTER TABLE jobs ADD COLUMN owner TEXT;
ALTER TABLE jobs ADD COLUMN private BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE searches ADD COLUMN owner TEXT;
ALTER TABLE searches ADD COLUMN private BOOLEAN NOT NULL DEFAULT FALSE;
";

const DOWN: &str = "
ALTER TABLE searches DROP COLUMN private;
ALTER TABLE searches DROP COLUMN owner;
ALTER TABLE jobs DROP COLUMN private;
ALTER TABLE jobs DROP COLUMN owner;
DROP TABLE grants;
DROP TABLE members;
DROP TABLE accounts;
DROP INDEX models_private;
ALTER TABLE models DROP COLUMN gated;
ALTER TABLE models DROP COLUMN private;
";

crate::statements!(UP, DOWN);
