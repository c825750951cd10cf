//! Edges between models, with their evidence; and the light rows the forest is built from.

use domain::{EdgeStatus, Evidence, Relation, Source};
use futures::{Stream, TryFutureExt as _};
use sea_orm::{ConnectionTrait, DatabaseTransaction, QueryResult};
use serde::{Deserialize, Deserializer, Serialize};

use crate::{
    Error, Result, Store,
    connect::{bump, counter},
    rows::{get, json, parsed, to_json},
    sql::{self, MOST_KEYS, Params},
    whole::{Whole, truth},
};

/// One edge, child to parent.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EdgeRow {
    pub id: i64,
    pub child: i64,
    pub parent: i64,
    /// The parent as the first source wrote it.
    pub as_written: String,
    pub relation: Relation,
    pub status: EdgeStatus,
    pub evidence: Vec<Evidence>,
}

/// What the forest needs of a model, in the order of its columns.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ForestNodeRow {
    pub id: i64,
    pub name: String,
    pub created_at: Option<i64>,
    #[serde(deserialize_with = "truth")]
    pub ghost: bool,
    pub downloads: Option<i64>,
    pub license: Option<String>,
    pub parameters: Option<i64>,
}

/// What the forest needs of an edge, in the order of its columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct ForestEdgeRow {
    pub id: i64,
    pub child: i64,
    pub parent: i64,
    pub relation: Relation,
    #[serde(deserialize_with = "status")]
    pub status: EdgeStatus,
}

fn status<'de, D: Deserializer<'de>>(from: D) -> std::result::Result<EdgeStatus, D::Error> {
    Ok(EdgeStatus::from_stored(&String::deserialize(from)?))
}

const COLUMNS: &str = "id, child, parent, as_written, relation, status, evidence";

impl EdgeRow {
    /// An edge that nobody speaks for yet and that is not stored.
    pub(crate) fn new(
        (child, parent): (i64, i64),
        as_written: String,
        relation: Relation,
        status: EdgeStatus,
    ) -> Self {
        Self { id: 0, child, parent, as_written, relation, status, evidence: Vec::new() }
    }

    /// Whether somebody besides the weights speaks for it.
    pub fn declared(&self) -> bool {
        self.evidence.iter().any(|evidence| evidence.source != Source::Weights)
    }
}

const NODES: Whole = Whole {
    table: "models",
    key: "id",
    columns: "id, name, created_at, ghost, downloads, license, parameters",
    only: "TRUE",
};

const EDGES: Whole =
    Whole { table: "edges", key: "id", columns: "id, child, parent, relation, status", only: "TRUE" };

impl Store {
    /// Edges to the parents of `model`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn edges_of(&self, model: i64) -> Result<Vec<EdgeRow>> {
        self.unnamed(of_children(self.db(), &[model]).await?).await
    }

    /// Edges to the parents of many models, by number.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn edges_of_many(&self, models: &[i64]) -> Result<Vec<EdgeRow>> {
        self.unnamed(of_children(self.db(), models).await?).await
    }

    /// Edges from the children of `model`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn edges_to(&self, model: i64) -> Result<Vec<EdgeRow>> {
        let mut params = Params::default();
        let sql = format!("SELECT {COLUMNS} FROM edges WHERE parent = {} ORDER BY id", params.add(model));
        let edges = sql::all(self.db(), &sql, params).await?.iter().map(edge).collect::<Result<_>>()?;
        self.unnamed(edges).await
    }

    /// Edges from the children of many models that a recipe or a person speaks for, whatever became of them.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn sure_edges_to(&self, models: &[i64]) -> Result<Vec<EdgeRow>> {
        let sql = |parents: &str| {
            format!(
                r#"SELECT {COLUMNS} FROM edges WHERE parent IN {parents} AND (evidence LIKE '%"source":"recipe"%'
                   OR evidence LIKE '%"source":"person"%') ORDER BY id"#
            )
        };
        let mut found = sql::by_keys(self.db(), models, sql, edge).await?;
        let sure = |told: &Evidence| matches!(told.source, Source::Recipe | Source::Person);
        found.retain(|edge| edge.evidence.iter().any(sure));
        self.unnamed(found).await
    }

    /// The edges without those of hidden children, and without what is said of hidden parents and what names others.
    pub(crate) async fn unnamed(&self, mut edges: Vec<EdgeRow>) -> Result<Vec<EdgeRow>> {
        let hidden = self.hidden().await?;
        edges.retain(|edge| !hidden.contains(&edge.child));
        for edge in edges.iter_mut().filter(|edge| hidden.contains(&edge.parent)) {
            edge.as_written = format!("private model {}", edge.parent);
            edge.evidence.clear();
        }
        self.discreetly(&mut edges).await?;
        Ok(edges)
    }

    /// Every model, as the forest needs it, in parts, ascending by number.
    pub fn forest_nodes(&self) -> impl Stream<Item = Result<Vec<ForestNodeRow>>> + '_ {
        let parts = async move {
            let last = self.last("models").await?;
            Ok::<_, Error>(self.in_parts(last, |store, range| async move {
                let mut rows: Vec<ForestNodeRow> = store.part(NODES, range).await?;
                rows.sort_unstable_by_key(|row| row.id);
                Ok(rows)
            }))
        };
        parts.try_flatten_stream()
    }

    /// Every edge, rejected ones included, in parts, ascending by number.
    pub fn forest_edges(&self) -> impl Stream<Item = Result<Vec<ForestEdgeRow>>> + '_ {
        let parts = async move {
            let last = self.last("edges").await?;
            Ok::<_, Error>(self.in_parts(last, |store, range| async move {
                let rows: Vec<(i64, i64, i64, String, String)> = store.part(EDGES, range).await?;
                let edge = |(id, child, parent, relation, status): (i64, i64, i64, String, String)| {
                    let relation = relation.parse().map_err(|error| Error::stored("relation", error))?;
                    Ok(ForestEdgeRow {
                        id,
                        child,
                        parent,
                        relation,
                        status: EdgeStatus::from_stored(&status),
                    })
                };
                rows.into_iter().map(edge).collect::<Result<Vec<_>>>()
            }))
        };
        parts.try_flatten_stream()
    }

    /// Writes down which edges close a cycle and which no longer do, as a forest built at `at` of the change counter found
    /// them; `false`, and nothing is written, when the registry changed since. Edges that stand otherwise, since a person
    /// rejected them or only weights speak for them, stay as they are.
    ///
    /// # Errors
    /// When the database refuses; no edge is changed then.
    pub async fn set_edge_status(&self, at: i64, changes: &[(i64, EdgeStatus)]) -> Result<bool> {
        let tx = self.begin_write().await?;
        if counter(&tx).await? != at {
            return Ok(false);
        }
        let mut touched = Vec::new();
        let (accepted, rejected) = (EdgeStatus::Accepted, EdgeStatus::RejectedCycle);
        for (from, status) in [(accepted, rejected), (rejected, accepted)] {
            let ids: Vec<i64> = changes.iter().filter(|(_, to)| *to == status).map(|(id, _)| *id).collect();
            for ids in ids.chunks(MOST_KEYS) {
                let mut params = Params::default();
                let sql = format!(
                    "UPDATE edges SET status = {} WHERE status = {} AND id IN {} RETURNING child",
                    params.add(status.as_str()),
                    params.add(from.as_str()),
                    params.list(ids.iter().copied())
                );
                for row in sql::all(&tx, &sql, params).await? {
                    touched.push(get(&row, "child")?);
                }
            }
        }
        bump(&tx, &touched).await?;
        tx.commit().await?;
        Ok(true)
    }
}

fn edge(row: &QueryResult) -> Result<EdgeRow> {
    Ok(EdgeRow {
        id: get(row, "id")?,
        child: get(row, "child")?,
        parent: get(row, "parent")?,
        as_written: get(row, "as_written")?,
        relation: parsed(row, "relation", "relation")?,
        status: EdgeStatus::from_stored(&get::<String>(row, "status")?),
        evidence: json(row, "evidence")?,
    })
}

/// The edges of many children, by id.
pub async fn of_children<C: ConnectionTrait>(db: &C, children: &[i64]) -> Result<Vec<EdgeRow>> {
    let sql = |children: &str| format!("SELECT {COLUMNS} FROM edges WHERE child IN {children} ORDER BY id");
    sql::by_keys(db, children, sql, edge).await
}

/// Every edge with `model` at either end.
pub async fn touching(tx: &DatabaseTransaction, model: i64) -> Result<Vec<EdgeRow>> {
    let mut params = Params::default();
    let at = params.add(model);
    let sql = format!("SELECT {COLUMNS} FROM edges WHERE parent = {at} OR child = {at} ORDER BY id");
    sql::all(tx, &sql, params).await?.iter().map(edge).collect()
}

/// Deletes edges.
pub async fn delete(tx: &DatabaseTransaction, edges: &[i64]) -> Result<()> {
    for edges in edges.chunks(MOST_KEYS) {
        let mut params = Params::default();
        let sql = format!("DELETE FROM edges WHERE id IN {}", params.in_order(tx, edges.iter().copied()));
        sql::run(tx, &sql, params).await?;
    }
    Ok(())
}

/// Inserts edges or replaces relation, status and evidence of known ones.
pub async fn write(tx: &DatabaseTransaction, edges: impl Iterator<Item = EdgeRow>) -> Result<()> {
    let rows = edges
        .map(|edge| {
            Ok(vec![
                edge.child.into(),
                edge.parent.into(),
                edge.as_written.into(),
                edge.relation.as_str().into(),
                edge.status.as_str().into(),
                to_json(&edge.evidence)?.into(),
            ])
        })
        .collect::<Result<Vec<_>>>()?;
    let columns = ["child", "parent", "as_written", "relation", "status", "evidence"];
    let tail = "ON CONFLICT (child, parent) DO UPDATE SET relation = excluded.relation, \
                status = excluded.status, evidence = excluded.evidence";
    sql::insert(tx, ("edges", &columns), rows, tail).await
}
