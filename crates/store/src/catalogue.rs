//! What the search index holds of a model, read in the order of ids or of some models alone.

use std::{collections::HashMap, fmt};

use domain::Relation;
use futures::{Stream, TryFutureExt as _};
use sea_orm::QueryResult;
use serde::{
    Deserialize,
    de::{self, Deserializer, Visitor},
};

use crate::{
    Error, Result, Store,
    rows::{get, json, parsed},
    sql::{self, MOST_KEYS, Params},
    whole::{Whole, truth},
};

/// A model as the search index knows it, in the order of its columns.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct CatalogueRow {
    pub id: i64,
    /// The name in lower case.
    pub key: String,
    #[serde(deserialize_with = "truth")]
    pub ghost: bool,
    pub org: Option<String>,
    pub license: Option<String>,
    pub pipeline_tag: Option<String>,
    pub library: Option<String>,
    pub model_type: Option<String>,
    pub architecture: Option<String>,
    pub dtype: Option<String>,
    pub parameters: Option<i64>,
    pub downloads: Option<i64>,
    pub likes: Option<i64>,
    /// Unix seconds; where its source says nothing, when its first commit was made here, else when it came.
    pub created_at: Option<i64>,
    /// Unix seconds; where its source says nothing, when it came here last.
    pub last_modified: Option<i64>,
    #[serde(deserialize_with = "list")]
    pub tags: Vec<String>,
    #[serde(deserialize_with = "list")]
    pub languages: Vec<String>,
    #[serde(deserialize_with = "truth")]
    pub has_weights: bool,
    /// Kinship is answered from its sketches.
    #[serde(deserialize_with = "truth")]
    pub sketched: bool,
    /// Unix seconds.
    pub ingested_at: i64,
    /// How it descends from its accepted parents.
    #[serde(skip)]
    pub relations: Vec<Relation>,
}

const COLUMNS: &str = "id, key, ghost, org, license, pipeline_tag, library, model_type, architecture, dtype, \
    parameters, downloads, likes, created_at, last_modified, tags, languages, has_weights, sketched, ingested_at";

const MODELS: Whole = Whole { table: "models", key: "id", columns: COLUMNS, only: "TRUE" };

const RELATIONS: Whole =
    Whole { table: "edges", key: "child", columns: "child, relation", only: "status = 'accepted'" };

const COMMITS: Whole =
    Whole { table: "commits", key: "model", columns: "model, created_at", only: "parent IS NULL" };

impl Store {
    /// All models in parts, ascending by number.
    pub fn catalogue_parts(&self) -> impl Stream<Item = Result<Vec<CatalogueRow>>> + '_ {
        let parts = async move {
            let last = self.last("models").await?;
            Ok::<_, Error>(self.in_parts(last, |store, range| store.catalogue_part(range)))
        };
        parts.try_flatten_stream()
    }

    async fn catalogue_part(&self, range: (i64, i64)) -> Result<Vec<CatalogueRow>> {
        let (mut found, edges, first) = futures::try_join!(
            self.part::<CatalogueRow>(MODELS, range),
            self.part::<(i64, Relation)>(RELATIONS, range),
            self.part::<(i64, i64)>(COMMITS, range)
        )?;
        relate(&mut found, edges.into_iter().map(Ok))?;
        let mut founded = HashMap::with_capacity(first.len());
        for (model, at) in first {
            founded.entry(model).and_modify(|known: &mut i64| *known = at.min(*known)).or_insert(at);
        }
        found.iter_mut().for_each(|row| date(row, &founded));
        Ok(found)
    }

    /// Some models by number, in no order; unknown numbers are left out.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn catalogue_rows_of(&self, ids: &[i64]) -> Result<Vec<CatalogueRow>> {
        let mut all = Vec::with_capacity(ids.len());
        for ids in ids.chunks(MOST_KEYS) {
            let mut params = Params::default();
            let list = params.in_order(self.db(), ids.iter().copied());
            let sql = format!("SELECT {COLUMNS} FROM models WHERE id IN {list}");
            let rows = sql::all(self.db(), &sql, params).await?;
            let mut found = rows.iter().map(model).collect::<Result<Vec<_>>>()?;
            let mut params = Params::default();
            let list = params.in_order(self.db(), ids.iter().copied());
            let sql =
                format!("SELECT child, relation FROM edges WHERE child IN {list} AND status = 'accepted'");
            let edges = sql::all(self.db(), &sql, params).await?;
            let relation =
                |edge: &QueryResult| Ok((get(edge, "child")?, parsed(edge, "relation", "relation")?));
            relate(&mut found, edges.iter().map(relation))?;
            let founded = self.founded(ids).await?;
            found.iter_mut().for_each(|row| date(row, &founded));
            all.append(&mut found);
        }
        Ok(all)
    }
}

fn model(row: &QueryResult) -> Result<CatalogueRow> {
    Ok(CatalogueRow {
        id: get(row, "id")?,
        key: get(row, "key")?,
        ghost: get(row, "ghost")?,
        org: get(row, "org")?,
        license: get(row, "license")?,
        pipeline_tag: get(row, "pipeline_tag")?,
        library: get(row, "library")?,
        model_type: get(row, "model_type")?,
        architecture: get(row, "architecture")?,
        dtype: get(row, "dtype")?,
        parameters: get(row, "parameters")?,
        downloads: get(row, "downloads")?,
        likes: get(row, "likes")?,
        created_at: get(row, "created_at")?,
        last_modified: get(row, "last_modified")?,
        tags: json(row, "tags")?,
        languages: json(row, "languages")?,
        has_weights: get(row, "has_weights")?,
        sketched: get(row, "sketched")?,
        ingested_at: get(row, "ingested_at")?,
        relations: Vec::new(),
    })
}

/// Fills in the dates of a model whose source has none; a name alone has none.
fn date(row: &mut CatalogueRow, founded: &HashMap<i64, i64>) {
    if row.ghost {
        return;
    }
    row.created_at = row.created_at.or_else(|| founded.get(&row.id).copied()).or(Some(row.ingested_at));
    row.last_modified = row.last_modified.or(Some(row.ingested_at));
}

/// Puts models in the order of their numbers and gives each its relations.
fn relate(models: &mut [CatalogueRow], edges: impl Iterator<Item = Result<(i64, Relation)>>) -> Result<()> {
    models.sort_unstable_by_key(|row| row.id);
    for edge in edges {
        let (child, relation) = edge?;
        if let Ok(at) = models.binary_search_by_key(&child, |row| row.id)
            && !models[at].relations.contains(&relation)
        {
            models[at].relations.push(relation);
        }
    }
    Ok(())
}

/// A list that the database has as a JSON text of its own.
fn list<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<Vec<String>, D::Error> {
    struct Inner;
    impl Visitor<'_> for Inner {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list as text")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> std::result::Result<Vec<String>, E> {
            serde_json::from_str(text).map_err(E::custom)
        }
    }
    from.deserialize_str(Inner)
}
