//! Two revisions of one model side by side: files and tensors by digest, and the step between their versions.

use actix_web::{HttpResponse, routes, web};
use analysis::versions;
use http::{Problem, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::{models::find, seen::Seen};

/// Names that one side has and the other has not, or has otherwise.
#[derive(Debug, Serialize, ToSchema)]
pub struct Differences {
    /// At most the page length of names each, in order.
    pub added: Vec<String>,
    pub removed: Vec<String>,
    pub changed: Vec<String>,
    /// All that differ, those that are not listed too.
    pub differing: usize,
    pub same: usize,
}

impl From<versions::Differences> for Differences {
    fn from(told: versions::Differences) -> Self {
        let versions::Differences { added, removed, changed, differing, same } = told;
        Self { added, removed, changed, differing, same }
    }
}

/// A key of config.json that is there on one side only, or has another value.
#[derive(Debug, Serialize, ToSchema)]
pub struct KeyView {
    /// With a dot between the keys of nested objects.
    pub key: String,
    #[schema(value_type = Object)]
    pub from: Option<Value>,
    #[schema(value_type = Object)]
    pub to: Option<Value>,
}

impl From<versions::KeyChange> for KeyView {
    fn from(told: versions::KeyChange) -> Self {
        let versions::KeyChange { key, from, to } = told;
        Self { key, from, to }
    }
}

/// What differs between two revisions.
#[derive(Debug, Serialize, ToSchema)]
pub struct Comparison {
    pub model: String,
    /// Commits.
    pub from: String,
    pub to: String,
    /// By the digest of their content.
    pub files: Differences,
    /// By number format, shape and the digest of their bytes; a tensor that only moved to another file is the same.
    pub tensors: Differences,
    /// Keys of config.json, in order.
    pub config: Vec<KeyView>,
    /// The derived version step: `level` (major, minor, patch), `changes`, and the version counted from 1.0.0.
    #[schema(value_type = Object)]
    pub step: Value,
}

#[derive(Debug, Deserialize)]
pub struct ComparedPath {
    org: Option<String>,
    name: String,
    range: String,
}

/// Compare two revisions of a model; `range` is `FROM...TO`, each a branch, a tag, a commit or a digest.
#[utoipa::path(get, path = "/api/v1/models/{org}/{name}/compare/{range}", tag = "models", params(("org" = String, Path), ("name" = String, Path), ("range" = String, Path, description = "`FROM...TO`")), responses((status = 200, body = Comparison), (status = "4XX", body = Problem, content_type = "application/problem+json")))]
#[routes]
#[get("/api/v1/models/{org}/{name}/compare/{range:.*}")]
#[get("/api/v1/models/{name}/compare/{range:.*}")]
pub async fn compare_revisions(registry: Seen, path: web::Path<ComparedPath>) -> Result<HttpResponse> {
    let path = path.into_inner();
    let id = path.org.map_or_else(|| path.name.clone(), |org| format!("{org}/{}", path.name));
    let bad =
        || Problem::bad_request(format!("`{}` is no range of revisions; expected FROM...TO", path.range));
    let (from, to) = path.range.split_once("...").ok_or_else(bad)?;
    let row = find(&registry, &id).await?;
    let told = jobs::compare_revisions(&registry, &row, (from, to)).await?;
    Ok(HttpResponse::Ok().json(Comparison {
        model: told.model,
        from: told.from.oid,
        to: told.to.oid,
        files: told.files.into(),
        tensors: told.tensors.into(),
        config: told.config.into_iter().map(KeyView::from).collect(),
        step: serde_json::to_value(told.step).unwrap_or_default(),
    }))
}
