//! What a model's current revision holds: its files and its tensors, page by page.

use actix_web::{HttpRequest, HttpResponse, get, web};
use domain::{Digest, address};
use http::{Problem, Result};
use jobs::Registry;
use serde::{Deserialize, Serialize};
use store::{ShapeRow, TensorRow};
use utoipa::{IntoParams, ToSchema};

use crate::{
    models::{ModelPath, find},
    paging::{Window, cut, limit_of},
    query::Query,
    seen::Seen,
};

/// A file of a revision.
#[derive(Debug, Serialize, ToSchema)]
pub struct FileView {
    pub path: String,
    pub size: u64,
    #[schema(value_type = String)]
    pub digest: Digest,
    /// Where it can be fetched.
    pub url: String,
}

/// A page of files.
#[derive(Debug, Serialize, ToSchema)]
pub struct FilePage {
    pub items: Vec<FileView>,
    /// Pass as `cursor` for the next page.
    pub next: Option<String>,
}

/// Files of the current revision.
#[utoipa::path(tag = "models", params(("org" = String, Path), ("name" = String, Path), Window), responses((status = 200, body = FilePage), (status = 404, body = Problem, content_type = "application/problem+json")))]
#[get("/api/v1/models/{org}/{name}/files")]
pub async fn list_files(
    registry: Seen,
    path: web::Path<ModelPath>,
    window: Query<Window>,
) -> Result<HttpResponse> {
    files_of(&registry, &path.id(), &window).await
}

/// Files of the model called `id`.
pub async fn files_of(registry: &Registry, id: &str, window: &Window) -> Result<HttpResponse> {
    let row = find(registry, id).await?;
    let files = match row.revision {
        Some(revision) => registry.store.files(revision).await?,
        None => Vec::new(),
    };
    let (files, next) = cut(files, window, registry.limits.page_max, |file| &file.path)?;
    let items = files
        .into_iter()
        .map(|file| FileView {
            url: format!("/{}/resolve/main/{}", address::path(&row.name), address::path(&file.path)),
            path: file.path,
            size: file.size,
            digest: file.digest,
        })
        .collect();
    Ok(HttpResponse::Ok().json(FilePage { items, next }))
}

/// Which revision.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct RevisionQuery {
    /// A branch, a tag, a commit or a digest; `main` unless given.
    pub revision: Option<String>,
}

/// Every file of a revision with size, SHA-256, the time of its last check, the tensors in it and its address; and the
/// weights by number format.
#[utoipa::path(tag = "models", params(("org" = String, Path), ("name" = String, Path), RevisionQuery), responses((status = 200, body = Object), (status = 404, body = Problem, content_type = "application/problem+json")))]
#[get("/api/v1/models/{org}/{name}/manifest")]
pub async fn get_manifest(
    request: HttpRequest,
    registry: Seen,
    path: web::Path<ModelPath>,
    query: Query<RevisionQuery>,
) -> Result<HttpResponse> {
    manifest_of(&request, &registry, (&path.id(), &query)).await
}

/// The manifest of the model called `id`.
pub async fn manifest_of(
    request: &HttpRequest,
    registry: &Registry,
    (id, query): (&str, &RevisionQuery),
) -> Result<HttpResponse> {
    let row = find(registry, id).await?;
    let origin = http::address(request);
    let asked = (row.name.as_str(), query.revision.as_deref());
    match jobs::manifest(registry, asked, &origin).await? {
        Some(manifest) => Ok(HttpResponse::Ok().json(manifest)),
        None => Err(Problem::not_found(format!("a stored revision of `{}`", row.name))),
    }
}

/// How a revision was made, where it was made here: recipe, inputs by digest, what methods tell of each
/// tensor, warnings, and what it took.
#[utoipa::path(tag = "models", params(("org" = String, Path), ("name" = String, Path), RevisionQuery), responses((status = 200, body = Object), (status = 404, body = Problem, content_type = "application/problem+json")))]
#[get("/api/v1/models/{org}/{name}/provenance")]
pub async fn get_provenance(
    registry: Seen,
    path: web::Path<ModelPath>,
    query: Query<RevisionQuery>,
) -> Result<HttpResponse> {
    provenance_of(&registry, (&path.id(), &query)).await
}

/// The record of the model called `id`.
pub async fn provenance_of(registry: &Registry, (id, query): (&str, &RevisionQuery)) -> Result<HttpResponse> {
    let row = find(registry, id).await?;
    let record = jobs::record_of(registry, (&row, query.revision.as_deref())).await?;
    match record {
        Some(record) => Ok(HttpResponse::Ok().json(record)),
        None => Err(Problem::not_found(format!("a record of how `{id}` was made"))),
    }
}

/// A tensor of the current revision.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct TensorView {
    pub name: String,
    pub dtype: String,
    pub shape: Vec<u64>,
    /// SHA-256 of the stored bytes; null, as all numbers are, where only headers were imported.
    #[schema(value_type = Option<String>)]
    pub digest: Option<Digest>,
    pub file: String,
    /// Euclidean norm; null for dtypes that are not numbers.
    pub l2: Option<f64>,
    pub mean: Option<f64>,
    pub min: Option<f64>,
    pub max: Option<f64>,
    /// Population standard deviation.
    pub std: Option<f64>,
    pub skewness: Option<f64>,
    /// Excess kurtosis: 0 for a normal distribution.
    pub kurtosis: Option<f64>,
    pub zeros: Option<u64>,
    /// NaN and infinite elements.
    pub nonfinite: Option<u64>,
}

impl From<TensorRow> for TensorView {
    fn from(t: TensorRow) -> Self {
        let finite = |value: Option<f64>| value.filter(|v| v.is_finite());
        Self {
            name: t.name,
            dtype: t.dtype,
            shape: t.shape,
            digest: Some(t.digest),
            file: t.file,
            l2: finite(t.l2),
            mean: finite(t.mean),
            min: finite(t.min),
            max: finite(t.max),
            std: finite(t.std),
            skewness: finite(t.skewness),
            kurtosis: finite(t.kurtosis),
            zeros: t.zeros,
            nonfinite: Some(t.nonfinite),
        }
    }
}

impl From<ShapeRow> for TensorView {
    fn from(row: ShapeRow) -> Self {
        let ShapeRow { name, dtype, shape, file, .. } = row;
        Self { name, dtype, shape, file, ..Self::default() }
    }
}

/// A page of tensors.
#[derive(Debug, Serialize, ToSchema)]
pub struct TensorPage {
    pub items: Vec<TensorView>,
    /// Pass as `cursor` for the next page.
    pub next: Option<String>,
}

/// Tensors of the current revision, sorted by name.
#[utoipa::path(tag = "models", params(("org" = String, Path), ("name" = String, Path), Window), responses((status = 200, body = TensorPage), (status = 404, body = Problem, content_type = "application/problem+json")))]
#[get("/api/v1/models/{org}/{name}/tensors")]
pub async fn list_tensors(
    registry: Seen,
    path: web::Path<ModelPath>,
    window: Query<Window>,
) -> Result<HttpResponse> {
    tensors_of(&registry, &path.id(), &window).await
}

/// Tensors of the model called `id`.
pub async fn tensors_of(registry: &Registry, id: &str, window: &Window) -> Result<HttpResponse> {
    let row = find(registry, id).await?;
    let most = registry.limits.page_max;
    let (items, next) = match row.revision {
        Some(revision) => {
            let limit = limit_of(window.limit.unwrap_or(most), most)?;
            let after = window.cursor.as_deref();
            // One more than asked for tells whether there is a next page.
            let mut found = registry.store.tensors_after(revision, after, limit + 1).await?;
            let more = found.len() as u64 > limit;
            found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
            let next = found.last().filter(|_| more).map(|tensor| tensor.name.clone());
            (found.into_iter().map(TensorView::from).collect(), next)
        }
        None => {
            let shapes = registry.store.shapes_of(row.id).await?.into_iter().map(TensorView::from).collect();
            cut(shapes, window, most, |tensor: &TensorView| &tensor.name)?
        }
    };
    Ok(HttpResponse::Ok().json(TensorPage { items, next }))
}
