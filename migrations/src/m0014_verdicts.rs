//! What weights say of claimed parents, and what people decided about edges.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

const UP: &str = "
CREATE TABLE verdicts (
    id {pk},
    child BIGINT NOT NULL REFERENCES models (id),
    parent BIGINT NOT NULL REFERENCES models (id),
    verdict TEXT NOT NULL,
    claimed TEXT NOT NULL,
    instead BIGINT,
    cosine DOUBLE PRECISION NOT NULL,
    standard_error DOUBLE PRECISION NOT NULL,
    log10_p DOUBLE PRECISION NOT NULL,
    sentence TEXT NOT NULL,
    computed_at BIGINT NOT NULL,
    UNIQUE (child, parent)
);
CREATE INDEX verdicts_by_parent ON verdicts (parent);
CREATE INDEX verdicts_by_verdict ON verdicts (verdict, id);

CREATE TABLE decisions (
    id {pk},
    child BIGINT NOT NULL,
    parent BIGINT NOT NULL,
    decision TEXT NOT NULL,
    person TEXT NOT NULL,
    reason TEXT NOT NULL,
    decided_at BIGINT NOT NULL
);
CREATE INDEX decisions_by_child ON decisions (child, parent);

CREATE INDEX signatures_by_layout ON signatures (layout);
";

const DOWN: &str = "
DROP INDEX signatures_by_layout;
DROP TABLE decisions;
DROP TABLE verdicts;
";

crate::statements!(UP, DOWN);
