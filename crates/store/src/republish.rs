//! Publishing over an earlier revision: what it said is forgotten, what others said stays.

use domain::{Digest, Source};
use sea_orm::DatabaseTransaction;

use crate::{
    Error, Result, edges,
    rows::get,
    sql::{self, Params},
    stated::{take_back, write_changed},
};

/// A model that has a published revision.
pub struct Earlier {
    pub model: i64,
    pub recipe: Option<Digest>,
}

/// The model of this key, when something was published as it before.
pub async fn earlier(tx: &DatabaseTransaction, key: &str) -> Result<Option<Earlier>> {
    let mut params = Params::default();
    let sql = format!(
        "SELECT models.id AS id, revisions.recipe AS recipe
         FROM models JOIN revisions ON revisions.id = models.revision WHERE models.key = {}",
        params.add(key)
    );
    let Some(row) = sql::one(tx, &sql, params).await? else { return Ok(None) };
    let recipe: Option<String> = get(&row, "recipe")?;
    let recipe = recipe.map(|text| text.parse().map_err(|error| Error::stored("recipe", error)));
    Ok(Some(Earlier { model: get(&row, "id")?, recipe: recipe.transpose()? }))
}

/// Whether something is known of the model of this key besides that others name it.
pub async fn known(tx: &DatabaseTransaction, key: &str) -> Result<bool> {
    let mut params = Params::default();
    let sql = format!("SELECT id FROM models WHERE key = {} AND NOT ghost", params.add(key));
    Ok(sql::one(tx, &sql, params).await?.is_some())
}

/// Forgets what an earlier revision's files said, so that the new ones can take it back: a corrected card
/// must not leave its old parent or licence behind. What only the Hub knows stays.
pub async fn forget(tx: &DatabaseTransaction, model: i64) -> Result<()> {
    let mut params = Params::default();
    let sql = format!(
        "UPDATE models SET license = NULL, license_name = NULL, pipeline_tag = NULL, library = NULL, model_type = NULL,
             architecture = NULL, dtype = NULL, parameters = NULL, languages = '[]', datasets = '[]', tags = '[]',
             new_version = NULL, card = NULL, config = NULL
         WHERE id = {}",
        params.add(model)
    );
    sql::run(tx, &sql, params).await?;
    let from_files = |source: Source| {
        matches!(
            source,
            Source::Card | Source::AdapterConfig | Source::MergeConfig | Source::Recipe | Source::Inferred
        )
    };
    let mut edges = edges::of_children(tx, &[model]).await?;
    edges.iter_mut().for_each(|edge| take_back(edge, |evidence| from_files(evidence.source)));
    write_changed(tx, edges).await
}
