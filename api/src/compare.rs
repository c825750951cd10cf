//! Two revisions of one model side by side: files and tensors by digest, and the step between their versions.

use std::collections::BTreeMap;

use actix_web::{HttpResponse, routes, web};
use domain::Digest;
use http::{Problem, Result};
use jobs::Registry;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::{CommitRow, ModelRow};
use utoipa::ToSchema;

use crate::{models::find, seen::Seen};

/// Names that one side has and the other has not, or has otherwise.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Differences {
    /// At most the page length of names each, in order.
    pub added: Vec<String>,
    pub removed: Vec<String>,
    pub changed: Vec<String>,
    /// All that differ, those that are not listed too.
    pub differing: usize,
    pub same: usize,
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
    let (from, to) = (commit(&registry, &row, from).await?, commit(&registry, &row, to).await?);
    let step = jobs::version_step(&registry, &row, (&from, &to)).await?;
    let most = usize::try_from(registry.limits.page_max).unwrap_or(usize::MAX);
    let body = Comparison {
        files: differences((files(&registry, &from).await?, files(&registry, &to).await?), most),
        tensors: differences((tensors(&registry, &from).await?, tensors(&registry, &to).await?), most),
        model: row.name,
        from: from.oid,
        to: to.oid,
        step: serde_json::to_value(step).unwrap_or_default(),
    };
    Ok(HttpResponse::Ok().json(body))
}

async fn commit(registry: &Registry, row: &ModelRow, name: &str) -> Result<CommitRow> {
    let found = registry.store.commit(row.id, name).await?;
    found.ok_or_else(|| {
        let (model, revision) = (row.name.clone(), name.chars().take(120).collect());
        jobs::Error::UnknownRevision { model, revision }.into()
    })
}

async fn files(registry: &Registry, commit: &CommitRow) -> Result<BTreeMap<String, Digest>> {
    let files = registry.store.files(commit.revision).await?;
    Ok(files.into_iter().map(|file| (file.path, file.digest)).collect())
}

type Content = (String, Vec<u64>, Digest);

async fn tensors(registry: &Registry, commit: &CommitRow) -> Result<BTreeMap<String, Content>> {
    let tensors = registry.store.tensors(commit.revision).await?;
    Ok(tensors.into_iter().map(|one| (one.name, (one.dtype, one.shape, one.digest))).collect())
}

/// What differs from the first to the second, at most `most` names of each kind.
fn differences<T: PartialEq>(
    (from, to): (BTreeMap<String, T>, BTreeMap<String, T>),
    most: usize,
) -> Differences {
    let only = |one: &BTreeMap<String, T>, other: &BTreeMap<String, T>| -> Vec<String> {
        one.keys().filter(|name| !other.contains_key(*name)).cloned().collect()
    };
    let (mut added, mut removed) = (only(&to, &from), only(&from, &to));
    let changes = from.iter().filter(|(name, content)| to.get(*name).is_some_and(|now| now != *content));
    let mut changed: Vec<String> = changes.map(|(name, _)| name.clone()).collect();
    let same = from.len() - removed.len() - changed.len();
    let differing = added.len() + removed.len() + changed.len();
    for names in [&mut added, &mut removed, &mut changed] {
        names.truncate(most);
    }
    Differences { added, removed, changed, differing, same }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(rows: &[(&str, u8)]) -> BTreeMap<String, u8> {
        rows.iter().map(|(name, content)| ((*name).to_owned(), *content)).collect()
    }

    #[test]
    fn every_name_is_added_removed_changed_or_the_same() {
        let (from, to) =
            (side(&[("a", 1), ("b", 1), ("c", 1)]), side(&[("b", 1), ("c", 2), ("d", 1), ("e", 1)]));

        let told = differences((from, to), 1);

        assert_eq!(
            (told.added, told.removed, told.changed),
            (vec!["d".into()], vec!["a".into()], vec!["c".into()])
        );
        assert_eq!((told.differing, told.same), (4, 1));
    }
}
