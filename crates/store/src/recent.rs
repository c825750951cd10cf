//! What was published last.

use crate::{
    ModelRow, Result, Store,
    models::{LIGHT, light},
    rows::get,
    sql::{self, Params},
};

impl Store {
    /// The models whose current revision was published last, newest first, each with when that was, in unix seconds.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn published_last(&self, count: u64) -> Result<Vec<(ModelRow, i64)>> {
        let mut params = Params::default();
        let visible = self.and_visible(&mut params);
        let sql = format!(
            "SELECT {LIGHT}, revisions.created_at AS published_at FROM revisions \
             JOIN models ON models.id = revisions.model AND models.revision = revisions.id {visible} \
             ORDER BY revisions.id DESC LIMIT {}",
            params.add(sql::capped(count))
        );
        let rows = sql::all(self.db(), &sql, params).await?;
        rows.iter().map(|row| Ok((light(row)?, get(row, "published_at")?))).collect()
    }
}
