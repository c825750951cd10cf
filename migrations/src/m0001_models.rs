//! Models, the edges between them, other names, the change counter and import checkpoints.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

const UP: &str = "
CREATE TABLE models (
    id {pk},
    key TEXT {bytewise} NOT NULL UNIQUE,
    name TEXT NOT NULL,
    org TEXT,
    ghost BOOLEAN NOT NULL,
    author TEXT,
    sha TEXT,
    created_at BIGINT,
    last_modified BIGINT,
    downloads BIGINT,
    likes BIGINT,
    license TEXT,
    pipeline_tag TEXT,
    library TEXT,
    model_type TEXT,
    architecture TEXT,
    parameters BIGINT,
    languages TEXT NOT NULL DEFAULT '[]',
    datasets TEXT NOT NULL DEFAULT '[]',
    tags TEXT NOT NULL DEFAULT '[]',
    new_version TEXT,
    card TEXT,
    config TEXT,
    notes TEXT NOT NULL DEFAULT '[]',
    has_weights BOOLEAN NOT NULL DEFAULT FALSE,
    revision BIGINT,
    digest TEXT,
    ingested_at BIGINT NOT NULL
);
CREATE INDEX models_by_downloads ON models ((COALESCE(downloads, -1)), id);
CREATE INDEX models_by_created ON models ((COALESCE(created_at, -1)), id);
CREATE INDEX models_by_likes ON models ((COALESCE(likes, -1)), id);
CREATE INDEX models_by_org ON models ((lower(org)));
CREATE INDEX models_by_license ON models ((lower(license)));

CREATE TABLE edges (
    id {pk},
    child BIGINT NOT NULL REFERENCES models (id),
    parent BIGINT NOT NULL REFERENCES models (id),
    as_written TEXT NOT NULL,
    relation TEXT NOT NULL,
    status TEXT NOT NULL,
    evidence TEXT NOT NULL,
    UNIQUE (child, parent)
);
CREATE INDEX edges_by_parent ON edges (parent);

CREATE TABLE aliases (
    key TEXT {bytewise} PRIMARY KEY,
    target TEXT {bytewise} NOT NULL
);

CREATE TABLE counters (
    name TEXT PRIMARY KEY,
    value BIGINT NOT NULL
);
INSERT INTO counters (name, value) VALUES ('changes', 0);

CREATE TABLE imports (
    key TEXT PRIMARY KEY,
    position BIGINT NOT NULL
);
";

const DOWN: &str = "
DROP TABLE imports;
DROP TABLE counters;
DROP TABLE aliases;
DROP TABLE edges;
DROP TABLE models;
";

crate::statements!(UP, DOWN);
