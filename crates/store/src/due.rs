//! Models whose lineage is still to be told: by their sketches where a look at what was just published did not end, and by
//! their weights where it did.

use sea_orm::{DatabaseTransaction, QueryResult};

use crate::{
    CurrentRevision, Result, Store,
    rows::get,
    sql::{self, MOST_KEYS, Params, wall_clock},
};

/// A model that is to be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    pub of: CurrentRevision,
    /// Unix seconds, later than of any mark before on the same model.
    pub marked_at: i64,
}

/// What is to be looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Due {
    /// By model.
    pub looks: Vec<Mark>,
    /// Seconds since the oldest was marked.
    pub oldest: i64,
    /// Seconds since the newest was marked.
    pub newest: i64,
}

/// Two marks on a model within a second are told apart, so that none is taken off with the one before.
const AGAIN: &str = "ON CONFLICT (model) DO UPDATE SET revision = excluded.revision, marked_at =
    CASE WHEN excluded.marked_at > lineage_due.marked_at THEN excluded.marked_at ELSE lineage_due.marked_at + 1 END";

impl Store {
    /// Marks models at these revisions.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn mark_due(&self, looks: &[CurrentRevision]) -> Result<()> {
        let tx = self.begin_write().await?;
        let now = wall_clock();
        let rows = looks.iter().map(|of| vec![of.model.into(), of.revision.into(), now.into()]).collect();
        sql::insert(&tx, ("lineage_due", &["model", "revision", "marked_at"]), rows, AGAIN).await?;
        tx.commit().await?;
        Ok(())
    }

    /// What is marked and still what the models hold.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn due(&self) -> Result<Due> {
        let sql = format!("{DUE} ORDER BY lineage_due.model");
        let rows = sql::all(self.db(), &sql, Params::default()).await?;
        let looks = rows.iter().map(mark).collect::<Result<Vec<_>>>()?;
        let now = wall_clock();
        let since = |at: Option<i64>| at.map_or(0, |at| now.saturating_sub(at));
        let marked = || looks.iter().map(|look| look.marked_at);
        let (oldest, newest) = (since(marked().min()), since(marked().max()));
        Ok(Due { looks, oldest, newest })
    }

    /// The mark on a model, as [`Self::due`] tells it.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn mark_of(&self, model: i64) -> Result<Option<Mark>> {
        let mut params = Params::default();
        let sql = format!("{DUE} WHERE lineage_due.model = {}", params.add(model));
        sql::one(self.db(), &sql, params).await?.as_ref().map(mark).transpose()
    }

    /// Takes these marks off, but for those that were made anew meanwhile, and all that are of other weights than the
    /// models have.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn settle_due(&self, looks: &[Mark]) -> Result<()> {
        for looks in looks.chunks(MOST_KEYS) {
            let mut params = Params::default();
            let marks = looks.iter().map(|look| params.list([look.of.revision, look.marked_at]));
            let sql = format!(
                "DELETE FROM lineage_due WHERE (revision, marked_at) IN (VALUES {})
                     OR NOT EXISTS (SELECT 1 FROM models
                         WHERE models.id = lineage_due.model AND models.revision = lineage_due.revision)",
                marks.collect::<Vec<_>>().join(", ")
            );
            sql::run(self.db(), &sql, params).await?;
        }
        Ok(())
    }
}

const DUE: &str = "SELECT lineage_due.model, lineage_due.revision, lineage_due.marked_at FROM lineage_due
    JOIN models ON models.id = lineage_due.model AND models.revision = lineage_due.revision";

fn mark(row: &QueryResult) -> Result<Mark> {
    let of = CurrentRevision { model: get(row, "model")?, revision: get(row, "revision")? };
    Ok(Mark { of, marked_at: get(row, "marked_at")? })
}

/// Marks a model at its revision, if that has weights: whoever publishes them may not live to look at them.
pub async fn owe(tx: &DatabaseTransaction, model: i64) -> Result<()> {
    let mut params = Params::default();
    let sql = format!(
        "INSERT INTO lineage_due (model, revision, marked_at)
         SELECT id, revision, CAST({} AS BIGINT) FROM models WHERE id = {} AND has_weights {AGAIN}",
        params.add(wall_clock()),
        params.add(model)
    );
    sql::run(tx, &sql, params).await.map(drop)
}
