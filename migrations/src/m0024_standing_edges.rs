//! The few edges that are more than claims, found without reading the evidence of all. A partial index instead of a
//! column: the database keeps it, also for what an older program writes beside this one.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

const UP: &str = r#"
CREATE INDEX edges_standing ON edges (id) WHERE evidence LIKE '%"source":"recipe"%'
    OR evidence LIKE '%"source":"merge_config"%' OR evidence LIKE '%"source":"person"%';
"#;

const DOWN: &str = "
DROP INDEX edges_standing;
";

crate::statements!(UP, DOWN);
