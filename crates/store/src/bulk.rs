//! Filling a registry with much at once: a connection of its own, and indexes made when the rows are there.

use sea_orm::{ConnectionTrait as _, DbBackend};

use crate::{
    Result, Store,
    rows::get,
    sql::{self, Params},
};

/// The indexes that no import reads, as it does the one of private models; those behind UNIQUE have no text of their own.
const INDEXES: &str = "SELECT name, sql AS definition FROM sqlite_master
    WHERE type = 'index' AND sql IS NOT NULL AND tbl_name IN ('models', 'edges') AND name <> 'models_private'";

impl Store {
    /// The same storage for writing many batches; [`Self::end_bulk`] ends that. While a SQLite registry without models
    /// is filled it has no index that only questions need: in order they are made in a fraction of the time. When the
    /// process is killed before, the next [`Self::migrate`] makes them.
    ///
    /// # Errors
    /// When the database cannot be opened once more or refuses.
    pub async fn begin_bulk(&self) -> Result<Self> {
        let bulk = self.through_bulk().await?;
        if bulk.backend() == DbBackend::Sqlite {
            let tx = bulk.begin_write().await?;
            let empty = "SELECT 1 AS one WHERE NOT EXISTS (SELECT 1 FROM models)";
            if sql::one(&tx, empty, Params::default()).await?.is_some() {
                for index in sql::all(&tx, INDEXES, Params::default()).await? {
                    let (name, text): (String, String) = (get(&index, "name")?, get(&index, "definition")?);
                    tx.execute_unprepared(&format!("DROP INDEX {name}")).await?;
                    let row = vec![name.into(), text.into()];
                    sql::insert(&tx, ("late_indexes", &["name", "definition"]), vec![row], "").await?;
                }
            }
            tx.commit().await?;
        }
        Ok(bulk)
    }

    /// Makes the indexes that were left out, and brings everything that was written to disk.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn end_bulk(self) -> Result<()> {
        self.make_late_indexes().await?;
        if self.backend() == DbBackend::Sqlite {
            self.db().execute_unprepared("PRAGMA wal_checkpoint(TRUNCATE)").await?;
        }
        Ok(())
    }

    /// Makes the indexes that an import left out.
    pub(crate) async fn make_late_indexes(&self) -> Result<()> {
        if self.backend() != DbBackend::Sqlite {
            return Ok(());
        }
        let known = "SELECT 1 AS one FROM sqlite_master WHERE name = 'late_indexes'";
        if sql::one(self.db(), known, Params::default()).await?.is_none() {
            return Ok(());
        }
        let late = "SELECT definition FROM late_indexes ORDER BY name";
        if sql::one(self.db(), late, Params::default()).await?.is_none() {
            return Ok(());
        }
        let tx = self.begin_write().await?;
        for index in sql::all(&tx, late, Params::default()).await? {
            tx.execute_unprepared(&get::<String>(&index, "definition")?).await?;
        }
        tx.execute_unprepared("DELETE FROM late_indexes").await?;
        Ok(tx.commit().await?)
    }
}
