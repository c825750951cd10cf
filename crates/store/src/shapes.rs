//! Tensors of models that are here without their weights: names and shapes, read from headers alone.

use serde::{Deserialize, Serialize};

use crate::{
    Result, Store,
    holders::name_shapes,
    rows::{json, to_json},
    sql::{self, Params},
};

/// A tensor known by its header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShapeRow {
    pub name: String,
    pub dtype: String,
    pub shape: Vec<u64>,
    /// Stored bytes.
    pub bytes: u64,
    /// The file that it lies in.
    pub file: String,
}

impl Store {
    /// Keeps what the headers of a model's weights say, over what was kept before.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn set_shapes(&self, model: i64, shapes: &[ShapeRow]) -> Result<()> {
        let tx = self.begin_write().await?;
        let row = vec![model.into(), sql::text(&to_json(shapes)?).into()];
        let tail = "ON CONFLICT (model) DO UPDATE SET body = excluded.body";
        sql::insert(&tx, ("shapes", &["model", "body"]), vec![row], tail).await?;
        name_shapes(&tx, model, shapes.iter().map(|shape| shape.name.as_str())).await?;
        Ok(tx.commit().await?)
    }

    /// What is kept of the headers of a model's weights.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn shapes_of(&self, model: i64) -> Result<Vec<ShapeRow>> {
        let mut params = Params::default();
        let sql = format!("SELECT body FROM shapes WHERE model = {}", params.add(model));
        let row = sql::one(self.db(), &sql, params).await?;
        row.as_ref().map_or_else(|| Ok(Vec::new()), |row| json(row, "body"))
    }
}
