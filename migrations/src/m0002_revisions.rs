//! Published revisions: their files, tensors and recipes.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

const UP: &str = "
CREATE TABLE recipes (
    digest TEXT PRIMARY KEY,
    body TEXT NOT NULL
);

CREATE TABLE revisions (
    id {pk},
    model BIGINT NOT NULL REFERENCES models (id),
    digest TEXT NOT NULL,
    recipe TEXT REFERENCES recipes (digest),
    created_at BIGINT NOT NULL,
    UNIQUE (model, digest)
);

CREATE TABLE files (
    revision BIGINT NOT NULL REFERENCES revisions (id),
    path TEXT {bytewise} NOT NULL,
    size BIGINT NOT NULL,
    digest TEXT NOT NULL,
    PRIMARY KEY (revision, path)
);
CREATE INDEX files_by_digest ON files (digest);

CREATE TABLE tensors (
    revision BIGINT NOT NULL REFERENCES revisions (id),
    position BIGINT NOT NULL,
    name TEXT NOT NULL,
    dtype TEXT NOT NULL,
    shape TEXT NOT NULL,
    digest TEXT NOT NULL,
    file TEXT NOT NULL,
    offset_begin BIGINT NOT NULL,
    offset_end BIGINT NOT NULL,
    l2 DOUBLE PRECISION,
    mean DOUBLE PRECISION,
    min DOUBLE PRECISION,
    max DOUBLE PRECISION,
    nonfinite BIGINT NOT NULL,
    PRIMARY KEY (revision, position)
);
CREATE INDEX tensors_by_digest ON tensors (digest);
";

const DOWN: &str = "
DROP TABLE tensors;
DROP TABLE files;
DROP TABLE revisions;
DROP TABLE recipes;
";

crate::statements!(UP, DOWN);
