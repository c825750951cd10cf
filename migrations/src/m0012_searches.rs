//! Searches for merge recipes, and every candidate they proposed.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

const UP: &str = "
CREATE TABLE searches (
    id TEXT {bytewise} PRIMARY KEY,
    basis TEXT NOT NULL,
    progress TEXT NOT NULL,
    lower BOOLEAN NOT NULL,
    state TEXT NOT NULL,
    reason TEXT,
    generation BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    finished_at BIGINT
);
CREATE TABLE candidates (
    search TEXT {bytewise} NOT NULL REFERENCES searches (id) ON DELETE CASCADE,
    number BIGINT NOT NULL,
    generation BIGINT NOT NULL,
    recipe TEXT NOT NULL,
    model TEXT NOT NULL,
    about TEXT NOT NULL,
    score DOUBLE PRECISION,
    scored_at BIGINT,
    PRIMARY KEY (search, number)
);
CREATE INDEX candidates_by_generation ON candidates (search, generation, number);
CREATE INDEX candidates_by_score ON candidates (search, score);
";

const DOWN: &str = "DROP TABLE candidates; DROP TABLE searches;";

crate::statements!(UP, DOWN);
