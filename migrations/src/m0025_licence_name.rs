//! The name of a licence beside its id, which is `other` then; before, the name stood in the id's place.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub struct Migration;

const UP: &str = "
ALTER TABLE models ADD COLUMN license_name TEXT;
UPDATE models SET license_name = license, license = 'other'
    WHERE license IS NOT NULL AND lower(license) <> 'other' AND tags LIKE '%\"license:other\"%';
";

const DOWN: &str = "
UPDATE models SET license = license_name WHERE license_name IS NOT NULL;
ALTER TABLE models DROP COLUMN license_name;
";

crate::statements!(UP, DOWN);
