//! Schema migrations, one body for SQLite and PostgreSQL.
//!
//! Expand first, contract a release later: a running old binary must keep working on the new schema.

/// How a migration goes up and down by SQL, in one transaction.
macro_rules! statements {
    ($up:expr, $down:expr) => {
        #[async_trait::async_trait]
        impl MigrationTrait for Migration {
            async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
                crate::run(manager, $up).await
            }

            async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
                crate::run(manager, $down).await
            }

            fn use_transaction(&self) -> Option<bool> {
                Some(true)
            }
        }
    };
}
use statements;

mod m0001_models;
mod m0002_revisions;
mod m0003_jobs;
mod m0004_holds;
mod m0005_totals;
mod m0006_sketches;
mod m0007_signatures;
mod m0008_moments;
mod m0009_commits;
mod m0010_sketch_blocks;
mod m0011_rates;
mod m0012_searches;
mod m0013_provenance;
mod m0014_verdicts;
mod m0015_advisories;
mod m0016_touched;
mod m0017_access;
mod m0018_hub;
mod m0019_late_indexes;
mod m0020_search;
mod m0021_job_log;
mod m0022_search_keys;
mod m0023_lineage_due;
mod m0024_standing_edges;
mod m0025_licence_name;
mod m0026_token_use;
mod m0029_recipe_products;

pub use sea_orm_migration::MigratorTrait;
use sea_orm_migration::prelude::*;

/// All migrations, oldest first.
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m0001_models::Migration),
            Box::new(m0002_revisions::Migration),
            Box::new(m0003_jobs::Migration),
            Box::new(m0004_holds::Migration),
            Box::new(m0005_totals::Migration),
            Box::new(m0006_sketches::Migration),
            Box::new(m0007_signatures::Migration),
            Box::new(m0008_moments::Migration),
            Box::new(m0009_commits::Migration),
            Box::new(m0010_sketch_blocks::Migration),
            Box::new(m0011_rates::Migration),
            Box::new(m0012_searches::Migration),
            Box::new(m0013_provenance::Migration),
            Box::new(m0014_verdicts::Migration),
            Box::new(m0015_advisories::Migration),
            Box::new(m0016_touched::Migration),
            Box::new(m0017_access::Migration),
            Box::new(m0018_hub::Migration),
            Box::new(m0019_late_indexes::Migration),
            Box::new(m0020_search::Migration),
            Box::new(m0021_job_log::Migration),
            Box::new(m0022_search_keys::Migration),
            Box::new(m0023_lineage_due::Migration),
            Box::new(m0024_standing_edges::Migration),
            Box::new(m0025_licence_name::Migration),
            Box::new(m0026_token_use::Migration),
            Box::new(m0029_recipe_products::Migration),
        ]
    }
}

/// Runs `sql` statement by statement, with the few words that differ between the databases filled in:
/// `{pk}` a generated 64-bit key, `{bytewise}` the collation that orders text by its bytes.
async fn run(manager: &SchemaManager<'_>, sql: &str) -> Result<(), DbErr> {
    let (pk, bytewise) = match manager.get_database_backend() {
        sea_orm::DbBackend::Postgres => ("BIGSERIAL PRIMARY KEY", "COLLATE \"C\""),
        _ => ("INTEGER PRIMARY KEY AUTOINCREMENT", "COLLATE BINARY"),
    };
    let sql = sql.replace("{pk}", pk).replace("{bytewise}", bytewise);
    for statement in sql.split(';').map(str::trim).filter(|statement| !statement.is_empty()) {
        manager.get_connection().execute_unprepared(statement).await?;
    }
    Ok(())
}
