//! How far bulk imports got, so that an interrupted one goes on.

use crate::{
    Result, Store,
    rows::{signed, unsigned},
    sql::{self, Params},
};

impl Store {
    /// Last row of the import `key` that is stored for good; 0 before the first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn import_position(&self, key: &str) -> Result<u64> {
        let mut params = Params::default();
        let sql = format!("SELECT position FROM imports WHERE key = {}", params.add(key));
        let row = sql::one(self.db(), &sql, params).await?;
        row.as_ref().map_or(Ok(0), |row| unsigned(row, "position"))
    }

    /// Remembers that every row of import `key` up to `position` is stored.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn set_import_position(&self, key: &str, position: u64) -> Result<()> {
        let mut params = Params::default();
        let (key, position) = (params.add(key), params.add(signed(position)?));
        let sql = format!(
            "INSERT INTO imports (key, position) VALUES ({key}, {position})
             ON CONFLICT (key) DO UPDATE SET position = excluded.position"
        );
        sql::run(self.db(), &sql, params).await?;
        Ok(())
    }
}
