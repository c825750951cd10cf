//! What a recipe made before: the same recipe of the same inputs gives the same bytes, which are not computed again.

use analysis::recipe::Recipe;
use domain::{Act, Digest, files};
use serde_json::{Value, json};
use store::{FileRow, ModelRow, Product, Store};

use crate::{Error, Registry};

/// Weights that a recipe made, and the record of how.
pub(crate) struct Earlier {
    model: String,
    digest: Digest,
    /// The files of weights and the index of shards.
    pub(crate) files: Vec<FileRow>,
    pub(crate) record: Value,
}

impl Earlier {
    /// `org/name@sha256:…`
    pub(crate) fn named(&self) -> String {
        format!("{}@{}", self.model, self.digest)
    }
}

/// What the recipe made in files of these names and lengths, of what the viewer of `store` may read.
///
/// # Errors
/// When database or blob store cannot be read.
pub(crate) async fn earlier(
    store: &Store,
    recipe: &Recipe,
    wanted: &[(String, u64)],
) -> Result<Option<Earlier>, Error> {
    for (Product { revision, digest, .. }, row, record) in products(store, recipe).await? {
        let mut files = store.files(revision).await?;
        files.retain(|file| files::is_weights(&file.path) || file.path.ends_with(".index.json"));
        let weights = files.iter().filter(|file| files::is_weights(&file.path));
        let same = weights.clone().count() == wanted.len()
            && weights.clone().all(|file| wanted.contains(&(file.path.clone(), file.size)));
        if same && store.holds(&files).await? {
            return Ok(Some(Earlier { model: row.name, digest, files, record }));
        }
    }
    Ok(None)
}

/// The name of a model that the recipe made here, with its revision where that is not its present one.
///
/// # Errors
/// When the database cannot be read.
pub async fn made_before(registry: &Registry, recipe: &Recipe) -> Result<Option<String>, Error> {
    let found = products(&registry.store, recipe).await?;
    Ok(found.into_iter().next().map(|(product, row, _)| match row.revision == Some(product.revision) {
        true => row.name,
        false => format!("{}@{}", row.name, product.digest),
    }))
}

/// Revisions that this version of the program made by the recipe, with their records.
async fn products(store: &Store, recipe: &Recipe) -> Result<Vec<(Product, ModelRow, Value)>, Error> {
    let mut found = Vec::new();
    for product in store.products(&recipe.digest()).await? {
        let Some(row) = store.models_by_ids(&[product.model]).await?.pop() else { continue };
        let Some(record) = store.provenance_of(product.revision).await? else { continue };
        if is_current(&record) && store.may_with(Act::Read, &row).await.is_ok() {
            found.push((product, row, record));
        }
    }
    Ok(found)
}

/// Whether the present program would compute the same and tell the same of it. What let elements through that are no numbers
/// warns of them while it is computed.
fn is_current(record: &Value) -> bool {
    record["engine"] == json!({ "name": "stemma", "version": env!("CARGO_PKG_VERSION") })
        && record["method"]["version"] == json!(analysis::METHODS_VERSION)
        && record.get("nonfinite").is_none()
}
