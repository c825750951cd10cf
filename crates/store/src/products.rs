//! What a recipe made.

use domain::Digest;

use crate::{
    Error, FileRow, Result, Store,
    rows::get,
    sql::{self, Params},
};

/// Most revisions of one recipe that are told.
const MOST: u64 = 16;

/// A revision that a recipe made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Product {
    /// The number of its model.
    pub model: i64,
    pub revision: i64,
    pub digest: Digest,
}

impl Store {
    /// What was made by this very recipe, of models that the viewer may see; the newest first, 16 at most.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn products(&self, recipe: &Digest) -> Result<Vec<Product>> {
        let mut params = Params::default();
        let recipe = params.add(recipe.to_string());
        let sql = format!(
            "SELECT revisions.model AS model, revisions.id AS revision, revisions.digest AS digest
             FROM revisions JOIN models ON models.id = revisions.model
             WHERE revisions.recipe = {recipe} {} ORDER BY revisions.id DESC LIMIT {MOST}",
            self.and_visible(&mut params)
        );
        let rows = sql::all(self.db(), &sql, params).await?;
        let product = |row| {
            let digest: String = get(row, "digest")?;
            let digest = digest.parse().map_err(|error| Error::stored("digest", error))?;
            Ok(Product { model: get(row, "model")?, revision: get(row, "revision")?, digest })
        };
        rows.iter().map(product).collect()
    }

    /// Whether the bytes of all these files are stored.
    ///
    /// # Errors
    /// When the blob store cannot be asked.
    pub async fn holds(&self, files: &[FileRow]) -> Result<bool> {
        Ok(self.lacking(files.iter().map(|file| file.digest).collect()).await?.is_none())
    }
}
