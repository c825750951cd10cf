//! Sketches of tensors, from which kinship is answered without weights.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

const UP: &str = "
CREATE TABLE sketches (
    revision BIGINT NOT NULL REFERENCES revisions (id),
    position BIGINT NOT NULL,
    scheme INTEGER NOT NULL,
    exact BOOLEAN NOT NULL,
    sum DOUBLE PRECISION NOT NULL,
    cells BYTEA NOT NULL,
    PRIMARY KEY (revision, position)
);
";

const DOWN: &str = "DROP TABLE sketches;";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::run(manager, UP).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        crate::run(manager, DOWN).await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
