//! Ghosts that nobody names any more: a name is known only as long as somebody says it.

use sea_orm::DatabaseTransaction;

use crate::{
    Result,
    sql::{self, MOST_KEYS, Params},
};

/// Removes those of some models that are ghosts and that nothing else speaks of.
pub async fn forget(tx: &DatabaseTransaction, models: &[i64]) -> Result<()> {
    let mut models = models.to_vec();
    models.sort_unstable();
    models.dedup();
    for models in models.chunks(MOST_KEYS) {
        let mut params = Params::default();
        let list = params.in_order(tx, models.iter().copied());
        let sql = format!(
            "DELETE FROM models WHERE id IN {list} AND ghost AND NOT private AND revision IS NULL
             AND NOT EXISTS (SELECT 1 FROM edges WHERE parent = models.id)
             AND NOT EXISTS (SELECT 1 FROM edges WHERE child = models.id)
             AND NOT EXISTS (SELECT 1 FROM verdicts WHERE parent = models.id OR child = models.id)
             AND NOT EXISTS (SELECT 1 FROM decisions WHERE parent = models.id OR child = models.id)
             AND NOT EXISTS (SELECT 1 FROM advisories WHERE model = models.id)
             AND NOT EXISTS (SELECT 1 FROM grants WHERE model = models.id)
             AND NOT EXISTS (SELECT 1 FROM revisions WHERE model = models.id)
             AND NOT EXISTS (SELECT 1 FROM commits WHERE model = models.id)
             AND NOT EXISTS (SELECT 1 FROM refs WHERE model = models.id)
             AND NOT EXISTS (SELECT 1 FROM shapes WHERE model = models.id)"
        );
        sql::run(tx, &sql, params).await?;
    }
    Ok(())
}
