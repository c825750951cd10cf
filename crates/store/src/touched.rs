//! The models that each change touched, so that what is held in memory of them can follow without reading all.

use sea_orm::DatabaseTransaction;

use crate::{
    Error, Result, Store,
    rows::get,
    sql::{self, Params},
};

/// Changes that are remembered.
const KEPT: i64 = 1_000;
/// Models of one change that are remembered one by one.
const MOST: usize = 50_000;
/// Stands for more models than are listed.
const MANY: &str = "*";

/// Notes the models that the change of this number touched.
pub async fn note(tx: &DatabaseTransaction, at: i64, models: &[i64]) -> Result<()> {
    let mut ids = models.to_vec();
    ids.sort_unstable();
    ids.dedup();
    let text = if ids.len() > MOST {
        MANY.to_owned()
    } else {
        ids.iter().map(i64::to_string).collect::<Vec<_>>().join(",")
    };
    sql::insert(tx, ("touched", &["at", "models"]), vec![vec![at.into(), text.into()]], "").await?;
    let mut params = Params::default();
    let old = format!("DELETE FROM touched WHERE at <= {}", params.add(at - KEPT));
    sql::run(tx, &old, params).await?;
    Ok(())
}

impl Store {
    /// The models whose rows or edges were touched by the changes after number `from` up to number `to`, ascending;
    /// none when not all of these changes are remembered.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn touched(&self, (from, to): (i64, i64)) -> Result<Option<Vec<i64>>> {
        let mut params = Params::default();
        let sql = format!(
            "SELECT models FROM touched WHERE at > {} AND at <= {}",
            params.add(from),
            params.add(to)
        );
        let rows = sql::all(self.db(), &sql, params).await?;
        // An older program counts changes without noting what they touched.
        if i64::try_from(rows.len()).ok() != to.checked_sub(from) {
            return Ok(None);
        }
        let mut ids = Vec::new();
        for row in &rows {
            let text: String = get(row, "models")?;
            if text == MANY {
                return Ok(None);
            }
            for id in text.split(',').filter(|part| !part.is_empty()) {
                ids.push(id.parse().map_err(|error| Error::stored("number of a model", error))?);
            }
        }
        ids.sort_unstable();
        ids.dedup();
        Ok(Some(ids))
    }
}
