//! Models whose lineage was told by sketches, and whose weights are still to be read for it.

use sea_orm::QueryResult;

use crate::{
    CurrentRevision, Result, Store,
    rows::get,
    sql::{self, MOST_KEYS, Params, wall_clock},
};

/// What is to be looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Due {
    /// By model.
    pub looks: Vec<CurrentRevision>,
    /// When each of them was marked, Unix seconds.
    pub marked: Vec<i64>,
    /// Seconds since the oldest was marked.
    pub oldest: i64,
    /// Seconds since the newest was marked.
    pub newest: i64,
}

impl Store {
    /// Marks models at these revisions.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn mark_due(&self, looks: &[CurrentRevision]) -> Result<()> {
        let tx = self.begin_write().await?;
        let now = wall_clock();
        let rows = looks.iter().map(|of| vec![of.model.into(), of.revision.into(), now.into()]).collect();
        let again =
            "ON CONFLICT (model) DO UPDATE SET revision = excluded.revision, marked_at = excluded.marked_at";
        sql::insert(&tx, "lineage_due", &["model", "revision", "marked_at"], rows, again).await?;
        tx.commit().await?;
        Ok(())
    }

    /// What is marked and still what the models hold.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn due(&self) -> Result<Due> {
        let sql = "SELECT lineage_due.model, lineage_due.revision, lineage_due.marked_at FROM lineage_due
                   JOIN models ON models.id = lineage_due.model AND models.revision = lineage_due.revision
                   ORDER BY lineage_due.model";
        let rows = sql::all(self.db(), sql, Params::default()).await?;
        let row = |row: &QueryResult| {
            let of = CurrentRevision { model: get(row, "model")?, revision: get(row, "revision")? };
            Ok((of, get::<i64>(row, "marked_at")?))
        };
        let (looks, marked): (Vec<_>, Vec<i64>) =
            rows.iter().map(row).collect::<Result<Vec<_>>>()?.into_iter().unzip();
        let now = wall_clock();
        let since = |at: Option<&i64>| at.map_or(0, |at| now.saturating_sub(*at));
        let (oldest, newest) = (since(marked.iter().min()), since(marked.iter().max()));
        Ok(Due { looks, marked, oldest, newest })
    }

    /// Takes the marks off these models, unless they have other weights meanwhile.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn settle_due(&self, looks: &[CurrentRevision]) -> Result<()> {
        for looks in looks.chunks(MOST_KEYS) {
            let mut params = Params::default();
            let sql = format!(
                "DELETE FROM lineage_due WHERE revision IN {}
                     OR NOT EXISTS (SELECT 1 FROM models
                         WHERE models.id = lineage_due.model AND models.revision = lineage_due.revision)",
                params.list(looks.iter().map(|of| of.revision))
            );
            sql::run(self.db(), &sql, params).await?;
        }
        Ok(())
    }
}
