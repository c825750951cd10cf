//! The databases every black-box test runs on.

use std::{
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Context as _, Result, ensure};

use crate::named;

/// One kind of database a server can be started on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Database {
    /// The embedded one, in the server's data folder.
    Sqlite,
    /// A PostgreSQL cluster, by the address of its maintenance database.
    Postgres(String),
}

/// SQLite always; PostgreSQL where `STEMMA_TEST_POSTGRES` names a cluster, as `scripts/test` sees to.
pub fn databases() -> Vec<Database> {
    let mut all = vec![Database::Sqlite];
    let url = named("STEMMA_TEST_POSTGRES", "PostgreSQL");
    all.extend(url.map(|url| Database::Postgres(url.to_string_lossy().into_owned())));
    all
}

impl Database {
    /// Address of a new, empty database; none for the embedded one, which lies in the data folder.
    ///
    /// # Errors
    /// When `psql` is missing or the cluster refuses.
    pub fn fresh(&self) -> Result<Option<String>> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let Self::Postgres(url) = self else { return Ok(None) };
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("black_box_{}_{number}", std::process::id());
        let (server, _) = url.rsplit_once('/').context("STEMMA_TEST_POSTGRES has no database name")?;
        let made = Command::new("psql")
            .args(["--no-psqlrc", "--quiet", "--dbname", url, "--command"])
            .arg(format!("CREATE DATABASE {name} TEMPLATE template0"))
            .output()
            .context("psql cannot be started; install postgresql-client")?;
        ensure!(made.status.success(), "no new database: {}", String::from_utf8_lossy(&made.stderr).trim());
        Ok(Some(format!("{server}/{name}")))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_fresh_database_has_an_address_of_its_own() {
        for database in databases() {
            let first = database.fresh().unwrap();
            let second = database.fresh().unwrap();

            match database {
                Database::Sqlite => assert_eq!((first, second), (None, None)),
                Database::Postgres(_) => {
                    let distinct: BTreeSet<_> = [first.unwrap(), second.unwrap()].into();
                    assert_eq!(distinct.len(), 2);
                }
            }
        }
    }
}
