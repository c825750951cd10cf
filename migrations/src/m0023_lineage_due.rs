//! Models whose lineage rests on sketches until their weights are read.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

const UP: &str = "
CREATE TABLE lineage_due (
    model BIGINT PRIMARY KEY,
    revision BIGINT NOT NULL,
    marked_at BIGINT NOT NULL
);
";

const DOWN: &str = "
DROP TABLE lineage_due;
";

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
