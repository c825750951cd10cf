//! Commits, branches and tags of a repository; git object ids of small files; personal access tokens.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

// What was published before gets a commit each, named after its content, and `main` at the current one.
const UP: &str = "
CREATE TABLE commits (
    id {pk},
    model BIGINT NOT NULL REFERENCES models (id),
    oid TEXT NOT NULL,
    revision BIGINT NOT NULL REFERENCES revisions (id),
    parent TEXT,
    title TEXT NOT NULL,
    message TEXT NOT NULL,
    author TEXT,
    created_at BIGINT NOT NULL,
    UNIQUE (model, oid)
);
CREATE INDEX commits_by_revision ON commits (revision);

CREATE TABLE refs (
    model BIGINT NOT NULL REFERENCES models (id),
    kind TEXT NOT NULL,
    name TEXT {bytewise} NOT NULL,
    oid TEXT NOT NULL,
    PRIMARY KEY (model, kind, name)
);

INSERT INTO commits (model, oid, revision, parent, title, message, created_at)
SELECT model, substr(digest, 8, 40), id,
    (SELECT substr(earlier.digest, 8, 40) FROM revisions AS earlier
     WHERE earlier.model = revisions.model AND earlier.id < revisions.id ORDER BY earlier.id DESC LIMIT 1),
    'Publish', '', created_at
FROM revisions ORDER BY id;

INSERT INTO refs (model, kind, name, oid)
SELECT id, 'branch', 'main', substr(digest, 8, 40) FROM models WHERE revision IS NOT NULL;

ALTER TABLE files ADD COLUMN git_oid TEXT;

CREATE INDEX models_by_modified ON models ((COALESCE(last_modified, -1)), id);

CREATE TABLE tokens (
    id {pk},
    owner TEXT NOT NULL,
    label TEXT NOT NULL,
    hash TEXT NOT NULL UNIQUE,
    scope TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT
);
";

const DOWN: &str = "
DROP TABLE tokens;
DROP INDEX models_by_modified;
ALTER TABLE files DROP COLUMN git_oid;
DROP TABLE refs;
DROP TABLE commits;
";

crate::statements!(UP, DOWN);
