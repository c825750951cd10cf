//! Spread and shape of each tensor's values, beside their norm and range; null for those surveyed before.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

const UP: &str = "
ALTER TABLE tensors ADD COLUMN std DOUBLE PRECISION;
ALTER TABLE tensors ADD COLUMN skewness DOUBLE PRECISION;
ALTER TABLE tensors ADD COLUMN kurtosis DOUBLE PRECISION;
ALTER TABLE tensors ADD COLUMN zeros BIGINT;
";

const DOWN: &str = "
ALTER TABLE tensors DROP COLUMN std;
ALTER TABLE tensors DROP COLUMN skewness;
ALTER TABLE tensors DROP COLUMN kurtosis;
ALTER TABLE tensors DROP COLUMN zeros;
";

crate::statements!(UP, DOWN);
